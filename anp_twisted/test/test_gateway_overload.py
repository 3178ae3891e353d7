"""Tests for L{anp_twisted.gateway.overload}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.overload import Gauge, Overload, Sample, State
from anp_twisted.limits import DEFAULT_LIMITS

LIMITS = replace(DEFAULT_LIMITS, overload_requests=100, overload_lag=0.2, overload_low=0.8, overload_calm=2.0)


class OverloadCase(SynchronousTestCase):
    """Has a machine that may have 1000 bytes and 1000 descriptors."""

    def setUp(self) -> None:
        """Make it."""
        self.now = 0.0
        self.overload = Overload(LIMITS)
        self.overload.bound(memory=1000, descriptors=1000)

    def look(self, seconds: float = 0.1, **figures: Any) -> State:
        """Let time pass and look."""
        self.now += seconds
        self.overload.look(Sample(**figures), self.now)
        self.assertEqual(self.overload.shedding, self.overload.state is State.SHEDDING)
        return self.overload.state


class VerdictTests(OverloadCase):
    """From figures to a verdict."""

    def test_each_gauge(self) -> None:
        """Each figure has a mark, sheds at it and not below, and stops shedding well below."""
        rows: list[tuple[str, float, float, float, Gauge]] = [
            ("requests", 99, 100, 80, Gauge.REQUESTS),
            ("memory", 799, 800, 640, Gauge.MEMORY),
            ("descriptors", 795, 796, 637, Gauge.DESCRIPTORS),
        ]
        for name, below, at, low, gauge in rows:
            self.setUp()
            others: dict[str, Any] = {"requests": 1} if name == "memory" else {}
            self.assertIs(self.look(**others, **{name: below}), State.CALM)
            self.assertIs(self.look(**others, **{name: at}), State.SHEDDING)
            self.assertEqual(self.overload.causes, {gauge})
            self.assertIs(self.look(**others, **{name: low}), State.SHEDDING)
            self.assertIs(self.look(**others, **{name: low - 1}), State.RECOVERING)
            self.assertEqual(self.overload.causes, set())

    def test_lag(self) -> None:
        """One stop of the loop is an accident, two in a row are load; one good look is enough to go on."""
        self.assertIs(self.look(lag=60.0), State.CALM)
        self.assertIs(self.look(lag=0.0), State.CALM)
        self.look(lag=0.2)
        self.assertIs(self.look(lag=0.2), State.SHEDDING)
        self.assertIs(self.look(lag=0.0), State.RECOVERING)

    def test_memory_at_rest(self) -> None:
        """Memory that no request holds is not given back by turning requests away."""
        self.assertIs(self.look(memory=999), State.CALM)
        self.assertIs(self.look(memory=999, requests=1), State.SHEDDING)
        self.assertIs(self.look(memory=999), State.RECOVERING)

    def test_over(self) -> None:
        """It is over when nobody was turned away for a while, even with figures just below their marks."""
        self.look(requests=100)
        self.assertIs(self.look(requests=10), State.RECOVERING)
        self.assertIs(self.look(1.9, requests=99), State.RECOVERING)
        self.assertIs(self.look(0.1, requests=99), State.CALM)

    def test_again(self) -> None:
        """Until then it is the same overload."""
        self.look(requests=100)
        self.look(requests=10)
        self.assertIs(self.look(requests=100), State.SHEDDING)
        self.assertIs(self.look(60.0, requests=100), State.SHEDDING)
        self.assertIs(self.look(requests=10), State.RECOVERING)
        self.assertIs(self.look(1.9, requests=10), State.RECOVERING)

    def test_several(self) -> None:
        """Every figure has to be well below its mark."""
        self.look(requests=100, descriptors=800)
        self.assertIs(self.look(requests=10, descriptors=700), State.SHEDDING)
        self.assertTrue(self.overload.short)
        self.assertIs(self.look(requests=90, descriptors=600), State.RECOVERING)
        self.assertFalse(self.overload.short)

    def test_crowded(self) -> None:
        """The mark of the requests holds between two looks, too."""
        self.assertEqual(self.overload.crowd, 100)
        self.overload.crowded(0.05)
        self.assertTrue(self.overload.shedding)
        self.assertIs(self.look(requests=80), State.SHEDDING)
        self.assertIs(self.look(requests=79), State.RECOVERING)

    def test_no_mark(self) -> None:
        """A mark of 0 is none; what the system does not tell has none."""
        overload = Overload(replace(LIMITS, overload_requests=0, overload_lag=0.0))
        overload.bound(memory=0, descriptors=0)
        for now in (1.0, 2.0):
            overload.look(Sample(requests=10**6, lag=60.0, memory=10**15, descriptors=10**6), now)
        self.assertEqual((overload.state, overload.full), (State.CALM, False))
        self.assertGreater(min(overload.crowd, overload.room), 10**6)

    def test_memory_given(self) -> None:
        """The operator's mark goes before the share of the machine."""
        self.overload = Overload(replace(LIMITS, overload_memory=50))
        self.overload.bound(memory=1000, descriptors=0)
        self.assertIs(self.look(requests=1, memory=50), State.SHEDDING)


class RoomTests(OverloadCase):
    """How many connections there are descriptors for."""

    def test_full(self) -> None:
        """Some descriptors are kept; connections are taken again when there is room for more than one."""
        kept = LIMITS.descriptors_kept
        for descriptors, full in (
            (1000 - kept - 1, False),
            (1000 - kept, True),
            (866, True),
            (865, False),
            (1000 - kept - 1, False),
        ):
            self.look(descriptors=descriptors)
            self.assertEqual((self.overload.full, self.overload.room), (full, 1000 - kept - descriptors), descriptors)

    def test_room(self) -> None:
        """It ends at the mark first, then where there is none left."""
        self.look(descriptors=100)
        self.assertEqual(self.overload.room, 796 - 100)
        self.look(descriptors=796)
        self.assertEqual(self.overload.room, 1000 - LIMITS.descriptors_kept - 796)

    def test_few(self) -> None:
        """Of few descriptors few are kept; they are short before there is none, and not short means not full."""
        self.overload.bound(memory=0, descriptors=64)
        self.look(descriptors=48)
        self.assertEqual((self.overload.short, self.overload.full), (True, False))
        self.look(descriptors=56)
        self.assertTrue(self.overload.full)
        self.look(descriptors=48)
        self.assertEqual((self.overload.short, self.overload.full), (True, False))
