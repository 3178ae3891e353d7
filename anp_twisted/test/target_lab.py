"""
A target in memory: connections whose other end is the test, and an ASGI caller.
"""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App, Message
from anp_twisted.receiver.target import HttpTarget
from anp_twisted.receiver.target_pool import TargetPool
from anp_twisted.targets import Target
from anp_twisted.test.receiver_rig import the_loop

TARGET = Target(False, "127.0.0.1", 3000)


class Wire(StringTransport):
    """
    One connection, as the server sees it.

    @ivar paused: the receiver reads nothing.
    @ivar end: how it ended.
    """

    def __init__(self, protocol: IProtocol) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 3000))
        self.protocol: Any = protocol
        self.open = True
        self.end: type[Exception] | None = None

    @property
    def paused(self) -> bool:
        return bool(self.producerState == "paused")

    def setTcpNoDelay(self, enabled: object) -> None:
        pass

    def unregisterProducer(self) -> None:
        self.producer = None

    def abortConnection(self) -> None:
        self.cut(ConnectionLost())

    def loseConnection(self) -> None:
        self.cut(ConnectionDone())

    def cut(self, reason: Exception | None = None) -> None:
        """End the connection, in good order unless a reason says otherwise."""
        if self.open:
            self.open = False
            self.end = type(reason or ConnectionDone())
            self.protocol.connectionLost(Failure(reason or ConnectionDone()))

    def take(self) -> bytes:
        """What the receiver wrote since the last time."""
        data: bytes = self.value()
        self.clear()
        return data

    def say(self, data: bytes) -> None:
        """Let the receiver have bytes."""
        if self.open:
            self.protocol.dataReceived(data)


@implementer(IStreamClientEndpoint)
class Server:
    """
    The server, which is also the endpoint.

    @ivar wires: the connections, in order.
    @ivar listening: whether there is anybody; C{None} never answers.
    """

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.listening: bool | None = True

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.listening is None:
            return Deferred()
        if not self.listening:
            return fail(ConnectionRefusedError())
        protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 3000))
        assert protocol is not None
        wire = Wire(protocol)
        self.wires.append(wire)
        protocol.makeConnection(wire)
        return succeed(protocol)


class Visitor:
    """
    A call of an ASGI application by a test.

    @ivar sent: what it sent.
    @ivar open: whether C{send()} returns.
    """

    def __init__(self, app: App, scope: dict[str, Any], *messages: Message) -> None:
        loop = the_loop()
        self.sent: list[Message] = []
        self.open = asyncio.Event()
        self.open.set()
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        for message in messages:
            self._messages.put_nowait(message)
        self.task: asyncio.Task[object] = loop.create_task(self._run(app, scope))

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        await app(scope, self._messages.get, self._send)

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
        await self.open.wait()

    def give(self, message: Message) -> None:
        self._messages.put_nowait(message)

    @property
    def status(self) -> int:
        found: int = self.sent[0]["status"]
        return found

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class TargetLab:
    """A target, its server and a clock."""

    def __init__(self, limits: Limits | None = None, target: Target = TARGET) -> None:
        self.limits = limits or Limits()
        self.clock = Clock()
        self.server = Server()
        self.pool = TargetPool(self.server, self.clock, the_loop(), self.limits)
        self.app = HttpTarget(target, self.pool, loop=the_loop(), limits=self.limits)

    def ask(self, scope: dict[str, Any], *messages: Message) -> Visitor:
        """Call the application; without messages the request has no body."""
        return Visitor(self.app, scope, *(messages or (request(),)))


def request(body: bytes = b"", more: bool = False) -> Message:
    """A piece of a request."""
    return {"type": "http.request", "body": body, "more_body": more}


async def settle(turns: int = 12) -> None:
    """Let everything that can go on do so."""
    for _ in range(turns):
        await asyncio.sleep(0)
