"""
Two connections back to back in memory, for tests of the session.
"""

from __future__ import annotations

from collections import deque

from anp_twisted.limits import DEFAULT_LIMITS, KIB, Limits
from anp_twisted.session.connection import Connection, Role
from anp_twisted.session.events import Event, HelloReceived, RequestReceived
from anp_twisted.session.stream import Stream
from anp_twisted.wire import heads, v2
from anp_twisted.wire.heads import WEBSOCKET, Hello, Pairs, RequestHead, ResponseHead

WINDOW = 64 * KIB


def hello(
    window: int = WINDOW, connection_window: int = 4 * WINDOW, max_streams: int = 8, max_frame: int = 1024 * KIB
) -> Hello:
    """What a side says of itself."""
    return Hello([2], window, connection_window, max_streams, max_frame)


def request(method: str = "GET", headers: Pairs | None = None) -> RequestHead:
    """The head of a request."""
    return RequestHead(method, "/", headers or [])


def websocket() -> RequestHead:
    """The head of a request for a WebSocket."""
    return RequestHead("GET", "/", [], protocol=WEBSOCKET)


def response(status: int = 200, headers: Pairs | None = None) -> ResponseHead:
    """The head of an answer."""
    return ResponseHead(status, headers or [])


def frame(kind: v2.Kind, stream: int, value: object = None, body: bytes = b"", *, end: bool = False) -> bytes:
    """The bytes of a frame, whatever a sound machine thinks of it."""
    meta = value if isinstance(value, bytes | None) else heads.encode(value)
    return v2.encode(kind, stream, end, meta, body)


def frames_of(connection: Connection) -> list[v2.Frame]:
    """Everything a connection would send now."""
    return [v2.decode(message, 2**20) for message in iter(connection.next_frame, None)]


class Side:
    """
    One connection, what it was told, and what is on its way to it.

    @ivar wire: frames of the other side that did not arrive yet.
    @ivar events: what happened, in order.
    """

    def __init__(self, role: Role, own: Hello, limits: Limits) -> None:
        self.connection = Connection(role, own, limits)
        self.wire: deque[bytes] = deque()
        self.events: list[Event] = []

    def collect(self) -> None:
        """Note what happened."""
        self.events += self.connection.take_events()

    def taken(self) -> list[Event]:
        """Take the notes."""
        self.collect()
        taken, self.events = self.events, []
        return taken


class Link:
    """
    A gateway and a receiver, and what is between them.

    @ivar gateway: the side that opens streams.
    @ivar receiver: the side that answers them.
    """

    def __init__(
        self, limits: Limits = DEFAULT_LIMITS, *, gateway: Hello | None = None, receiver: Hello | None = None
    ) -> None:
        self.gateway = Side(Role.GATEWAY, gateway or hello(), limits)
        self.receiver = Side(Role.RECEIVER, receiver or hello(), limits)

    def other(self, side: Side) -> Side:
        """The side that C{side} talks to."""
        return self.receiver if side is self.gateway else self.gateway

    def transmit(self, side: Side) -> bool:
        """Put one frame of C{side} on the wire; tell whether there was one."""
        message = side.connection.next_frame()
        side.collect()
        if message is not None:
            self.other(side).wire.append(message)
        return message is not None

    def deliver(self, side: Side) -> bool:
        """Let one frame arrive at C{side}; tell whether there was one."""
        if not side.wire:
            return False
        side.connection.receive(side.wire.popleft())
        side.collect()
        return True

    def settle(self) -> None:
        """Move everything until nothing moves."""
        sides = (self.gateway, self.receiver)
        moved = True
        while moved:
            moved = False
            for side in sides:
                while self.transmit(side):
                    moved = True
                while self.deliver(side):
                    moved = True
            for side in sides:
                side.connection.invariants()

    def open(self, head: RequestHead | None = None, owner: object = None) -> Stream:
        """Open a stream at the gateway."""
        return self.gateway.connection.open(head or request(), owner)

    def accepted(self) -> Stream:
        """Settle, and take the stream that the receiver was just given."""
        self.settle()
        streams = [event.stream for event in self.receiver.taken() if isinstance(event, RequestReceived)]
        return streams[-1]


def connected(limits: Limits = DEFAULT_LIMITS, *, gateway: Hello | None = None, receiver: Hello | None = None) -> Link:
    """A link whose sides know each other, with nothing under way."""
    link = Link(limits, gateway=gateway, receiver=receiver)
    link.settle()
    for side in (link.gateway, link.receiver):
        assert [type(event) for event in side.taken()] == [HelloReceived]
    return link
