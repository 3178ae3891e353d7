"""The ids of requests: nobody can guess one, or count by them how much goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_BYTES: Final = 12
_AT_ONCE: Final = 128


class RequestIds:
    """
    Makes ids of 24 hexadecimal digits.

    Randomness is fetched for many at once: one system call for each would cost
    more than the id.
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """
        @param random: gives that many random bytes.
        """
        self._random = random
        self._ready: list[str] = []

    def __call__(self) -> str:
        """Make the id of the next request."""
        ready = self._ready
        if not ready:
            text = self._random(_BYTES * _AT_ONCE).hex()
            ready.extend(text[start : start + 2 * _BYTES] for start in range(0, len(text), 2 * _BYTES))
        return ready.pop()
