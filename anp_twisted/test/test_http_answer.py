"""
Tests for L{anp_twisted.http.answer}.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import HOP_BY_HOP, Header
from anp_twisted.http.answer import Asked, Delimiter, Framing, answer_head, informational_head

KEEP = Asked(head_only=False, http11=True, keep_alive=True)
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
DATE_LINE = b"Date: " + DATE + b"\r\n"


class Made(NamedTuple):
    """
    A head and how its body goes on.
    """

    data: bytes
    framing: Framing


def make(status: int, headers: list[Header], asked: Asked = KEEP) -> Made:
    """
    A head at a fixed time.
    """
    return Made(*answer_head(status, headers, asked=asked, date=DATE))


class HeadTests(SynchronousTestCase):
    """The bytes of a head."""

    def test_order(self) -> None:
        """Fields leave as they were given; the date is added behind them."""
        headers = [(b"Set-Cookie", b"a"), (b"x", b""), (b"set-cookie", b"b\xff\tc"), (b"Content-Length", b"2")]
        self.assertEqual(
            make(200, headers).data,
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nx: \r\nset-cookie: b\xff\tc\r\nContent-Length: 2\r\n"
            + DATE_LINE
            + b"\r\n",
        )

    def test_own_date(self) -> None:
        """A given date is not doubled."""
        self.assertEqual(make(200, [(b"date", b"now")]).data.lower().count(b"date:"), 1)

    def test_unknown_status(self) -> None:
        """A status without a phrase keeps the space (RFC 9112, 4)."""
        self.assertTrue(make(599, []).data.startswith(b"HTTP/1.1 599 \r\n"))

    def test_connection_fields(self) -> None:
        """Fields of the connection are this side's business."""
        for name in HOP_BY_HOP:
            data = make(
                200, [(b"Content-Length", b"0") if name != b"transfer-encoding" else (b"x", b"y"), (name, b"z")]
            )
            self.assertNotIn(b"\r\n" + name + b": z", data.data.lower())

    def test_statuses(self) -> None:
        """A final status is an integer of three digits from 200."""
        for status in (99, 100, 101, 199, 1000, -1, 0, True, "200", "200 x", 200.0, None):
            self.assertRaises(InvalidMessage, answer_head, status, [], asked=KEEP, date=DATE)

    def test_names(self) -> None:
        """A name is a token."""
        for name in (b"", b"a b", b"a:", b"a\r\nb", b"\xe9", b"a: b", b"x" * 100 + b" "):
            self.assertRaises(InvalidMessage, make, 200, [(name, b"v")])

    def test_long_names(self) -> None:
        """A long name is judged like a short one, each time."""
        name = b"content-length" + b"-" * 100
        for _ in range(2):
            self.assertIn(name + b": 1\r\n", make(200, [(name, b"1")]).data)

    @given(st.binary(max_size=12), st.sampled_from([b"x", b"Connection", b"Date", b"Content-Type"]))
    def test_values(self, value: bytes, name: bytes) -> None:
        """No value can add a line or end the head, in whatever field it stands."""
        try:
            data = make(204, [(name, value), (b"y", b"z")]).data
        except InvalidMessage:
            self.assertTrue(any(code < 32 or code == 127 for code in value))
            return
        self.assertFalse(any((code < 32 and code != 9) or code == 127 for code in value))
        self.assertEqual(data.count(b"\r\n\r\n"), 1)
        self.assertEqual(data.count(b"\n"), data.count(b"\r\n"))

    def test_lengths(self) -> None:
        """Malformed, doubled and contradicted lengths raise."""
        length = (b"Content-Length", b"2")
        for headers in (
            [length, length],
            [(b"content-length", b"2"), (b"CONTENT-LENGTH", b"3")],
            [length, (b"Transfer-Encoding", b"chunked")],
            [(b"Content-Length", b"-1")],
            [(b"Content-Length", b"2, 2")],
            [(b"Content-Length", b"")],
        ):
            self.assertRaises(InvalidMessage, make, 200, headers)


class ConnectionTests(SynchronousTestCase):
    """Whether the connection lives on, and that the caller is told."""

    def test_keep_alive(self) -> None:
        """HTTP/1.1 says so only when it ends, HTTP/1.0 only when it stays."""
        length = [(b"Content-Length", b"0")]
        for http11, wanted, line in (
            (True, True, b""),
            (True, False, b"Connection: close\r\n"),
            (False, True, b"Connection: keep-alive\r\n"),
            (False, False, b"Connection: close\r\n"),
        ):
            head = make(200, length, Asked(head_only=False, http11=http11, keep_alive=wanted))
            self.assertEqual(head.data, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + DATE_LINE + line + b"\r\n")
            self.assertEqual(head.framing.keep_alive, wanted)

    def test_application_closes(self) -> None:
        """What the connection to the application is like is no concern of the caller, nor are fields for it alone."""
        head = make(200, [(b"Connection", b"X-Hop, Close"), (b"Content-Length", b"0"), (b"x-hop", b"1"), (b"x", b"2")])
        self.assertTrue(head.framing.keep_alive)
        self.assertEqual(head.data, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx: 2\r\n" + DATE_LINE + b"\r\n")

    def test_id(self) -> None:
        """The id of a request is on its answer once, whatever the answer says, or is the answer's own affair."""
        given = [(b"x-request-id", b"theirs"), (b"Content-Length", b"0")]
        ours = Asked(head_only=False, http11=True, keep_alive=True, shown_id=b"ours")
        self.assertEqual(make(200, given, ours).data.lower().count(b"x-request-id: ours\r\n"), 1)
        self.assertNotIn(b"theirs", make(200, given, ours).data)
        self.assertIn(b"x-request-id: theirs\r\n", make(200, given).data)

    def test_until_close(self) -> None:
        """Without a length, an HTTP/1.0 answer ends with the connection, whatever was asked."""
        head = make(200, [], Asked(head_only=False, http11=False, keep_alive=True))
        self.assertEqual((head.framing.delimiter, head.framing.keep_alive), (Delimiter.CLOSE, False))


class FramingTests(SynchronousTestCase):
    """Bodies."""

    def test_length(self) -> None:
        """Exactly as many bytes as declared: more raise, fewer cannot be ended."""
        framing = make(200, [(b"Content-Length", b"5")]).framing
        self.assertEqual(framing.piece(b"abc"), b"abc")
        self.assertRaises(InvalidMessage, framing.piece, b"def")
        self.assertIsNone(framing.end([]))
        self.assertEqual(framing.piece(b"de"), b"de")
        self.assertEqual(framing.end([(b"T", b"dropped")]), b"")

    def test_chunked(self) -> None:
        """Without a length, chunks; an empty piece is no last chunk."""
        head = make(200, [])
        self.assertIn(b"Transfer-Encoding: chunked\r\n", head.data)
        self.assertEqual(head.framing.piece(b"x" * 26), b"1a\r\n" + b"x" * 26 + b"\r\n")
        self.assertEqual(head.framing.piece(b""), b"")
        self.assertEqual(head.framing.end([]), b"0\r\n\r\n")
        trailers = [(b"T", b"1"), (b"Content-Length", b"9"), (b"Connection", b"close")]
        self.assertEqual(head.framing.end(trailers), b"0\r\nT: 1\r\n\r\n")
        self.assertRaises(InvalidMessage, head.framing.end, [(b"T", b"1\r\n\r\nHTTP/1.1 200 OK")])

    def test_no_body(self) -> None:
        """HEAD, 204 and 304 have none; 204 has no length either."""
        length = [(b"Content-Length", b"5")]
        for status, asked in ((200, KEEP._replace(head_only=True)), (204, KEEP), (304, KEEP)):
            head = make(status, length, asked)
            self.assertEqual((head.framing.piece(b""), head.framing.end([])), (b"", b""))
            self.assertEqual(b"Content-Length: 5\r\n" in head.data, status != 204)
            self.assertNotIn(b"Transfer-Encoding", head.data)
        self.assertEqual(make(205, []).framing.delimiter, Delimiter.CHUNKED)

    def test_body_without_place(self) -> None:
        """What is written after HEAD is swallowed; a body of a 204 or 304 is a mistake that is not hidden."""
        self.assertEqual(make(200, [], KEEP._replace(head_only=True)).framing.piece(b"much"), b"")
        self.assertEqual(make(304, [], KEEP._replace(head_only=True)).framing.piece(b"much"), b"")
        for status in (204, 304):
            self.assertRaises(InvalidMessage, make(status, [], KEEP).framing.piece, b"much")


class InformationalTests(SynchronousTestCase):
    """Interim responses."""

    def test_bytes(self) -> None:
        """A status line and fields, without date and framing."""
        data = informational_head(103, [(b"Link", b"</a>"), (b"Content-Length", b"1"), (b"Upgrade", b"x")])
        self.assertEqual(data, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")

    def test_refused(self) -> None:
        """101 was not asked for, a final status is none, and values are checked."""
        for status in (101, 99, 200, True):
            self.assertRaises(InvalidMessage, informational_head, status, [])
        self.assertRaises(InvalidMessage, informational_head, 103, [(b"Link", b"a\nb")])
