"""
The chunked transfer coding (RFC 9112, 7.1), decoded strictly. Pure.

A second reader on the way that sees chunk borders elsewhere is how one request
becomes two, so nothing is forgiven: lines end with CRLF, sizes are 1 to 16
hexadecimal digits with nothing around them, and what surrounds the body bytes
is capped.
"""

from __future__ import annotations

import re
from enum import Enum

from anp_twisted.errors import RequestRefused
from anp_twisted.headers import Header, valid_name, valid_value
from anp_twisted.limits import Limits

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb'|"[\t !#-\[\]-~\x80-\xff]*"))?)*'
)
_LONGEST_SIZE_LINE = 1024
"""A chunk size with its extensions, which nobody uses."""


class _Part(Enum):
    """What comes next."""

    SIZE = "a line with the size of a chunk"
    DATA = "the bytes of a chunk"
    DATA_END = "the line end behind them"
    TRAILER = "a trailer field or the empty line that ends the body"
    END = "nothing"


class ChunkedBody:
    """
    One chunked body.

    @ivar ended: it is complete.
    @ivar trailers: the fields behind it, complete once L{ended}.
    """

    __slots__ = ("_left", "_limits", "_line", "_part", "_received", "_trailer_bytes", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._part = _Part.SIZE
        self._line = b""
        self._left = 0
        self._received = 0
        self._trailer_bytes = 0
        self.trailers: list[Header] = []

    @property
    def ended(self) -> bool:
        """
        Whether the body is complete.
        """
        return self._part is _Part.END

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """
        Take received bytes.

        @return: pieces of the body, and what lies behind its end.
        @raise RequestRefused: 400 for broken framing, 413 if the body is over its
            cap, 431 if a size line or the trailers are over theirs.
        """
        pieces: list[bytes] = []
        position = 0
        while position < len(data) and self._part is not _Part.END:
            if self._part is _Part.DATA:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if not self._left:
                    self._part = _Part.DATA_END
            else:
                position = self._feed_line(data, position)
        return pieces, data[position:]

    def _feed_line(self, data: bytes, position: int) -> int:
        """
        Take a line or a part of one.

        @return: the position behind it.
        """
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        line = self._line + data[position:stop] if self._line else data[position:stop]
        self._check_line_size(len(line))
        if end < 0:
            # Told now rather than when the line is complete, which may be never.
            if self._part is _Part.DATA_END and line != b"\r":
                raise RequestRefused(400)
            self._line = line
            return stop
        if line[-2:-1] != b"\r":
            raise RequestRefused(400)
        self._line = b""
        self._take_line(line[:-2])
        return stop

    def _check_line_size(self, size: int) -> None:
        if self._part is _Part.TRAILER:
            if size > self._limits.field or self._trailer_bytes + size > self._limits.request_head:
                raise RequestRefused(431)
        elif self._part is _Part.DATA_END:
            if size > len(b"\r\n"):
                raise RequestRefused(400)
        elif size > _LONGEST_SIZE_LINE:
            raise RequestRefused(431)

    def _take_line(self, line: bytes) -> None:
        """
        @param line: without its line end.
        """
        if self._part is _Part.SIZE:
            self._take_size(line)
        elif self._part is _Part.DATA_END:
            if line:
                raise RequestRefused(400)
            self._part = _Part.SIZE
        elif line:
            self._take_trailer(line)
        else:
            self._part = _Part.END

    def _take_size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise RequestRefused(400)
        self._left = int(match[1], 16)
        self._received += self._left
        if self._received > self._limits.body:
            raise RequestRefused(413)
        self._part = _Part.DATA if self._left else _Part.TRAILER

    def _take_trailer(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not valid_name(name) or not valid_value(value):
            raise RequestRefused(400)
        self._trailer_bytes += len(line) + 2
        self.trailers.append((name, value))
        if len(self.trailers) > self._limits.fields:
            raise RequestRefused(431)
