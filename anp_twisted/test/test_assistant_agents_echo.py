"""Tests of L{anp_twisted.assistant.agents.echo}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.assistant.agents.echo import EchoAgent
from anp_twisted.assistant.agents.events import AgentEvent, Failed, Final, TextDelta
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import Stage, context, turn, until
from anp_twisted.test.receiver_rig import on_loop


def said(text: str) -> list[AgentEvent]:
    """
    @return: what is said to a text; the agent never waits.
    """
    events: list[AgentEvent] = []

    async def listen() -> None:
        async for event in EchoAgent().run(turn(text), context()):
            events.append(event)

    try:
        listen().send(None)
    except StopIteration:
        return events
    raise AssertionError("it waited")


class EchoTests(SynchronousTestCase):
    """What it says."""

    def test_words(self) -> None:
        """The words come one by one, with the space before them."""
        self.assertEqual(
            said("hello to you "),
            [TextDelta("hello"), TextDelta(" to"), TextDelta(" you"), TextDelta(" "), Final("hello to you ")],
        )

    @given(st.text())
    @settings(max_examples=200)
    def test_whole(self, text: str) -> None:
        """The words are all of the text."""
        *words, final = said(text)
        self.assertEqual(
            (final, "".join(word.text for word in words if isinstance(word, TextDelta))), (Final(text), text)
        )

    def test_long(self) -> None:
        """A long text is not said in more pieces than an answer may have."""
        self.assertLessEqual(len(said("a " * 500_000)), 1001)


class RunTests(TestCase):
    """With time and an end."""

    @on_loop
    async def test_abort(self) -> None:
        """It ends when it is told to."""
        stage = Stage(Limits())
        hearing = stage.begin(EchoAgent().run(turn("a " * 900), context()))
        await until(lambda: hearing.text)
        hearing.run.abort()
        self.assertIsInstance(hearing.end, Failed)
        await until(lambda: not stage.runs)
        self.assertLess(len(hearing.text), 1800)
