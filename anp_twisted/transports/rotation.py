"""
Several gateways of which one is needed: the first that answers.

They are asked in their order, without a pause; when none has answered, that is
one failure, and the next round waits as L{Backoff} says. A link that was healthy
and is lost begins a new round at the first. One that did not live long counts as
an attempt that failed, so a gateway that accepts and drops is not preferred.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from anp_twisted.errors import ANPError
from anp_twisted.limits import Limits
from anp_twisted.transports.backoff import Backoff, Seconds


class Rotation(Backoff):
    """
    The back-off of such a choice.

    @ivar index: which is dialled now, or next.
    """

    def __init__(
        self,
        limits: Limits,
        seconds: Seconds,
        *,
        draw: Seconds,
        count: int = 1,
        first: int = 0,
    ) -> None:
        """
        @param count: how many there are to choose from.
        @param first: with which to begin.
        """
        super().__init__(limits, seconds, draw=draw)
        self.index = first % count
        self._count_of = count
        self._tried = 0

    def __call__(self, failures: int) -> float:
        """Within a round the next one is asked at once."""
        return 0.0 if self._tried else super().__call__(failures)

    @property
    def following(self) -> int:
        """Which comes after the present one."""
        return (self.index + 1) % self._count_of

    def lost(self, reason: ANPError) -> None:
        """An open link was lost."""
        if not self.healthy and self._count_of > 1:
            self.failed(reason)
            return
        self.index = self._tried = 0
        super().lost(reason)

    def failed(self, reason: ANPError) -> None:
        """An attempt failed: the next one's turn, and a failure when the round is over."""
        self.index = self.following
        self._tried += 1
        if self._tried < self._count_of:
            self.reason = reason
            return
        self._tried = 0
        super().failed(reason)


@implementer(IStreamClientEndpoint)
class RotatingEndpoint:
    """Connects to the one whose turn it is."""

    def __init__(self, endpoints: Sequence[IStreamClientEndpoint], rotation: Rotation) -> None:
        self._endpoints = endpoints
        self._rotation = rotation

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect; see the endpoint it is about."""
        connected: Deferred[IProtocol] = self._endpoints[self._rotation.index].connect(protocolFactory)
        return connected
