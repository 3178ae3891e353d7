"""
One access-log line for each request.

Pure. A line is one JSON object of at most L{LONGEST} bytes, in ASCII: whatever a
caller put into a target can neither end the line, nor reach a terminal as a
control sequence, nor turn the reading direction. C{docs/reference/logs.md} is the
reference.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from msgspec import Struct

LONGEST: Final = 2048
"""Bytes of one line, its end included."""

_CUT = "..."
_SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class AccessRecord(Struct, frozen=True, gc=False):
    """
    What is known of a request when it has ended.

    Text may hold anything; the peer wrote most of it.

    @ivar time: when the request came, in seconds since the epoch.
    @ivar request_id: as the caller sees it in a problem document.
    @ivar caller: the address of the caller.
    @ivar method: the method.
    @ivar target: the raw request target; bytes read as latin-1.
    @ivar status: the status the caller saw; 0 when it saw none.
    @ivar sent: body bytes sent to the caller.
    @ivar received: body bytes received from the caller.
    @ivar duration: seconds from the request's head to the end of the answer.
    @ivar receiver: the receiver that answered, or nothing.
    @ivar source: who ended it: C{app} when all went well, otherwise where it failed, as in a problem document.
    """

    time: float
    request_id: str
    caller: str
    method: str
    target: str
    status: int
    sent: int
    received: int
    duration: float
    receiver: str
    source: str


def _escape(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if " " <= character <= "~":
        return character
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def quoted(text: str, room: int) -> str:
    """
    @param text: anything.
    @param room: the most characters between the quotes; longer text is cut and ends in three dots.
    @return: a JSON string of printable ASCII.
    """
    if len(text) <= room and text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    pieces: list[str] = []
    used = 0
    # No more than `room` characters can fit, so a long text costs no more than a short one.
    for character in text[: room + 1]:
        piece = _escape(character)
        pieces.append(piece)
        used += len(piece)
        if used > room:
            return f'"{_shortened(pieces, used, room)}"'
    return f'"{"".join(pieces)}"'


def _shortened(pieces: list[str], used: int, room: int) -> str:
    """Whole escapes only, so that the line stays JSON."""
    while used > room - len(_CUT):
        used -= len(pieces.pop())
    return "".join(pieces) + _CUT


def format_time(time: float) -> str:
    """
    @param time: seconds since the epoch.
    @return: UTC with milliseconds, C{2026-02-24T10:00:00.123Z}.
    """
    second = int(time // 1)
    return f"{_second(second)}.{int((time - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    """The part of a time that a thousand lines may share."""
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


def format_line(record: AccessRecord) -> str:
    """
    @param record: one request.
    @return: its line, without the line end.
    """
    return (
        f'{{"time":"{format_time(record.time)}","id":{quoted(record.request_id, 80)},'
        f'"caller":{quoted(record.caller, 80)},"method":{quoted(record.method, 40)},'
        f'"target":{quoted(record.target, 1200)},"status":{record.status:d},'
        f'"sent":{record.sent:d},"received":{record.received:d},"duration":{record.duration:.6f},'
        f'"receiver":{quoted(record.receiver, 120)},"source":{quoted(record.source, 24)}}}'
    )
