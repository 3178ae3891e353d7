"""
The answer of an HTTP server, cut into heads, pieces of the body and the end. No I/O.

As on the public port, llhttp reads one head at a time and never a body: a head
ends with the first empty line, a body is counted or chunked. What a strict
reader would not take is refused, since a second reader on the way, the gateway or
the caller, may see other borders in it (RFC 9112, 6.3).
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from anp_twisted.errors import BackendFault, InvalidMessage, RequestRefused
from anp_twisted.headers import Header, content_length, get_all, strip_hop_by_hop, tokens, valid_fields
from anp_twisted.http.chunked import ChunkedBody
from anp_twisted.limits import Limits

_WITHOUT_BODY: Final = frozenset({204, 304})

_NO_CAP: Final = 1 << 62
"""For the body of an answer: it is passed on as it comes, so nothing bounds it."""

_NOT_IN_TRAILERS: Final = frozenset({b"content-length", b"transfer-encoding", b"host", b"set-cookie", b"connection"})


class ReplyHead(NamedTuple):
    """
    A head.

    @ivar status: one below 200 comes before the head of the answer itself.
    @ivar headers: as they came, without those that concern the connection.
    @ivar chunked: trailers may follow the body.
    """

    status: int
    headers: list[Header]
    chunked: bool


class ReplyEnd(NamedTuple):
    """
    The answer is complete.

    @ivar trailers: the fields behind the body.
    """

    trailers: list[Header]


ReplyEvent = ReplyHead | bytes | ReplyEnd


class Part(Enum):
    """What comes next: a head, or a body whose end is known in one of three ways, or nothing."""

    HEAD = auto()
    COUNTED = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    DONE = auto()


class Reply:
    """
    One answer.

    The methods that start with C{on_} are for httptools alone.

    @ivar part: what comes next.
    @ivar begun: whether anything came at all.
    @ivar reusable: whether the connection may be used for another request, once the answer is complete.
    """

    __slots__ = (
        "_chunked",
        "_complete",
        "_fields",
        "_informational",
        "_left",
        "_limits",
        "_parser",
        "_raw",
        "_silent",
        "begun",
        "part",
        "reusable",
    )

    def __init__(self, method: str, limits: Limits) -> None:
        """
        @param method: of the request: what answers HEAD has no body.
        """
        self.part = Part.HEAD
        self.begun = False
        self.reusable = False
        self._limits = limits
        self._silent = method == "HEAD"
        self._informational = 0
        self._left = 0
        self._chunked: ChunkedBody | None = None
        self._reset()

    def _reset(self) -> None:
        """Get ready for a head."""
        self._raw = b""
        self._fields: list[Header] = []
        self._complete = False
        self._parser = HttpResponseParser(self)

    # --- called by httptools ---------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Only here llhttp knows whether the connection stays: later it forgets."""
        self.reusable = self._parser.should_keep_alive()
        self._complete = True

    # --- from the connection -----------------------------------------------

    def feed(self, data: bytes) -> list[ReplyEvent]:
        """
        Take what came.

        @raise BackendFault: if it is not an answer that can be passed on.
        """
        self.begun = True
        events: list[ReplyEvent] = []
        while data:
            if self.part is Part.HEAD:
                data = self._feed_head(data, events)
            elif self.part is Part.DONE:
                self.reusable = False  # more than was asked for
                return events
            else:
                data = self._feed_body(data, events)
        return events

    def closed(self, cleanly: bool) -> list[ReplyEvent]:
        """
        Take the end of the connection.

        @param cleanly: the other side ended it in good order.
        @raise BackendFault: if the answer is not complete with that.
        """
        self.reusable = False
        if self.part is Part.DONE:
            return []
        if self.part is Part.UNTIL_CLOSE and cleanly:
            self.part = Part.DONE
            return [ReplyEnd([])]
        raise BackendFault("it closed the connection " + ("within its answer" if self.begun else "without an answer"))

    # --- heads -------------------------------------------------------------

    def _feed_head(self, data: bytes, events: list[ReplyEvent]) -> bytes:
        """
        Take bytes of a head.

        @return: what follows it.
        """
        raw = self._raw + data if self._raw else data
        end = raw.find(b"\r\n\r\n", max(0, len(self._raw) - 3))
        if (end if end >= 0 else len(raw)) > self._limits.target_head:
            raise BackendFault("the head of its answer is too large")
        # llhttp gets each byte once, and none behind the head.
        piece, rest = (data, b"") if end < 0 else (raw[len(self._raw) : end + 4], raw[end + 4 :])
        self._parse(piece)
        self._raw = raw
        if self._complete != (end >= 0):
            raise BackendFault("its answer is not HTTP")
        if self._complete:
            self._take_head(events)
        return rest

    def _parse(self, piece: bytes) -> None:
        """Give llhttp a piece of a head."""
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade:
            raise BackendFault("it switched protocols, which nobody asked for") from None
        except HttpParserError as error:
            raise BackendFault("its answer is not HTTP") from error

    def _take_head(self, events: list[ReplyEvent]) -> None:
        """Judge a head that is complete, and find out how its body ends."""
        status, version, fields = self._parser.get_status_code(), self._parser.get_http_version(), self._fields
        if version not in ("1.1", "1.0") or not 100 <= status <= 999 or len(fields) > self._limits.headers:
            raise BackendFault("its answer is none that can be passed on")
        if not valid_fields(fields):
            raise BackendFault("a header field of its answer has a forbidden character")
        if status < 200:
            self._count_informational()
        else:
            self.part = self._body_of(status, version, fields)
        kept = strip_hop_by_hop(fields)
        events.append(ReplyHead(status, kept, self.part is Part.CHUNKED))
        self._reset_after(events)

    def _count_informational(self) -> None:
        """A server may send several heads below 200, but not without end."""
        self._informational += 1
        if self._informational > self._limits.informational:
            raise BackendFault("it sends too many heads before its answer")

    def _reset_after(self, events: list[ReplyEvent]) -> None:
        """Go on behind a head."""
        if self.part is Part.HEAD:
            reusable = self.reusable
            self._reset()
            self.reusable = reusable
        elif self.part is Part.DONE:
            events.append(ReplyEnd([]))

    def _body_of(self, status: int, version: str, fields: list[Header]) -> Part:
        """
        Find out how the body ends (RFC 9112, 6.3).

        @raise BackendFault: if two readers could differ about it.
        """
        codings = tokens(get_all(fields, b"transfer-encoding"))
        try:
            length = content_length(fields)
        except InvalidMessage as error:
            raise BackendFault("the length of its answer is malformed") from error
        if codings and (length is not None or codings != [b"chunked"] or version == "1.0"):
            raise BackendFault("its answer has a transfer coding that cannot be passed on")
        if self._silent or status in _WITHOUT_BODY:
            return Part.DONE
        if codings:
            self._chunked = ChunkedBody(replace(self._limits, body=_NO_CAP))
            return Part.CHUNKED
        if length is None:
            return Part.UNTIL_CLOSE
        self._left = length
        return Part.COUNTED if length else Part.DONE

    # --- bodies ------------------------------------------------------------

    def _feed_body(self, data: bytes, events: list[ReplyEvent]) -> bytes:
        """
        Take bytes of a body.

        @return: what follows it.
        """
        if self.part is Part.UNTIL_CLOSE:
            events.append(data)
            return b""
        if self._chunked is not None:
            return self._feed_chunked(self._chunked, data, events)
        piece, rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        events.append(piece)
        if not self._left:
            self.part = Part.DONE
            events.append(ReplyEnd([]))
        return rest

    def _feed_chunked(self, body: ChunkedBody, data: bytes, events: list[ReplyEvent]) -> bytes:
        """Take bytes of a chunked body; what came together stays together, so that tiny chunks cost little."""
        try:
            pieces, rest = body.feed(data)
        except RequestRefused as error:
            raise BackendFault("the chunks of its answer are malformed") from error
        if pieces:
            events.append(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if body.ended:
            self.part = Part.DONE
            events.append(ReplyEnd([field for field in body.trailers if field[0].lower() not in _NOT_IN_TRAILERS]))
        return rest
