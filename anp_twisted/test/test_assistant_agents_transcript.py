"""Tests of L{anp_twisted.assistant.agents.transcript}."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.events import (
    AgentEvent,
    Failed,
    Final,
    Reasoning,
    Replace,
    TextDelta,
    ToolEnd,
    ToolStart,
    Usage,
)
from anp_twisted.assistant.agents.transcript import Transcript, cut, decode_loosely, sound
from anp_twisted.limits import Limits

LIMITS = Limits(agent_text=10, agent_events=50, agent_tools=2, agent_tool_text=5)

TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=6)
EVENT = st.one_of(
    st.builds(TextDelta, TEXT),
    st.builds(Reasoning, TEXT),
    st.builds(Replace, TEXT),
    st.builds(ToolStart, TEXT, TEXT, TEXT),
    st.builds(ToolEnd, TEXT, TEXT, st.booleans()),
    st.builds(Usage, st.integers(0, 5), st.integers(0, 5)),
    st.builds(Final, TEXT, TEXT),
    st.builds(Failed, TEXT, TEXT),
    st.just("no event"),
)


class Loose(msgspec.Struct):
    """Something with text."""

    text: str


def said(events: Sequence[object], **more: bool) -> list[AgentEvent]:
    """
    @return: what passes.
    """
    transcript = Transcript(LIMITS, **more)
    passed = [one for event in events for one in transcript.feed(event)]
    return [*passed, *transcript.close()]


class RuleTests(SynchronousTestCase):
    """Each rule."""

    def test_plain(self) -> None:
        """What keeps the rules passes as it is."""
        events = [
            Reasoning("hm"),
            ToolStart("1", "look", "{}"),
            ToolEnd("1", "x"),
            TextDelta("a"),
            TextDelta("b"),
            Final("ab"),
        ]
        self.assertEqual(said(events), events)

    def test_noEnd(self) -> None:
        """Who stops has said it all."""
        self.assertEqual(said([TextDelta("a"), TextDelta("b")])[-1], Final("ab"))
        self.assertEqual(said([]), [Final("")])

    def test_late(self) -> None:
        """Nothing passes behind the end."""
        self.assertEqual(said([Final("a"), TextDelta("b"), Final("c")]), [TextDelta("a"), Final("a")])
        self.assertEqual(said([Failed("x", "y"), Final("c")]), [Failed("x", "y")])

    def test_other(self) -> None:
        """Where the end says something else than the pieces, they are completed or replaced before it."""
        self.assertEqual(said([TextDelta("a"), Final("abc")]), [TextDelta("a"), TextDelta("bc"), Final("abc")])
        self.assertEqual(said([TextDelta("a"), Final("b")]), [TextDelta("a"), Replace("b"), Final("b")])
        self.assertEqual(said([TextDelta("a"), Replace("b"), TextDelta("c")])[-1], Final("bc"))

    def test_cost(self) -> None:
        """The last cost is told once, before the end, whatever that is."""
        self.assertEqual(said([Usage(1, 1), TextDelta("a"), Usage(2, 3)]), [TextDelta("a"), Usage(2, 3), Final("a")])
        self.assertEqual(said([Usage(1, 0), Failed("x", "y")]), [Usage(1, 0), Failed("x", "y")])

    def test_halves(self) -> None:
        """A character that is cut in the middle is told when it is whole; half of one at the end is replaced."""
        self.assertEqual(
            said([TextDelta("a\ud83d"), TextDelta("\ude00b"), Final("a\ud83d\ude00b")]),
            [TextDelta("a"), TextDelta("\U0001f600b"), Final("a\U0001f600b")],
        )
        self.assertEqual(said([TextDelta("\ud83d"), TextDelta("b")])[0], TextDelta("\ufffdb"))
        self.assertEqual(said([TextDelta("a\ud83d"), Final("a\ud83d")])[-1], Final("a\ufffd"))

    def test_tooLong(self) -> None:
        """Text beyond the cap ends the turn, in whatever way it comes; reasoning is only not passed on."""
        long = "x" * 11
        for events in ([TextDelta(long)], [TextDelta("x" * 9), TextDelta("yy")], [Replace(long)], [Final(long)]):
            *_, last = said(events)
            self.assertEqual(last, Failed("agent_error", "the answer is too long"))
        self.assertEqual(said([Reasoning("x" * 8), Reasoning("y" * 8)]), [Reasoning("x" * 8), Final("")])

    def test_tooMany(self) -> None:
        """So do too many events, and too many calls of tools."""
        *passed, last = said([Reasoning("")] * 51)
        self.assertEqual((passed, last), ([], Failed("agent_error", "the agent says too much")))
        *_, last = said([ToolStart("1", "a")] * 3)
        self.assertEqual(last, Failed("agent_error", "the agent calls too many tools"))

    def test_tools(self) -> None:
        """A tool where there may be none ends the turn; long arguments and results are cut."""
        *_, last = said([ToolStart("1", "a")], tools=False)
        self.assertEqual(last, Failed("agent_error", "the agent used a tool where it may not"))
        self.assertEqual(
            said([ToolStart("1", "a", "123456"), ToolEnd("1", "123456")])[:2],
            [ToolStart("1", "a", "1234…"), ToolEnd("1", "1234…")],
        )

    def test_unknown(self) -> None:
        """What is no event ends the turn."""
        passed = Transcript(LIMITS).feed({"type": "text_delta"})
        self.assertEqual(list(passed), [Failed("agent_error", "the agent said something that has no meaning")])

    @given(st.lists(EVENT, max_size=60), st.booleans())
    @settings(max_examples=300)
    def test_any(self, events: list[object], tools: bool) -> None:
        """Whatever is said: one end, at the end; text that can be encoded, and adds up to that of the end."""
        passed = said(events, tools=tools)
        ends = [event for event in passed if isinstance(event, (Final, Failed))]
        self.assertEqual(ends, passed[-1:])
        text = ""
        for event in passed:
            msgspec.json.encode(event)
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Replace):
                text = event.text
        if isinstance(passed[-1], Final):
            self.assertEqual(passed[-1].text, text)
        self.assertLessEqual(len(text), LIMITS.agent_text)


class WordTests(SynchronousTestCase):
    """Single texts."""

    def test_loose(self) -> None:
        """JSON with halves of characters is read, with anything else wrong it is not."""
        self.assertEqual(decode_loosely(b'{"text":"\\ud83d"}', Loose).text, "\ud83d")
        self.assertEqual(decode_loosely(b'{"text":"a"}', Loose).text, "a")
        for data in (b"", b"{", b"[" * 100_000, b'{"text":3}', b'{"text":"\xff"}', b"NaN"):
            self.assertRaises(ValueError, decode_loosely, data, Loose)

    def test_sound(self) -> None:
        """Halves of characters are replaced, pairs of halves joined, everything else stays."""
        self.assertEqual(sound("a\ud800b"), "a\ufffdb")
        self.assertEqual(sound("\ud83d\ude00"), "\U0001f600")
        text = "你好 \U0001f600"
        self.assertIs(sound(text), text)

    def test_cut(self) -> None:
        """A text that is shortened shows it."""
        self.assertEqual((cut("abc", 3), cut("abcd", 3)), ("abc", "ab…"))

    def test_limits(self) -> None:
        """The caps are those of the limits."""
        self.assertEqual(len(Transcript(replace(LIMITS, agent_text=20)).feed(TextDelta("x" * 20))), 1)
