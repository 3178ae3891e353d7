"""Tests of L{anp_twisted.guest}, each on a loop of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import twisted.internet
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.guest import Visit, _guests


def descriptors() -> int:
    """How many file descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


class GuestTests(SynchronousTestCase):
    """A reactor on somebody else's loop."""

    if not os.path.isdir("/proc/self/fd"):
        skip = "counts descriptors in /proc"

    def run_on_loop(self, main: Callable[[], Awaitable[None]], loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Run a coroutine as a program does, and see that nothing is left."""
        loop = loop or asyncio.new_event_loop()
        before = descriptors(), threading.active_count(), dict(_guests)
        reactor = sys.modules.get("twisted.internet.reactor")
        loop.run_until_complete(main())
        self.assertEqual((descriptors(), threading.active_count(), dict(_guests)), before)
        self.assertIs(sys.modules.get("twisted.internet.reactor"), reactor)
        self.assertEqual(asyncio.all_tasks(loop), set())
        selector: Any = loop
        self.assertEqual(len(selector._selector.get_map()), 1, "the loop watches more than its own waker")
        loop.close()

    def without_reactor(self) -> None:
        """Let there be no global reactor during the test, as in a program that is not Twisted's."""
        module = sys.modules.pop("twisted.internet.reactor")
        attribute = twisted.internet.reactor
        del twisted.internet.reactor

        def restore() -> None:
            sys.modules["twisted.internet.reactor"] = module
            twisted.internet.reactor = attribute

        self.addCleanup(restore)

    async def visit(self) -> None:
        """Use a timer, a thread, and what comes back from it."""
        visit = Visit()
        self.assertFalse(visit.hosted)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        visit.reactor.callLater(0.0, done.set_result, "timer")
        self.assertEqual(await done, "timer")
        answer: asyncio.Future[int] = loop.create_future()
        visit.reactor.callInThread(lambda: visit.reactor.callFromThread(answer.set_result, threading.get_ident()))
        self.assertNotEqual(await answer, threading.get_ident())
        await visit.end()

    def test_leaves_nothing(self) -> None:
        """Neither descriptor, thread, task nor reactor; and that again on the next loop."""
        self.run_on_loop(self.visit)
        self.run_on_loop(self.visit)

    def test_global(self) -> None:
        """Without another reactor it is the global one, for as long as it is there."""
        self.without_reactor()

        async def main() -> None:
            visit = Visit()
            from twisted.internet import reactor

            self.assertIs(reactor, visit.reactor)
            await visit.end()

        self.run_on_loop(main)
        self.run_on_loop(main)

    def test_busy_thread(self) -> None:
        """The loop goes on while a thread is waited for."""

        async def main() -> None:
            visit, release, order = Visit(), threading.Event(), list[str]()
            visit.reactor.callInThread(release.wait, 10.0)

            def let_go() -> None:
                order.append("the loop went on")
                release.set()

            asyncio.get_running_loop().call_soon(let_go)
            await visit.end()
            self.assertEqual(order, ["the loop went on"])

        self.run_on_loop(main)

    def test_shared(self) -> None:
        """Visits of one loop share it; the last one closes it."""
        self.without_reactor()

        async def main() -> None:
            first, second = Visit(), Visit()
            self.assertIs(first.reactor, second.reactor)
            self.assertFalse(second.hosted)
            await first.end()
            self.assertTrue(second.reactor.running)
            await second.end()
            self.assertFalse(first.reactor.running)
            third = Visit()
            self.assertIsNot(third.reactor, first.reactor)
            await third.end()

        self.run_on_loop(main)

    def test_loop_goes_on(self) -> None:
        """The loop is not stopped with it."""

        async def main() -> None:
            await self.visit()
            await asyncio.sleep(0)

        self.run_on_loop(main)

    def test_abandoned(self) -> None:
        """What a program left behind that ended in disorder is forgotten by the next one."""
        self.without_reactor()
        loop = asyncio.new_event_loop()
        kept: list[Visit] = []

        async def main() -> None:
            kept.append(Visit())

        loop.run_until_complete(main())
        loop.close()
        self.assertIn(loop, _guests)

        async def other() -> None:
            visit = Visit()
            self.assertNotIn(loop, _guests)
            await visit.end()

        second = asyncio.new_event_loop()
        second.run_until_complete(other())
        second.close()
        self.assertEqual((dict(_guests), sys.modules.get("twisted.internet.reactor")), ({}, None))
        kept[0].reactor.waker.connectionLost(None)
