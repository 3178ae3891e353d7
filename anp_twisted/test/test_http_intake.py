"""
Tests for L{anp_twisted.http.intake}.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import RequestRefused
from anp_twisted.headers import Header
from anp_twisted.http.head import RequestHead
from anp_twisted.http.intake import Intake
from anp_twisted.limits import DEFAULT_LIMITS

HEAD = b"GET /a HTTP/1.1\r\nHost: a\r\n"
Taken = tuple[RequestHead, bytes, list[Header]]


def read(data: bytes, step: int = 0) -> tuple[list[Taken], int]:
    """
    Read a connection's bytes.

    @param step: bytes per read; 0 for all in one.
    @return: the complete requests, and the status of what was refused behind
        them, 0 if nothing was.
    """
    intake = Intake(DEFAULT_LIMITS, secure=False)
    requests: list[Taken] = []
    head: RequestHead | None = None
    body = held = b""
    step = step or max(1, len(data))
    for start in range(0, len(data), step):
        held += data[start : start + step]
        try:
            while held:
                if head is None:
                    head, held = intake.feed_head(held)
                    body, ended, trailers = b"", head is not None and not head.has_body, []
                else:
                    part = intake.feed_body(held)
                    body, ended, trailers, held = body + part.data, part.ended, part.trailers, part.rest
                if head is not None and ended:
                    requests.append((head, body, trailers))
                    head = None
        except RequestRefused as refused:
            return requests, refused.status
    return requests, 0


class HeadTests(SynchronousTestCase):
    """Heads as they arrive."""

    def test_one(self) -> None:
        """A head is complete with its empty line, and what follows is left alone."""
        intake = Intake(DEFAULT_LIMITS, secure=False)
        head, rest = intake.feed_head(HEAD + b"X: 1\r\n\r\nrest")
        assert head is not None
        self.assertEqual((head.method, head.target, rest), (b"GET", b"/a", b"rest"))
        self.assertEqual(head.headers, [(b"Host", b"a"), (b"X", b"1")])

    def test_split_anywhere(self) -> None:
        """It does not matter where reads end."""
        data = HEAD + b"Cookie: a=b; c\r\nEmpty:\r\n\r\n"
        whole = read(data)
        self.assertEqual(len(whole[0]), 1)
        for step in range(1, len(data)):
            self.assertEqual(read(data, step), whole)

    def test_blank_lines(self) -> None:
        """A few line ends before a request are forgiven, many are not."""
        self.assertEqual(len(read(b"\r\n" + HEAD + b"\r\n\r\n\r\n" + HEAD + b"\r\n")[0]), 2)
        self.assertEqual(read(b"\r\n" * 3 + HEAD + b"\r\n"), ([], 400))
        self.assertEqual(read(b"\r\n" * 3, 1), ([], 400))

    def test_keep_alive(self) -> None:
        """Connection and version decide whether the caller wants to go on."""
        for version, connection, wanted in (
            (b"1.1", b"", True),
            (b"1.1", b"Connection: close\r\n", False),
            (b"1.1", b"Connection: x, Close\r\n", False),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: keep-alive\r\n", True),
        ):
            data = b"GET / HTTP/" + version + b"\r\nHost: a\r\n" + connection + b"\r\n"
            head, _ = Intake(DEFAULT_LIMITS, secure=False).feed_head(data)
            assert head is not None
            self.assertEqual(head.keep_alive, wanted, data)

    def test_too_large(self) -> None:
        """A head that grows past its cap is refused before it is complete."""
        limits = replace(DEFAULT_LIMITS, request_head=100)
        for status, data in ((431, HEAD + b"x" * 100), (431, HEAD + b"x: " + b"y" * 90 + b"\r\n\r\n")):
            refused = self.assertRaises(RequestRefused, Intake(limits, secure=False).feed_head, data)
            self.assertEqual(refused.status, status)
        head, _ = Intake(limits, secure=False).feed_head(HEAD + b"x: " + b"y" * (100 - len(HEAD) - 7) + b"\r\n\r\n")
        assert head is not None

    def test_at_once(self) -> None:
        """What cannot become a request is refused at its first wrong byte."""
        for status, data in ((400, b"\x16\x03\x01"), (400, b"GET / HTTP/1.1\n"), (501, b"get"), (400, HEAD + b" x")):
            self.assertEqual(read(data), ([], status), data)

    def test_malformed(self) -> None:
        """Folding, spaces before colons, controls and broken names are refused."""
        for line in (
            b"X: a\r\n b",
            b"X : a",
            b"X",
            b": a",
            b"X\xe9: a",
            b"X(): a",
            b"X: a\x00b",
            b"X: \x7f",
            b"X: a\rb",
        ):
            self.assertEqual(read(HEAD + line + b"\r\n\r\n"), ([], 400), line)

    def test_contradictions(self) -> None:
        """Two statements about the body's end are one too many."""
        coding, length = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n"
        for lines in (coding + length, length + coding, length + length, coding + coding):
            self.assertEqual(read(HEAD + lines + b"\r\n0\r\n\r\n"), ([], 400), lines)
        self.assertEqual(read(HEAD + b"Transfer-Encoding: identity\r\n\r\n"), ([], 501))
        self.assertEqual(read(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"), ([], 413))

    @given(st.binary(max_size=200), st.integers(0, 20))
    def test_any_bytes(self, data: bytes, step: int) -> None:
        """Only a refusal ever comes of arbitrary bytes."""
        read(data, step)
        read(HEAD + data, step)


class BodyTests(SynchronousTestCase):
    """Bodies, and what follows them."""

    def test_sequence(self) -> None:
        """Requests of all kinds behind one another stay what they are, however they arrive."""
        second = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET /no HTTP/1.1\r\nHost: a\r\n\r\n!"
        third = (
            b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"4\r\n\r\n\r\n\r\n1\r\nx\r\n0\r\nT: 1\r\nHost: evil\r\nA_b: 2\r\n\r\n"
        )
        data = HEAD + b"\r\n" + second + third + HEAD + b"\r\n"
        for step in (0, 1, 2, 3, 7, 50):
            requests, refused = read(data, step)
            self.assertEqual(refused, 0)
            self.assertEqual([head.target for head, _, _ in requests], [b"/a", b"/b", b"/c", b"/a"])
            self.assertEqual(requests[1][1], b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n!"[:30])
            self.assertEqual(requests[2][1:], (b"\r\n\r\nx", [(b"T", b"1")]))

    def test_upgrade_with_body(self) -> None:
        """An offered upgrade does not make the body vanish."""
        offer = b"POST /u HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        for framing in (b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):
            requests, refused = read(offer + framing + HEAD + b"\r\n")
            self.assertEqual(refused, 0)
            self.assertEqual([(head.target, body) for head, body, _ in requests], [(b"/u", b"abc"), (b"/a", b"")])
            self.assertEqual(requests[0][0].upgrade, b"h2c")

    def test_malformed_third(self) -> None:
        """A malformed request does not touch those before it."""
        requests, refused = read((HEAD + b"\r\n") * 2 + b"GE/T / HTTP/1.1\r\n\r\n")
        self.assertEqual((len(requests), refused), (2, 400))

    def test_broken_chunks(self) -> None:
        """Broken framing is refused where it breaks."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertEqual(read(head + b"1\r\naX"), ([], 400))
