"""Tests for L{anp_twisted.receiver.coverage}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.receiver.coverage import Coverage


class CoverageTests(SynchronousTestCase):
    """Which links are needed."""

    def setUp(self) -> None:
        """Begin with none."""
        self.coverage = Coverage(DEFAULT_LIMITS)

    def test_one_process(self) -> None:
        """One link is enough for a gateway that is one process, or that does not say."""
        self.assertEqual(self.coverage.missing(0), 1)
        self.assertTrue(self.coverage.opened("a", 0, 0))
        self.assertEqual(self.coverage.missing(0), 0)

    def test_each_worker(self) -> None:
        """One link to each is needed, and no second one."""
        self.assertTrue(self.coverage.opened("a", 2, 3))
        self.assertEqual((self.coverage.missing(0), self.coverage.missing(2)), (2, 0))
        self.assertFalse(self.coverage.opened("b", 2, 3))
        self.assertTrue(self.coverage.opened("c", 1, 3))
        self.assertTrue(self.coverage.opened("d", 3, 3))
        self.assertEqual(self.coverage.missing(0), 0)

    def test_lost(self) -> None:
        """A link that is gone has to be replaced; its worker may be another one then."""
        for link, worker in (("a", 1), ("b", 2)):
            self.coverage.opened(link, worker, 2)
        self.coverage.lost("a")
        self.coverage.lost("unknown")
        self.assertEqual((self.coverage.missing(1), self.coverage.missing(0)), (0, 1))
        self.assertFalse(self.coverage.opened("a", 2, 2))
        self.assertTrue(self.coverage.opened("a", 1, 2))

    def test_other_gateway(self) -> None:
        """What the gateway said last counts."""
        self.coverage.opened("a", 1, 4)
        self.coverage.lost("a")
        self.coverage.opened("b", 0, 0)
        self.assertEqual(self.coverage.missing(0), 0)

    def test_delay(self) -> None:
        """Attempts that lead nowhere new become rare, up to the usual longest pause; one that does begins anew."""
        self.coverage.opened("a", 1, 2)
        delays = []
        for _ in range(200):
            delays.append(self.coverage.delay(1.0))
            self.coverage.opened("b", 1, 2)
        self.assertEqual((delays, delays[0]), (sorted(delays), 0.05))
        self.assertLess(sum(delays[:20]), 10)  # half of it on average
        self.assertEqual((delays[-1], self.coverage.delay(0.0)), (DEFAULT_LIMITS.reconnect_most, 0.0))
        self.coverage.opened("c", 2, 2)
        self.assertEqual(self.coverage.delay(1.0), 0.05)
