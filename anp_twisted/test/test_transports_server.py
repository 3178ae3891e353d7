"""Rules of L{anp_twisted.transports.server}."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.limits import Limits
from anp_twisted.test.wires import Owner, Turns, WireEnd, hello
from anp_twisted.transports.server import LinkServerFactory
from anp_twisted.wire.heads import Hello

LIMITS = Limits(handshake=10.0, request_head=4096)
FIELDS = {
    "Host": "gw.example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "anpx.2, anpx.1",
}


def head(line: str = "GET /ws HTTP/1.1", **fields: str | None) -> bytes:
    """Make the head of a handshake; C{None} leaves a field out."""
    chosen = {**FIELDS, **{name.replace("_", "-"): value for name, value in fields.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in chosen.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


ALICE = Identity(Kind.TOKEN, "alice")


class ServerTestCase(SynchronousTestCase):
    """A gateway's end, and the bytes of a peer."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns()
        self.owner = Owner()
        self.identities: list[Identity] = []
        self.factory = LinkServerFactory(self.clock, self.turns.soon, LIMITS, self.owner, self.hello)
        self.end = WireEnd()
        self.protocol: IProtocol = self.factory.protocol(ALICE, ("192.0.2.7", 4711))
        self.protocol.makeConnection(self.end)

    def hello(self, identity: Identity) -> Hello:
        """Make the HELLO for a peer."""
        self.identities.append(identity)
        return hello(LIMITS)

    def answer(self, data: bytes) -> bytes:
        """Send bytes and take what comes back."""
        self.protocol.dataReceived(data)
        self.turns.end()
        return self.end.take(1 << 20)

    def lose(self) -> None:
        """End the connection; no timer may be left."""
        self.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HandshakeTests(ServerTestCase):
    """RFC 6455, 4.2, and what we ask for besides."""

    def test_accepted(self) -> None:
        """The subprotocol is chosen, nothing else is granted, and our HELLO follows."""
        answer = self.answer(head(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"))
        lines, _, rest = answer.partition(b"\r\n\r\n")
        self.assertTrue(lines.startswith(b"HTTP/1.1 101 "))
        self.assertIn(b"Sec-WebSocket-Protocol: anpx.2", lines)
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", lines)
        self.assertNotIn(b"Extensions", lines)
        self.assertNotIn(b"Server:", lines)
        self.assertEqual(rest[:1], b"\x82")
        self.assertIn(b"ANPX\x02\x10", rest)
        self.assertEqual(self.identities, [ALICE])
        self.lose()

    def test_pieces(self) -> None:
        """The head may come byte by byte."""
        answers = [self.answer(bytes([octet])) for octet in head()]
        self.assertEqual(b"".join(answers[:-1]), b"")
        self.assertTrue(answers[-1].startswith(b"HTTP/1.1 101 "))
        self.lose()

    def test_refused(self) -> None:
        """Each refusal has its status, one fixed text, and ends the connection."""
        for status, data in [
            (403, head(Origin="https://evil.example")),
            (403, head(Origin="http://gw.example.org")),
            (403, head(Origin="null")),
            (400, head(Sec_WebSocket_Protocol=None)),
            (400, head(Sec_WebSocket_Protocol="chat, anpx.1")),
            (400, head(Sec_WebSocket_Key=None)),
            (400, head(Sec_WebSocket_Key="short")),
            (400, head(Sec_WebSocket_Key=FIELDS["Sec-WebSocket-Key"] + "\r\nSec-WebSocket-Key: x")),
            (426, head(Sec_WebSocket_Version="12")),
            (426, head(Sec_WebSocket_Version="8")),
            (400, head(Sec_WebSocket_Version=None)),
            (426, head(Upgrade=None)),
            (400, head(Host=None)),
            (405, head("POST /ws HTTP/1.1")),
            (505, head("GET /ws HTTP/1.0")),
            (431, head(X_Large="x" * 5000)),
            (431, b"GET /ws HTTP/1.1\r\nX: " + b"x" * 5000),
        ]:
            self.setUp()
            answer = self.answer(data)
            lines, _, body = answer.partition(b"\r\n\r\n")
            self.assertEqual(lines.split(b" ")[1], str(status).encode(), data[:80])
            self.assertIn(b"application/problem+json", lines)
            self.assertIn(b"Connection: close", lines)
            self.assertIn(f"Content-Length: {len(body)}".encode(), lines)
            self.assertIn(b'"title":"the WebSocket handshake was refused"', body)
            self.assertTrue(self.end.disconnecting)
            self.lose()
            self.assertEqual(self.owner.log, [])

    def test_versions(self) -> None:
        """A peer of another version is told which one there is."""
        self.assertIn(b"Sec-WebSocket-Version: 13\r\n", self.answer(head(Sec_WebSocket_Version="25")))

    def test_noEcho(self) -> None:
        """Nothing of what a peer sent comes back."""
        answer = self.answer(head(Sec_WebSocket_Key="<script>"))
        self.assertNotIn(b"script", answer)

    def test_trickle(self) -> None:
        """A peer that does not get to the end of its head is cut after 10 s, whatever it sends."""
        for octet in head()[:9]:
            self.answer(bytes([octet]))
            self.clock.advance(1.0)
        self.assertFalse(self.end.aborted)
        self.clock.advance(1.0)
        self.assertTrue(self.end.aborted)
        self.lose()

    def test_noHello(self) -> None:
        """So is one that upgrades and says no more."""
        self.answer(head())
        self.clock.advance(10.0)
        self.assertTrue(self.end.aborted)
        self.lose()
        self.assertEqual(self.owner.log, [])
