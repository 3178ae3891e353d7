"""
Whose turn it is to send.

Control frames go first. Streams with something to send, and the credit to send
it, take turns of one frame each. The socket pulls: nothing becomes a frame
before there is room for it, so a control frame never waits behind more than the
frame that is being written.

C{docs/protocol/anpx.md}, "Order on the link".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from anp_twisted.limits import Limits
from anp_twisted.session.stream import Part, Phase, Place, Stream, cost_of
from anp_twisted.session.windows import SendWindow
from anp_twisted.wire import tlv, v2
from anp_twisted.wire.v2 import Kind

#: Bytes of a frame that are not body: header, two field heads.
_AROUND_BODY = 24 + 2 * tlv.OVERHEAD


class Outbound:
    """
    Everything one connection has to send.

    @ivar window: credit of the connection.
    @ivar most_data: body bytes in one frame, by our cap and the peer's.
    """

    def __init__(self, limits: Limits, request_kind: Kind, moved: Callable[[Stream], None]) -> None:
        """
        @param request_kind: the frame type that a head of this side has.
        @param moved: called when a frame of a stream was made, so that the
            connection can see its end.
        """
        self.limits = limits
        self.window = SendWindow(0)
        self.most_data = limits.data
        self._head_kind = request_kind
        self._moved = moved
        self._control: deque[bytes] = deque()
        self._ready: deque[Stream] = deque()
        self._starved: deque[Stream] = deque()

    def agreed(self, most_frame: int, credit: int) -> None:
        """Take over what the HELLO of the peer allows."""
        room = min(self.limits.frame, most_frame) - self.limits.head - _AROUND_BODY
        self.most_data = min(self.limits.data, room)
        assert self.most_data > 0, "no frame has room for a head and a body"
        self.window.grant(credit)

    @property
    def idle(self) -> bool:
        """Whether there is nothing that could be sent now."""
        return not self._control and not self._ready

    def control(self, frame: bytes) -> None:
        """
        Queue a frame that overtakes data.

        It never fails, since some are queued on behalf of this side: a peer that
        lets them pile up is found L{overdue} by the next frame it sends.
        """
        self._control.append(frame)

    @property
    def overdue(self) -> bool:
        """Whether more control frames wait than a peer that reads leaves behind."""
        return len(self._control) >= self.limits.control_backlog

    def touch(self, stream: Stream) -> None:
        """Let a stream take part in the round if it can send something."""
        if stream.place is Place.IDLE and stream.outbox and not stream.lacks(stream.window.credit):
            stream.place = Place.READY
            self._ready.append(stream)

    def granted(self, size: int) -> None:
        """Add credit of the connection and wake the streams that wait for it."""
        self.window.grant(size)
        while self._starved:
            stream = self._starved.popleft()
            stream.place = Place.IDLE
            self.touch(stream)

    def forget(self, stream: Stream) -> None:
        """
        Drop whatever a stream wanted to send, and its place.

        It leaves the round at once: while a link is stalled, streams come and go
        and the round would grow without end.
        """
        if stream.place is Place.READY:
            self._ready.remove(stream)
        elif stream.place is Place.STARVED:
            self._starved.remove(stream)
        stream.place = Place.IDLE
        stream.outbox.clear()
        stream.backlog = 0

    def clear(self) -> None:
        """Drop everything, since the connection ended."""
        for stream in (*self._ready, *self._starved):
            stream.place = Place.IDLE
        self._control.clear()
        self._ready.clear()
        self._starved.clear()

    def next_frame(self) -> bytes | None:
        """
        Make the next frame to send.

        @return: its bytes, or C{None} while there is nothing to send.
        """
        if self._control:
            return self._control.popleft()
        while self._ready:
            stream = self._ready.popleft()
            stream.place = Place.IDLE
            if stream.lacks(self.window.credit):
                stream.place = Place.STARVED
                self._starved.append(stream)
                continue
            return self._turn(stream)
        return None

    def _turn(self, stream: Stream) -> bytes:
        """Make one frame of a stream whose turn it is, and put it back into the round."""
        frame = self._compose(stream)
        if stream.phase is Phase.QUEUED:
            stream.enter(Phase.OPEN)
        self.touch(stream)
        self._moved(stream)
        return frame

    def _compose(self, stream: Stream) -> bytes:
        """Join head, first body bytes and end into one frame where they wait together."""
        part, payload = stream.outbox[0]
        kind, meta, body = Kind.DATA, None, b""  # type: tuple[Kind, bytes | None, tlv.Value]
        if part is not Part.DATA and part is not Part.END:
            if part is Part.MESSAGE:
                return self._compose_message(stream)
            stream.outbox.popleft()
            kind, meta = self._head_kind, bytes(payload)
            if part is not Part.HEAD:
                return v2.encode(kind, stream.id, False, meta)
        if stream.outbox and stream.outbox[0][0] is Part.DATA:
            body = self._take(stream)
        end, trailers = self._ending(stream, kind)
        return v2.encode(kind, stream.id, end, trailers or meta, body)

    def _compose_message(self, stream: Stream) -> bytes:
        """Make a MESSAGE, of as much as the credit allows; a close takes the end with it."""
        payload = stream.outbox.popleft()[1]
        kind, cost = payload[0], cost_of(payload)
        stream.backlog -= cost
        room = min(stream.window.credit, self.window.credit)
        if cost > room:
            size = 1 + room - v2.MESSAGE_COST
            rest = bytes((kind,)) + payload[size:]
            stream.outbox.appendleft((Part.MESSAGE, rest))
            stream.backlog += cost_of(rest)
            kind, payload, cost = kind & ~v2.LAST, payload[:size], room
        stream.window.take(cost)
        self.window.take(cost)
        end, _ = self._ending(stream, Kind.MESSAGE)
        return v2.encode(Kind.MESSAGE, stream.id, end, bytes((kind,)), memoryview(payload)[1:])

    def _take(self, stream: Stream) -> tlv.Value:
        """Take body bytes of the first piece, as many as the credit allows."""
        data = stream.outbox[0][1]
        size = min(len(data), self.most_data, stream.window.credit, self.window.credit)
        if size == len(data):
            stream.outbox.popleft()
        else:
            data, rest = memoryview(data)[:size], memoryview(data)[size:]
            stream.outbox[0] = (Part.DATA, rest)
        stream.window.take(size)
        self.window.take(size)
        stream.backlog -= size
        assert stream.backlog >= 0, "the backlog and the outbox disagree"
        return data

    def _ending(self, stream: Stream, kind: Kind) -> tuple[bool, bytes | None]:
        """Take the end of a stream into this frame if it comes next; trailers fit only on DATA."""
        if not stream.outbox or stream.outbox[0][0] is not Part.END:
            return False, None
        trailers = stream.outbox[0][1]
        if trailers and kind is not Kind.DATA:
            return False, None
        stream.outbox.popleft()
        return True, bytes(trailers) or None

    def invariants(self, streams: Iterable[Stream]) -> None:
        """Assert that each of C{streams} has one place in the round; only tests call it."""
        places = {Place.READY: list(self._ready), Place.STARVED: list(self._starved), Place.IDLE: []}
        assert self.window.credit >= 0, "sent beyond the credit"
        for place, waiting in places.items():
            assert all(stream.place is place for stream in waiting), "a stream waits where it does not know of"
        found = [stream.id for waiting in places.values() for stream in waiting]
        assert len(found) == len(set(found)), "a stream waits twice"
        assert set(found) == {stream.id for stream in streams if stream.place is not Place.IDLE}, "a place is lost"
