"""
The records of a session's log: a line each, in a place each.

Pure. The first line of a file is its L{Header}; the line behind it is the record
with C{seq} 1, and so on. A line that cannot be read keeps its place, so that a
C{seq} never names two things and never nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from anp_twisted.assistant import types
from anp_twisted.assistant.messages import Media

VERSION = 1
_SEALED = b'{"sealed":"'

Seal = Callable[[bytes, bytes], bytes]
"""From a record and the name of its place to base64, or back; raises C{ValueError} for what is not its own."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a session is.

    @ivar session_id: changes when a session is deleted and made again.
    """

    session_key: str
    session_id: str
    agent_id: str
    created_at: float
    version: int = VERSION


class Idempotency(msgspec.Struct, frozen=True):
    """
    Under which key a message was sent.

    @ivar fingerprint: of its parameters.
    """

    principal: str
    key: str
    fingerprint: str


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """
    @ivar id: of the message it belongs to; the answer's, unless it is what somebody said.
    @ivar ts: seconds since the epoch.
    """

    seq: int
    id: str
    ts: float
    run_id: str = ""


class Said(Record, frozen=True, kw_only=True, tag="message"):
    """
    Somebody said something, and a run will answer.

    @ivar answer_id: the id of the answer.
    """

    answer_id: str
    text: str
    principal: str = ""
    mode: str = "auto"
    model: str = ""
    media: tuple[Media, ...] = ()
    idempotency: Idempotency | None = None


class Tool(Record, frozen=True, kw_only=True, tag="tool"):
    """A tool was called, or has answered."""

    call_id: str
    state: str
    name: str = ""
    detail: str = ""


class Answered(Record, frozen=True, kw_only=True, tag="final"):
    """The answer, whole."""

    text: str
    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0


class Failed(Record, frozen=True, kw_only=True, tag="failed"):
    """
    A run without an answer.

    @ivar text: what there was of it.
    """

    code: str
    message: str
    retryable: bool = False
    text: str = ""


class Interrupted(Record, frozen=True, kw_only=True, tag="interrupted"):
    """The process ended in the middle of a run."""


class Created(Record, frozen=True, kw_only=True, tag="created"):
    """The session was made before anybody said anything."""


class Compacted(Record, frozen=True, kw_only=True, tag="compaction"):
    """A summary stands for everything up to C{upto}."""

    upto: int
    summary: str


class Deleted(Record, frozen=True, kw_only=True, tag="deleted"):
    """The tombstone: the file is about to go."""


class Damaged(Record, frozen=True, kw_only=True, tag="damaged"):
    """Stands for a line that could not be read; it is never written."""


class _Place(msgspec.Struct):
    """What a line tells of itself, sealed or not."""

    seq: int


AnyRecord = Said | Tool | Answered | Failed | Interrupted | Created | Compacted | Deleted
ENDS = (Answered, Failed, Interrupted)
"""What ends a run."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)
_places = msgspec.json.Decoder(_Place)
_headers = msgspec.json.Decoder(Header)


class Codec:
    """
    Lines from records and back.

    With a seal, a line holds the record encrypted, bound to its session and its place.
    """

    def __init__(self, seal: Seal | None = None, unseal: Seal | None = None) -> None:
        self._seal = seal
        self._unseal = unseal

    def header(self, header: Header) -> bytes:
        """
        @return: the first line; it is never sealed, but its key is bound to every line that is.
        """
        return _encoder.encode(header) + b"\n"

    def line(self, record: Record, session_id: str) -> bytes:
        """
        @return: a record's line.
        """
        data = _encoder.encode(record)
        if self._seal is not None:
            data = _SEALED + self._seal(data, _place(session_id, record.seq)) + b'","seq":%d}' % record.seq
        return data + b"\n"

    def read(self, line: bytes, seq: int, session_id: str) -> AnyRecord | Damaged:
        """
        @param line: without its end.
        @param seq: its place.
        @return: the record, or what stands for one that cannot be read.
        """
        try:
            if self._unseal is not None and line.startswith(_SEALED):
                line = self._unseal(line[len(_SEALED) : line.index(b'"', len(_SEALED))], _place(session_id, seq))
            record = _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            return Damaged(seq=seq, id="", ts=0.0)
        return record if record.seq == seq else Damaged(seq=seq, id="", ts=0.0)

    def read_last(self, line: bytes, session_id: str) -> AnyRecord | None:
        """
        Read a line whose place only the line itself tells.

        @return: C{None} if it cannot be read.
        """
        try:
            seq = _places.decode(line).seq
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        record = self.read(line, seq, session_id)
        return None if isinstance(record, Damaged) else record


def is_sealed(line: bytes) -> bool:
    """
    @return: whether a line needs a key to be read.
    """
    return line.startswith(_SEALED)


def read_header(line: bytes) -> Header | None:
    """
    @return: C{None} if it is none.
    """
    try:
        header = _headers.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return header if header.version == VERSION else None


def _place(session_id: str, seq: int) -> bytes:
    return f"{session_id}/{seq}".encode()


def event(record: Record, key: str) -> types.Recorded:
    """
    @param key: the session's, in its full text form.
    @return: what clients are told of a record.
    """
    return _EVENTS[type(record)](record, {"session_key": key, "seq": record.seq, "timestamp": types.instant(record.ts)})


def _of_run(made: type[types.Recorded], *names: str) -> Callable[[Any, dict[str, Any]], types.Recorded]:
    """Make an event with the members that it shares with its record."""

    def make(record: Any, shared: dict[str, Any]) -> types.Recorded:
        own = {name: getattr(record, name) for name in names}
        return made(message_id=record.id, run_id=record.run_id, **own, **shared)  # type: ignore[call-arg]

    return make


def _plain(made: type[types.Recorded], *names: str) -> Callable[[Any, dict[str, Any]], types.Recorded]:
    return lambda record, shared: made(**{name: getattr(record, name) for name in names}, **shared)


_EVENTS: dict[type[Record], Callable[[Any, dict[str, Any]], types.Recorded]] = {
    Said: _of_run(types.ChatMessage, "answer_id", "text", "media"),
    Tool: _of_run(types.ChatTool, "call_id", "state", "name", "detail"),
    Answered: _of_run(types.ChatFinal, "text", "finish_reason", "input_tokens", "output_tokens"),
    Failed: _of_run(types.ChatFailed, "code", "message", "retryable", "text"),
    Interrupted: _of_run(types.ChatInterrupted),
    Created: _plain(types.SessionCreated),
    Compacted: _plain(types.SessionCompacted, "upto", "summary"),
    Deleted: _plain(types.SessionDeleted),
    Damaged: _plain(types.RecordDamaged),
}


def message(record: AnyRecord | Damaged) -> types.Message | None:
    """
    @return: how a record looks in a history, C{None} if it is nothing that was said.
    """
    shared: dict[str, Any] = {
        "message_id": record.id,
        "run_id": record.run_id,
        "seq": record.seq,
        "timestamp": types.instant(record.ts),
    }
    match record:
        case Said():
            return types.Message(role="user", text=record.text, media=record.media, **shared)
        case Answered():
            return types.Message(role="assistant", text=record.text, **shared)
        case Failed():
            state = "cancelled" if record.code == "cancelled" else "failed"
            return types.Message(role="assistant", text=record.text, state=state, **shared)
        case Interrupted():
            return types.Message(role="assistant", text="", state="interrupted", **shared)
        case Damaged():
            return types.Message(role="system", text="", state="damaged", **shared)
        case _:
            return None
