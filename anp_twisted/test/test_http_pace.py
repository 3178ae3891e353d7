"""
Tests for L{anp_twisted.http.pace}.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http.pace import NEVER, Stall, Sweep
from anp_twisted.limits import DEFAULT_LIMITS


class Alarm:
    """Something with a deadline that notes when it was met."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.met: list[float] = []

    def expire(self, now: float) -> None:
        """Note it."""
        self.met.append(now)
        self.deadline = NEVER


class Broken(Alarm):
    """One that fails."""

    def expire(self, now: float) -> None:
        """Fail."""
        super().expire(now)
        raise RuntimeError


class SweepTests(SynchronousTestCase):
    """The common timer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ticks = 0
        self.sweep = Sweep(self.clock, DEFAULT_LIMITS, self.tick)

    def tick(self) -> None:
        """Count."""
        self.ticks += 1

    def advance(self, seconds: float) -> None:
        """Let time pass, one interval after the other."""
        for _ in range(round(seconds / self.sweep.interval)):
            self.clock.advance(self.sweep.interval)

    def test_never_late(self) -> None:
        """Each deadline is met at most an interval early and never late."""
        alarms = [Alarm(deadline) for deadline in (0.6, 1.0, 3.3, 10.0, NEVER)]
        self.sweep.watch(alarms)
        self.advance(20)
        for alarm, deadline in zip(alarms, (0.6, 1.0, 3.3, 10.0), strict=False):
            self.assertEqual(len(alarm.met), 1)
            self.assertTrue(deadline - self.sweep.interval <= alarm.met[0] <= deadline, (deadline, alarm.met))
        self.assertEqual(alarms[-1].met, [])

    def test_only_while_needed(self) -> None:
        """There is one timer while there is something to look at, else none."""
        alarms = [Alarm(NEVER)]
        self.sweep.watch(alarms)
        self.sweep.watch(alarms)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.advance(1)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        alarms.clear()
        self.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """It can be stopped and started again; each start and look ticks."""
        self.sweep.watch([Alarm(NEVER)])
        self.sweep.stop()
        self.sweep.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.sweep.watch([Alarm(NEVER)])
        self.advance(0.5)
        self.assertEqual(self.ticks, 3)

    def test_short_limits(self) -> None:
        """A short limit is looked at several times before it is over."""
        sweep = Sweep(self.clock, replace(DEFAULT_LIMITS, head_timeout=0.4), self.tick)
        self.assertLessEqual(sweep.interval, 0.1)

    def test_failure(self) -> None:
        """One that fails is logged and does not hold up the others, not even those due with it."""
        broken, others = Broken(1.0), [Alarm(1.0), Alarm(2.0)]
        self.sweep.watch([broken, *others])
        self.advance(3)
        self.assertEqual([len(other.met) for other in others], [1, 1])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class StallTests(SynchronousTestCase):
    """How long nothing has been taken."""

    def test_movement(self) -> None:
        """It counts from the last change of the mark."""
        stall = Stall((10, 0), 100.0)
        self.assertEqual(stall.lasts((10, 0), 130.0), 30.0)
        self.assertEqual(stall.lasts((10, 1), 150.0), 0.0)
        self.assertEqual(stall.lasts((10, 1), 155.0), 5.0)
