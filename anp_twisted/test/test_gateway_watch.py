"""Tests for L{anp_twisted.gateway.watch}."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.gateway.overload import Overload
from anp_twisted.gateway.watch import OverloadWatch
from anp_twisted.limits import DEFAULT_LIMITS

LIMITS = replace(DEFAULT_LIMITS, overload_requests=100, overload_look=0.125, overload_lag=0.25)


class Figures:
    """A process as the test wants it: it may have 1000 bytes and 1000 descriptors."""

    def __init__(self) -> None:
        self.held = 10
        self.closed = False

    def memory(self) -> int:
        """Bytes."""
        return 1

    def memory_limit(self) -> int:
        """Bytes."""
        return 1000

    def descriptors(self) -> int:
        """How many are open."""
        return self.held

    def descriptor_limit(self) -> int:
        """How many there may be."""
        return 1000

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Doors:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.told.append(name)

    def take(self) -> list[str]:
        """What it was told since the last time."""
        told, self.told = self.told, []
        return told


@implementer(ILogObserver)
class Lines:
    """Keeps what the watch logs."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        """Take an event."""
        if event.get("log_namespace", "").startswith("anp_twisted.gateway.watch"):
            self.kept.append(formatEvent(event))


class WatchTests(SynchronousTestCase):
    """Looks, doors and log lines."""

    def setUp(self) -> None:
        """Watch a process."""
        self.clock = Clock()
        self.figures, self.doors = Figures(), Doors()
        self.requests = 0
        self.overload = Overload(LIMITS)
        around: dict[str, Any] = {"doors": self.doors, "open_vitals": lambda: self.figures}
        self.watch = OverloadWatch(self.overload, self.clock, LIMITS, requests=lambda: self.requests, **around)
        self.lines = Lines()
        globalLogPublisher.addObserver(self.lines)
        self.addCleanup(globalLogPublisher.removeObserver, self.lines)
        self.watch.startService()

    def pass_time(self, seconds: float) -> None:
        """Let time pass as in a loop that is never late."""
        self.clock.pump([LIMITS.overload_look] * round(seconds / LIMITS.overload_look))

    def test_one_line_each(self) -> None:
        """One line where it begins and one where it is over, however often it comes and goes in between."""
        self.pass_time(1)
        for requests in (100, 10, 100, 10, 100):
            self.requests = requests
            self.pass_time(0.5)
            self.overload.turned_away += 5
        self.requests = 10
        self.pass_time(2.5)
        self.assertEqual(
            self.lines.kept,
            [
                "overloaded, new requests are turned away: requests 100",
                "the overload is over: 25 requests were turned away in 4.5 s",
            ],
        )

    def test_lag(self) -> None:
        """How late a look comes is the lag."""
        self.clock.advance(LIMITS.overload_look + 0.5)
        self.assertEqual(self.watch.figures()["lag"], 0.5)
        self.assertFalse(self.overload.shedding)
        self.clock.advance(LIMITS.overload_look + 0.5)
        self.assertTrue(self.overload.shedding)
        self.assertEqual(self.lines.kept, ["overloaded, new requests are turned away: lag 0.5"])
        self.pass_time(LIMITS.overload_look)
        self.assertFalse(self.overload.shedding)

    def test_short(self) -> None:
        """While descriptors are short, idle connections are closed once a while; afterwards they may rest again."""
        self.figures.held = 850
        self.pass_time(LIMITS.overload_look)
        self.assertEqual(self.doors.take(), ["close_resting"])
        self.pass_time(0.75)
        self.assertEqual(self.doors.take(), [])
        self.pass_time(0.3)
        self.assertEqual(self.doors.take(), ["close_resting"])
        self.figures.held = 10
        self.pass_time(1)
        self.assertEqual(self.doors.take(), ["let_rest"])

    def test_full(self) -> None:
        """Without descriptors nothing is accepted, until there are some."""
        self.figures.held = 990
        self.pass_time(3)
        self.assertEqual([told for told in self.doors.take() if told != "close_resting"], ["pause"])
        self.assertFalse(self.watch.figures()["accepting"])
        self.figures.held = 850
        self.pass_time(LIMITS.overload_look)
        self.assertIn("resume", self.doors.take())

    def test_burst(self) -> None:
        """Connections are counted between two looks: the one that takes the last descriptor closes the doors."""
        for expected in (["close_resting"], ["pause"]):
            for _ in range(self.overload.room - 1):
                self.enter()
            self.assertEqual(self.doors.take(), [])
            self.enter()
            self.assertEqual((self.doors.take(), self.overload.shedding), (expected, True))
        for _ in range(50):
            self.enter()
        self.assertEqual(self.doors.take(), [])

    def enter(self) -> None:
        """Accept a connection."""
        self.figures.held += 1
        self.watch.entering()

    def test_burst_that_ends(self) -> None:
        """Connections that are gone again do not count."""
        for _ in range(self.overload.room + 50):
            self.watch.entering()
        self.assertEqual(self.doors.take(), [])

    def test_figures(self) -> None:
        """The operator sees the verdict and what it is made of."""
        self.requests = 100
        self.pass_time(LIMITS.overload_look)
        self.overload.turned_away = 3
        self.assertEqual(
            self.watch.figures(),
            {
                "state": "shedding",
                "causes": ["requests"],
                "turned_away": 3,
                "accepting": True,
                "requests": 100,
                "lag": 0.0,
                "memory": 1,
                "descriptors": 10,
            },
        )

    def test_stop(self) -> None:
        """Nothing is left, and whoever comes still is nobody's business."""
        self.watch.stopService()
        self.watch.entering()
        self.assertEqual((self.clock.getDelayedCalls(), self.figures.closed), ([], True))
