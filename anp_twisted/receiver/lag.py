"""
Notices when the event loop stood still.

One timer, which comes late when something kept the loop from running: a call
that blocks, or a long calculation. All requests of the process waited meanwhile,
and a link that answers nothing for long enough is taken for dead.
"""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from anp_twisted.limits import Limits


class LagWatch(Service):
    """
    Warns of a loop that stood still, at most once in a while.

    @ivar worst: the longest time it stood still, in seconds.
    @ivar stops: how often it stood still for longer than the limit.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        """
        @param clock: the reactor whose loop is watched.
        """
        self.worst = 0.0
        self.stops = 0
        self._clock = clock
        self._limits = limits
        self._timer: IDelayedCall | None = None
        self._looked = 0.0
        self._warned: float | None = None
        self._unsaid = 0

    def startService(self) -> None:
        """Begin to look."""
        super().startService()  # type: ignore[no-untyped-call]
        self._next(self._clock.seconds())

    def stopService(self) -> None:
        """Look no longer."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self, now: float) -> None:
        """Look again soon."""
        self._looked = now
        self._timer = self._clock.callLater(self._limits.loop_look, self._look)

    def _look(self) -> None:
        """See how long ago the last look was: nothing ran for all but the usual part of that."""
        now = self._clock.seconds()
        stood = now - self._looked
        self._next(now)
        if stood >= self._limits.loop_lag:
            self.stops += 1
            self.worst = max(self.worst, stood)
            self._warn(stood, now)

    def _warn(self, stood: float, now: float) -> None:
        """Say so, and what helps."""
        if self._warned is not None and now - self._warned < self._limits.lag_quiet:
            self._unsaid += 1
            return
        more, self._unsaid, self._warned = self._unsaid, 0, now
        self.log.warn(
            "the event loop stood still for {stood:.1f} s, and every request of this process with it{more}; "
            "run what blocks in a thread (asyncio.to_thread), or the application in more processes (--workers)",
            stood=stood,
            more=f", {more} more times since the last warning" if more else "",
        )
