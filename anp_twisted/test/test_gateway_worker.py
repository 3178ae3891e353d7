"""Tests for the parts of L{anp_twisted.gateway.worker} that need no process of their own."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.access import LONGEST, AccessRecord, format_line
from anp_twisted.gateway.worker import numbered, shared_limits
from anp_twisted.limits import DEFAULT_LIMITS


class NumberedTests(SynchronousTestCase):
    """Access lines of a worker."""

    def line(self, target: str) -> str:
        """An access line."""
        return format_line(AccessRecord(0.0, "id", "192.0.2.1", "GET", target, 200, 1, 2, 0.5, "r", "app"))

    def test_number(self) -> None:
        """The number comes first, the rest is as it was."""
        line = self.line("/x")
        self.assertEqual(json.loads(numbered(line, 3)), {"worker": 3, **json.loads(line)})

    def test_long(self) -> None:
        """No line becomes longer than one may be."""
        for length in range(1500, 3000, 7):
            line = numbered(self.line("/" + "x" * length), 64)
            self.assertLess(len(line), LONGEST)
            json.loads(line)


class LimitsTests(SynchronousTestCase):
    """What is divided."""

    def test_shared(self) -> None:
        """All workers together may have what one process may have; a mark that is off stays off."""
        shared = shared_limits(DEFAULT_LIMITS, 3)
        self.assertGreaterEqual(3 * shared.overload_requests, DEFAULT_LIMITS.overload_requests)
        self.assertGreaterEqual(3 * shared.connections, DEFAULT_LIMITS.connections)
        self.assertGreaterEqual(3 * shared.parked, DEFAULT_LIMITS.parked)
        self.assertLess(shared.overload_requests, DEFAULT_LIMITS.overload_requests)
        self.assertEqual((shared.overload_memory, shared.drain), (0, DEFAULT_LIMITS.drain))
        self.assertAlmostEqual(3 * shared.overload_memory_share, DEFAULT_LIMITS.overload_memory_share)
