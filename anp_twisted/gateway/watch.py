"""
Looks at the process and acts on what L{Overload} says of it.

One timer looks ten times a second; how late it comes is the lag of the event loop.
Connections are counted between two looks as well, since a burst of them takes less
time than that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from anp_twisted.gateway.doors import Doors
from anp_twisted.gateway.overload import Overload, Sample, State
from anp_twisted.limits import Limits
from anp_twisted.vitals import Vitals


class OverloadWatch(Service):
    """
    The service.

    @ivar overload: what it feeds.
    @ivar vitals: the figures of the process, while it looks.
    """

    log = Logger()

    def __init__(
        self,
        overload: Overload,
        clock: IReactorTime,
        limits: Limits,
        *,
        doors: Doors,
        requests: Callable[[], int],
        open_vitals: Callable[[], Vitals] = Vitals,
    ) -> None:
        """
        @param doors: to be closed and opened.
        @param requests: tells how many run and wait.
        @param open_vitals: called at the start, in the process that will stay.
        """
        self.overload = overload
        self.vitals: Vitals | None = None
        self._clock = clock
        self._limits = limits
        self._doors = doors
        self._requests = requests
        self._open_vitals = open_vitals
        self._timer: IDelayedCall | None = None
        self._due = 0.0
        self._room = 1
        self._paused = False
        self._trimmed: float | None = None
        self._told: tuple[float, int] | None = None

    def startService(self) -> None:
        """Begin to look."""
        super().startService()  # type: ignore[no-untyped-call]
        self.vitals = vitals = self._open_vitals()
        self.overload.bound(memory=vitals.memory_limit(), descriptors=vitals.descriptor_limit())
        self._look(0.0)
        self._next()

    def stopService(self) -> None:
        """Look no longer; what is closed stays closed."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.vitals is not None:
            self.vitals.close()
            self.vitals = None

    def entering(self) -> None:
        """A connection was accepted."""
        self._room -= 1
        if self._room <= 0 and self.vitals is not None and not self._paused:
            self._look(self.overload.last.lag)

    def _next(self) -> None:
        """Look again soon."""
        self._due = self._clock.seconds() + self._limits.overload_look
        self._timer = self._clock.callLater(self._limits.overload_look, self._tick)

    def _tick(self) -> None:
        """Look, and see how late that is."""
        lag = max(0.0, self._clock.seconds() - self._due)
        self._look(lag)
        self._next()

    def _look(self, lag: float) -> None:
        """Take the figures and act on the verdict."""
        assert self.vitals is not None, "looking before the start"
        sample = Sample(
            requests=self._requests(),
            lag=lag,
            memory=self.vitals.memory(),
            descriptors=self.vitals.descriptors(),
        )
        now = self._clock.seconds()
        self.overload.look(sample, now)
        self._room = self.overload.room
        self._mind_the_doors(now)
        self._tell(now)

    def _mind_the_doors(self, now: float) -> None:
        """Close and open what the descriptors ask for."""
        overload, doors = self.overload, self._doors
        if overload.full is not self._paused:
            self._paused = overload.full
            (doors.pause if self._paused else doors.resume)()
        if not overload.short:
            if self._trimmed is not None:
                self._trimmed = None
                doors.let_rest()
        elif self._trimmed is None or now - self._trimmed >= self._limits.idle_when_short:
            self._trimmed = now
            doors.close_resting(self._limits.idle_when_short)

    def _tell(self, now: float) -> None:
        """Log where an overload begins, and where it is over."""
        overload = self.overload
        if overload.state is State.CALM:
            if self._told is not None:
                since, before = self._told
                self._told = None
                self.log.warn(
                    "the overload is over: {turned} requests were turned away in {seconds:.1f} s",
                    turned=overload.turned_away - before,
                    seconds=now - since,
                )
        elif self._told is None:
            self._told = now, overload.turned_away
            self.log.warn("overloaded, new requests are turned away: {figures}", figures=self._described())

    def _described(self) -> str:
        """What is too much."""
        figures = self.figures()
        return ", ".join(f"{name} {figures[name]}" for name in figures["causes"])

    def figures(self) -> dict[str, Any]:
        """
        Describe the state for the management page.

        @return: figures that JSON knows; bytes, counts and seconds.
        """
        overload, last = self.overload, self.overload.last
        return {
            "state": overload.state.value,
            "causes": sorted(gauge.value for gauge in overload.causes),
            "turned_away": overload.turned_away,
            "accepting": not self._paused,
            "requests": last.requests,
            "lag": round(last.lag, 4),
            "memory": last.memory,
            "descriptors": last.descriptors,
        }
