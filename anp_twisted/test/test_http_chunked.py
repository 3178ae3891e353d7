"""
Tests for L{anp_twisted.http.chunked}.
"""

from __future__ import annotations

from dataclasses import replace

from httptools import HttpParserError, HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import RequestRefused
from anp_twisted.http.chunked import ChunkedBody
from anp_twisted.limits import DEFAULT_LIMITS, Limits

LIMITS = replace(DEFAULT_LIMITS, body=1000, fields=3, field=100, request_head=150)


def decode(data: bytes, step: int = 0, limits: Limits = LIMITS) -> tuple[ChunkedBody, bytes, bytes]:
    """
    Decode received bytes.

    @param step: bytes per read; 0 for all in one.
    @return: the decoder, the body and what was left over.
    """
    decoder = ChunkedBody(limits)
    body = rest = b""
    step = step or max(1, len(data))
    for start in range(0, len(data), step):
        pieces, left = decoder.feed(data[start : start + step])
        body += b"".join(pieces)
        rest += left
    return decoder, body, rest


class Oracle:
    """llhttp's opinion on a chunked body."""

    def __init__(self, data: bytes) -> None:
        self.body = b""
        self.ended = False
        parser = HttpRequestParser(self)
        parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """Collect it."""
        self.body += data

    def on_message_complete(self) -> None:
        """Note it."""
        self.ended = True


class ChunkedTests(SynchronousTestCase):
    """Decoding what is well-formed."""

    def test_trailers_and_rest(self) -> None:
        """Extensions are skipped, trailers kept, and what follows is left alone."""
        data = b'3;a=b;c="d"\r\nabc\r\n1F\r\n' + b"x" * 31 + b"\r\n000\r\nA: b \r\nc:\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        decoder, body, rest = decode(data)
        self.assertTrue(decoder.ended)
        self.assertEqual(body, b"abc" + b"x" * 31)
        self.assertEqual(decoder.trailers, [(b"A", b"b"), (b"c", b"")])
        self.assertEqual(rest, b"GET / HTTP/1.1\r\n\r\n")

    @given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 50), st.binary(max_size=9))
    def test_any_cut(self, chunks: list[bytes], step: int, rest: bytes) -> None:
        """However it arrives, the same body comes out and the same bytes are left."""
        data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nT: v\r\n\r\n"
        decoder, body, left = decode(data + rest, step)
        self.assertTrue(decoder.ended)
        self.assertEqual(body, b"".join(chunks))
        self.assertEqual(left, rest)
        self.assertEqual(decoder.trailers, [(b"T", b"v")])


class RefusedTests(SynchronousTestCase):
    """What is not well-formed ends the request."""

    def assert_refused(self, status: int, data: bytes) -> None:
        """
        It is refused with C{status}, in one read and byte by byte.
        """
        for step in (0, 1):
            refused = self.assertRaises(RequestRefused, decode, data, step)
            self.assertEqual(refused.status, status, (data, step))

    def test_sizes(self) -> None:
        """A size is 1 to 16 hexadecimal digits and nothing else."""
        for size in (
            b"",
            b"+1",
            b"-1",
            b"0x1",
            b" 1",
            b"1 ",
            b"1\t",
            b"g",
            b"1_0",
            b"0" * 16 + b"1",
            b"1;\x00",
            b"1;",
            b"1; a",
            b"1;=b",
            b"1;a=",
            b'1;a="b',
            b"1\r",
        ):
            self.assert_refused(400, size + b"\r\na\r\n0\r\n\r\n")

    def test_line_ends(self) -> None:
        """A line ends with CRLF, a chunk with the line end right behind it."""
        for data in (
            b"1\na\r\n0\r\n\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1\r\na0\r\n\r\n",
            b"1\r\naXX0\r\n\r\n",
            b"1\r\na\rb",
            b"0\r\n\n",
            b"0\r\nA: b\n\r\n",
            b"0\r\n\rA: b\r\n\r\n",
        ):
            self.assert_refused(400, data)

    def test_trailers(self) -> None:
        """Trailers are fields like any others."""
        for line in (b"a", b" a: b", b"a : b", b": b", b"a: b\x00", b"a: b\r\n c", b"a\xe9: b"):
            self.assert_refused(400, b"0\r\n" + line + b"\r\n\r\n")

    def test_caps(self) -> None:
        """Every length has an end, and it is told before the bytes come."""
        self.assert_refused(413, b"3E9\r\n")
        self.assert_refused(413, b"3E8\r\n" + b"x" * 1000 + b"\r\n1\r\n")
        self.assert_refused(413, b"f" * 16 + b"\r\n")
        self.assert_refused(431, b"1;" + b"a" * 2000)
        self.assert_refused(431, b"0\r\n" + b"a: b\r\n" * 4)
        self.assert_refused(431, b"0\r\na: " + b"b" * 100)
        self.assert_refused(431, b"0\r\n" + (b"a: " + b"b" * 80 + b"\r\n") * 2)

    def test_at_the_cap(self) -> None:
        """A body of exactly the cap passes."""
        _, body, _ = decode(b"3E8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n")
        self.assertEqual(len(body), 1000)

    @given(
        st.lists(
            st.sampled_from([b"0", b"1", b"2", b"a", b"\r\n", b"\n", b"\r", b" ", b";", b"x=1", b"+", b":", b"T: v"]),
            max_size=12,
        ).map(b"".join)
    )
    def test_never_laxer_than_llhttp(self, data: bytes) -> None:
        """What is taken here is taken by llhttp, and read the same."""
        try:
            decoder, body, rest = decode(data)
        except RequestRefused:
            return
        used = data[: len(data) - len(rest)]
        try:
            oracle = Oracle(used)
        except HttpParserError:
            # llhttp refuses some incomplete lines earlier.
            self.assertFalse(decoder.ended, data)
            return
        self.assertEqual((oracle.body, oracle.ended), (body, decoder.ended))
