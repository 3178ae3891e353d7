"""
The bytes of one connection, cut into request heads and bodies.

C{httptools} (llhttp in strict mode) reads the heads. It does not tell how far
it came, so it is never given more than one head: a head ends with the first
empty line, and what was received is cut behind that. Bodies are counted or
L{chunked<ChunkedBody>} and need no parser. This way no byte of a second request is
ever looked at before the first is done with.
"""

from __future__ import annotations

from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from anp_twisted.errors import RequestRefused
from anp_twisted.headers import HOP_BY_HOP, Header
from anp_twisted.http.chunked import ChunkedBody
from anp_twisted.http.head import Parsed, RequestHead, check_head, explain, oversize_status
from anp_twisted.limits import Limits

_EMPTY_LINE = b"\r\n\r\n"
_BLANK_BYTES = 4
"""Line ends before a request line that are forgiven (RFC 9112, 2.2 asks for one)."""

_NOT_IN_TRAILERS = HOP_BY_HOP | {b"authorization", b"content-length", b"cookie", b"expect", b"forwarded", b"host"}
"""Fields that decide about a request and so cannot come after its body (RFC 9110, 6.5.1)."""


class BodyPart(NamedTuple):
    """
    What one read brought of a body.

    @ivar data: its bytes, chunk framing removed.
    @ivar ended: nothing more follows.
    @ivar trailers: empty unless C{ended}.
    @ivar rest: bytes behind the end of this request.
    """

    data: bytes
    ended: bool
    trailers: list[Header]
    rest: bytes


class Intake:
    """
    The parser of one connection: one head, then its body, then the next head.

    The methods that start with C{on_} are for httptools alone.
    """

    def __init__(self, limits: Limits, *, secure: bool) -> None:
        """
        @param secure: the connection is a TLS one.
        """
        self._limits = limits
        self._secure = secure
        self._parser = HttpRequestParser(self)
        self._raw = b""
        self._blank = 0
        self._target = b""
        self._fields: list[Header] = []
        self._keep_alive = False
        self._head_complete = False
        self._chunked: ChunkedBody | None = None
        self._left = 0

    # --- called by httptools ---------------------------------------------

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        # Only here: llhttp forgets it as soon as a message without a body ends.
        self._keep_alive = self._parser.should_keep_alive()
        self._head_complete = True

    # --- heads -------------------------------------------------------------

    def feed_head(self, data: bytes) -> tuple[RequestHead | None, bytes]:
        """
        Take bytes that belong to a head.

        @return: the head once it is complete, and what follows it.
        @raise RequestRefused: if this is, or cannot become, a request we take.
        """
        before = self._raw
        if not before and data[:1] in (b"\r", b"\n"):
            data = self._skip_blank(data)
        cut = _cut_behind_empty_line(before[-3:], data)
        piece, rest = (data, b"") if cut < 0 else (data[:cut], data[cut:])
        self._raw = before + piece if before else piece
        if len(self._raw) > self._limits.request_head:
            raise RequestRefused(oversize_status(self._raw, self._limits))
        upgrade = self._parse(piece)
        if self._head_complete and cut >= 0:
            return self._take_head(upgrade), rest
        if self._head_complete or cut >= 0:
            # It would not agree with llhttp about where the head ends.
            raise RequestRefused(400)
        return None, rest

    def _skip_blank(self, data: bytes) -> bytes:
        """
        Drop the line ends some callers send between requests.
        """
        stripped = data.lstrip(b"\r\n")
        self._blank += len(data) - len(stripped)
        if self._blank > _BLANK_BYTES:
            raise RequestRefused(400)
        return stripped

    def _parse(self, piece: bytes) -> bool:
        """
        Give llhttp a piece of a head.

        @return: whether it took it for the head of an upgrade.
        """
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade:
            return True
        except HttpParserError:
            # A complete head may have a fault that a check of ours names better.
            if self._head_complete:
                self._take_head(False)
                raise RequestRefused(400) from None
            raise RequestRefused(explain(self._raw)) from None
        return False

    def _take_head(self, upgrade: bool) -> RequestHead:
        """
        Check the head that is complete and get ready for its body.
        """
        method = self._parser.get_method()
        parsed = Parsed(method, self._target, self._fields, self._raw, self._keep_alive, upgrade)
        head = check_head(parsed, secure=self._secure, limits=self._limits)
        self._raw = self._target = b""
        self._blank = 0
        self._fields = []
        self._head_complete = False
        if head.has_body:
            self._left = head.content_length or 0
            self._chunked = ChunkedBody(self._limits) if head.content_length is None else None
            # The old one waits for a body that it will not be given.
            self._parser = HttpRequestParser(self)
        return head

    # --- bodies ------------------------------------------------------------

    def feed_body(self, data: bytes) -> BodyPart:
        """
        Take bytes that belong to the body of the last head, if it has one.

        @raise RequestRefused: as L{ChunkedBody.feed} does.
        """
        if self._chunked is not None:
            return self._feed_chunked(self._chunked, data)
        piece, rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return BodyPart(piece, not self._left, [], rest)

    def _feed_chunked(self, body: ChunkedBody, data: bytes) -> BodyPart:
        pieces, rest = body.feed(data)
        # Joined: tiny chunks shall not become tiny frames.
        joined = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        trailers = _allowed(body.trailers) if body.ended else []
        return BodyPart(joined, body.ended, trailers, rest)


def _allowed(trailers: list[Header]) -> list[Header]:
    return [(name, value) for name, value in trailers if b"_" not in name and name.lower() not in _NOT_IN_TRAILERS]


def _cut_behind_empty_line(tail: bytes, data: bytes) -> int:
    """
    Where the first empty line ends that is complete with C{data}.

    @param tail: the last three bytes, or fewer, that came before.
    @return: a position in C{data}, or -1.
    """
    if tail:
        found = (tail + data[:3]).find(_EMPTY_LINE)
        if found >= 0:
            return found + 4 - len(tail)
    found = data.find(_EMPTY_LINE)
    return -1 if found < 0 else found + 4
