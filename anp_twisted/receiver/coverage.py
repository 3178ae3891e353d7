"""
Which worker of a gateway each link leads to. Pure.

A gateway of several processes shares one port, and the kernel chooses which of
them a new link comes to. So a receiver dials until it has a link to each, and
gives up those that lead to a worker it has already.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from anp_twisted.limits import Limits

_FIRST: Final = 0.05
"""Bound of the pause before another attempt: most of them succeed at once."""

_GROWTH: Final = 1.2
"""
How it grows with each link that leads nowhere new: twenty attempts within five
seconds, since a worker that died is replaced in that time; later ever fewer.
"""


class Coverage:
    """
    The table.

    @ivar workers: how many links are needed, as the gateway said last.
    """

    def __init__(self, limits: Limits) -> None:
        self.workers = 1
        self._leads: dict[Hashable, int] = {}
        self._vain = 0
        self._most = limits.reconnect_most

    def opened(self, link: Hashable, worker: int, workers: int) -> bool:
        """
        A link is open.

        @param worker: where it leads; 0 where the gateway has one process only.
        @param workers: how many the gateway has.
        @return: whether it is needed.
        """
        self.workers = max(1, workers)
        if worker in self._leads.values():
            self._vain += 1
            return False
        self._leads[link] = worker
        self._vain = 0
        return True

    def lost(self, link: Hashable) -> None:
        """A link is gone, or takes no requests any more."""
        self._leads.pop(link, None)

    def missing(self, dialling: int) -> int:
        """
        @param dialling: links that are on their way.
        @return: how many more are needed.
        """
        return max(0, self.workers - len(self._leads) - dialling)

    def delay(self, drawn: float) -> float:
        """
        @param drawn: a random number from 0 up to 1.
        @return: seconds until the next attempt.
        """
        # The exponent is bounded so that no number of attempts is an overflow.
        return drawn * min(self._most, _FIRST * _GROWTH ** min(self._vain, 64))
