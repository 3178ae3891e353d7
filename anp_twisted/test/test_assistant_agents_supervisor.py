"""Tests of L{anp_twisted.assistant.agents.supervisor}."""

from __future__ import annotations

import contextlib
import json
from asyncio import CancelledError
from collections.abc import AsyncGenerator

from twisted.trial.unittest import TestCase

from anp_twisted.assistant.agents.events import AgentEvent, Context, Failed, Final, TextDelta, Turn
from anp_twisted.assistant.agents.python import Answering, PythonAgent
from anp_twisted.assistant.agents.runs import Run
from anp_twisted.assistant.agents.supervisor import Supervisor
from anp_twisted.assistant.errors import Overloaded
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import Stage, brain, context, turn, turns, until
from anp_twisted.test.receiver_rig import on_loop

LIMITS = Limits(agent_runs=3)


class SupervisorTests(TestCase):
    """Ways, caps and the end."""

    def setUp(self) -> None:
        self.stage = Stage(LIMITS)
        self.events: list[AgentEvent] = []
        self.seen: list[Context] = []

    def supervisor(self, answering: Answering, **more: str) -> Supervisor:
        """
        @return: one that notes with which context its agent is called.
        """

        async def noted(asked: Turn, where: Context) -> AsyncGenerator[AgentEvent, None]:
            self.seen.append(where)
            async for event in PythonAgent(answering).run(asked, where):
                yield event

        return Supervisor(PythonAgent(noted), self.stage.tasks, LIMITS, **more)

    async def answered(
        self, supervisor: Supervisor, text: str, where: Context | None = None, mode: str = "auto"
    ) -> Run:
        """
        @return: a run that is over.
        """
        run = supervisor.run(turn(text, mode=mode), where or context(), self.events.append)
        self.assertEqual(self.events, [])
        await until(lambda: not supervisor.running)
        return run

    @on_loop
    async def test_single(self) -> None:
        """The agent gets all of the history, its tools, and its time."""
        where = context(("user", "a"), ("assistant", "b"))
        await self.answered(self.supervisor(brain), "say x", where, mode="single")
        self.assertEqual(self.events, [TextDelta("x"), Final("x")])
        seen = self.seen[0]
        self.assertEqual((seen.history, seen.tools, seen.deadline), (where.history, True, LIMITS.agent_total))

    @on_loop
    async def test_fast(self) -> None:
        """In a hurry there are no tools, a short deadline, and no second try."""
        await self.answered(self.supervisor(brain), "tool x", mode="fast")
        self.assertIsInstance(self.events[-1], Failed)
        self.assertEqual([(seen.tools, seen.deadline) for seen in self.seen], [(False, LIMITS.agent_fast)])
        self.events.clear()
        supervisor = self.supervisor(brain)
        supervisor.run(turn("hang", mode="fast"), context(), self.events.append)
        await until(lambda: self.events)
        self.stage.clock.advance(LIMITS.agent_fast)
        self.assertEqual(self.events[-1], Failed("timeout", "the agent took too long", True))
        await until(lambda: not supervisor.running)

    @on_loop
    async def test_auto(self) -> None:
        """By the rules: quick first, with the long way behind it; a list is divided; else single."""
        await self.answered(self.supervisor(brain), "tool x")
        self.assertEqual(self.events[-1], Final("x"))
        self.assertEqual([seen.tools for seen in self.seen], [False, True])
        self.seen.clear()
        self.events.clear()

        async def plain(asked: Turn, where: Context) -> str:
            return "ok"

        things = "These things:\n" + "".join(f"{number}. something that takes a while\n" for number in range(1, 5))
        await self.answered(self.supervisor(plain), things)
        self.assertIn("Divide the request", self.seen[0].instructions)
        self.seen.clear()
        self.events.clear()
        await self.answered(self.supervisor(plain), "x" * 100)
        self.assertEqual([(seen.tools, seen.instructions) for seen in self.seen], [(True, "")])

    @on_loop
    async def test_multi(self) -> None:
        """Where it is asked for, the work is divided whatever the rules say."""

        async def crew(asked: Turn, where: Context) -> str:
            return json.dumps(["a", "b"]) if "Divide" in where.instructions else f"about {asked.text}"

        await self.answered(self.supervisor(crew), "x", mode="multi")
        self.assertEqual((self.events[-1], len(self.seen)), (Final("about x"), 4))

    @on_loop
    async def test_instructions(self) -> None:
        """The operator's instructions hold where the turn brings none."""
        supervisor = self.supervisor(brain, instructions="be")
        await self.answered(supervisor, "recall", mode="single")
        self.events.clear()
        await self.answered(supervisor, "recall", context(instructions="other"), mode="single")
        self.assertEqual([seen.instructions for seen in self.seen], ["be", "other"])

    @on_loop
    async def test_full(self) -> None:
        """Too many at once are refused, counting those that have still to end; later there is room again."""
        supervisor = self.supervisor(brain)
        runs = [supervisor.run(turn("hang", mode="single"), context(), self.events.append) for _ in range(3)]
        error = self.assertRaises(Overloaded, supervisor.run, turn("say a"), context(), self.events.append)
        self.assertEqual((error.retryable, error.retry_after), (True, 5.0))
        await turns()
        runs[0].abort()
        self.assertRaises(Overloaded, supervisor.run, turn("say a"), context(), self.events.append)
        await until(lambda: supervisor.running == 2)
        runs.append(supervisor.run(turn("hang"), context(), self.events.append))
        supervisor.stop()
        await until(lambda: not supervisor.running)

    @on_loop
    async def test_stop(self) -> None:
        """A stop ends every run, refuses new ones, and waits until nothing runs."""
        supervisor = self.supervisor(brain)
        supervisor.run(turn("hang", mode="single"), context(), self.events.append)
        await until(lambda: self.events)
        stopped = supervisor.stop()
        self.assertEqual(self.events[-1], Failed("cancelled", "the gateway stops", True))
        self.assertNoResult(stopped)
        self.assertRaises(Overloaded, supervisor.run, turn("say a"), context(), self.events.append)
        await until(lambda: not supervisor.running)
        self.successResultOf(stopped)
        self.assertEqual(self.stage.clock.getDelayedCalls(), [])

    @on_loop
    async def test_stopStubborn(self) -> None:
        """It waits for an agent that does not end, but not for ever."""
        free = self.stage.tasks.bell()
        ended = False

        async def stubborn(asked: Turn, where: Context) -> str:
            while not ended:
                with contextlib.suppress(CancelledError):
                    await free.wait()
            return "a"

        supervisor = self.supervisor(stubborn)
        supervisor.run(turn("x", mode="single"), context(), self.events.append)
        await turns()
        stopped = supervisor.stop()
        await turns()
        self.assertNoResult(stopped)
        self.stage.clock.pump([0.5] * 4)
        self.successResultOf(stopped)
        ended = True
        free.ring()
        await until(lambda: not supervisor.running)

    @on_loop
    async def test_stopIdle(self) -> None:
        """Without runs there is nothing to wait for."""
        self.successResultOf(self.supervisor(brain).stop())
