"""Tests of L{anp_twisted.assistant.agents.runs}: agents that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.assistant.agents.events import AgentEvent, Failed, Final, TextDelta
from anp_twisted.assistant.agents.runs import Phase, Times
from anp_twisted.test.agent_lab import LIMITS, TIMES, Hearing, Stage, turns, until
from anp_twisted.test.receiver_rig import on_loop

Events = AsyncGenerator[AgentEvent, None]


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()


class TimesTests(SynchronousTestCase):
    """When a run is overdue."""

    def test_next(self) -> None:
        """Silence counts from the last event, before the first from the beginning; 0 is no limit."""
        times = Times(first=10.0, idle=5.0, total=60.0)
        self.assertEqual((times.next(100.0, None), times.next(100.0, 107.0), times.next(100.0, 158.0)), (110, 112, 160))
        self.assertEqual(Times(first=0, idle=0, total=7).next(100.0, None), 107)
        self.assertEqual(Times(first=0, idle=0, total=0).next(100.0, 150.0), float("inf"))


class EndTests(TestCase):
    """How runs end."""

    def setUp(self) -> None:
        self.stage = Stage()

    def failed(self, hearing: Hearing) -> str:
        """
        @return: the code of the failure.
        """
        end = hearing.end
        assert isinstance(end, Failed), end
        return end.code

    async def overdue(self, events: Events, times: Times) -> Hearing:
        """
        @return: what is heard of a run that begins, and has said what it says.
        """
        hearing = self.stage.begin(events, times)
        await turns()
        return hearing

    @on_loop
    async def test_gone(self) -> None:
        """A run that ended well leaves no timer and no task."""

        async def agent() -> Events:
            yield Final("a")

        hearing = self.stage.begin(agent())
        self.assertEqual(hearing.events, [])
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.events, [TextDelta("a"), Final("a")])
        self.assertEqual((self.stage.clock.getDelayedCalls(), self.stage.tasks.running), ([], 0))
        hearing.run.abort()
        self.assertEqual(len(hearing.events), 2)

    @on_loop
    async def test_abortBeforeStart(self) -> None:
        """A run that is aborted before it began is over; the agent is not called."""
        called: list[int] = []

        async def agent() -> Events:
            called.append(1)
            yield Final("a")

        hearing = self.stage.begin(agent())
        hearing.run.abort()
        self.assertEqual(self.failed(hearing), "cancelled")
        await until(lambda: not self.stage.runs)
        self.assertEqual((called, len(hearing.events)), ([], 1))

    @on_loop
    async def test_abortInside(self) -> None:
        """The listener itself may abort, while it hears something."""

        async def agent() -> Events:
            for _ in range(9):
                yield TextDelta("a")

        hearing = self.stage.begin(agent())
        append = hearing.events.append

        def hear(event: AgentEvent) -> None:
            append(event)
            hearing.run.abort()

        self.patch(hearing.run, "_sink", hear)
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.events, [TextDelta("a"), Failed("cancelled", "the run was aborted")])

    @on_loop
    async def test_deadlines(self) -> None:
        """Each of the three deadlines ends a run; what is said in time puts the second off, not the third."""

        async def silent() -> Events:
            await forever()
            yield Final("a")

        async def steady() -> Events:
            while True:
                yield TextDelta("a")
                await self.stage.tasks.sleep(4)

        hearing = await self.overdue(silent(), TIMES)
        self.stage.clock.advance(9.9)
        self.assertEqual(hearing.events, [])
        self.stage.clock.advance(0.1)
        self.assertEqual(self.failed(hearing), "timeout")

        hearing = await self.overdue(steady(), Times(first=10, idle=5, total=21))
        for _ in range(5):
            self.stage.clock.advance(4)
            await turns(5)
        self.assertEqual((hearing.text, hearing.end), ("a" * 6, None))
        self.stage.clock.advance(1)
        self.assertEqual(self.failed(hearing), "timeout")
        await until(lambda: not self.stage.runs)

    @on_loop
    async def test_stubborn(self) -> None:
        """An agent that swallows its cancellation is cancelled again, and heard no more."""
        swallowed: list[int] = []

        async def agent() -> Events:
            yield TextDelta("a")
            for number in range(2):
                try:
                    await forever()
                except asyncio.CancelledError:
                    swallowed.append(number)
            yield TextDelta("late")
            await forever()

        hearing = self.stage.begin(agent())
        await until(lambda: hearing.text)
        hearing.run.abort()
        await until(lambda: swallowed)
        self.assertIs(hearing.run.phase, Phase.CLOSING)
        self.stage.clock.advance(LIMITS.agent_close / 4)
        await until(lambda: not self.stage.runs)
        self.assertEqual((hearing.text, swallowed, self.stage.clock.getDelayedCalls()), ("a", [0, 1], []))

    @on_loop
    async def test_left(self) -> None:
        """One that goes on all the same is left behind after its time, still counted, and asked on."""
        stubborn = True

        async def agent() -> Events:
            yield TextDelta("a")
            while stubborn:
                with contextlib.suppress(asyncio.CancelledError):
                    await forever()

        hearing = self.stage.begin(agent())
        await until(lambda: hearing.text)
        hearing.run.abort()
        for _ in range(4):
            await turns()
            self.assertIs(hearing.run.phase, Phase.CLOSING)
            self.stage.clock.advance(LIMITS.agent_close / 4)
        self.assertIs(hearing.run.phase, Phase.LEFT)
        self.assertEqual(len(self.stage.runs), 1)
        stubborn = False
        self.stage.clock.advance(LIMITS.agent_close)
        await until(lambda: not self.stage.runs)
        self.assertIs(hearing.run.phase, Phase.GONE)

    @on_loop
    async def test_slowFarewell(self) -> None:
        """What an agent has to do at its end is waited for, but not for ever."""

        async def agent() -> Events:
            try:
                yield Final("a")
            finally:
                await forever()

        hearing = self.stage.begin(agent())
        await until(lambda: hearing.end)
        self.assertEqual(len(self.stage.runs), 1)
        await turns()
        self.stage.clock.advance(LIMITS.agent_close / 4)
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Final("a"))

    @on_loop
    async def test_badFarewell(self) -> None:
        """An agent that raises when it is closed changes nothing of its answer."""

        async def agent() -> Events:
            try:
                yield Final("a")
            finally:
                raise ValueError("no")

        hearing = self.stage.begin(agent())
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Final("a"))

    @on_loop
    async def test_ownCancellation(self) -> None:
        """An agent that cancels itself has not answered."""

        async def agent() -> Events:
            yield TextDelta("a")
            raise asyncio.CancelledError

        hearing = self.stage.begin(agent())
        await until(lambda: not self.stage.runs)
        self.assertEqual(self.failed(hearing), "agent_error")
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    @on_loop
    async def test_listener(self) -> None:
        """A listener that fails is no fault of the agent."""

        async def agent() -> Events:
            yield Final("a")

        hearing = self.stage.begin(agent())
        heard: list[AgentEvent] = []

        def hear(event: AgentEvent) -> None:
            heard.append(event)
            raise ValueError("no")

        self.patch(hearing.run, "_sink", hear)
        await until(lambda: not self.stage.runs)
        self.assertEqual((heard, len(self.flushLoggedErrors(ValueError))), ([TextDelta("a"), Final("a")], 2))

    @on_loop
    async def test_greedy(self) -> None:
        """An agent that never waits lets others have their turns."""

        async def agent() -> Events:
            for _ in range(200):
                yield TextDelta("a")

        first, second = self.stage.begin(agent()), self.stage.begin(agent())
        await until(lambda: first.text)
        self.assertLess(len(first.text), 200)
        await until(lambda: second.text)
        self.assertLess(len(first.text), 200)
        await until(lambda: not self.stage.runs)
