"""Tests for L{anp_twisted.gateway.front}."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.authenticator import SharedToken
from anp_twisted.auth.identity import RECEIVER, Identity
from anp_twisted.gateway.entrance import Interview, LinkEntrance
from anp_twisted.gateway.front import Front, LinkFront
from anp_twisted.http.channel import PublicFactory
from anp_twisted.test.gatewaylab import Caller, Lab

OFFER = b"Sec-WebSocket-Protocol: anpx.2\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
RIGHT = b"Authorization: Bearer right\r\n"


class Links:
    """Stands where links are made, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Identity, tuple[str, int]]] = []
        self.received = b""

    def protocol(self, identity: Identity, address: tuple[str, int]) -> Protocol:
        """Make a protocol that keeps what it gets."""
        self.asked.append((identity, address))
        protocol = Protocol()
        protocol.dataReceived = self._keep  # type: ignore[method-assign]
        return protocol

    def _keep(self, data: bytes) -> None:
        self.received += data


class FrontTests(SynchronousTestCase):
    """What a request is."""

    def setUp(self) -> None:
        """Make a gateway with an entrance for receivers."""
        self.lab = Lab()
        self.links = Links()
        links: Any = self.links
        entrance = LinkEntrance(links, Interview(SharedToken("right"), self.lab.clock, self.lab.limits))
        self.entrance = entrance
        self.settings: dict[str, Any] = {"request_id": lambda: "id-1", "starting": lambda: False}
        self.lab.factory = PublicFactory(
            self.lab.clock, self.lab.limits, Front(self.lab.exchanges, entrance, **self.settings)
        )

    def ask(self, target: bytes, fields: bytes = b"", method: bytes = b"GET") -> Caller:
        """Send a request."""
        caller = self.lab.caller()
        caller.send(method + b" " + target + b" HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n")
        return caller

    def test_receiver(self) -> None:
        """The connection of a receiver is handed over with every byte of its request."""
        caller = self.ask(b"/ws", UPGRADE + RIGHT)
        self.assertEqual(self.links.asked, [(RECEIVER, ("198.51.100.7", 4711))])
        self.assertEqual(self.links.received, b"GET /ws HTTP/1.1\r\nHost: h\r\n" + UPGRADE + RIGHT + b"\r\n")
        self.assertEqual((caller.received(), self.entrance.refused), (b"", 0))

    def test_refused(self) -> None:
        """Whoever is no receiver hears why, as a problem document."""
        two = RIGHT + RIGHT
        rows = [
            (b"GET", UPGRADE + OFFER, 401),
            (b"GET", UPGRADE + OFFER + b"Origin: http://x\r\n", 403),
            (b"GET", UPGRADE + b"Authorization: Bearer wrong\r\n", 401),
            (b"GET", UPGRADE + b"Authorization: Bearer righ\r\n", 401),
            (b"GET", UPGRADE + b"Authorization:\r\n", 401),
            (b"GET", UPGRADE + two, 401),
            (b"GET", UPGRADE + RIGHT + b"Origin: null\r\n", 403),
            (b"GET", RIGHT, 426),
            (b"GET", RIGHT + b"Connection: Upgrade\r\nUpgrade: h2c\r\n", 426),
            (b"POST", UPGRADE + RIGHT, 405),
            (b"GET", UPGRADE + RIGHT + b"Transfer-Encoding: chunked\r\n", 400),
        ]
        for method, fields, status in rows:
            caller = self.ask(b"/ws", fields, method)
            self.assertEqual(caller.status, status, fields)
            document = json.loads(caller.received().partition(b"\r\n\r\n")[2])
            self.assertEqual((document["status"], document["source"]), (status, "gateway"))
        self.assertEqual((self.links.asked, self.entrance.refused), ([], len(rows)))
        self.assertEqual([record.status for record in self.lab.records], [row[2] for row in rows])

    def test_same_path(self) -> None:
        """A WebSocket at that path that is no receiver's is the application's."""
        link = self.lab.connect(features=["websocket"])
        key = b"Sec-WebSocket-Key: " + b64encode(bytes(16)) + b"\r\nSec-WebSocket-Version: 13\r\n"
        for extra in (b"", b"Sec-WebSocket-Protocol: chat\r\n", b"Origin: http://x\r\n"):
            self.ask(b"/ws", UPGRADE + key + extra)
        self.assertEqual([event.head.protocol for event in link.requests], ["websocket"] * 3)
        self.assertEqual((self.links.asked, self.entrance.refused), ([], 0))

    def test_token_in_target(self) -> None:
        """A token that came by a wrong way is not logged."""
        self.assertEqual(self.ask(b"/ws?token=right", UPGRADE + OFFER).status, 401)
        self.assertEqual(self.lab.records[-1].target, "/ws")

    def test_health(self) -> None:
        """The health page is the gateway's own, whatever receivers serve."""
        link = self.lab.connect()
        self.assertTrue(self.ask(b"/health").received().endswith(b'\r\n\r\n{"status":"ok"}'))
        self.assertEqual(self.ask(b"/health?x", b"").status, 200)
        self.assertEqual(link.requests, [])
        self.assertEqual(self.ask(b"/health/x").status, 0)
        self.assertEqual(len(link.requests), 1)

    def test_health_moved(self) -> None:
        """It can be elsewhere, or nowhere; what was there is forwarded then."""
        link = self.lab.connect()
        for path, targets in (("/up", [b"/health"]), ("", [b"/health", b"/up"])):
            front = Front(self.lab.exchanges, self.entrance, health_path=path, **self.settings)
            self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)
            link.requests.clear()
            for target in (b"/health", b"/up"):
                self.ask(target)
            self.assertEqual([request.head.target.encode() for request in link.requests], targets)

    def test_patient(self) -> None:
        """While receivers may be on their way back, requests wait for the one of theirs, for a while."""
        self.settings["starting"] = lambda: True
        front = Front(self.lab.exchanges, self.entrance, patient=True, **self.settings)
        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)
        first, second, ambiguous = self.ask(b"/a/x"), self.ask(b"/b"), self.ask(b"/a/..%2Fb")
        self.assertEqual([caller.status for caller in (first, second, ambiguous)], [0, 0, 0])
        link = self.lab.connect(paths=["/a"], capacity=1)
        self.assertEqual([request.head.target for request in link.requests], ["/a/x"])
        self.lab.answer(link)
        self.assertEqual((first.status, second.status), (200, 0))
        self.lab.advance(self.lab.limits.reconnect_most + self.lab.limits.connect_budget - 1)
        self.assertEqual((second.status, ambiguous.status), (0, 0))
        self.lab.advance(2)
        self.assertEqual((second.status, ambiguous.status), (503, 503))
        self.assertEqual((self.lab.receivers.parked, len(self.lab.exchanges)), (0, 0))

    def test_overload(self) -> None:
        """Too many requests: the next are told to come later, and receivers and the health page are not concerned."""
        self.lab = Lab(overload_requests=2)
        self.lab.factory = PublicFactory(
            self.lab.clock, self.lab.limits, Front(self.lab.exchanges, self.entrance, **self.settings)
        )
        link = self.lab.connect()
        for _ in range(2):
            self.assertEqual(self.ask(b"/").status, 0)
        caller = self.ask(b"/")
        head, _, body = caller.received().partition(b"\r\n\r\n")
        document = json.loads(body)
        self.assertEqual((caller.status, document["source"]), (503, "gateway"))
        self.assertEqual((document["title"], document["request_id"]), ("the gateway is overloaded", "id-1"))
        self.assertIn(b"\r\nRetry-After: 5\r\n", head)
        self.assertNotIn(b"Connection: close", head)
        self.assertEqual(self.ask(b"/health").status, 200)
        self.ask(b"/ws", UPGRADE + RIGHT)
        self.assertEqual(len(self.links.asked), 1)
        self.assertEqual((len(link.requests), self.lab.exchanges.overload.turned_away), (2, 1))
        self.assertEqual([record.status for record in self.lab.records], [503])

    def test_spellings(self) -> None:
        """Other spellings of the gateway's own paths belong to the application."""
        link = self.lab.connect()
        for target in (b"//health", b"/%68ealth", b"/health/", b"//ws", b"/ws/"):
            self.ask(target)
        self.assertEqual(len(link.requests), 5)

    def test_link_front(self) -> None:
        """A listener for receivers takes them at any path and forwards nothing."""
        link = self.lab.connect()
        front = LinkFront(self.lab.exchanges, self.entrance, lambda: "id-2")
        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)
        self.ask(b"/", UPGRADE + RIGHT)
        self.assertEqual(len(self.links.asked), 1)
        self.assertEqual(self.ask(b"/x").status, 426)
        self.assertEqual(link.requests, [])
