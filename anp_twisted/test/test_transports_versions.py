"""Rules of L{anp_twisted.transports.versions}, and of links that speak version 1."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import RECEIVER
from anp_twisted.errors import LinkSilent
from anp_twisted.limits import DEFAULT_LIMITS, MIB, Limits
from anp_twisted.session import events
from anp_twisted.session.connection import Role
from anp_twisted.test.sessions import hello as plain_hello
from anp_twisted.test.sessions import request, response
from anp_twisted.test.test_transports_client import ClientTestCase
from anp_twisted.test.test_transports_server import ALICE, ServerTestCase, head
from anp_twisted.test.test_transports_websocket import frame
from anp_twisted.test.wires import StreamLog, WireEnd, hello
from anp_twisted.transports.client import LinkEndpoint
from anp_twisted.transports.link import State
from anp_twisted.transports.server import LinkServerFactory
from anp_twisted.transports.versions import OFFERED, Legacy, agreed, chosen
from anp_twisted.wire import v1

LIMITS = Limits(v1_frame=3 * MIB)
ANSWER = v1.Frame(v1.Kind.RESPONSE, "id-1", b'{"status":200}', b"hello")


def legacy() -> Legacy:
    """Count the ids."""
    numbers = iter(range(1, 1000))
    return Legacy(lambda: 1000.5, lambda: f"id-{next(numbers)}")


class VersionTests(SynchronousTestCase):
    """The subprotocol decides."""

    def test_chosen(self) -> None:
        """A gateway takes the better one, none for version 1, and refuses what it does not speak."""
        self.assertEqual(chosen(OFFERED, with_v1=True), (2, "anpx.2"))
        self.assertEqual(chosen(["anpx.1", "anpx.2"], with_v1=True), (2, "anpx.2"))
        self.assertEqual(chosen(["anpx.1"], with_v1=True), (1, "anpx.1"))
        self.assertEqual(chosen([], with_v1=True), (1, None))
        self.assertIsNone(chosen(["chat"], with_v1=True))
        self.assertIsNone(chosen([], with_v1=False))
        self.assertIsNone(chosen(["anpx.1"], with_v1=False))
        self.assertEqual(chosen(["anpx.2"], with_v1=False), (2, "anpx.2"))

    def test_agreed(self) -> None:
        """A receiver follows."""
        self.assertEqual([agreed(choice, with_v1=True) for choice in ("anpx.2", "anpx.1", None)], [2, 1, 1])
        self.assertIsNone(agreed("chat", with_v1=True))
        self.assertIsNone(agreed(None, with_v1=False))

    def test_connection(self) -> None:
        """What a peer of version 1 does not say is filled in."""
        made = legacy().connection(Role.GATEWAY, plain_hello(), DEFAULT_LIMITS, now=100.0)
        assert made.peer is not None
        self.assertEqual((made.peer.versions, made.peer.paths, made.peer.instance), ([1], [], ""))
        self.assertEqual((made.peer.capacity, made.peer.features), (DEFAULT_LIMITS.v1_capacity, []))


class GatewayLinkTests(ServerTestCase):
    """A gateway and the bytes of a receiver of version 1."""

    def setUp(self) -> None:
        super().setUp()
        self.factory = LinkServerFactory(self.clock, self.turns.soon, LIMITS, self.owner, self.hello, legacy=legacy())
        self.end = WireEnd()
        self.protocol = self.factory.protocol(ALICE, ("192.0.2.7", 4711))
        self.protocol.makeConnection(self.end)
        self.greeting = self.answer(head(Sec_WebSocket_Protocol=None, Sec_WebSocket_Extensions="permessage-deflate"))

    def ask(self) -> StreamLog:
        """Send a request."""
        log = StreamLog(self.owner.link)
        log.stream = self.owner.link.connection.open(request(), log)
        log.stream.send_end()
        self.owner.link.wake()
        self.turns.end()
        return log

    def test_open(self) -> None:
        """It is open at once, nothing is selected, and nothing is known of its paths."""
        lines, _, rest = self.greeting.partition(b"\r\n\r\n")
        self.assertTrue(lines.startswith(b"HTTP/1.1 101 "))
        self.assertNotIn(b"Sec-WebSocket-Protocol", lines)
        self.assertNotIn(b"Extensions", lines)
        self.assertNotIn(b"ANPX", rest)
        self.assertEqual(self.owner.log, ["open"])
        peer = self.owner.link.connection.peer
        assert peer is not None
        self.assertEqual(peer.paths, [])

    def test_request(self) -> None:
        """A request and its answer, as binary messages."""
        log = self.ask()
        sent = self.end.take(10_000)
        self.assertIn(b"ANPX\x01\x01", sent)
        self.answer(frame(v1.encode(ANSWER)))
        self.assertEqual((log.seen, bytes(log.body)), (["ResponseReceived", "StreamEnded"], b"hello"))

    def test_large(self) -> None:
        """One message may have what a known gateway takes, and no more."""
        log = self.ask()
        self.answer(frame(v1.encode(v1.Frame(v1.Kind.RESPONSE, "id-1", b'{"status":200}', bytes(2 * MIB)))))
        self.assertEqual(len(log.body), 2 * MIB)
        self.answer(frame(b"", size=3 * MIB + 1))
        self.assertEqual(self.owner.log, ["open", "lost"])

    def test_text(self) -> None:
        """A JSON ping is answered, whole or in fragments; any other text is ignored, a very long one too."""
        self.assertIn(b'{"type":"pong","timestamp":7}', self.answer(frame(b'{"type":"ping","timestamp":7}', 0x81)))
        self.assertEqual(self.answer(frame(b'{"type":"ping",', 0x01)), b"")
        self.assertIn(b'"timestamp":8', self.answer(frame(b'"timestamp":8}', 0x80)))
        for text in (b"", b"hello", b'{"type":"authentication","did":"did:wba:a"}', b'"' + b"x" * 2 * MIB + b'"'):
            self.assertEqual(self.answer(frame(text, 0x81)), b"")
        self.assertEqual(self.owner.log, ["open"])

    def test_text_flood(self) -> None:
        """Who sends nothing but text is cut off."""
        for _ in range(LIMITS.websocket_controls + 1):
            self.answer(frame(b"{}", 0x81))
        self.assertEqual(self.owner.log, ["open", "lost"])

    def test_garbage(self) -> None:
        """Three times nonsense."""
        for _ in range(2):
            self.answer(frame(b"nonsense"))
        self.assertEqual(self.owner.log, ["open"])
        answer = self.answer(frame(b"nonsense"))
        self.assertEqual((answer[:1], answer[2:4]), (b"\x88", b"\x03\xea"))
        self.assertEqual(self.owner.log, ["open", "lost"])

    def test_silence(self) -> None:
        """An idle receiver that says nothing is dead after a while; its library answers PINGs of the WebSocket."""
        self.clock.pump([1.0] * 11)
        self.turns.end()
        asked = self.end.take(100)
        self.assertEqual(asked[:2], b"\x89\x08")
        self.answer(frame(asked[2:10], 0x8A))
        self.assertIsNotNone(self.owner.link.rtt)
        self.clock.pump([1.0] * 24)
        self.assertEqual(self.owner.log, ["open"])
        self.clock.pump([1.0] * 10)
        self.assertEqual(self.owner.log, ["open", "lost"])
        self.assertIsInstance(self.owner.reasons[0], LinkSilent)

    def test_busy(self) -> None:
        """One that works on a request may be silent for as long as that has time."""
        log = self.ask()
        self.clock.pump([5.0] * 30)
        self.assertEqual(self.owner.log, ["open"])
        self.answer(frame(v1.encode(ANSWER)))
        self.assertEqual(bytes(log.body), b"hello")

    def test_stopped_growing(self) -> None:
        """A message that stops amid its chunks is freed after its time, and not much later."""
        log = self.ask()
        self.answer(frame(v1.encode(v1.Frame(v1.Kind.RESPONSE, "id-1", ANSWER.meta, b"x", v1.Chunk(0, 2)))))
        for _ in range(29):
            self.clock.advance(1.0)
            self.answer(frame(b"x", 0x8A))
        self.assertEqual(log.seen, ["ResponseReceived"])
        for _ in range(2):
            self.clock.advance(1.0)
            self.answer(frame(b"x", 0x8A))
        self.assertEqual(log.seen, ["ResponseReceived", "StreamReset"])

    def test_leaves(self) -> None:
        """A gateway that drains waits for what runs."""
        log = self.ask()
        self.end.take(10_000)
        done = self.owner.link.leave()
        self.turns.end()
        asked = self.end.take(100)
        self.assertEqual(asked, b"\x89\x08" + bytes(8))
        self.answer(frame(bytes(8), 0x8A))
        self.assertNoResult(done)
        self.answer(frame(v1.encode(ANSWER)))
        self.assertEqual(log.seen[-1], "StreamEnded")
        self.successResultOf(done)


class PairTests(ClientTestCase):
    """A receiver and a gateway of this project, where something on the way drops subprotocols."""

    def setUp(self) -> None:
        super().setUp()
        self.servers = LinkServerFactory(
            self.clock, self.turns.soon, LIMITS, self.gateway, lambda identity: hello(LIMITS), legacy=legacy()
        )
        dialling = replace(self.endpoint._dialling, legacy=legacy())
        self.endpoint = LinkEndpoint(self.wires, dialling, self.endpoint._wiring)

    def serve(self) -> Any:
        """Make the gateway's end, which is told of no subprotocol."""
        inner: Any = self.servers.protocol(RECEIVER, ("192.0.2.7", 4711))
        real = inner.dataReceived
        inner.dataReceived = lambda data: real(data.replace(b"Sec-WebSocket-Protocol: anpx.2,anpx.1\r\n", b""))
        return inner

    def test_offer(self) -> None:
        """Both are offered; with both sides knowing it, version 2 is spoken."""
        self.wires.answer = lambda: self.servers.protocol(RECEIVER, ("192.0.2.7", 4711))
        self.endpoint.connect(self.factory)
        self.assertIn(b"Sec-WebSocket-Protocol: anpx.2,anpx.1\r\n", bytes(self.wire.client.buffer))
        self.settle()
        self.assertFalse(self.gateway.link.connection.speaks_text)

    def test_request(self) -> None:
        """The receiver is open when the gateway answered its PING; a request goes through."""
        connecting = self.endpoint.connect(self.factory)
        self.settle()
        self.successResultOf(connecting)
        self.assertTrue(self.gateway.link.connection.speaks_text)
        self.assertIs(self.receiver.link.state, State.OPEN)
        served: list[events.RequestReceived] = []
        self.receiver.on_request = lambda link, event: served.append(event)
        log = StreamLog(self.gateway.link)
        log.stream = self.gateway.link.connection.open(request(headers=[("X", "1"), ("X", "2")]), log)
        log.stream.send_end()
        self.gateway.link.wake()
        self.settle()
        self.assertEqual(served[0].head.headers, [("X", "1"), ("X", "2")])
        served[0].stream.send_head(response(200, [("Set-Cookie", "a"), ("Set-Cookie", "b")]))
        served[0].stream.send_data(b"hello")
        served[0].stream.send_end()
        self.receiver.link.wake()
        self.settle()
        self.assertEqual(bytes(log.body), b"hello")

    def test_beat(self) -> None:
        """The receiver says every ten seconds that it is there, for as long as there is a link."""
        self.endpoint.connect(self.factory)
        self.settle()
        texts: list[dict[str, Any]] = []
        connection: Any = self.gateway.link.connection
        real = connection.receive_text

        def note(text: str) -> None:
            texts.append(json.loads(text))
            real(text)

        connection.receive_text = note
        self.advance(61.0)
        self.assertEqual([text["type"] for text in texts], ["ping"] * 6)
        stamps = [text["timestamp"] for text in texts]
        self.assertTrue(all(9.9 < after - before < 10.3 for before, after in pairwise(stamps)))
