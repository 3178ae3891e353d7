"""
What the file of an outbox says: lines of JSON, each a message put or a message done with. Pure.

The last line of a file may be torn; a line that cannot be read costs that line.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from anp_twisted.assistant.channels.outbox import Done
from anp_twisted.assistant.messages import OutboundMessage


class PutRecord(msgspec.Struct, frozen=True, tag="put", tag_field="type"):
    """A message that has to be sent; C{at} is in seconds since 1970."""

    id: str
    at: float
    message: OutboundMessage


class DoneRecord(msgspec.Struct, frozen=True, tag="done", tag_field="type", omit_defaults=True):
    """A message that needs nothing more, and why."""

    id: str
    at: float
    outcome: Done
    reason: str = ""


Record = PutRecord | DoneRecord

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def lines(records: Iterable[Record]) -> bytes:
    """Write records, each with its line end."""
    return b"".join(_encode(record) + b"\n" for record in records)


@dataclass(slots=True)
class Recovered:
    """
    What a file held.

    @ivar live: what has still to be sent, in order.
    @ivar done: what was done with, the latest last.
    @ivar bad: lines that could not be read.
    """

    live: list[PutRecord] = field(default_factory=list)
    done: list[DoneRecord] = field(default_factory=list)
    bad: list[bytes] = field(default_factory=list)


def replay(data: bytes) -> Recovered:
    """
    Read a file.

    @param data: all of it.
    """
    live: OrderedDict[str, PutRecord] = OrderedDict()
    found = Recovered()
    for line in data.split(b"\n"):
        if not line:
            continue
        try:
            record = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.bad.append(line)
            continue
        if isinstance(record, PutRecord):
            live.setdefault(record.id, record)
        else:
            live.pop(record.id, None)
            found.done.append(record)
    found.live.extend(live.values())
    return found
