"""
Whether a peer is still there, by what was received of it.

Only bytes that came count: what was sent may sit in a buffer of this machine for
a quarter of an hour before the kernel gives a dead peer up. Nothing here knows a
timer; it is asked, and says when to ask again.

C{docs/protocol/anpx.md}, "Liveness".
"""

from __future__ import annotations

from enum import Enum, auto

from anp_twisted.limits import Limits


class Verdict(Enum):
    """
    What is known of a peer.

    C{ALIVE}: it was heard lately. C{SILENT}: it should be asked. C{DEAD}: it was
    asked in vain. C{STUCK}: it speaks, but takes nothing of what is for it.
    """

    ALIVE = auto()
    SILENT = auto()
    DEAD = auto()
    STUCK = auto()


class Liveness:
    """
    The pulse of one link. Times are seconds of one clock that only rises.

    @ivar heard_at: when the latest bytes came.
    @ivar rtt: seconds that the latest PING took to come back, C{None} before the first.
    """

    __slots__ = ("_blocked_at", "_limits", "_ping", "_pinged_at", "_pings", "heard_at", "rtt")

    def __init__(self, limits: Limits, now: float) -> None:
        self.heard_at = now
        self.rtt: float | None = None
        self._limits = limits
        self._blocked_at: float | None = None
        self._pings = 0
        self._ping = b""
        self._pinged_at = 0.0

    def blocked(self, now: float) -> None:
        """The socket takes no more."""
        self._blocked_at = now

    def unblocked(self) -> None:
        """The socket has taken all it had."""
        self._blocked_at = None

    def ask(self, now: float) -> bytes:
        """
        Note that a PING goes out; only the latest gives a round trip.

        @return: its eight bytes; never eight zeros.
        """
        self._pings += 1
        self._ping = self._pings.to_bytes(8, "big")
        self._pinged_at = now
        return self._ping

    def answered(self, opaque: bytes, now: float) -> None:
        """A PONG came; one that answers nothing is ignored."""
        if opaque == self._ping:
            self.rtt = now - self._pinged_at

    def judge(self, now: float) -> tuple[Verdict, float]:
        """
        Say how the peer is.

        @return: the verdict, and in how many seconds to ask again while it lives.
        """
        limits = self._limits
        silent = now - self.heard_at
        if silent >= limits.dead_after:
            return Verdict.DEAD, 0.0
        if self._blocked_at is not None and now - self._blocked_at >= limits.write_timeout:
            return Verdict.STUCK, 0.0
        if silent >= limits.ping_after:
            return Verdict.SILENT, min(limits.ping_after, limits.dead_after - silent)
        return Verdict.ALIVE, limits.ping_after - silent
