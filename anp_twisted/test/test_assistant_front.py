"""Tests of what a request to the assistant is."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from anp_twisted.assistant.front import SUBPROTOCOL, AssistantFront, Surrounds
from anp_twisted.http.channel import PublicFactory
from anp_twisted.networks import Networks
from anp_twisted.test.assistantlab import OWN_TOKEN, AssistantTests

_WS = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def bearer(token: str) -> bytes:
    """Make the subprotocol that carries a token."""
    return b"bearer." + urlsafe_b64encode(token.encode()).rstrip(b"=")


class FrontTests(AssistantTests):
    """Requests as bytes."""

    def setUp(self) -> None:
        """Make the front."""
        super().setUp()
        self.front_of(Surrounds())

    def front_of(self, surrounds: Surrounds) -> None:
        """Make one for such surroundings."""
        self.front = AssistantFront(
            self.lab.connections, self.lab.keyring.identify, surrounds, status=lambda: self.lab.status
        )
        self.factory = PublicFactory(self.lab.clock, self.lab.around.limits, self.front)

    def ask(self, target: bytes, fields: bytes = b"", host: bytes = b"127.0.0.1:8080", method: bytes = b"GET") -> Any:
        """Send a request and return the transport."""
        connection = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 5))
        transport: Any = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 5))
        transport.abortConnection = transport.loseConnection
        transport.loseWriteConnection = transport.loseConnection
        transport.protocol = connection
        connection.makeConnection(transport)
        connection.dataReceived(method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + fields + b"\r\n")
        return transport

    def status(self, *arguments: bytes, **keywords: bytes) -> int:
        """Send a request and return the status."""
        return int(self.ask(*arguments, **keywords).value().split(b" ", 2)[1])

    def test_pages(self) -> None:
        """Paths lead where they should, and everything else nowhere."""
        self.front.pages = {b"/": lambda request: request.respond(200, [(b"Content-Length", b"2")], body=b"hi")}
        self.assertEqual(self.status(b"/"), 200)
        self.assertEqual(self.status(b"/?a=b"), 200)
        for target in (b"/x", b"//", b"/%2F", b"/../", b"/WS", b"/ws/"):
            self.assertEqual(self.status(target), 404, target)

    def test_health(self) -> None:
        """Anybody may ask."""
        self.assertTrue(self.ask(b"/health").value().endswith(b'{"status":"ok"}'))
        self.lab.status = "stopping"
        self.assertEqual(self.status(b"/health"), 503)

    def test_hosts(self) -> None:
        """Addresses and loopback names are ours, others only if they were said to be: any may lead here."""
        for host in (b"127.0.0.1", b"localhost:8080", b"[::1]:80", b"192.0.2.9:8080"):
            self.assertEqual(self.status(b"/health", host=host), 200, host)
        for host in (b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example:8080"):
            self.assertEqual(self.status(b"/health", host=host), 421, host)
            self.assertEqual(self.status(b"/ws", _WS, host=host), 421, host)
        self.front_of(Surrounds(hosts=frozenset({"chat.example"})))
        self.assertEqual(self.status(b"/health", host=b"Chat.Example:443"), 200)

    def test_origins(self) -> None:
        """Pages of this address alone, without an exception for loopback, and none without an origin of their own."""
        self.assertEqual(self.status(b"/ws", _WS + b"Origin: http://127.0.0.1:8080\r\n"), 101)
        self.assertEqual(self.status(b"/ws", _WS + b"Origin: https://127.0.0.1:8080\r\n"), 101)
        for origin in (
            b"null",
            b"http://evil.example",
            b"http://127.0.0.1:9",
            b"http://localhost:8080",
            b"",
            b"file://",
        ):
            self.assertEqual(self.status(b"/ws", _WS + b"Origin: " + origin + b"\r\n"), 403, origin)
        self.assertEqual(self.status(b"/ws", _WS + b"Origin: http://127.0.0.1:8080\r\n" * 2), 403)
        self.front_of(Surrounds(origins=frozenset({"https://app.example"})))
        self.assertEqual(self.status(b"/ws", _WS + b"Origin: https://app.example\r\n"), 101)

    def test_addresses(self) -> None:
        """Only the networks that may call, if any are named."""
        self.front_of(Surrounds(allow=Networks(["10.0.0.0/8"])))
        self.assertEqual(self.status(b"/health"), 403)
        self.front_of(Surrounds(allow=Networks(["192.0.2.0/24"])))
        self.assertEqual(self.status(b"/health"), 200)

    def test_tokens(self) -> None:
        """A right token, a wrong one, none, two, in each place where one may stand."""
        field = b"Authorization: Bearer " + OWN_TOKEN.encode() + b"\r\n"
        offered = b"Sec-WebSocket-Protocol: " + SUBPROTOCOL + b", " + bearer(OWN_TOKEN) + b"\r\n"
        for fields, status in (
            (b"", 101),
            (field, 101),
            (offered, 101),
            (field + offered, 401),
            (field * 2, 401),
            (b"Authorization: Bearer wrong\r\n", 401),
            (b"Authorization: Basic " + OWN_TOKEN.encode() + b"\r\n", 401),
            (b"Sec-WebSocket-Protocol: " + bearer("wrong") + b"\r\n", 401),
            (b"Sec-WebSocket-Protocol: bearer.\r\n", 401),
            (b"Sec-WebSocket-Protocol: bearer.%%%\r\n", 401),
            (offered.replace(b"\r\n", b", " + bearer(OWN_TOKEN) + b"\r\n"), 401),
        ):
            self.assertEqual(self.status(b"/ws", _WS + fields), status, fields)
        for target in (b"/ws?token=" + OWN_TOKEN.encode(), b"/ws?access_token=" + OWN_TOKEN.encode()):
            self.assertEqual(self.status(target, _WS), 101)
        strangers = [one for one in self.lab.connections._open if one.principal is None]
        self.assertEqual(len(strangers), 3)

    def test_subprotocol(self) -> None:
        """Ours is chosen if it is offered; a token is never repeated."""
        offered = b"Sec-WebSocket-Protocol: " + bearer(OWN_TOKEN) + b", " + SUBPROTOCOL + b"\r\n"
        head = self.ask(b"/ws", _WS + offered).value()
        self.assertIn(b"Sec-WebSocket-Protocol: " + SUBPROTOCOL + b"\r\n", head)
        self.assertNotIn(b"bearer", head)
        other = self.ask(b"/ws", _WS + b"Sec-WebSocket-Protocol: other\r\n")
        self.assertNotIn(b"Sec-WebSocket-Protocol", other.value())

    def test_handshake(self) -> None:
        """What is no WebSocket is told what it should be."""
        self.assertEqual(self.status(b"/ws"), 426)
        self.assertEqual(self.status(b"/ws", _WS.replace(b"13", b"12")), 426)
        self.assertEqual(self.status(b"/ws", _WS, method=b"POST"), 405)
        self.assertEqual(self.status(b"/ws", _WS.replace(b"dGhl", b"!!!!")), 400)

    def test_room(self) -> None:
        """When it is full there is a status for it, for a principal as well."""
        self.lab = self.with_limits(assistant_connections=1)
        self.front_of(Surrounds())
        self.assertEqual(self.status(b"/ws", _WS), 101)
        self.assertEqual(self.status(b"/ws", _WS), 503)
        self.lab = self.with_limits(assistant_connections_per_principal=1)
        self.front_of(Surrounds())
        field = b"Authorization: Bearer " + OWN_TOKEN.encode() + b"\r\n"
        self.assertEqual(self.status(b"/ws", _WS + field), 101)
        self.assertEqual(self.status(b"/ws", _WS + field), 503)

    def test_noCanary(self) -> None:
        """What a refused client sent is in no answer."""
        for fields in (b"Authorization: Bearer canary\r\n", b"Origin: http://canary\r\n"):
            self.assertNotIn(b"canary", self.ask(b"/ws?x=canary", _WS + fields).value())

    def test_require(self) -> None:
        """Pages may want a token, and count against the same rate."""

        def page(request: Any) -> None:
            who = self.front.require(request)
            request.respond(200, [(b"Content-Length", b"%d" % len(who.name))], body=who.name.encode())

        self.front.pages = {b"/p": page}
        field = b"Authorization: Bearer " + OWN_TOKEN.encode() + b"\r\n"
        self.assertEqual(self.status(b"/p"), 401)
        self.assertTrue(self.ask(b"/p", field).value().endswith(b"admin"))
        statuses = [self.status(b"/p", field) for _ in range(105)]
        self.assertEqual((statuses[0], statuses[-1]), (200, 429))
