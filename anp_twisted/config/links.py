"""
Settings about links: how they are kept alive, and what peers of version 1 can take.

Pure. They are parts of those of the gateway and of the receiver.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anp_twisted.config import kinds
from anp_twisted.config.schema import setting
from anp_twisted.limits import DEFAULT_LIMITS, KIB

_CAPS = DEFAULT_LIMITS
_DEAD_AFTER = _CAPS.dead_after / _CAPS.ping_after
_LEAST_PART = 64 * KIB


def _bounded_size(least: int, most: int) -> kinds.Kind[int]:
    """Bytes from C{least} to C{most}, both included."""

    def check(size: int) -> int:
        if not least <= size <= most:
            raise ValueError(f"must be a number of bytes from {least} to {most}")
        return size

    return kinds.Kind(
        "BYTES", lambda text: check(kinds.SIZE.from_text(text)), lambda value: check(kinds.SIZE.from_toml(value))
    )


def _interval(seconds: float) -> float:
    if not 1 <= seconds <= 60:
        raise ValueError("must be a number of seconds from 1 to 60")
    return seconds


INTERVAL = kinds.Kind(
    "SECONDS",
    lambda text: _interval(kinds.SECONDS.from_text(text)),
    lambda value: _interval(kinds.SECONDS.from_toml(value)),
)


@dataclass(frozen=True, kw_only=True)
class LinkSettings:
    """What both ends of a link say of it."""

    ping_interval: float = setting(
        INTERVAL,
        f"Silence after which the other end of a link is asked; after {_DEAD_AFTER:g} times as long it is dead.",
        _CAPS.ping_after,
    )
    chunk_size: int = setting(
        _bounded_size(1024, _CAPS.data),
        "Body bytes in one frame of a link; less lets small answers pass sooner.",
        _CAPS.data,
    )

    def link_limits(self) -> dict[str, Any]:
        """
        @return: the caps that are set here, by their names.
        """
        return {
            "ping_after": self.ping_interval,
            "dead_after": self.ping_interval * _DEAD_AFTER,
            "v1_beat": min(self.ping_interval, _CAPS.v1_beat),
            "data": self.chunk_size,
        }


@dataclass(frozen=True, kw_only=True)
class PeerSettings:
    """What a gateway expects of receivers of version 1."""

    v1_frame_limit: int = setting(
        _bounded_size(_LEAST_PART, _CAPS.v1_frame), "Largest frame that receivers of version 1 take.", _CAPS.v1_part
    )
    v1_request_chunks: int = setting(
        kinds.whole_number("NUMBER", 1, 64),
        "Frames that one request to such a receiver may have; more than 1 only where all of them join chunks.",
        _CAPS.v1_request_chunks,
    )
    v1_capacity: int = setting(kinds.COUNT, "Requests that such a receiver works on at once.", _CAPS.v1_capacity)

    def peer_limits(self) -> dict[str, Any]:
        """
        @return: the caps that are set here, by their names.
        """
        return {
            "v1_part": self.v1_frame_limit,
            "v1_request_chunks": self.v1_request_chunks,
            "v1_capacity": self.v1_capacity,
        }
