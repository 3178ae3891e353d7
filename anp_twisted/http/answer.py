"""
The bytes of a response: its head, and how its body is delimited. Pure.

What an application says is judged before a byte of it is written: a field that
would split the response, a status that is none, a length that contradicts
itself or the body raises L{InvalidMessage}, and then nothing was produced.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import HOP_BY_HOP, Header, nominated_by, parse_length, valid_name, valid_value

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_NO_BODY_STATUS = frozenset({204, 304})
_CONTROL = bytes(code for code in range(32) if code != 9) + b"\x7f"

_KEEP = 0
_DATE = 1
_LENGTH = 2
_ID = 3
_OWN = 4
_CODING = 5
_CONNECTION = 6

_PASSED = (_KEEP, _DATE, _ID)

_KNOWN_NAMES = 2048
_LONGEST_KNOWN_NAME = 64


class Delimiter(Enum):
    """How the end of a response body is known (RFC 9112, 6.3)."""

    NO_BODY = "no body whatever the head says, as after HEAD"
    EMPTY = "a status that has no body"
    LENGTH = "Content-Length"
    CHUNKED = "chunked"
    CLOSE = "the connection ends"


class Asked(NamedTuple):
    """
    What of a request decides about the form of its response.

    @ivar head_only: the method was HEAD.
    @ivar http11: the caller knows HTTP/1.1.
    @ivar keep_alive: caller and channel want to use the connection again.
    @ivar shown_id: the value of C{X-Request-ID} that the caller gets, whatever
        the response says; nothing leaves the field to the response.
    """

    head_only: bool
    http11: bool
    keep_alive: bool
    shown_id: bytes = b""


class Framing:
    """
    The body of one response on its way.

    @ivar delimiter: how its end is known.
    @ivar left: bytes still owed, with L{Delimiter.LENGTH}.
    @ivar keep_alive: whether the connection can be used after the response.
    """

    __slots__ = ("delimiter", "keep_alive", "left")

    def __init__(self, delimiter: Delimiter, *, left: int, keep_alive: bool) -> None:
        self.delimiter = delimiter
        self.left = left
        self.keep_alive = keep_alive

    @property
    def unfinished(self) -> bool:
        """
        Whether a caller who gets no more can tell that something is missing.
        """
        return self.delimiter is Delimiter.CHUNKED or (self.delimiter is Delimiter.LENGTH and self.left > 0)

    def piece(self, data: bytes) -> bytes:
        """
        Frame a piece of the body.

        @return: what goes to the caller: nothing after HEAD, since applications
            answer it as they do GET.
        @raise InvalidMessage: if it is more than C{Content-Length} said, or if the
            status has no body.
        """
        delimiter = self.delimiter
        if delimiter is Delimiter.LENGTH:
            if len(data) > self.left:
                raise InvalidMessage("the body is longer than its Content-Length")
            self.left -= len(data)
            return data
        if delimiter is Delimiter.CHUNKED:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        if data and delimiter is Delimiter.EMPTY:
            raise InvalidMessage("this status has no body")
        return data if delimiter is Delimiter.CLOSE else b""

    def end(self, trailers: Sequence[Header]) -> bytes | None:
        """
        End the body.

        @param trailers: sent if the body is chunked, else dropped.
        @return: what goes to the caller, or C{None} if the body is too short, so
            that only cutting the connection tells the truth.
        @raise InvalidMessage: if a trailer is malformed.
        """
        if self.delimiter is Delimiter.LENGTH and self.left:
            return None
        if self.delimiter is not Delimiter.CHUNKED:
            return b""
        if not trailers:
            return LAST_CHUNK
        return b"0\r\n" + fields([field for field in trailers if _KINDS[field[0]] in _PASSED]) + b"\r\n"


def answer_head(status: int, headers: list[Header], *, asked: Asked, date: bytes) -> tuple[bytes, Framing]:
    """
    Make the head of a final response.

    Fields that concern the connection, and those that C{Connection} lists, are this
    side's business: those given are left out.

    @param date: the value of C{Date} if C{headers} has none.
    @return: the bytes of the head, and how its body goes on.
    @raise InvalidMessage: if the status or a field is malformed, or if lengths
        contradict each other.
    """
    line = _status_line(status, 200)
    kinds = [_KINDS[name] for name, _ in headers]
    length = _declared_length(headers, kinds) if _LENGTH in kinds else None
    kept = headers
    if status == 204 or (kinds and max(kinds) > _LENGTH):
        kept = _kept(headers, kinds, status=status, shown_id=asked.shown_id)
    delimiter = _delimiter(status, length, asked=asked)
    framing = Framing(delimiter, left=length or 0, keep_alive=asked.keep_alive and delimiter is not Delimiter.CLOSE)
    own = _own_fields(framing, asked)
    when = b"" if _DATE in kinds else b"Date: %b\r\n" % date
    return b"%b%b%b%b\r\n" % (line, fields(kept), when, own), framing


def informational_head(status: int, headers: list[Header]) -> bytes:
    """
    Make an interim response (RFC 9110, 15.2).

    @raise InvalidMessage: if the status is none of them, or 101, which would end
        HTTP on this connection, or if a field is malformed.
    """
    if status == 101:
        raise InvalidMessage("101 was not asked for")
    line = _status_line(status, 100)
    return line + fields([field for field in headers if _KINDS[field[0]] in _PASSED]) + b"\r\n"


def fields(headers: list[Header]) -> bytes:
    """
    The lines of a header block. The names were checked by L{_Kinds}.

    @raise InvalidMessage: if a value holds a control character.
    """
    block = b"".join([b"%b: %b\r\n" % field for field in headers])
    # The line ends put in here are the only control characters there may be.
    if len(block.translate(None, _CONTROL)) != len(block) - 2 * len(headers):
        raise InvalidMessage("a header value holds a control character")
    return block


def _status_line(status: int, least: int) -> bytes:
    """
    @param least: 100 for an interim response, 200 for a final one.
    @raise InvalidMessage: if it is no status of that kind.
    """
    line = _STATUS_LINES.get(status) if type(status) is int else None
    if line is None or (status < 200) != (least < 200):
        raise InvalidMessage("not a response status")
    return line


def _make_status_lines() -> dict[int, bytes]:
    known = {int(status): status.phrase for status in HTTPStatus}
    return {code: f"HTTP/1.1 {code} {known.get(code, '')}\r\n".encode() for code in range(100, 1000)}


_STATUS_LINES = _make_status_lines()


class _Kinds(dict[bytes, int]):
    """
    What response fields mean for the framing, by name. Short names are
    remembered: applications use the same few over and over.
    """

    def __missing__(self, name: bytes) -> int:
        """
        @raise InvalidMessage: if it is no field name.
        """
        if not valid_name(name):
            raise InvalidMessage("not a header field name")
        lower = name.lower()
        kind = _SPECIAL.get(lower, _OWN if lower in HOP_BY_HOP else _KEEP)
        if len(name) <= _LONGEST_KNOWN_NAME and len(self) < _KNOWN_NAMES:
            self[name] = kind
        return kind


_SPECIAL = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"x-request-id": _ID,
    b"date": _DATE,
}
_KINDS = _Kinds()


def _declared_length(headers: list[Header], kinds: list[int]) -> int:
    """
    @raise InvalidMessage: for a malformed length, for two, and for a length with
        a transfer coding: whoever wrote that means two different bodies.
    """
    if kinds.count(_LENGTH) > 1:
        raise InvalidMessage("Content-Length is given more than once")
    if _CODING in kinds:
        raise InvalidMessage("both Content-Length and Transfer-Encoding are given")
    return parse_length(headers[kinds.index(_LENGTH)][1])


def _kept(headers: list[Header], kinds: list[int], *, status: int, shown_id: bytes) -> list[Header]:
    """
    The fields that are passed on.
    """
    dropped = {_OWN, _CODING, _CONNECTION}
    if status == 204:
        dropped.add(_LENGTH)
    if shown_id:
        dropped.add(_ID)
    kept = [field for field, kind in zip(headers, kinds, strict=True) if kind not in dropped]
    if _CONNECTION in kinds:
        if not all(valid_value(value) for (_, value), kind in zip(headers, kinds, strict=True) if kind == _CONNECTION):
            raise InvalidMessage("a header value holds a control character")
        nominated = frozenset(nominated_by(headers))
        kept = [field for field in kept if field[0].lower() not in nominated]
    return kept


def _delimiter(status: int, length: int | None, *, asked: Asked) -> Delimiter:
    """
    RFC 9112, 6.3, from the sender's side.
    """
    if asked.head_only:
        return Delimiter.NO_BODY
    if status in _NO_BODY_STATUS:
        return Delimiter.EMPTY
    if length is not None:
        return Delimiter.LENGTH
    return Delimiter.CHUNKED if asked.http11 else Delimiter.CLOSE


def _own_fields(framing: Framing, asked: Asked) -> bytes:
    """
    The fields of this connection.
    """
    own = b"X-Request-ID: %b\r\n" % asked.shown_id if asked.shown_id else b""
    if framing.delimiter is Delimiter.CHUNKED:
        own += b"Transfer-Encoding: chunked\r\n"
    if not framing.keep_alive:
        return own + b"Connection: close\r\n"
    return own if asked.http11 else own + b"Connection: keep-alive\r\n"
