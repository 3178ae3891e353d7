"""
How many connections there are, in all and from each address.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from anp_twisted.limits import Limits
from anp_twisted.networks import caller_key, canonical

_OVERFLOW = 1.1
"""Connections over a cap are told so, up to this many times the cap."""


class Verdict(IntEnum):
    """What becomes of a connection; the number is the status that it is told."""

    WELCOME = 0
    TOO_MANY_FROM_THERE = 429
    TOO_MANY = 503


def origin_of(host: str) -> str:
    """
    Find whose connection it is.

    @param host: an address in any spelling, or nothing for a UNIX socket.
    @return: as L{caller_key} has it, so that connections are counted as requests are.
    """
    address = canonical(host)
    return host if address is None else caller_key(address)


class Crowd:
    """
    The counts.

    @ivar turned_away: connections that were over a cap.
    """

    def __init__(self, limits: Limits, exempt: Callable[[str], bool]) -> None:
        """
        @param exempt: whether an address counts in the sum only, as that of a
            proxy does, behind which are many callers.
        """
        self.turned_away = 0
        self._exempt = exempt
        self.follow(limits)
        self._sum = 0
        self._each: dict[str, int] = {}

    def follow(self, limits: Limits) -> None:
        """Count up to other caps from now on."""
        self._most = limits.connections
        self._most_each = limits.connections_per_address

    def __len__(self) -> int:
        return self._sum

    def hopeless(self, host: str) -> bool:
        """
        Whether another connection would be so far over a cap that not even a
        word about it is worth its cost.
        """
        if self._sum >= self._most * _OVERFLOW:
            return True
        return self._each.get(origin_of(host), 0) >= self._most_each * _OVERFLOW

    def enter(self, host: str) -> Verdict:
        """
        Count a connection, also one that is refused; it L{leaves<leave>} later.
        """
        self._sum += 1
        count = 0
        if host and not self._exempt(host):
            origin = origin_of(host)
            count = self._each[origin] = self._each.get(origin, 0) + 1
        if self._sum <= self._most and count <= self._most_each:
            return Verdict.WELCOME
        self.turned_away += 1
        return Verdict.TOO_MANY if self._sum > self._most else Verdict.TOO_MANY_FROM_THERE

    def leave(self, host: str) -> None:
        """
        A connection that was counted is gone.
        """
        self._sum -= 1
        origin = origin_of(host)
        left = self._each.get(origin, 0) - 1
        if left > 0:
            self._each[origin] = left
        else:
            self._each.pop(origin, None)
