"""Tests of L{anp_twisted.assistant.agents.python}."""

from __future__ import annotations

import sys
import types
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.assistant.agents.events import Agent, AgentEvent, Context, Failed, Final, TextDelta, Turn
from anp_twisted.assistant.agents.python import PythonAgent, load_python_agent
from anp_twisted.errors import AppImportError, InvalidMessage
from anp_twisted.test.agent_lab import AgentRules, Hearing, Stage, brain, context, turn, until
from anp_twisted.test.receiver_rig import on_loop


class RuleTests(AgentRules, TestCase):
    """The rules of all agents."""

    def agent(self, stage: Stage) -> Agent:
        return PythonAgent(brain)


async def answer(answering: Any) -> Hearing:
    """
    @return: what is heard of one turn.
    """
    stage = Stage()
    hearing = stage.begin(PythonAgent(answering).run(turn("a"), context()))
    await until(lambda: not stage.runs)
    return hearing


class FormTests(TestCase):
    """The forms an agent may have."""

    @on_loop
    async def test_text(self) -> None:
        """Pieces of text are an answer, and need no end."""

        async def pieces(asked: Turn, where: Context) -> AsyncGenerator[str, None]:
            yield "a"
            yield "b"

        self.assertEqual((await answer(pieces)).events, [TextDelta("a"), TextDelta("b"), Final("ab")])

    @on_loop
    async def test_coroutine(self) -> None:
        """A coroutine returns the whole answer."""

        async def whole(asked: Turn, where: Context) -> str:
            return f"to {asked.text}"

        self.assertEqual((await answer(whole)).events, [TextDelta("to a"), Final("to a")])

    @on_loop
    async def test_iterator(self) -> None:
        """What is no generator but can be iterated will do."""

        class Once:
            def __init__(self) -> None:
                self.left: list[AgentEvent] = [TextDelta("a"), Final("a")]

            def __aiter__(self) -> AsyncIterator[AgentEvent]:
                return self

            async def __anext__(self) -> AgentEvent:
                if not self.left:
                    raise StopAsyncIteration
                return self.left.pop(0)

        self.assertEqual((await answer(lambda asked, where: Once())).events, [TextDelta("a"), Final("a")])

    @on_loop
    async def test_closed(self) -> None:
        """A generator that is not heard to its end is closed in the task in which it ran."""
        closed: list[str] = []

        async def guarded(asked: Turn, where: Context) -> AsyncGenerator[AgentEvent, None]:
            try:
                yield Final("a")
                yield TextDelta("late")
            finally:
                closed.append("closed")

        self.assertEqual(((await answer(guarded)).events, closed), ([TextDelta("a"), Final("a")], ["closed"]))

    @on_loop
    async def test_wrong(self) -> None:
        """What blocks, returns no text or is no event fails its turn."""

        async def number(asked: Turn, where: Context) -> int:
            return 3

        async def numbers(asked: Turn, where: Context) -> AsyncGenerator[int, None]:
            yield 3

        for wrong, logged in ((lambda asked, where: "text", 1), (number, 1), (numbers, 0)):
            hearing = await answer(wrong)
            self.assertIsInstance(hearing.end, Failed)
            self.assertEqual(len(self.flushLoggedErrors(InvalidMessage)), logged)


class LoadTests(SynchronousTestCase):
    """How an agent is found."""

    def setUp(self) -> None:
        module: Any = types.ModuleType("anp_test_agent")

        class Sound:
            async def run(self, asked: Turn, context: Context) -> str:
                return "sound"

        module.Sound, module.sound, module.brain, module.value = Sound, Sound(), brain, 7
        module.none = lambda: 7
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__)
        self.patch(sys, "path", list(sys.path))

    def test_found(self) -> None:
        """An object with a method, a callable, and what a factory makes."""
        for name in ("sound", "brain", "Sound()"):
            self.assertIsInstance(load_python_agent(f"anp_test_agent:{name}", "."), PythonAgent)

    def test_refused(self) -> None:
        """What is no agent is refused with a reason, and with advice where it may only need a call."""

        def reason(name: str) -> str:
            return str(self.assertRaises(AppImportError, load_python_agent, f"anp_test_agent:{name}", "."))

        self.assertIn("neither can it be called", reason("value"))
        self.assertIn("say anp_test_agent:none()", reason("none"))
        self.assertIn("cannot be called with turn and context", reason("Sound.run"))
        self.assertIn("no attribute", reason("nothing"))
