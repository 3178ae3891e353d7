"""
The frames of ANPX version 1, as existing peers speak it.

C{docs/protocol/anpx.md}, "Version 1". Every frame names its request by a UUID;
a message too large for one frame comes as numbered chunks. Where the published
text and running peers disagree, this module accepts both and sends what all
understand.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Annotated, TypeVar
from zlib import crc32

import msgspec
from msgspec import Meta
from msgspec import Struct as Value

from anp_twisted.errors import FrameError, FrameTooLarge, HeadError
from anp_twisted.wire import header, heads, tlv

VERSION = 1
SUBPROTOCOL = "anpx.1"
FLAG_CHUNK = 0x01

REQUEST_ID = 0x01
HTTP_META = 0x02
HTTP_BODY = 0x03
RESP_META = 0x04
CHUNK_IDX = 0x0A
CHUNK_TOT = 0x0B
FINAL_CHUNK = 0x0C

#: Bytes of a request id: 36 for a UUID, and room for peers that are freer.
MOST_ID = 64

_T = TypeVar("_T")
_Path = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]+\Z")]
_WORD = Struct("!I")
_FINAL_VALUES = frozenset({b"\x01", b"\x00\x00\x00\x01"})


class Kind(IntEnum):
    """The frame types."""

    REQUEST = 0x01
    RESPONSE = 0x02
    ERROR = 0xFF


_META_TAG: dict[int, int] = {Kind.REQUEST: HTTP_META, Kind.RESPONSE: RESP_META}
_COMMON = frozenset({REQUEST_ID, HTTP_BODY, CHUNK_IDX, CHUNK_TOT, FINAL_CHUNK})
_KNOWN: dict[int, frozenset[int]] = {
    Kind.REQUEST: _COMMON | {HTTP_META},
    Kind.RESPONSE: _COMMON | {RESP_META},
    Kind.ERROR: _COMMON,
}


class Chunk(Value, frozen=True):
    """
    The place of one frame in a message that was cut.

    @ivar index: from 0.
    @ivar total: how many there are, or C{None} where the sender did not say.
    @ivar final: whether the sender called it the last.
    """

    index: int
    total: int | None = None
    final: bool = False


class Frame(Value, frozen=True):
    """
    One frame.

    @ivar kind: a L{Kind}, as a plain number.
    @ivar request_id: what ties an answer to its request; empty only on an error that has none.
    @ivar meta: the JSON of the request or the response, where this frame has it.
    @ivar body: body bytes, or the text of an error.
    @ivar chunk: its place in a cut message, C{None} for a whole one.
    """

    kind: int
    request_id: str
    meta: bytes | None = None
    body: bytes = b""
    chunk: Chunk | None = None


class RequestMeta(Value):
    """The JSON of a request; see the text for what these mappings cannot say."""

    method: Annotated[str, Meta(pattern=heads.METHOD)]
    path: _Path
    headers: dict[str, str] = {}
    query: dict[str, str] = {}


class ResponseMeta(Value):
    """The JSON of a response; the published text has no C{headers}, running peers send them."""

    status: int
    reason: str = ""
    headers: dict[str, str] = {}


_REQUEST_META = msgspec.json.Decoder(RequestMeta)
_RESPONSE_META = msgspec.json.Decoder(ResponseMeta)


def encode(frame: Frame) -> bytes:
    """Make the bytes of one frame; an empty body is left out, as peers do."""
    fields: list[tuple[int, bytes]] = []
    if frame.request_id:
        fields.append((REQUEST_ID, frame.request_id.encode()))
    if frame.meta is not None:
        fields.append((_META_TAG[frame.kind], frame.meta))
    if frame.body:
        fields.append((HTTP_BODY, frame.body))
    if frame.chunk is not None:
        fields += _chunk_fields(frame.chunk)
    body = b"".join(tlv.field_head(tag, len(value)) + value for tag, value in fields)
    flags = 0 if frame.chunk is None else FLAG_CHUNK
    return header.encode(VERSION, (frame.kind, flags, 0), len(body), crc32(body)) + body


def _chunk_fields(chunk: Chunk) -> list[tuple[int, bytes]]:
    """List the fields that say the place of a chunk."""
    fields = [(CHUNK_IDX, _WORD.pack(chunk.index))]
    if chunk.total is not None:
        fields.append((CHUNK_TOT, _WORD.pack(chunk.total)))
    if chunk.final:
        fields.append((FINAL_CHUNK, b"\x01"))
    return fields


def decode(message: bytes, most: int, fields: int = 16) -> Frame:
    """
    Read one frame.

    @param message: one binary WebSocket message.
    @param most: the largest frame accepted, in bytes.
    @param fields: the most fields accepted.
    @raise FrameError: if anything about it is wrong.
    """
    kind, flags, _ = header.decode(VERSION, message, most)
    known = _KNOWN.get(kind)
    if known is None or flags & ~FLAG_CHUNK:
        raise FrameError(f"unknown frame type {kind:#04x} or flags {flags:#04x}")
    found = tlv.decode(message, header.SIZE, known, fields)
    meta = found.get(_META_TAG.get(kind, -1))
    request_id = _request_id(found.get(REQUEST_ID, b""), kind)
    return Frame(kind, request_id, meta, found.get(HTTP_BODY, b""), _chunk(found, bool(flags)))


def _request_id(raw: bytes, kind: int) -> str:
    """Check a request id: printable ASCII, short, and there unless the frame is an error."""
    if len(raw) > MOST_ID:
        raise FrameTooLarge(f"a request id of {len(raw)} bytes")
    if not raw and kind != Kind.ERROR:
        raise FrameError("a frame without request id")
    if any(not 0x21 <= byte <= 0x7E for byte in raw):
        raise FrameError("a request id that is not printable ASCII")
    return raw.decode("ascii")


def _chunk(found: dict[int, bytes], flagged: bool) -> Chunk | None:
    """Read the place of a chunk; the flag and the fields must agree."""
    if not flagged:
        if found.keys() & {CHUNK_IDX, CHUNK_TOT, FINAL_CHUNK}:
            raise FrameError("chunk fields in a frame without the chunk flag")
        return None
    if CHUNK_IDX not in found:
        raise FrameError("a chunk without index")
    final = found.get(FINAL_CHUNK)
    if final is not None and final not in _FINAL_VALUES:
        raise FrameError("a final-chunk field with a wrong value")
    total = _word(found[CHUNK_TOT]) if CHUNK_TOT in found else None
    return Chunk(_word(found[CHUNK_IDX]), total, final is not None)


def _word(value: bytes) -> int:
    """Read a field that is one 32-bit number."""
    if len(value) != _WORD.size:
        raise FrameError("a number of a wrong length")
    number: int = _WORD.unpack(value)[0]
    return number


def decode_request(data: bytes, most: int) -> RequestMeta:
    """
    Read the JSON of a request.

    @raise FrameTooLarge: for a text over C{most} bytes.
    @raise HeadError: for a text of another shape.
    """
    return _decode_meta(_REQUEST_META, data, most)


def decode_response(data: bytes, most: int) -> ResponseMeta:
    """
    Read the JSON of a response.

    @raise FrameTooLarge: for a text over C{most} bytes.
    @raise HeadError: for a text of another shape, or a status that is none.
    """
    meta = _decode_meta(_RESPONSE_META, data, most)
    if not 100 <= meta.status <= 999:
        raise HeadError("a response status that is none")
    return meta


def _decode_meta(decoder: msgspec.json.Decoder[_T], data: bytes, most: int) -> _T:
    """Decode with everything that can go wrong named alike."""
    if len(data) > most:
        raise FrameTooLarge(f"metadata of {len(data)} bytes is over the {most} allowed")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HeadError("malformed metadata") from error
