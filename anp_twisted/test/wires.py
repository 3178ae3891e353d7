"""
Two ends of a connection in memory, with the buffers and the back-pressure of a real one.

Nothing moves until a test says so, and then as many bytes as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.errors import ANPError
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.session import events
from anp_twisted.transports.link import Link
from anp_twisted.wire.heads import Hello

GATEWAY = IPv4Address("TCP", "192.0.2.1", 9877)


class Turns:
    """What was asked to run at the end of a reactor turn."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def soon(self, function: Callable[[], None]) -> None:
        """Stand in for L{anp_twisted.eventloop.soon}."""
        self.due.append(function)

    def end(self) -> None:
        """Run it, and what it asks for."""
        while self.due:
            self.due.pop(0)()


@implementer(ITransport)
class WireEnd:
    """
    One end; what is written waits in C{buffer}.

    @cvar bufferSize: above this the producer is paused, as Twisted's transports do.
    """

    bufferSize = 65536
    disconnecting = False

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.producer: Any = None
        self.paused = False
        self.aborted = False
        self.most = 0

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.aborted:
            return
        self.buffer += data
        self.most = max(self.most, len(self.buffer))
        if self.producer is not None and len(self.buffer) > self.bufferSize and not self.paused:
            self.paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming and self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = True
        self.buffer.clear()

    def getPeer(self) -> IPv4Address:
        return GATEWAY

    def getHost(self) -> IPv4Address:
        return GATEWAY

    def take(self, most: int) -> bytes:
        """Take bytes off, as a socket does."""
        data = bytes(self.buffer[:most])
        del self.buffer[:most]
        if self.paused and not self.buffer:
            self.paused = False
            if self.producer is not None:
                self.producer.resumeProducing()
        return data


class Wire:
    """
    A connection between two protocols, the one that dialled first.

    @ivar open: whether it still is one.
    @ivar dead: whether bytes vanish on it, as behind a router that was switched off.
    """

    def __init__(self, client: IProtocol, server: IProtocol) -> None:
        self.client, self.server = WireEnd(), WireEnd()
        self.open = True
        self.dead = False
        self._protocols = {self.client: client, self.server: server}
        server.makeConnection(self.server)
        client.makeConnection(self.client)

    def move(self, most: int = 65536, upwards: int | None = None) -> bool:
        """
        Move up to so many bytes each way, then a close that waits.

        @param upwards: another number for what the client has written.
        @return: whether anything moved.
        """
        moved = False
        for source, sink, size in (
            (self.client, self.server, most if upwards is None else upwards),
            (self.server, self.client, most),
        ):
            data = source.take(size) if self.open else b""
            if data and not self.dead and not sink.aborted:
                moved = True
                self._protocols[sink].dataReceived(data)
        self._close()
        return moved

    def _close(self) -> None:
        """Carry a close or an abort over."""
        for end, other in ((self.client, self.server), (self.server, self.client)):
            if self.open and end.aborted:
                self.cut(end, ConnectionAborted(), other, ConnectionLost())
            elif self.open and end.disconnecting and not end.buffer:
                self.cut(end, ConnectionDone(), other, ConnectionDone())

    def cut(
        self,
        end: WireEnd | None = None,
        reason: Exception | None = None,
        other: WireEnd | None = None,
        others_reason: Exception | None = None,
    ) -> None:
        """End the connection; without reasons, as a network does."""
        self.open = False
        for side, why in ((end or self.client, reason), (other or self.server, others_reason)):
            self._protocols[side].connectionLost(Failure(why or ConnectionLost()))


class Owner:
    """
    Takes down what links tell.

    @ivar log: what happened, in order.
    @ivar on_request: what to do with a request.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.links: list[Link] = []
        self.reasons: list[ANPError] = []
        self.on_open: Callable[[Link], None] = lambda link: None
        self.on_request: Callable[[Link, events.RequestReceived], None] = lambda link, event: None

    @property
    def link(self) -> Link:
        """The latest link."""
        return self.links[-1]

    def link_open(self, link: Link) -> None:
        self.log.append("open")
        self.links.append(link)
        self.on_open(link)

    def link_event(self, link: Link, event: events.RequestReceived | events.GoawayReceived) -> None:
        self.log.append(type(event).__name__)
        if isinstance(event, events.RequestReceived):
            self.on_request(link, event)

    def link_lost(self, link: Link, reason: ANPError) -> None:
        self.log.append("lost")
        self.reasons.append(reason)


class StreamLog:
    """
    An owner of a stream that takes down what it is told, and consumes all.

    @ivar seen: the names of the events, in order.
    @ivar body: the bytes.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.stream: Any = None
        self.seen: list[str] = []
        self.body = bytearray()
        self.on_event: Callable[[events.Event], None] = lambda event: None

    def stream_event(self, event: events.Event) -> None:
        self.seen.append(type(event).__name__)
        if isinstance(event, events.ResponseReceived | events.DataReceived):
            self.body += event.body
            event.stream.consume(len(event.body))
            self.link.wake()
        self.on_event(event)


@implementer(IStreamClientEndpoint)
class WireEndpoint:
    """
    Connects to what a test puts there.

    @ivar attempts: how often it was asked.
    @ivar wires: the connections made.
    @ivar answer: makes the other end, or raises the reason for which there is none,
        or returns nothing, for an attempt that hangs.
    """

    def __init__(self, answer: Callable[[], IProtocol | None]) -> None:
        self.attempts = 0
        self.cancelled = 0
        self.wires: list[Wire] = []
        self.answer = answer

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        result: Deferred[IProtocol] = Deferred(self._cancel)
        try:
            server = self.answer()
        except Exception as reason:  # noqa: BLE001
            # boundary: any reason a test gives is the reason for which there is no connection.
            result.errback(reason)
            return result
        if server is not None:
            client = factory.buildProtocol(GATEWAY)
            assert client is not None
            self.wires.append(Wire(client, server))
            result.callback(client)
        return result

    def _cancel(self, result: Deferred[IProtocol]) -> None:
        self.cancelled += 1


def hello(limits: Limits = DEFAULT_LIMITS, **more: Any) -> Hello:
    """Make a HELLO that gives what the limits allow."""
    return Hello([2], limits.stream_window, limits.connection_credit(limits.in_flight), 100, limits.frame, **more)
