"""
The frames of ANPX version 2.

C{docs/protocol/anpx.md}, "Version 2". A frame has at most two fields: one that
depends on its type (a head, a credit, a reason: C{meta} here) and one of body
bytes. So one flat value can hold any of them, and the hot path makes no objects
it does not need.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from msgspec import Struct as Value

from anp_twisted.errors import FrameError
from anp_twisted.wire import header, tlv

VERSION = 2
SUBPROTOCOL = "anpx.2"

#: The one flag of version 2: the sender of this frame is done with the stream.
FLAG_END = 0x02

#: Tag of the body bytes.
BODY = 0x03

#: Kinds of MESSAGE, the first byte of the RFC 6455 frame that would carry it: text, binary, close.
TEXT, BINARY, CLOSE = 0x01, 0x02, 0x08

#: Set in the kind of a MESSAGE that is the last part of its message.
LAST = 0x80

#: Credit that a text or binary MESSAGE takes besides its bytes, so that empty ones are not free.
MESSAGE_COST = 32

_MESSAGE_KINDS = frozenset({TEXT, BINARY, TEXT | LAST, BINARY | LAST, CLOSE | LAST})

#: The most a window can hold, so that no sum leaves 32 bits.
MOST_CREDIT = 2**31 - 1


class Kind(IntEnum):
    """The frame types; those from 0x10 to 0x1f concern credit, life and death."""

    REQUEST = 0x01
    RESPONSE = 0x02
    DATA = 0x03
    HELLO = 0x10
    WINDOW = 0x11
    RESET = 0x12
    GOAWAY = 0x13
    PING = 0x14
    PONG = 0x15
    MESSAGE = 0x20


#: The tag of the field that each type has besides body bytes.
META_TAG: dict[int, int] = {
    Kind.REQUEST: 0x02,
    Kind.RESPONSE: 0x04,
    Kind.DATA: 0x05,
    Kind.HELLO: 0x10,
    Kind.WINDOW: 0x11,
    Kind.RESET: 0x12,
    Kind.GOAWAY: 0x13,
    Kind.PING: 0x14,
    Kind.PONG: 0x14,
    Kind.MESSAGE: 0x20,
}

_WITH_BODY = frozenset({Kind.REQUEST, Kind.RESPONSE, Kind.DATA, Kind.MESSAGE})
_ON_CONNECTION = frozenset({Kind.HELLO, Kind.GOAWAY, Kind.PING, Kind.PONG})
_FIXED_META: dict[int, int] = {Kind.WINDOW: 4, Kind.PING: 8, Kind.PONG: 8, Kind.MESSAGE: 1}


class _Rule(NamedTuple):
    """
    What frames of one type must be like.

    @ivar tag: that of their own field.
    @ivar known: the tags they may have.
    @ivar flags: the flags they may have.
    @ivar places: whether they may come on a stream, on the connection, or on both.
    @ivar size: of their own field; any if it is none of a fixed size.
    """

    tag: int
    known: frozenset[int]
    flags: tuple[int, ...]
    places: tuple[bool, ...]
    size: int | None


def _rule(kind: int, tag: int) -> _Rule:
    with_body = kind in _WITH_BODY
    return _Rule(
        tag,
        frozenset({tag, BODY}) if with_body else frozenset({tag}),
        (0, FLAG_END) if with_body else (0,),
        (True, False) if kind == Kind.WINDOW else (kind not in _ON_CONNECTION,),
        _FIXED_META.get(kind),
    )


_RULES: dict[int, _Rule] = {kind: _rule(kind, tag) for kind, tag in META_TAG.items()}
_WORD = Struct("!I")
_DATA = int(Kind.DATA)  # a plain number is compared faster than a member


class Frame(Value, frozen=True, gc=False):
    """
    One frame.

    @ivar kind: a L{Kind}, as a plain number.
    @ivar stream: the stream id, 0 for the connection.
    @ivar end: the sender is done with the stream.
    @ivar meta: the field that depends on the type; C{None} only on DATA without trailers.
    @ivar body: the body bytes, possibly none.
    """

    kind: int
    stream: int
    end: bool = False
    meta: bytes | None = None
    body: tlv.Value = b""


def encode(kind: int, stream: int, end: bool, meta: bytes | None, body: tlv.Value = b"") -> bytes:
    """
    Make the bytes of one frame; the arguments are those of L{Frame}.

    Sizes are not looked at here: the session knows what was agreed on.
    """
    fields = b"" if meta is None else tlv.field_head(META_TAG[kind], len(meta)) + meta
    if body:
        fields += tlv.field_head(BODY, len(body))
    # The body may be large: it is summed where it is, and copied once, into the frame.
    checksum = crc32(body, crc32(fields))
    said = (kind, FLAG_END if end else 0, stream)
    return b"".join((header.encode(VERSION, said, len(fields) + len(body), checksum), fields, body))


def encode_frame(frame: Frame) -> bytes:
    """Make the bytes of a L{Frame} value."""
    return encode(frame.kind, frame.stream, frame.end, frame.meta, frame.body)


def decode(message: bytes, most: int, fields: int = 16) -> Frame:
    """
    Read one frame.

    @param message: one binary WebSocket message.
    @param most: the largest frame accepted, in bytes.
    @param fields: the most fields accepted.
    @raise FrameError: if anything about it is wrong.
    """
    kind, flags, stream = header.decode(VERSION, message, most)
    rule = _RULES.get(kind)
    if rule is None:
        raise FrameError(f"unknown frame type {kind:#04x}")
    tag, known, allowed, places, size = rule
    if flags not in allowed or (stream > 0) not in places:
        raise FrameError(f"flags {flags:#04x} or stream {stream} do not fit frame type {kind:#04x}")
    found = tlv.decode(message, header.SIZE, known, fields)
    meta = found.get(tag)
    if kind != _DATA if meta is None else size is not None and len(meta) != size:
        raise FrameError(f"a frame of type {kind:#04x} lacks its field or has a wrong one")
    return Frame(kind, stream, flags > 0, meta, found.get(BODY, b""))


def cost(frame: Frame) -> int:
    """
    Tell the credit that a frame takes.

    A close is like END: there is one in each direction at most, and it must
    arrive when nothing else can.
    """
    if frame.kind != Kind.MESSAGE:
        return len(frame.body)
    return 0 if is_close(frame.meta) else len(frame.body) + MESSAGE_COST


def is_close(kind: bytes | None) -> bool:
    """Tell whether the field of a MESSAGE says that it is a close."""
    return kind is not None and kind[0] == CLOSE | LAST


def message_is_right(frame: Frame) -> bool:
    """
    Tell whether a MESSAGE is of a known kind and holds what that kind does.

    END rides on a close, and on nothing else. A part that is not the last one
    holds something. A close has no body, or a code and up to 123 bytes of reason.
    """
    kind, size = frame.meta[0] if frame.meta else 0, len(frame.body)
    if kind not in _MESSAGE_KINDS or frame.end != (kind == CLOSE | LAST):
        return False
    if kind == CLOSE | LAST:
        return size == 0 or 2 <= size <= 125
    return bool(size) or bool(kind & LAST)


def pack_credit(credit: int) -> bytes:
    """Make the field of a WINDOW frame."""
    return _WORD.pack(credit)


def unpack_credit(meta: bytes) -> int:
    """
    Read the field of a WINDOW frame.

    @raise FrameError: for a credit of nothing, or of more than any window can hold.
    """
    credit: int = _WORD.unpack(meta)[0]
    if not 0 < credit <= MOST_CREDIT:
        raise FrameError(f"a credit of {credit} bytes")
    return credit
