"""Rules of L{anp_twisted.eventloop}."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

from twisted.internet import asyncioreactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import eventloop
from anp_twisted.errors import SettingsError


class ReactorTests(SynchronousTestCase):
    """The asyncio reactor is there, once, or the process refuses."""

    def test_tests(self) -> None:
        """The tests themselves run on the reactor of the project."""
        self.assertIsInstance(sys.modules["twisted.internet.reactor"], asyncioreactor.AsyncioSelectorReactor)

    def test_again(self) -> None:
        """Where the right reactor is installed, nothing happens."""
        before = sys.modules["twisted.internet.reactor"]
        eventloop.install_reactor()
        self.assertIs(sys.modules["twisted.internet.reactor"], before)

    def test_another(self) -> None:
        """Where another is installed, the error names it and the command that works."""
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.reactor": ModuleType("other")})
        with self.assertRaisesRegex(SettingsError, "module is already installed.*--reactor=asyncio"):
            eventloop.install_reactor()

    def test_none(self) -> None:
        """Where none is installed, one is, on a loop that is the current one by then."""
        seen: list[tuple[object, object]] = []
        current: list[object] = []
        self.patch(sys, "modules", {k: v for k, v in sys.modules.items() if k != "twisted.internet.reactor"})
        self.patch(asyncio, "set_event_loop", current.append)
        self.patch(asyncioreactor, "install", lambda loop: seen.append((loop, current[-1])))
        eventloop.install_reactor()
        loop, current_by_then = seen[0]
        self.assertIs(loop, current_by_then)
        assert isinstance(loop, asyncio.AbstractEventLoop)
        loop.close()

    def test_withoutUvloop(self) -> None:
        """Without uvloop it is asyncio's own loop."""
        self.patch(eventloop, "find_spec", lambda name: None)
        loop = eventloop.new_loop()
        self.addCleanup(loop.close)
        self.assertEqual(type(loop).__module__.partition(".")[0], "asyncio")


class SoonTests(SynchronousTestCase):
    """What runs at the end of a turn."""

    def test_asyncio(self) -> None:
        """On the reactor of the project it is the loop itself."""
        reactor = sys.modules["twisted.internet.reactor"]
        assert isinstance(reactor, asyncioreactor.AsyncioSelectorReactor)
        self.assertEqual(eventloop.soon(reactor), reactor._asyncioEventloop.call_soon)

    def test_another(self) -> None:
        """On any other clock functions run in their order, not at once, and with no time passing."""
        clock = Clock()
        run = eventloop.soon(clock)
        seen: list[int] = []
        run(lambda: seen.append(1))
        run(lambda: seen.append(2))
        self.assertEqual(seen, [])
        clock.advance(0)
        self.assertEqual(seen, [1, 2])
