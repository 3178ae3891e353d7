"""
When a receiver tries again.

C{ClientService} counts attempts, but it starts anew with each connection that is
made, so a gateway that accepts and drops would be called without pause. This
keeps a count of its own, which only a link that lived for a while sets back.
"""

from __future__ import annotations

from collections.abc import Callable

from anp_twisted.errors import ANPError, LinkLost, LinkRefused
from anp_twisted.limits import Limits

Seconds = Callable[[], float]

CREDENTIALS = frozenset({401, 403, 4003})
"""HTTP statuses and WebSocket close codes that say: not with these credentials."""


class Backoff:
    """
    A C{retryPolicy} with full jitter: the delay is drawn between nothing and a bound that doubles.

    @ivar failures: attempts and short-lived links since the last healthy one.
    @ivar reason: of the latest failure.
    """

    def __init__(
        self,
        limits: Limits,
        seconds: Seconds,
        *,
        draw: Seconds,
    ) -> None:
        """
        @param seconds: the clock.
        @param draw: a random number from 0 up to 1.
        """
        self.failures = 0
        self.reason: ANPError | None = None
        self._limits = limits
        self._seconds = seconds
        self._draw = draw
        self._opened_at = 0.0
        self._not_before = 0.0

    def __call__(self, failures: int) -> float:
        """
        Say how long to wait now.

        @param failures: the count of C{ClientService}, which is not used.
        @return: seconds.
        """
        most = self._limits.reconnect_most
        if self._refused():
            # Such an attempt cannot succeed before a person acts, so it may not come early by luck.
            delay = most * (1 + self._draw()) / 2
        else:
            # The exponent is bounded so that a year of failures is no overflow.
            bound = min(most, self._limits.reconnect_first * 2 ** min(max(self.failures - 1, 0), 30))
            delay = bound * self._draw()
        return max(self._not_before - self._seconds(), 0.0) + delay

    def opened(self) -> None:
        """A link is open."""
        self._opened_at = self._seconds()

    def lost(self, reason: ANPError) -> None:
        """An open link was lost; if it had been healthy, this is the first failure."""
        if self.healthy:
            self.failures = 0
        self._count(reason)

    def failed(self, reason: ANPError) -> None:
        """An attempt failed before the link was open."""
        self._count(reason)

    @property
    def healthy(self) -> bool:
        """Whether the link that was opened last would be healthy by now."""
        return self._seconds() - self._opened_at >= self._limits.healthy_after

    def _count(self, reason: ANPError) -> None:
        """Count one failure."""
        self.failures += 1
        self.reason = reason

    def hold(self, seconds: float) -> None:
        """The gateway asked for a pause: no attempt before it is over."""
        self._not_before = self._seconds() + seconds

    def _refused(self) -> bool:
        """Whether the latest failure was about credentials."""
        reason = self.reason
        if isinstance(reason, LinkRefused):
            return reason.status in CREDENTIALS
        return isinstance(reason, LinkLost) and reason.closed_with in CREDENTIALS
