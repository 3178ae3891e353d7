"""
Tests for L{anp_twisted.http.handshake}: what makes a request a WebSocket's, and its answer.
"""

from __future__ import annotations

from base64 import b64encode

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage, RequestRefused
from anp_twisted.http.handshake import Handshake, answer, asked, read
from anp_twisted.http.request import PublicRequest
from anp_twisted.test.callers import Port

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOOD = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n" % KEY
UPGRADE = b"Host: h\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"


def requested(fields: bytes, line: bytes = b"GET /s HTTP/1.1", upgrade: bytes = UPGRADE) -> PublicRequest:
    """A request as the channel hands it over."""
    port = Port()
    connection, _ = port.connect()
    connection.dataReceived(line + b"\r\n" + upgrade + fields + b"\r\n")
    return port.requests[0]


class ReadTests(SynchronousTestCase):
    """The request."""

    def test_asked(self) -> None:
        """An upgrade to C{websocket}, with HTTP/1.1."""
        self.assertTrue(asked(requested(GOOD)))
        self.assertFalse(asked(requested(GOOD, b"GET /s HTTP/1.0")))
        self.assertFalse(asked(requested(GOOD, upgrade=UPGRADE.replace(b"WebSocket", b"h2c"))))
        self.assertFalse(asked(requested(GOOD, upgrade=b"Host: h\r\nUpgrade: websocket\r\n")))

    def test_good(self) -> None:
        """The subprotocols in their order and case, the extensions as they are."""
        more = b"Sec-WebSocket-Protocol: b, A\r\nSec-WebSocket-Protocol: c\r\nSec-WebSocket-Extensions: x; y=1, z\r\n"
        self.assertEqual(read(requested(GOOD + more)), Handshake(KEY, [b"b", b"A", b"c"], b"x; y=1, z"))
        self.assertEqual(read(requested(GOOD)), Handshake(KEY, [], b""))

    def test_refused(self) -> None:
        """Each fault has its status."""
        version, key = GOOD.split(b"\r\n")[:2]
        rows = [
            (b"GET", version, 400),
            (b"GET", GOOD + key, 400),
            (b"GET", version + b"\r\nSec-WebSocket-Key: " + KEY[:-1], 400),
            (b"GET", version + b"\r\nSec-WebSocket-Key: " + KEY.replace(b"d", b"-"), 400),
            (b"GET", version + b"\r\nSec-WebSocket-Key: " + b64encode(bytes(15)), 400),
            (b"GET", GOOD + b"Content-Length: 1", 400),
            (b"GET", GOOD + b"Transfer-Encoding: chunked", 400),
            (b"GET", key, 426),
            (b"GET", key + b"\r\nSec-WebSocket-Version: 8", 426),
            (b"GET", GOOD + version, 426),
            (b"POST", GOOD, 405),
        ]
        for method, fields, status in rows:
            request = requested(fields.rstrip(b"\r\n") + b"\r\n", method + b" /s HTTP/1.1")
            self.assertEqual(self.assertRaises(RequestRefused, read, request).status, status, fields)


class AnswerTests(SynchronousTestCase):
    """The head that opens it."""

    WANTED = Handshake(KEY, [b"a", b"B"], b"")

    def test_bare(self) -> None:
        """The key is answered as in the example of RFC 6455, 1.3."""
        lines = answer(self.WANTED, []).split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 101 Switching Protocols")
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", lines)
        self.assertEqual(lines[-2:], [b"", b""])
        self.assertEqual(len(lines), 6)

    def test_fields(self) -> None:
        """Those of the application are kept in order; what is not its business is not."""
        own = [(b"X", b"1"), (b"x", b"2"), (b"Sec-WebSocket-Protocol", b"B")]
        foreign = [
            (b"Connection", b"close"),
            (b"Content-Length", b"5"),
            (b"Sec-WebSocket-Accept", b"no"),
            (b"Sec-WebSocket-Extensions", b"no"),
        ]
        head = answer(self.WANTED, own[:1] + foreign + own[1:], b"permessage-deflate")
        self.assertTrue(head.endswith(b"X: 1\r\nx: 2\r\nSec-WebSocket-Protocol: B\r\n\r\n"))
        self.assertIn(b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", head)
        self.assertNotIn(b"no", head)
        self.assertNotIn(b"Content-Length", head)

    def test_malformed(self) -> None:
        """Nothing splits the head, and nothing is chosen that was not offered."""
        protocol = b"Sec-WebSocket-Protocol"
        for headers in (
            [(b"x", b"a\r\nb: c")],
            [(b"x y", b"a")],
            [(protocol, b"A")],
            [(protocol, b"a"), (protocol, b"B")],
            [(protocol, b"a, B")],
        ):
            self.assertRaises(InvalidMessage, answer, self.WANTED, headers)
