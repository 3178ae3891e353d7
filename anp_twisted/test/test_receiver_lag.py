"""Tests of L{anp_twisted.receiver.lag}."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.limits import Limits
from anp_twisted.receiver.lag import LagWatch

LIMITS = Limits(loop_look=0.25, loop_lag=1.0, lag_quiet=10.0)


@implementer(ILogObserver)
class Lines(list[str]):
    """What the watch logs."""

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_namespace") == "anp_twisted.receiver.lag.LagWatch":
            self.append(formatEvent(event))


class LagWatchTests(SynchronousTestCase):
    """The one timer."""

    def setUp(self) -> None:
        self.lines = Lines()
        globalLogPublisher.addObserver(self.lines)
        self.addCleanup(globalLogPublisher.removeObserver, self.lines)
        self.clock = Clock()
        self.watch = LagWatch(self.clock, LIMITS)
        self.watch.startService()

    def test_a_lively_loop(self) -> None:
        """Nothing is said of a loop that runs, nor of one that hesitates."""
        self.clock.pump([0.25] * 40 + [0.9] * 10)
        self.assertEqual((self.lines, self.watch.stops), ([], 0))

    def test_blocked(self) -> None:
        """A loop that stood still is warned of, with what to do about it."""
        self.clock.pump([0.25, 3.0, 0.25])
        self.assertEqual((len(self.lines), self.watch.stops, self.watch.worst), (1, 1, 3.0))
        for words in ("stood still for 3.0 s", "asyncio.to_thread", "--workers"):
            self.assertIn(words, self.lines[0])

    def test_blocked_all_the_time(self) -> None:
        """Further warnings wait a while, and tell how many were left out."""
        self.clock.pump([2.0] * 5)
        self.assertEqual(len(self.lines), 1)
        self.clock.pump([2.0])
        self.assertEqual((len(self.lines), self.watch.stops), (2, 6))
        self.assertIn("4 more times", self.lines[1])

    def test_stops(self) -> None:
        """It leaves no timer, and may be stopped when it never began."""
        self.watch.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        LagWatch(self.clock, LIMITS).stopService()
