"""
A receiver and the gateways it finds, over pipes in memory.

WebSockets, links and sessions are the real ones and the application runs on the
real loop; only sockets, the clock and chance are stand-ins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec import structs
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.auth.identity import RECEIVER, Identity
from anp_twisted.errors import ANPError
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.receiver.service import Choice, ReceiverService, lanes_of
from anp_twisted.receiver.uplink import Gateway, Surroundings
from anp_twisted.session.events import GoawayReceived, RequestReceived
from anp_twisted.test.receiver_rig import Caller, the_loop
from anp_twisted.transports.link import Link
from anp_twisted.transports.server import LinkServerFactory
from anp_twisted.wire.heads import Hello, RequestHead

ADDRESS = IPv4Address("TCP", "192.0.2.1", 9877)


class PipeEnd(StringTransport):
    """One end of a connection; what is written waits for L{Pipe.move}."""

    def __init__(self) -> None:
        super().__init__(peerAddress=ADDRESS)
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True

    def unregisterProducer(self) -> None:
        """As a real transport, it does not mind when there is none."""
        self.producer = None

    def setTcpNoDelay(self, enabled: object) -> None:
        pass


class Pipe:
    """A TCP connection between two protocols."""

    def __init__(self, client: IProtocol, server: IProtocol) -> None:
        self.ends = [(client, PipeEnd()), (server, PipeEnd())]
        self.open = True
        for protocol, end in self.ends:
            protocol.makeConnection(end)

    def move(self) -> None:
        """Deliver what was written, then a close."""
        for (_, source), (sink, _) in zip(self.ends, reversed(self.ends), strict=True):
            data = source.value()
            source.clear()
            if data and self.open:
                sink.dataReceived(data)
        if self.open and any(end.aborted for _, end in self.ends):
            self.cut(ConnectionLost())
        elif self.open and any(end.disconnecting and not end.value() for _, end in self.ends):
            self.cut(ConnectionDone())

    def cut(self, reason: Exception) -> None:
        """End the connection at both ends."""
        self.open = False
        for protocol, _ in self.ends:
            protocol.connectionLost(Failure(reason))


class Refusing(Protocol):
    """Answers everything with one status."""

    def __init__(self, status: int) -> None:
        self._status = status

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(f"HTTP/1.1 {self._status} No\r\nContent-Length: 0\r\n\r\n".encode())
        self.transport.loseConnection()


class GatewayEnd:
    """
    What the receiver finds at the address.

    @ivar links: the gateway's ends of links, in order.
    @ivar lost: why links ended.
    @ivar places: for each link to come which worker it leads to, and of how many.
    """

    def __init__(self, lab: ReceiverLab, public_url: str) -> None:
        limits = lab.limits
        hello = Hello([2], limits.stream_window, limits.connection_window, 0, limits.frame, public_url=public_url)
        self.links: list[Link] = []
        self.lost: list[ANPError] = []
        self._lab = lab
        self.places: list[tuple[int, int]] = []
        self._hello = hello
        self._factory = LinkServerFactory(lab.clock, lab.soon, limits, self, self._placed)

    def _placed(self, identity: Identity) -> Hello:
        worker, workers = self.places.pop(0) if self.places else (0, 0)
        return structs.replace(self._hello, worker=worker, workers=workers)

    def protocol(self) -> IProtocol:
        return self._factory.protocol(RECEIVER, ("192.0.2.7", 4711))

    def link_open(self, link: Link) -> None:
        self.links.append(link)

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        assert isinstance(event, GoawayReceived)

    def link_lost(self, link: Link, reason: ANPError) -> None:
        self.lost.append(reason)

    def request(self, target: str = "/", link: Link | None = None) -> Caller:
        """Send a request over a link, the latest one unless another is named."""
        link = self.links[-1] if link is None else link
        caller = Caller(link)
        caller.stream = link.connection.open(RequestHead("GET", target, [("Host", "example.org")], id="r-1"), caller)
        caller.send(end=True)
        return caller


@implementer(IStreamClientEndpoint)
class Door:
    """
    An address that the receiver dials.

    @ivar refuse: a status that answers, or -1 for nobody; 0 is a gateway.
    @ivar pipes: the connections that were made.
    """

    def __init__(self, lab: ReceiverLab, host: str) -> None:
        self.host = host
        self.refuse = 0
        self.pipes: list[Pipe] = []
        self._lab = lab

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        lab = self._lab
        lab.dialled.append(lab.clock.seconds())
        lab.doors_dialled.append(self.host)
        if self.refuse < 0:
            return fail(ConnectionRefusedError())
        client = protocolFactory.buildProtocol(ADDRESS)
        assert client is not None
        pipe = Pipe(client, Refusing(self.refuse) if self.refuse else lab.gateway.protocol())
        self.pipes.append(pipe)
        lab.pipes.append(pipe)
        return succeed(client)


class ReceiverLab:
    """
    The receiver.

    @ivar gateway: who answers at the address.
    @ivar refuse: a status that answers instead, or -1 for nobody.
    @ivar moving: whether what is written arrives.
    @ivar dialled: when something was dialled.
    @ivar doors_dialled: what was dialled then.
    @ivar doors: the addresses there are; the same gateway is behind each.
    @ivar announced: the public URLs it told.
    @ivar given_up: why it gave up.
    """

    def __init__(
        self,
        app: App,
        limits: Limits | None = None,
        *,
        public_url: str = "http://gate.example",
        links: int = 1,
        hosts: tuple[str, ...] = ("192.0.2.1",),
        choice: Choice = Choice.ALL,
        **more: Any,
    ):
        self.limits = limits or Limits(cancel_grace=0.0, startup=1.0, shutdown=1.0)
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.moving = True
        self.dialled: list[float] = []
        self.doors_dialled: list[str] = []
        self.announced: list[str] = []
        self.given_up: list[ANPError] = []
        self.pipes: list[Pipe] = []
        self._due: list[Callable[[], None]] = []
        self.gateway = GatewayEnd(self, public_url)
        gateway = Gateway(
            url="",
            endpoint=Door(self, ""),
            headers=lambda: {"Authorization": "Bearer secret"},
            paths=("/",),
            instance="i",
        )
        self.doors = [Door(self, host) for host in hosts]
        gateways = [replace(gateway, url=f"ws://{door.host}:9877/ws", endpoint=door, **more) for door in self.doors]
        self.troubles: list[ANPError] = []
        around = Surroundings(
            clock=self.clock,
            soon=self.soon,
            draw=lambda: 1.0,
            announce=self.announced.append,
            give_up=self.given_up.append,
            troubled=self.troubles.append,
        )
        bridge = AppBridge(app, loop=the_loop(), limits=self.limits)
        self.service = ReceiverService(bridge, lanes_of(gateways, links=links, choice=choice), around)

    def soon(self, function: Callable[[], None]) -> None:
        self._due.append(function)

    @property
    def refuse(self) -> int:
        return self.doors[0].refuse

    @refuse.setter
    def refuse(self, status: int) -> None:
        for door in self.doors:
            door.refuse = status

    @property
    def open_at(self) -> list[int]:
        """The number of open connections at each address."""
        return [sum(pipe.open for pipe in door.pipes) for door in self.doors]

    async def settle(self, advance: float = 0.0) -> None:
        """
        Let everything happen that can.

        @param advance: seconds that pass then, in small steps.
        """
        await self._move()
        while advance > 0:
            self.clock.advance(min(advance, 1.0))
            advance -= 1.0
            await self._move()

    async def _move(self) -> None:
        for _ in range(30):
            self.clock.advance(0.0)
            due, self._due = self._due, []
            for function in due:
                function()
            for pipe in self.pipes if self.moving else ():
                pipe.move()
            await asyncio.sleep(0)

    async def start(self) -> None:
        """Start and let it find the gateway."""
        self.service.startService()
        await self.settle()

    async def stop(self) -> None:
        """Stop, and see that nothing is left."""
        stopped = self.service.stopService()
        for _ in range(100):
            await self.settle(1.0)
            if stopped.called:
                break
        await stopped.asFuture(the_loop())
        await self.settle()
        assert not self.clock.getDelayedCalls(), self.clock.getDelayedCalls()
        assert not any(pipe.open for pipe in self.pipes)
