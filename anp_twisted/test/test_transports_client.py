"""Rules of L{anp_twisted.transports.client}, against the real other end, over a wire in memory."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.internet import ClientService
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import RECEIVER
from anp_twisted.errors import ANPError, ConnectionClosed, LinkLost, LinkRefused, ProxyRefused
from anp_twisted.limits import Limits
from anp_twisted.session import events
from anp_twisted.test.wires import Owner, StreamLog, Turns, Wire, WireEnd, WireEndpoint, hello
from anp_twisted.transports.backoff import Backoff
from anp_twisted.transports.client import Dialling, LinkEndpoint, LinkTransport
from anp_twisted.transports.link import Link, State, Wiring
from anp_twisted.transports.server import LinkServerFactory
from anp_twisted.wire.heads import RequestHead, ResponseHead

LIMITS = Limits(handshake=10.0, closing=5.0, healthy_after=10.0, request_head=4096)


class Saying(Protocol):
    """Answers the first bytes with some of its own, and goes if told to."""

    def __init__(self, answer: bytes, go: bool = True) -> None:
        self.answer = answer
        self.go = go
        self.heard = bytearray()

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if not self.heard:
            self.transport.write(self.answer)
            if self.go:
                self.transport.loseConnection()
        self.heard += data


class Dropping(Protocol):
    """Accepts and drops."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class Noting(Protocol):
    """What a service makes for an open link."""

    lost: ANPError | None = None

    def connectionLost(self, reason: Failure = Failure(ConnectionClosed(""))) -> None:  # noqa: B008
        assert isinstance(reason.value, ANPError)
        self.lost = reason.value


class ClientTestCase(SynchronousTestCase):
    """A receiver's end, and a gateway that is there unless a test puts something else."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns()
        self.receiver, self.gateway = Owner(), Owner()
        self.luck = 0.999999
        self.headers = {"Authorization": "Bearer one"}
        self.servers = LinkServerFactory(
            self.clock, self.turns.soon, LIMITS, self.gateway, lambda identity: hello(LIMITS)
        )
        self.wires = WireEndpoint(self.serve)
        self.backoff = Backoff(LIMITS, self.clock.seconds, draw=lambda: self.luck)
        dialling = Dialling("ws://gw.example.org:9877/ws", lambda: self.headers, self.hello, self.backoff)
        wiring = Wiring(self.clock, self.turns.soon, LIMITS, self.receiver)
        self.endpoint = LinkEndpoint(self.wires, dialling, wiring)
        self.factory = Factory.forProtocol(Noting)

    def hello(self) -> Any:
        """Make the HELLO of an attempt."""
        return hello(LIMITS, instance=f"attempt-{self.wires.attempts}", paths=["/"])

    def serve(self) -> IProtocol | None:
        """Make the gateway's end."""
        return self.servers.protocol(RECEIVER, ("192.0.2.7", 4711))

    @property
    def wire(self) -> Wire:
        """The latest connection."""
        return self.wires.wires[-1]

    def settle(self, most: int = 65536) -> None:
        """Move everything."""
        self.turns.end()
        while self.wires.wires and self.wire.move(most):
            self.turns.end()

    def advance(self, seconds: float) -> None:
        """Let time pass in small steps, and everything move."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.settle()


class ConnectTests(ClientTestCase):
    """One attempt."""

    def test_open(self) -> None:
        """It fires when both HELLOs are there and the owner was told; the link is the protocol's transport."""
        connecting = self.endpoint.connect(self.factory)
        self.wire.move()
        self.turns.end()
        self.assertNoResult(connecting)
        self.settle()
        protocol: object = self.successResultOf(connecting)
        self.assertEqual((self.receiver.log, self.gateway.log), (["open"], ["open"]))
        peer = self.gateway.link.connection.peer
        assert isinstance(protocol, Noting) and peer is not None
        self.assertEqual(peer.instance, "attempt-1")
        self.assertEqual(self.gateway.link.identity, RECEIVER)
        transport: Any = protocol.transport
        self.assertIsInstance(transport, LinkTransport)
        self.assertIs(transport.link, self.receiver.link)
        self.assertEqual(transport.getPeer(), self.wire.client.getPeer())
        self.assertEqual(transport.getHost(), self.wire.client.getHost())

    def test_masked(self) -> None:
        """The client masks what it sends and the server does not: RFC 6455, 5.1."""
        self.endpoint.connect(self.factory)
        self.wire.move(upwards=0)
        request = self.wire.client.take(10_000)
        self.assertIn(b"Authorization: Bearer one\r\n", request)
        self.assertIn(b"Sec-WebSocket-Protocol: anpx.2\r\n", request)
        self.assertNotIn(b"Sec-WebSocket-Extensions", request)
        self.assertNotIn(b"User-Agent", request)
        self.wire.client.write(request)
        self.wire.move()
        self.setUp()
        self.endpoint.connect(self.factory)
        self.settle()
        self.receiver.link.connection.ping(bytes(8))
        self.receiver.link.wake()
        self.gateway.link.connection.ping(bytes(8))
        self.gateway.link.wake()
        self.turns.end()
        up, down = bytes(self.wire.client.buffer), bytes(self.wire.server.buffer)
        self.assertEqual((up[0], up[1] & 0x80), (0x82, 0x80))
        self.assertNotIn(b"ANPX", up)
        self.assertEqual((down[0], down[1] & 0x80, down[2:6]), (0x82, 0, b"ANPX"))

    def test_freshHeaders(self) -> None:
        """Each attempt asks for its credentials anew."""
        self.wires.answer = lambda: Saying(b"HTTP/1.1 401 No\r\n\r\n")
        for token in ("one", "two"):
            self.headers = {"Authorization": f"Bearer {token}"}
            failed = self.endpoint.connect(self.factory)
            self.assertIn(f"Bearer {token}\r\n".encode(), bytes(self.wire.client.buffer))
            self.settle()
            self.failureResultOf(failed, LinkRefused)

    def test_refused(self) -> None:
        """Each way to be refused is a L{LinkRefused} with the status, or 0, and words that quote nobody."""
        accept = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
        for status, answer in [
            (401, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"),
            (503, b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\n"),
            (0, b"HTTP/1.1 503 \x1b[31mBusy\r\n\r\n"),
            (200, b"HTTP/1.1 200 OK\r\n\r\n"),
            (0, accept),
            (0, b"220 mail.example.org ESMTP\r\n\r\n"),
            (0, b"\xff\xfe\r\n\r\n"),
            (0, b"HTTP/1.1 401\r\n" + b"x" * 10_000),
            (0, b""),
        ]:
            self.setUp()
            self.wires.answer = partial(Saying, answer)
            failed = self.endpoint.connect(self.factory)
            self.settle()
            reason = self.failureResultOf(failed, LinkRefused).value
            self.assertEqual(reason.status, status, answer)
            self.assertNotIn("Busy", str(reason))
            self.assertEqual(self.receiver.log, [])
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertEqual(self.backoff.failures, 1)

    @given(
        st.binary(max_size=40)
        | st.sampled_from(
            [b"", b":", b"Upgrade: websocket", b"Connection: x", b"X", b"Sec-WebSocket-Accept:", b"A: \xff"]
        )
    )
    def test_anyAnswer(self, line: bytes) -> None:
        """Whatever answers, the attempt is refused, in our own words, without a traceback."""
        for answer in (line, b"HTTP/1.1 101 x\r\n" + line, b"HTTP/1.1 " + line):
            self.setUp()
            self.wires.answer = partial(Saying, answer + b"\r\n\r\n")
            failed = self.endpoint.connect(self.factory)
            self.settle()
            self.failureResultOf(failed, LinkRefused)

    def test_unreachable(self) -> None:
        """Where there is no connection, the reason is in plain words."""
        for error, words in (
            (ConnectionRefusedError(), "nothing listens at the gateway's address"),
            (DNSLookupError(), "the gateway's name cannot be resolved"),
            (ProxyRefused("the proxy does not answer", 407), "the proxy does not answer"),
        ):
            self.setUp()

            def refuse(error: Exception = error) -> IProtocol:
                raise error

            self.wires.answer = refuse
            reason = self.failureResultOf(self.endpoint.connect(self.factory), LinkRefused).value
            self.assertEqual(str(reason), words)
            self.assertEqual((self.backoff.failures, self.clock.getDelayedCalls()), (1, []))

    def test_late(self) -> None:
        """Ten seconds are for everything: the connection, the WebSocket, the HELLO."""
        for answer in (lambda: None, lambda: Saying(b"", go=False), self.serve):
            self.setUp()
            self.wires.answer = answer
            failed = self.endpoint.connect(self.factory)
            self.turns.end()
            if self.wires.wires:
                self.wire.dead = True
            for _ in range(11):
                self.clock.advance(1.0)
                self.turns.end()
            reason = self.failureResultOf(failed, LinkRefused).value
            self.assertEqual((str(reason), self.backoff.failures), ("no link within 10 s", 1))
            self.settle()
            self.assertEqual((self.clock.getDelayedCalls(), self.receiver.log), ([], []))
            self.assertEqual(self.wires.cancelled, 0 if self.wires.wires else 1)

    def test_endless(self) -> None:
        """An answer that has no end is not waited for."""
        self.wires.answer = partial(Saying, b"HTTP/1.1 101 x\r\n" + b"x" * 5000, go=False)
        failed = self.endpoint.connect(self.factory)
        self.settle()
        self.failureResultOf(failed, LinkRefused)

    def test_otherSubprotocol(self) -> None:
        """A gateway that accepts without choosing our subprotocol speaks something else."""
        failed = self.endpoint.connect(self.factory)
        self.turns.end()
        up = self.wire.client.take(10_000).replace(b"anpx.2", b"anpx.9")
        self.patch(self.servers._autobahn, "protocols", ["anpx.9"])
        server: Any = self.wire._protocols[self.wire.server]
        self.patch(server, "onConnect", lambda request: None)
        server.dataReceived(up)
        self.settle()
        self.assertEqual(str(self.failureResultOf(failed, LinkRefused).value), "the gateway does not speak anpx.2")

    def test_notWanted(self) -> None:
        """A factory that makes nothing, or an owner that cuts the link at once, is an attempt that failed."""
        self.factory.buildProtocol = lambda address: None  # type: ignore[method-assign, assignment]
        failed = self.endpoint.connect(self.factory)
        self.settle()
        self.failureResultOf(failed, ConnectionClosed)
        self.setUp()
        self.receiver.on_open = lambda link: link.abort(LinkLost("not this one"))
        failed = self.endpoint.connect(self.factory)
        self.settle()
        self.failureResultOf(failed, LinkLost)
        self.assertEqual(self.receiver.log, ["open", "lost"])

    def test_lost(self) -> None:
        """The protocol hears of the end when the socket is gone, after the owner heard of the link's."""
        connecting = self.endpoint.connect(self.factory)
        self.settle()
        protocol = self.successResultOf(connecting)
        assert isinstance(protocol, Noting)
        self.gateway.link.close(4003, "not you")
        self.settle()
        self.assertEqual(self.receiver.log, ["open", "lost"])
        assert isinstance(protocol.lost, LinkLost)
        self.assertEqual(protocol.lost.closed_with, 4003)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_transport(self) -> None:
        """The transport of the protocol can end the link, and nothing else."""
        for end in ("loseConnection", "abortConnection"):
            self.setUp()
            connecting = self.endpoint.connect(self.factory)
            self.settle()
            protocol = self.successResultOf(connecting)
            assert isinstance(protocol, Noting)
            transport: Any = protocol.transport
            with self.assertRaises(ConnectionClosed):
                transport.write(b"x")
            with self.assertRaises(ConnectionClosed):
                transport.writeSequence([b"x"])
            getattr(transport, end)()
            self.settle()
            self.assertEqual((self.receiver.log, self.gateway.log), (["open", "lost"], ["open", "lost"]))
            self.assertIsInstance(protocol.lost, ConnectionClosed)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silentServer(self) -> None:
        """A gateway that leaves its socket open after the close handshake is cut."""
        connecting = self.endpoint.connect(self.factory)
        self.settle()
        self.successResultOf(connecting)
        self.gateway.link.close(1001, "bye")
        self.wire.move()
        self.assertEqual(self.receiver.log, ["open", "lost"])
        self.wire.dead = True
        self.assertTrue(self.wire.open)
        self.clock.advance(5.0)
        self.assertTrue(self.wire.client.aborted)


class ServiceTests(ClientTestCase):
    """Under a C{ClientService}."""

    def setUp(self) -> None:
        super().setUp()
        self.service = ClientService(self.endpoint, self.factory, self.backoff, self.clock)
        self.addCleanup(self.assertEqual, self.clock.getDelayedCalls(), [])

    def count(self, seconds: float) -> int:
        """Count the attempts of the next seconds."""
        before = self.wires.attempts
        self.advance(seconds)
        return self.wires.attempts - before

    def stop(self) -> None:
        """Stop; nothing may be left."""
        stopped = self.service.stopService()
        self.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.wires.wires and self.wire.open)

    def test_acceptAndDrop(self) -> None:
        """A gateway that accepts and drops is called ever more rarely."""
        self.wires.answer = Dropping
        self.service.startService()
        first = self.count(15)
        self.assertIn(first, range(4, 7))
        self.count(60)
        self.assertLessEqual(self.count(60), 5)
        self.stop()

    def test_unauthorized(self) -> None:
        """One that does not accept the credentials is called every 15 s at most, from the first time on."""
        self.wires.answer = lambda: Saying(b"HTTP/1.1 401 Unauthorized\r\n\r\n")
        self.service.startService()
        self.assertLessEqual(self.count(60), 5)
        self.stop()

    def test_openAndDrop(self) -> None:
        """One that even opens the link and then drops it does not set the count back; ten good seconds do."""
        self.gateway.on_open = lambda link: link.close(1011, "no")
        self.service.startService()
        self.count(60)
        self.assertLessEqual(self.count(60), 5)
        self.gateway.on_open = lambda link: None
        self.advance(16)
        self.assertIs(self.receiver.link.state, State.OPEN)
        self.advance(11)
        self.wire.cut()
        self.assertEqual(self.backoff.failures, 1)
        self.assertEqual(self.count(0.6), 1)
        self.stop()

    def test_goaway(self) -> None:
        """A gateway that asks for a pause gets it."""
        self.service.startService()
        self.advance(11)
        self.gateway.link.leave(5.0)
        self.settle()
        self.gateway.link.close(1001, "bye")
        self.settle()
        self.assertEqual(self.count(4.9), 0)
        self.assertEqual(self.count(1), 1)
        self.stop()

    def test_restart(self) -> None:
        """After a gateway's restart the receiver is back."""
        self.service.startService()
        self.settle()
        self.advance(20)
        self.wires.answer = Dropping
        self.wire.cut()
        self.advance(30)
        self.wires.answer = self.serve
        self.advance(16)
        self.assertEqual(self.gateway.log, ["open", "lost", "open"])
        self.stop()
        self.assertEqual(self.gateway.log[-1], "lost")

    def test_stopAnywhere(self) -> None:
        """Wherever in an attempt the service stops, no timer and no connection is left."""
        for answer in (lambda: None, lambda: Saying(b"", go=False), self.serve, Dropping):
            for moves in range(6):
                self.setUp()
                self.wires.answer = answer if answer != self.serve else self.serve
                self.service.startService()
                for _ in range(moves):
                    self.turns.end()
                    if self.wires.wires:
                        self.wire.move()
                self.stop()


class TrafficTests(ClientTestCase):
    """Streams over the two real ends."""

    def setUp(self) -> None:
        super().setUp()
        self.receiver.on_request = self.echo
        self.endpoint.connect(self.factory).addErrback(lambda failure: None)
        self.settle()

    def echo(self, link: Link, event: events.RequestReceived) -> None:
        """Send back what comes, no faster than it is taken."""
        stream = event.stream
        stream.owner = Echo(link, stream)
        stream.send_head(ResponseHead(200, []))
        stream.owner.take(event.body, event.ended)

    def post(self, body: bytes) -> StreamLog:
        """Send a request and its body as the credit allows."""
        log = StreamLog(self.gateway.link)
        log.stream = self.gateway.link.connection.open(RequestHead("POST", "/", []), log)
        Feeder(log, body)
        return log

    def test_largeEcho(self) -> None:
        """Megabytes there and back are the same bytes, and neither transport ever holds more than two bursts."""
        source = random.Random(7)
        bodies = [source.randbytes(3 << 20), source.randbytes(1 << 20), b"small"]
        logs = [self.post(body) for body in bodies]
        self.settle(30_011)
        for log, body in zip(logs, bodies, strict=True):
            self.assertTrue(bytes(log.body) == body)
            self.assertEqual(log.seen[-1], "StreamEnded")
        self.assertLess(max(self.wire.client.most, self.wire.server.most), 3 * WireEnd.bufferSize)
        self.assertEqual((self.gateway.link.connection.streams, self.receiver.link.connection.streams), ({}, {}))

    def test_slowWire(self) -> None:
        """A small request does not wait for a large one: it overtakes it on a wire that takes little at a time."""
        large = self.post(bytes(4 << 20))
        for _ in range(3):
            self.turns.end()
            self.wire.move(8192)
        small = self.post(b"hi")
        moves = 0
        while "StreamEnded" not in small.seen:
            self.turns.end()
            self.wire.move(8192)
            moves += 1
        self.assertLess(moves * 8192, 6 * WireEnd.bufferSize)
        self.assertNotIn("StreamEnded", large.seen)

    @given(st.integers(1, 400), st.integers(1, 70_000))
    def test_killedAnywhere(self, moves: int, most: int) -> None:
        """A wire that is cut after any number of bytes: each stream hears of one end, and each owner of one loss."""
        self.setUp()
        logs = [self.post(bytes(300_000)) for _ in range(3)]
        for _ in range(moves):
            self.turns.end()
            self.wire.move(most, upwards=most // 2 + 1)
        self.wire.cut()
        self.turns.end()
        for log in logs:
            ends = [name for name in log.seen if name in ("StreamEnded", "StreamReset")]
            self.assertEqual(ends, log.seen[-1:])
            if ends == ["StreamReset"]:
                self.assertNotEqual(log.stream.receiving.name, "HEAD" if log.body else None)
            else:
                self.assertEqual(len(log.body), 300_000)
        self.assertEqual((self.gateway.log.count("lost"), self.receiver.log.count("lost")), (1, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_silentPeer(self) -> None:
        """A wire on which everything vanishes is noticed at both ends within 25 s."""
        log = self.post(bytes(300_000))
        self.turns.end()
        self.wire.dead = True
        for _ in range(26):
            self.clock.advance(1.0)
            self.settle()
        self.assertEqual((self.gateway.log[-1], self.receiver.log[-1]), ("lost", "lost"))
        self.assertEqual(log.seen[-1], "StreamReset")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Echo:
    """Sends back what it gets; it takes no more while it may not send."""

    def __init__(self, link: Link, stream: Any) -> None:
        self.link = link
        self.stream = stream
        self.owed = 0

    def take(self, body: bytes, ended: bool) -> None:
        """Send a piece back."""
        paused = self.stream.send_data(body)
        self.owed += len(body)
        if not paused:
            self.settle()
        if ended:
            self.stream.send_end()
        self.link.wake()

    def settle(self) -> None:
        """Take what was held back."""
        owed, self.owed = self.owed, 0
        self.stream.consume(owed)

    def stream_event(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            self.take(event.body, event.ended)
        elif isinstance(event, events.StreamWritable):
            self.settle()
            self.link.wake()


class Feeder:
    """Sends a body into a stream as fast as it is taken."""

    def __init__(self, log: StreamLog, body: bytes) -> None:
        self.log = log
        self.left = memoryview(body)
        log.on_event = self.event
        self.more()

    def event(self, event: events.Event) -> None:
        """Go on when there is room."""
        if isinstance(event, events.StreamWritable):
            self.more()

    def more(self) -> None:
        """Send until told to pause."""
        paused = False
        while self.left and not paused:
            piece, self.left = bytes(self.left[:50_000]), self.left[50_000:]
            paused = self.log.stream.send_data(piece)
        if not self.left and not paused:
            self.log.stream.send_end()
            self.log.on_event = lambda event: None
        self.log.link.wake()
