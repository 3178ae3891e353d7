"""
The text messages of version 1: JSON beside the frames.

C{docs/protocol/anpx.md}, "Version 1". Whatever is not known here is ignored: it
is never an error, and never a proof of anything.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from anp_twisted.session.connection import Role

_PING: Final = "ping"
_ASKED: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "service_capability_request": ("service_capability_response", {"status": "ok"}),
    "health_check_request": ("health_check_response", {"status": "healthy"}),
    "service_assignment": ("service_assignment_ack", {"status": "ok"}),
}
_encode = msgspec.json.Encoder().encode


class _Text(msgspec.Struct):
    """What is looked at; both of the others come back as they are."""

    type: str
    timestamp: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    request_id: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_DECODER = msgspec.json.Decoder(_Text)


def ready(stamp: float, number: int) -> str:
    """
    Make the message with which a receiver begins.

    @param stamp: the time of day, in seconds since the epoch.
    @param number: names the connection.
    """
    return _text({"type": "connection_ready", "timestamp": int(stamp), "connection_id": number})


def ping(stamp: float) -> str:
    """
    Make the question for a sign of life.

    @param stamp: the time of day, in seconds since the epoch.
    """
    return _text({"type": _PING, "timestamp": stamp})


def answer(text: str, role: Role, paths: list[str], most: int) -> str | None:
    """
    Answer a message.

    @param role: which side we are; only a receiver is asked what it can do.
    @param paths: what a receiver serves.
    @param most: characters of a message that is looked at.
    @return: C{None} where it wants no answer, or is not understood.
    """
    if len(text) > most:
        return None
    try:
        asked = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if asked.type == _PING:
        return _text({"type": "pong", "timestamp": asked.timestamp if bytes(asked.timestamp) else None})
    if role is Role.GATEWAY or asked.type not in _ASKED:
        return None
    kind, said = _ASKED[asked.type]
    reply: dict[str, Any] = {"type": kind, **said}
    if asked.type == "service_capability_request":
        reply["services"] = paths
    if bytes(asked.request_id):
        reply["request_id"] = asked.request_id
    if bytes(asked.timestamp):
        reply["timestamp"] = asked.timestamp
    return _text(reply)


def _text(value: dict[str, Any]) -> str:
    return str(_encode(value), "utf-8")
