"""Tests of L{anp_twisted.shutdown}."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable
from io import StringIO
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import ANPError
from anp_twisted.shutdown import Failing, Heard, SignalAction, StopSignals


class FakeReactor:
    """
    Runs nothing by itself.

    @ivar stops: how often it was told to stop.
    """

    def __init__(self) -> None:
        self.stops = 0
        self.running: list[Callable[[], object]] = []
        self.threads: list[Callable[[], object]] = []

    def callWhenRunning(self, function: Callable[[], object]) -> None:
        self.running.append(function)

    def callFromThread(self, function: Callable[[], object]) -> None:
        self.threads.append(function)

    def stop(self) -> None:
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning


class StopSignalsTests(SynchronousTestCase):
    """Once drains, twice stops, three times kills."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.heard: list[str] = []
        first: SignalAction = lambda number, frame: self.heard.append("reactor")  # noqa: E731
        self.actions: dict[int, Any] = {signal.SIGTERM: first, signal.SIGINT: first}
        self.signals = StopSignals(self.reactor, lambda: self.heard.append("at once"), self.set_action)
        self.signals.install()

    def set_action(self, number: int, action: SignalAction) -> SignalAction:
        before: SignalAction = self.actions[number]
        self.actions[number] = action
        return before

    def test_after_the_reactor(self) -> None:
        """Nothing is taken over before the reactor has set its own actions."""
        before = dict(self.actions)
        self.assertEqual(len(self.reactor.running), 1)
        self.reactor.running[0]()
        self.assertNotEqual(self.actions, before)

    def test_three(self) -> None:
        """The second signal may be another one than the first; a third finds the default action."""
        self.reactor.running[0]()
        self.actions[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual((self.heard, self.reactor.threads, self.signals.heard), (["reactor"], [], Heard.ONCE))
        self.actions[signal.SIGTERM](signal.SIGTERM, None)
        self.assertEqual((self.heard, len(self.reactor.threads)), (["reactor"], 1))
        self.reactor.threads[0]()
        self.assertEqual((self.heard, self.signals.heard), (["reactor", "at once"], Heard.AGAIN))
        self.assertEqual(self.actions, {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.SIG_DFL})

    def test_ignored_before(self) -> None:
        """A signal that the process ignored from the start needs no action of its own."""
        self.actions[signal.SIGINT] = signal.SIG_IGN
        self.reactor.running[0]()
        self.actions[signal.SIGINT](signal.SIGINT, None)
        self.assertEqual(self.heard, [])


class FailingTests(SynchronousTestCase):
    """How a process ends that cannot do its work."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.output = StringIO()
        self.left: list[int] = []
        self.failing = Failing(self.reactor, "anp-receiver", leave=self.left.append, output=self.output)
        self.addCleanup(atexit.unregister, self.failing.at_exit)

    def test_fails(self) -> None:
        """The first reason is told in one line, the reactor stops, and the status is 1."""
        self.failing.fail(ANPError("no gateway"))
        self.failing.fail(ANPError("something that follows from it"))
        self.assertEqual((self.output.getvalue(), self.reactor.stops), ("anp-receiver: no gateway\n", 1))
        self.failing.at_exit()
        self.assertEqual(self.left, [1])

    def test_while_stopping(self) -> None:
        """A reactor that is stopping already is no trouble."""
        self.reactor.stops = 1
        self.failing.fail(ANPError("no gateway"))
        self.assertEqual(self.failing.status, 1)

    def test_does_not_fail(self) -> None:
        """Otherwise the status is nobody's business here."""
        self.failing.at_exit()
        self.assertEqual(self.left, [])
