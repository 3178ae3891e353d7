"""Tests of L{anp_twisted.tasks}."""

from __future__ import annotations

import asyncio

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.tasks import Bell, Tasks
from anp_twisted.test.receiver_rig import on_loop, the_loop


async def turns(number: int = 5) -> None:
    """Let the loop go round."""
    for _ in range(number):
        await asyncio.sleep(0)


class TaskTests(TestCase):
    """What becomes of a coroutine."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.tasks = Tasks(the_loop(), self.clock)
        self.ends: list[BaseException | None] = []

    @on_loop
    async def test_end(self) -> None:
        """A task is told of once when it returned, was cancelled or raised, and not kept after that."""

        async def fail() -> None:
            raise ValueError("no")

        async def hang() -> None:
            await Deferred().asFuture(the_loop())

        async def nothing() -> None:
            pass

        self.tasks.start(nothing(), self.ends.append)
        self.assertEqual(self.ends, [])
        await turns()
        self.assertEqual(self.ends, [None])
        self.tasks.start(fail(), self.ends.append)
        hanging = self.tasks.start(hang(), self.ends.append)
        await turns()
        self.assertEqual((len(self.ends), self.tasks.running), (2, 1))
        self.assertIsInstance(self.ends[1], ValueError)
        hanging.cancel()
        await turns()
        self.assertEqual((self.ends[2:], self.tasks.running), ([None], 0))

    @on_loop
    async def test_exit(self) -> None:
        """A program that ends its process ends only its task."""
        for error in (SystemExit(3), KeyboardInterrupt()):

            async def leave(error: BaseException = error) -> None:
                raise error

            self.tasks.start(leave(), self.ends.append)
            await turns()
            self.assertIsInstance(self.ends.pop(), InvalidMessage)

    @on_loop
    async def test_deferred(self) -> None:
        """A coroutine as a Deferred: its value, its error, and that cancelling one cancels the other."""

        async def value() -> int:
            return 7

        async def fail() -> int:
            raise ValueError("no")

        inner: Deferred[int] = Deferred()

        async def hang() -> int:
            return await self.tasks.when(inner)

        self.assertEqual(await self.tasks.deferred(value()).asFuture(the_loop()), 7)
        failing = self.tasks.deferred(fail())
        await turns()
        self.failureResultOf(failing, ValueError)
        hanging = self.tasks.deferred(hang())
        await turns()
        hanging.cancel()
        await turns()
        self.failureResultOf(hanging, CancelledError)
        self.assertTrue(inner.called)
        self.assertEqual(self.tasks.running, 0)

    @on_loop
    async def test_waiting(self) -> None:
        """A Deferred that fired, one that does later, and time of the clock can be awaited."""
        seen: list[str] = []

        async def wait() -> None:
            seen.append(await self.tasks.when(succeed("at once")))
            await self.tasks.sleep(3.0)
            seen.append("slept")

        self.tasks.start(wait(), self.ends.append)
        await turns()
        self.clock.advance(2.9)
        await turns()
        self.assertEqual(seen, ["at once"])
        self.clock.advance(0.1)
        await turns()
        self.assertEqual((seen, self.ends), (["at once", "slept"], [None]))

    @on_loop
    async def test_sleepCancelled(self) -> None:
        """Who stops to wait for time leaves no timer behind."""
        task = self.tasks.start(self._sleep(), self.ends.append)
        await turns()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        task.cancel()
        await turns()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def _sleep(self) -> None:
        await self.tasks.sleep(60)

    @on_loop
    async def test_turn(self) -> None:
        """A coroutine that never waits can let others go on."""
        order: list[int] = []

        async def work(number: int) -> None:
            for _ in range(3):
                order.append(number)
                await self.tasks.turn()

        for number in (1, 2):
            self.tasks.start(work(number), self.ends.append)
        await turns(10)
        self.assertEqual(order, [1, 2, 1, 2, 1, 2])

    @on_loop
    async def test_bell(self) -> None:
        """A ring lets everyone go on who waits, in a later turn; who comes after it waits for the next."""
        bell = self.tasks.bell()
        heard: list[int] = []

        async def listen(number: int) -> None:
            await bell.wait()
            heard.append(number)

        for number in (1, 2):
            self.tasks.start(listen(number), self.ends.append)
        await turns()
        bell.ring()
        bell.ring()
        self.assertEqual(heard, [])
        self.tasks.start(listen(3), self.ends.append)
        await turns()
        self.assertEqual(sorted(heard), [1, 2])
        bell.ring()
        await turns()
        self.assertEqual(sorted(heard), [1, 2, 3])


class BellTests(TestCase):
    """Coroutines that wait."""

    @on_loop
    async def test_ring(self) -> None:
        """Everyone who waits goes on, in a later turn; a ring that nobody hears is not remembered."""
        bell = Bell(the_loop())
        heard: list[int] = []

        async def wait(number: int) -> None:
            await bell.wait()
            heard.append(number)

        bell.ring()
        tasks = [the_loop().create_task(wait(number)) for number in range(2)]
        await asyncio.sleep(0)
        self.assertEqual(heard, [])
        bell.ring()
        bell.ring()
        self.assertEqual(heard, [])
        await asyncio.gather(*tasks)
        self.assertEqual(sorted(heard), [0, 1])

    @on_loop
    async def test_cancelled(self) -> None:
        """One that waits no longer leaves nothing behind, and does not disturb the others."""
        bell = Bell(the_loop())
        gone, stays = (the_loop().create_task(bell.wait()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        bell.ring()
        await stays
        self.assertTrue(gone.cancelled())
        self.assertEqual(bell._waiting, set())
