"""
A gateway in memory: callers on string transports, receivers as bare sessions.

Everything between them is the real thing; only sockets and time are stand-ins.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.access import AccessRecord
from anp_twisted.auth.identity import RECEIVER, Identity
from anp_twisted.errors import ANPError, Code
from anp_twisted.gateway.exchanges import Exchanges
from anp_twisted.gateway.front import Front
from anp_twisted.gateway.receivers import Receivers
from anp_twisted.gateway.routes import RouteTable
from anp_twisted.http.channel import PublicFactory
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.session import events
from anp_twisted.session.connection import Connection, Role
from anp_twisted.session.stream import Stream
from anp_twisted.transports.link import State
from anp_twisted.wire.heads import Hello, ResponseHead


class LinkInMemory:
    """
    A link whose other end is a session of the test.

    @ivar requests: what reached the receiver.
    @ivar others: every other event of the receiver's side.
    """

    rtt = None
    version = 2
    state = State.OPEN

    def __init__(self, lab: Lab, hello: Hello, identity: Identity = RECEIVER) -> None:
        self.lab = lab
        self.identity = identity
        self.remote = "192.0.2.1:5"
        limits = lab.limits
        ours = Hello([2], limits.stream_window, limits.connection_credit(limits.in_flight), 0, limits.frame)
        self.connection = Connection(Role.GATEWAY, ours, limits)
        self.far = Connection(Role.RECEIVER, hello, limits)
        self.requests: list[events.RequestReceived] = []
        self.others: list[events.Event] = []
        self.closed: tuple[int, str] | None = None
        self.held = False
        self._leavers: list[Deferred[None]] = []

    def wake(self) -> None:
        """Everything that is due crosses when the test pumps."""

    def leave(self, retry_after: float = 0.0) -> Deferred[None]:
        """Say GOAWAY; it has fired when no stream is left."""
        self.connection.leave(Code.DRAINING, retry_after)
        self._leavers.append(Deferred())
        return self._leavers[-1]

    def close(self, code: int, reason: str) -> None:
        """End it."""
        self.closed = (code, reason)
        self.abort(ANPError(reason))

    def abort(self, reason: ANPError) -> None:
        """End it, the streams first."""
        self.lab.links.remove(self)
        self.state = State.LOST
        for event in self.connection.close(Code.UNREACHABLE, "lost"):
            event.stream.owner.stream_event(event)  # type: ignore[union-attr]
        self.lab.receivers.link_lost(self, reason)  # type: ignore[arg-type]

    def pump(self) -> bool:
        """Move every frame that is there and tell what it meant; true if any moved."""
        moved = False
        while not self.held and (frame := self.connection.next_frame()) is not None:
            self.far.receive(frame)
            moved = True
        for event in self.far.take_events():
            (self.requests if isinstance(event, events.RequestReceived) else self.others).append(event)  # type: ignore[arg-type]
        while (frame := self.far.next_frame()) is not None:
            self.connection.receive(frame)
            moved = True
        for event in self.connection.take_events():
            self._tell(event)
        if not self.connection.streams:
            leavers, self._leavers = self._leavers, []
            for done in leavers:
                done.callback(None)
        return moved

    def _tell(self, event: events.Event) -> None:
        if isinstance(event, events.HelloReceived):
            self.lab.receivers.link_open(self)  # type: ignore[arg-type]
        elif isinstance(event, events.GoawayReceived | events.RequestReceived):
            self.lab.receivers.link_event(self, event)  # type: ignore[arg-type]
        elif not isinstance(event, events.PongReceived):
            event.stream.owner.stream_event(event)

    def bodies(self, stream: Stream) -> bytes:
        """What came of the body of one request."""
        first = next(event.body for event in self.requests if event.stream is stream)
        rest = [
            event.body for event in self.others if isinstance(event, events.DataReceived) and event.stream is stream
        ]
        return first + b"".join(rest)


class Caller:
    """One connection of a caller."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.protocol = lab.factory.buildProtocol(IPv4Address("TCP", "198.51.100.7", 4711))
        assert self.protocol is not None
        transport: Any = StringTransport(peerAddress=IPv4Address("TCP", "198.51.100.7", 4711))
        transport.abortConnection = transport.loseConnection
        self.transport = transport
        self.protocol.makeConnection(self.transport)

    @property
    def aborted(self) -> bool:
        """Whether the gateway ended the connection, at once or behind what was written."""
        return bool(self.transport.disconnecting)

    def send(self, data: bytes) -> None:
        """Let bytes arrive, and everything that follows from them."""
        assert self.protocol is not None
        self.protocol.dataReceived(data)
        self.lab.settle()

    def get(self, target: bytes = b"/", extra: bytes = b"") -> None:
        """Send a small request."""
        self.send(b"GET " + target + b" HTTP/1.1\r\nHost: gate.example\r\n" + extra + b"\r\n")

    def received(self) -> bytes:
        """What came back so far."""
        self.lab.settle()
        data: bytes = self.transport.value()
        return data

    @property
    def status(self) -> int:
        """The status of the first answer, 0 while there is none."""
        words = self.received().split(b" ", 2)
        return int(words[1]) if len(words) > 1 else 0


class Lab:
    """
    The gateway.

    @ivar records: the access log.
    """

    def __init__(self, **caps: Any) -> None:
        self.limits: Limits = replace(DEFAULT_LIMITS, **caps)
        self.clock = Clock()
        self.links: list[LinkInMemory] = []
        self.records: list[AccessRecord] = []
        self.starting = False
        self._instances = count()
        self.receivers = Receivers(RouteTable(), self.clock, self.limits)
        self.exchanges = Exchanges(
            self.receivers, self.clock, limits=self.limits, wall=lambda: 1.0e9, record=self.records.append
        )
        numbers = count(1)
        entrance: Any = None
        front = Front(
            self.exchanges,
            entrance,
            request_id=lambda: f"id-{next(numbers)}",
            health_path="/health",
            starting=lambda: self.starting,
        )
        self.factory = PublicFactory(self.clock, self.limits, front)

    def hello(self, **values: Any) -> Hello:
        """What a receiver says of itself."""
        settings: dict[str, Any] = {"paths": ["/"], "capacity": 100, "instance": f"i{next(self._instances)}", **values}
        window, whole = self.limits.stream_window, self.limits.connection_window
        return Hello([2], window, whole, settings.pop("max_streams", 100), self.limits.frame, **settings)

    def connect(self, **values: Any) -> LinkInMemory:
        """Let a receiver connect."""
        link = LinkInMemory(self, self.hello(**values))
        self.links.append(link)
        self.settle()
        return link

    def caller(self) -> Caller:
        """Let a caller connect."""
        return Caller(self)

    def settle(self) -> None:
        """Let everything happen that needs no time."""
        while sum(link.pump() for link in list(self.links)):
            pass
        self.clock.advance(0)

    def answer(self, link: LinkInMemory, body: bytes = b"ok", status: int = 200, *, which: int = -1) -> None:
        """Answer a request of a receiver completely."""
        stream = link.requests[which].stream
        stream.send_head(ResponseHead(status, [("content-length", str(len(body)))]))
        stream.send_data(body)
        stream.send_end()
        self.settle()

    def advance(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in small steps, as the reactor does."""
        passed = 0.0
        while passed < seconds:
            self.clock.advance(step)
            self.settle()
            passed += step


def at_rest(check: Callable[[object, object], None], lab: Lab) -> None:
    """Check that nothing of any request is left."""
    check(len(lab.exchanges), 0)
    check(lab.receivers.parked, 0)
    for link in lab.links:
        check(dict(link.connection.streams), {})
    for receiver in lab.receivers.connected():
        check(receiver.in_flight, 0)


class ExchangeTestCase(SynchronousTestCase):
    """Has a gateway with one receiver, and leaves nothing of any request behind."""

    caps: dict[str, Any] = {}

    def setUp(self) -> None:
        """Connect the receiver."""
        self.lab = Lab(**self.caps)
        self.link = self.lab.connect()

    def problem(self, caller: Caller) -> dict[str, Any]:
        """Read a problem document and check what all of them have."""
        head, _, body = caller.received().partition(b"\r\n\r\n")
        self.assertIn(b"Content-Type: application/problem+json", head)
        document: dict[str, Any] = json.loads(body)
        self.assertEqual(document["status"], caller.status)
        self.assertTrue(document["request_id"])
        return document

    def check_rest(self) -> None:
        """Nothing is left."""
        self.lab.settle()
        at_rest(self.assertEqual, self.lab)
