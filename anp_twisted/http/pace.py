"""
Time on public connections: one timer for all of them, and how long a stall lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from anp_twisted.limits import Limits

_log = Logger()

NEVER = float("inf")
"""A deadline that does not come."""

_LONGEST_INTERVAL = 0.5
_LOOKS = 8
"""How often a time limit is looked at before it is over."""


class Timed(Protocol):
    """
    Something with a deadline.

    @ivar deadline: seconds of the reactor's clock, or L{NEVER}.
    """

    deadline: float

    def expire(self, now: float) -> None:
        """
        The deadline has come.

        @param now: seconds of the reactor's clock.
        """


class Sweep:
    """
    Looks at all deadlines of a port every half second: a timer of its own for
    each request would cost more than the request's parsing.

    A deadline is met up to one interval early, never late. The timer runs only
    while there is something to look at.
    """

    def __init__(self, reactor: IReactorTime, limits: Limits, on_tick: Callable[[], None]) -> None:
        """
        @param on_tick: called when the timer starts and at every look.
        """
        self._reactor = reactor
        self._on_tick = on_tick
        self._timed: Collection[Timed] = ()
        self._call: IDelayedCall | None = None
        times = (limits.head_timeout, limits.body_timeout, limits.write_timeout, limits.keep_alive)
        self.interval = min(_LONGEST_INTERVAL, min(times) / _LOOKS)

    def watch(self, timed: Collection[Timed]) -> None:
        """
        Look at these from now on, until there are none.

        @param timed: owned by the caller, who may change it.
        """
        self._timed = timed
        if self._call is None:
            self._on_tick()
            self._call = self._reactor.callLater(self.interval, self._look)

    def stop(self) -> None:
        """
        Stop the timer.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = None
        if not self._timed:
            return
        self._call = self._reactor.callLater(self.interval, self._look)
        self._on_tick()
        now = self._reactor.seconds()
        horizon = now + self.interval
        for timed in [timed for timed in self._timed if timed.deadline < horizon]:
            try:
                timed.expire(now)
            except Exception:  # noqa: BLE001 boundary: one that fails must not stop the clock for all
                _log.failure("a deadline failed")


class Stall:
    """
    Whether a caller takes nothing of what it is sent.
    """

    __slots__ = ("_mark", "_since")

    def __init__(self, mark: object, now: float) -> None:
        """
        @param mark: any value that changes when something was taken.
        """
        self._mark = mark
        self._since = now

    def lasts(self, mark: object, now: float) -> float:
        """
        For how many seconds nothing has been taken.
        """
        if mark != self._mark:
            self._mark = mark
            self._since = now
        return now - self._since
