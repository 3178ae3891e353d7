"""Tests of L{anp_twisted.assistant.agents.lines}."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
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
from anp_twisted.assistant.agents.lines import EventLines, question
from anp_twisted.test.agent_lab import context, turn

EVENTS: list[AgentEvent] = [
    TextDelta("a ü\n"),
    Reasoning("b"),
    ToolStart("1", "look", "{}"),
    ToolEnd("1", "c", True),
    Replace("d"),
    Usage(1, 2),
    Final("e"),
    Failed("agent_error", "f", True, 7),
]
LINES = b"\n".join(map(msgspec.json.encode, EVENTS))


class LineTests(SynchronousTestCase):
    """What a program reads and writes."""

    def test_question(self) -> None:
        """One line with everything, whatever is in the text."""
        line = question(turn("a\n\ud800"), context(("user", "b")))
        self.assertEqual((line.count(b"\n"), line[-1:]), (1, b"\n"))
        asked = msgspec.json.decode(line)
        self.assertEqual((asked["turn"]["text"], asked["context"]["history"][0]["text"]), ("a\n\ufffd", "b"))

    @given(st.lists(st.integers(0, len(LINES)), max_size=20))
    def test_pieces(self, cuts: list[int]) -> None:
        """Every event, wherever the bytes are cut; the last line may lack its end."""
        places = [0, *sorted(cuts), len(LINES)]
        lines = EventLines(1000)
        said = [event for one, two in pairwise(places) for event in lines.feed(LINES[one:two])]
        self.assertEqual([*said, *lines.close()], EVENTS)

    def test_empty(self) -> None:
        """Empty lines and Windows' line ends do not matter."""
        lines = EventLines(1000)
        self.assertEqual(lines.feed(b'\n\r\n{"type":"text_delta","text":"a"}\r\n\n'), [TextDelta("a")])
        self.assertEqual(lines.close(), [])

    def test_wrong(self) -> None:
        """What is no event ends it, and nothing is read behind that."""
        for line in (b"Hello", b"[]", b'{"type":"other"}', b'{"type":"text_delta"}', b'{"type":"text_delta","text":3}'):
            lines = EventLines(1000)
            said = lines.feed(line + b'\n{"type":"text_delta","text":"a"}\n')
            self.assertEqual([type(event) for event in said], [Failed])
            self.assertEqual(lines.feed(LINES), [])

    def test_tooLong(self) -> None:
        """A line has a cap, whether its end comes or not."""
        for pieces in ([b"x" * 101], [b"x" * 60] * 2, [b"x" * 101 + b"\n"]):
            lines = EventLines(100)
            said = [event for piece in pieces for event in lines.feed(piece)]
            self.assertEqual(said, [Failed("agent_error", "the agent said too much at once")])
            self.assertEqual(lines.close(), [])
