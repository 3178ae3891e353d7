"""
Connections of version 1 in memory, for tests of the session.
"""

from __future__ import annotations

from typing import Any

from anp_twisted.limits import Limits
from anp_twisted.session.connection import Role
from anp_twisted.session.events import Event, HelloReceived, RequestReceived
from anp_twisted.session.v1 import Circumstances, ConnectionV1
from anp_twisted.session.v1stream import StreamV1
from anp_twisted.test.sessions import hello, request
from anp_twisted.wire import v1
from anp_twisted.wire.heads import RequestHead

LIMITS = Limits(v1_part=2000, v1_answer=9000, v1_unread=10_000, v1_held=15_000, v1_assemblies=3, offences=3, streams=8)
REPLY = b'{"status":200}'


def decoded(message: Any) -> v1.Frame:
    """Read a frame that was sent."""
    assert isinstance(message, bytes)
    return v1.decode(message, 2**24)


class SideV1:
    """
    One connection and what it was told.

    @ivar events: what happened, in order, without the HELLO that there is none of.
    """

    def __init__(self, role: Role, limits: Limits = LIMITS) -> None:
        self.numbers = 0
        around = Circumstances(peer=hello(), new_id=self.new_id, opened=1000.0, epoch=900.0)
        self.connection = ConnectionV1(role, hello(), limits, around)
        self.events: list[Event] = []
        self.texts: list[str] = []

    def new_id(self) -> str:
        """Make the next id."""
        self.numbers += 1
        return f"{self.numbers:08d}-0000-4000-8000-000000000000"

    def taken(self) -> list[Event]:
        """Take what happened."""
        self.connection.invariants()
        return [event for event in self.connection.take_events() if not isinstance(event, HelloReceived)]

    def sent(self) -> list[v1.Frame]:
        """Take the frames that would be sent, and keep the texts."""
        frames = []
        while (message := self.connection.next_frame()) is not None:
            if isinstance(message, bytes):
                frames.append(decoded(message))
            else:
                self.texts.append(str(message))
        self.connection.invariants()
        return frames

    def hear(self, *frames: v1.Frame, now: float = 0.0) -> list[Event]:
        """Receive frames; what comes of it."""
        for frame in frames:
            self.connection.receive(v1.encode(frame), now)
        return self.taken()

    def ask(self, head: RequestHead | None = None, body: bytes = b"") -> StreamV1:
        """Open a stream with a whole request, sent."""
        stream = self.connection.open(head or request(), None)
        assert isinstance(stream, StreamV1)
        stream.send_data(body)
        stream.send_end()
        return stream

    def asked(self, frame: v1.Frame) -> StreamV1:
        """Receive a request; its stream."""
        events = self.hear(frame)
        assert len(events) == 1 and isinstance(events[0], RequestReceived), events
        stream = events[0].stream
        assert isinstance(stream, StreamV1)
        return stream


def reply(stream: StreamV1, body: bytes = b"", chunk: v1.Chunk | None = None, meta: bytes | None = REPLY) -> v1.Frame:
    """An answer to a stream."""
    return v1.Frame(v1.Kind.RESPONSE, stream.request_id, meta, body, chunk)


def asking(request_id: str = "r", body: bytes = b"", chunk: v1.Chunk | None = None, **meta: Any) -> v1.Frame:
    """A request of a gateway, with metadata unless it is a later chunk."""
    text = b'{"method":"GET","path":"/"}' if chunk is None or not chunk.index else None
    return v1.Frame(v1.Kind.REQUEST, request_id, meta.get("meta", text), body, chunk)
