"""Rules of L{anp_twisted.transports.backoff}."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import ConnectionClosed, LinkLost, LinkRefused
from anp_twisted.limits import Limits
from anp_twisted.transports.backoff import Backoff

LIMITS = Limits(reconnect_first=0.5, reconnect_most=15.0, healthy_after=10.0)
LOST = LinkLost("lost")


class BackoffTests(SynchronousTestCase):
    """How long to wait."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.luck = 0.999999
        self.backoff = self.make()

    def make(self) -> Backoff:
        """Make a new one."""
        return Backoff(LIMITS, self.clock.seconds, draw=lambda: self.luck)

    def live(self, seconds: float) -> None:
        """Let a link live for so long."""
        self.backoff.opened()
        self.clock.advance(seconds)
        self.backoff.lost(LOST)

    def test_grows(self) -> None:
        """The bound doubles from half a second to 15 s and stays there, whatever the service counts."""
        delays = []
        for _ in range(8):
            self.backoff.failed(LOST)
            delays.append(round(self.backoff(1), 1))
        self.assertEqual(delays, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0])

    def test_fullJitter(self) -> None:
        """The delay may be anything below the bound."""
        for _ in range(5):
            self.backoff.failed(LOST)
        self.luck = 0.0
        self.assertEqual(self.backoff(1), 0.0)
        self.luck = 0.5
        self.assertEqual(self.backoff(1), 4.0)

    def test_years(self) -> None:
        """No number of failures is too large."""
        self.backoff.failures = 10**9
        self.assertLessEqual(self.backoff(1), 15.0)

    def test_shortLife(self) -> None:
        """A link that was open for less than 10 s is a failure like any other."""
        for _ in range(4):
            self.live(9.9)
        self.assertEqual(self.backoff.failures, 4)

    def test_healthy(self) -> None:
        """After 10 s it was healthy: its loss is the first failure again."""
        for _ in range(6):
            self.backoff.failed(LOST)
        self.live(10.0)
        self.assertEqual(self.backoff.failures, 1)
        self.assertLess(self.backoff(1), 0.51)

    def test_credentials(self) -> None:
        """What credentials will not mend soon is tried rarely from the first time on, and never by luck at once."""
        for reason in (LinkRefused("", 401), LinkRefused("", 403), LinkLost("", 4003)):
            backoff = self.make()
            backoff.failed(reason)
            self.luck = 0.0
            self.assertEqual(backoff(1), 7.5)
            self.luck = 1.0
            self.assertEqual(backoff(1), 15.0)
        for other in (LinkRefused("", 503), LinkLost("", 1001), ConnectionClosed("")):
            backoff = self.make()
            backoff.failed(other)
            self.assertLessEqual(backoff(1), 0.5)

    def test_hold(self) -> None:
        """What the gateway asked for is the least, and it runs from when it asked."""
        self.backoff.hold(20.0)
        self.clock.advance(5.0)
        self.backoff.failed(LOST)
        self.luck = 0.5
        self.assertEqual(self.backoff(1), 15.25)
        self.clock.advance(30.0)
        self.assertEqual(self.backoff(1), 0.25)
