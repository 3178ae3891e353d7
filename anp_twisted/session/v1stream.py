"""
A request and its answer in version 1, and how they become frames.

C{docs/protocol/anpx.md}, "Version 1". The user of a stream sees what it sees in
version 2: a head, pieces, an end. What goes out is one frame when all of that is
there, or numbered chunks of which each says how many there are. So a message
whose length is not known has to be held until it ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from anp_twisted.limits import Limits
from anp_twisted.session.assembly import Assembly
from anp_twisted.session.connection import Role
from anp_twisted.session.speech import Message
from anp_twisted.session.stream import Half, Keeper, Part, Phase, Place, Stream, encode_head
from anp_twisted.session.windows import ReceiveWindow
from anp_twisted.wire import tlv, v1, v1heads
from anp_twisted.wire.heads import Pairs, RequestHead, ResponseHead

#: Bytes of a frame that are neither metadata nor body: the header and six fields with the longest id.
_AROUND = 24 + 6 * tlv.OVERHEAD + v1.MOST_ID + 9


class KeeperV1(Keeper, Protocol):
    """What a stream needs of its connection."""

    @property
    def outbound(self) -> OutboundV1:
        """The side that sends."""

    def lost(self, values: int) -> None:
        """Count values that version 1 has no place for."""


class StreamV1(Stream):
    """
    One request and its answer.

    @ivar request_id: what ties them on the wire.
    @ivar head: what this side says ahead of the body, once that is known.
    @ivar assembly: joins what comes in chunks.
    @ivar overfull: the message of this side is larger than may be sent; it is no longer kept.
    @ivar frames: how many frames of the message were made.
    @ivar total: how many it has, 0 until the first is made.
    @ivar unsent: bytes of the message that are not in a frame yet, once its length is known.
    """

    __slots__ = ("_books", "_meta_size", "assembly", "frames", "head", "overfull", "request_id", "total", "unsent")

    def __init__(self, keeper: KeeperV1, number: int, request_id: str, inbox: ReceiveWindow) -> None:
        """
        @param inbox: counts what its consumer holds.
        """
        super().__init__(keeper, number, window=0, inbox=0)
        self.inbox = inbox
        self.request_id = request_id
        self._books = keeper
        self._meta_size = 0
        self.head: RequestHead | ResponseHead | None = None
        self.assembly: Assembly | None = None
        self.overfull = False
        self.frames = 0
        self.total = 0
        self.unsent = 0

    def open_request(self, head: RequestHead) -> None:
        """
        Queue the head of a request.

        @raise InvalidMessage: it is over a cap.
        """
        limits = self._books.outbound.limits
        encode_head(head, limits)
        self.head = head
        self.overfull = (_declared(head.headers) or 0) > _most(limits, Role.GATEWAY)
        self.open_with(b"", False)

    def send_informational(self, head: ResponseHead) -> None:
        """Drop it: there is one head."""

    def send_head(self, head: ResponseHead) -> None:
        """
        Queue the head of an answer.

        @raise InvalidMessage: it is over a cap.
        @raise StreamClosed: if one was sent, or the stream is gone.
        """
        super().send_head(head)
        self.head = head

    def send_data(self, data: bytes) -> bool:
        """
        Queue body bytes.

        @return: whether the producer should pause until
            L{StreamWritable<anp_twisted.session.events.StreamWritable>} comes.
        @raise StreamClosed: if this direction is done, or the stream is gone.
        """
        if data and not (self.overfull and self.alive):
            self._put(Part.DATA, data)
            self.backlog += len(data)
            self._books.outbound.weigh(self)
        return self.pausing

    def send_end(self, trailers: Pairs | None = None) -> None:
        """
        Queue the end of this direction; trailers are lost.

        @raise StreamClosed: if it was ended, or the stream is gone.
        """
        if trailers:
            self._books.lost(len(trailers))
        super().send_end()

    @property
    def starving(self) -> bool:
        """Whether no frame can be made now of what there is: all of it must be there, or a part of a known length."""
        if self.sending is Half.DONE or self.overfull:
            return False
        return not self.long or self.backlog < self._part

    @property
    def _part(self) -> int:
        return self._books.outbound.limits.v1_part

    @property
    def long(self) -> bool:
        """Whether it is an answer that goes out in chunks, and of which it is known how many."""
        return isinstance(self.head, ResponseHead) and (_declared(self.head.headers) or 0) > self._part

    def begin(self) -> bytes:
        """
        Fix the length of the message, and make its metadata.

        @return: the JSON.
        """
        assert self.head is not None, "a message without head"
        told = _declared(self.head.headers)
        # An answer to HEAD tells a length and has no body.
        empty = self.sending is Half.DONE and not self.backlog
        self.unsent = self.backlog if told is None or empty else told
        if isinstance(self.head, RequestHead):
            if self.unsent and _declared(self.head.headers) is None:
                # The caller may have sent it in pieces; how long it is, is known now.
                self.head.headers = [*self.head.headers, ("Content-Length", str(self.unsent))]
            meta, lost = v1heads.encode_request(self.head)
        else:
            meta, lost = v1heads.encode_response(self.head, _reason(self.head.status))
        self._books.lost(lost)
        self._meta_size = len(meta)
        self.total = max(1, -(-self.unsent // self.room))
        return meta

    @property
    def room(self) -> int:
        """Body bytes of one frame."""
        return max(1, self._part - _AROUND - self._meta_size)

    def take(self, most: int) -> bytes:
        """Take body bytes off the outbox, never its end."""
        pieces: list[bytes] = []
        outbox = self.outbox
        while most and outbox and outbox[0][0] is Part.DATA:
            data = outbox.popleft()[1]
            if len(data) > most:
                outbox.appendleft((Part.DATA, memoryview(data)[most:]))
                data = memoryview(data)[:most]
            pieces.append(bytes(data))
            most -= len(data)
        taken = b"".join(pieces)
        self.backlog -= len(taken)
        self.unsent -= len(taken)
        return taken

    def invariants(self) -> None:
        """Assert what holds between any two calls; only tests call it."""
        self.inbox.invariants()
        waiting = sum(len(payload) for part, payload in self.outbox if part is Part.DATA)
        assert self.backlog == waiting, "the backlog and the outbox disagree"
        assert self.alive or not (self.outbox or self.pausing), "a dead stream wants to send"


def _declared(pairs: Pairs) -> int | None:
    """Read the length that the head tells, if it tells a sound one."""
    values = [value for name, value in pairs if name.lower() == "content-length"]
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit()) or len(values[0]) > 18:
        return None
    return int(values[0])


def _most(limits: Limits, role: Role) -> int:
    """The most bytes of a message that has to be held until it ends."""
    return limits.v1_part * limits.v1_request_chunks if role is Role.GATEWAY else limits.v1_answer


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


class OutboundV1:
    """Everything one connection has to send; streams take turns of one frame."""

    def __init__(
        self,
        limits: Limits,
        role: Role,
        *,
        moved: Callable[[StreamV1], None],
        failed: Callable[[StreamV1], None],
    ) -> None:
        """
        @param moved: called when a frame of a stream was made.
        @param failed: called when no more frames of a stream can be made, since it is too large or not as
            long as it said.
        """
        self.limits = limits
        self.most_data = limits.v1_part
        self._role = role
        self._kind = v1.Kind.REQUEST if role is Role.GATEWAY else v1.Kind.RESPONSE
        self._moved = moved
        self._failed = failed
        self._control: deque[Message] = deque()
        self._ready: deque[StreamV1] = deque()

    @property
    def idle(self) -> bool:
        """Whether there is nothing that could be sent now."""
        return not self._control and not self._ready

    @property
    def overdue(self) -> bool:
        """Whether more waits than a peer that reads leaves behind."""
        return len(self._control) >= self.limits.control_backlog

    def control(self, message: Message) -> None:
        """Queue what goes ahead of every stream."""
        self._control.append(message)

    def weigh(self, stream: StreamV1) -> None:
        """See what the bytes that were queued on a stream mean."""
        if stream.frames or stream.long:
            # Only these go out before they are complete, so only their producer can be asked to wait.
            stream.pausing = stream.backlog > 2 * self.limits.v1_part
        elif stream.backlog > _most(self.limits, self._role):
            stream.overfull = True
            stream.outbox.clear()
            stream.backlog = 0
            stream.outbox.append((Part.HEAD, b""))
        self.touch(stream)

    def touch(self, stream: StreamV1) -> None:
        """Let a stream take part in the round if a frame of it can be made."""
        if stream.place is Place.IDLE and stream.outbox and not stream.starving:
            stream.place = Place.READY
            self._ready.append(stream)

    def forget(self, stream: StreamV1) -> None:
        """Drop whatever a stream wanted to send, and its place."""
        if stream.place is Place.READY:
            self._ready.remove(stream)
        stream.place = Place.IDLE
        stream.outbox.clear()
        stream.backlog = 0

    def clear(self) -> None:
        """Drop everything, since the connection ended."""
        for stream in self._ready:
            stream.place = Place.IDLE
        self._control.clear()
        self._ready.clear()

    def next_frame(self) -> Message | None:
        """
        Make the next message to send.

        @return: C{None} while there is nothing to send.
        """
        while not self.idle:
            if self._control:
                return self._control.popleft()
            stream = self._ready.popleft()
            stream.place = Place.IDLE
            frame = None if stream.overfull else self._compose(stream)
            if frame is None:
                self._failed(stream)
                continue
            if stream.phase is Phase.QUEUED:
                stream.enter(Phase.OPEN)
            self.touch(stream)
            self._moved(stream)
            return frame
        return None

    def _compose(self, stream: StreamV1) -> bytes | None:
        """Make one frame; C{None} if the message does not have the length it should have."""
        meta = None
        if not stream.frames:
            stream.outbox.popleft()  # the head
            meta = stream.begin()
            if self._role is Role.GATEWAY and (stream.total > self.limits.v1_request_chunks):
                return None
        index, last = stream.frames, stream.frames + 1 == stream.total
        if stream.sending is Half.DONE and stream.backlog != stream.unsent:
            return None
        body = stream.take(stream.room)
        stream.frames += 1
        if last:
            if stream.unsent or not stream.outbox or stream.outbox[0][0] is not Part.END:
                return None
            stream.outbox.popleft()
        chunk = None if stream.total == 1 else v1.Chunk(index, stream.total, last)
        return v1.encode(v1.Frame(self._kind, stream.request_id, meta, body, chunk))
