"""How often: so many in so much time."""

from __future__ import annotations

import re
from typing import NamedTuple

_RATE = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,6})?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Rate(NamedTuple):
    """
    A rate.

    @ivar quota: how many; also how many may come at once.
    @ivar window: in how many seconds.
    """

    quota: int
    window: int

    def __str__(self) -> str:
        return f"{self.quota}/{self.window}s"


def parse_rate(text: str) -> Rate:
    """
    Read C{100/m}, C{5/s} or C{1000/15m}.

    @raise ValueError: if it is no rate.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("must be a number of requests in a time, such as 5/s, 100/m or 1000/15m")
    return Rate(int(match[1]), int(match[2] or 1) * _SECONDS[match[3]])
