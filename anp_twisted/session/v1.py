"""
One side of one ANPX version 1 connection.

It has the interface of L{anp_twisted.session.connection.Connection}, so that
what is above it does not see which version a peer speaks. Version 1 has no
credit, no cancellation and no goodbye: what cannot be said to the peer is done on
this side alone, and what a peer sends too fast is bounded by failing its request.

C{docs/protocol/anpx.md}, "Version 1".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anp_twisted.errors import (
    Code,
    ConnectionClosed,
    FrameError,
    FrameTooLarge,
    HeadError,
    StreamFault,
    UnexpectedFrame,
)
from anp_twisted.limits import Limits
from anp_twisted.session import events, texts
from anp_twisted.session.assembly import Assembly, Progress
from anp_twisted.session.connection import Input, Role, State, following
from anp_twisted.session.speech import Message, WebSocketPing
from anp_twisted.session.stream import Half, Phase, Stream
from anp_twisted.session.v1stream import OutboundV1, StreamV1
from anp_twisted.session.windows import ReceiveWindow
from anp_twisted.wire import v1, v1heads
from anp_twisted.wire.heads import Hello, RequestHead, Reset

_IDLE = 3600.0
"""Seconds after which a connection that waits for nothing is looked at again."""


class _Bound(ReceiveWindow):
    """Counts what consumers hold, and lets more come at once."""

    __slots__ = ()

    def enough(self, due: int) -> bool:
        """Tell that any number of bytes is worth it: it costs no frame."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """
    What a connection cannot know by itself.

    @ivar peer: what is taken for the peer's HELLO, which there is none of.
    @ivar new_id: makes the id of a request, a UUID of version 4, which nobody can guess.
    @ivar opened: the time of day, in seconds since the epoch.
    @ivar epoch: the time of day when the clock of this process stood at 0.
    @ivar number: names the connection to the peer.
    """

    peer: Hello
    new_id: Callable[[], str]
    opened: float = 0.0
    epoch: float = 0.0
    number: int = 1


class ConnectionV1:
    """
    The machine.

    @ivar role: which side this is.
    @ivar state: where in its life it is.
    @ivar hello: what this side would say of itself.
    @ivar peer: what is taken for what the peer says of itself.
    @ivar streams: the streams that are alive, by number.
    @ivar outbound: what waits to be sent.
    @ivar offences: what the peer had no right to send.
    @ivar losses: values of heads that version 1 had no place for.
    """

    speaks_text = True

    def __init__(self, role: Role, hello: Hello, limits: Limits, around: Circumstances) -> None:
        self.role = role
        self.state = following(State.OPENING, Input.HELLO)
        self.hello = hello
        self.peer: Hello | None = around.peer
        self.streams: dict[int, StreamV1] = {}
        self.offences = 0
        self.losses = 0
        self.outbound = OutboundV1(limits, role, moved=self._sent, failed=self._unsendable)
        self._limits = limits
        self._around = around
        self._inbox = _Bound(limits.v1_held)
        self._events: list[events.Event] = [events.HelloReceived(around.peer)]
        self._by_id: dict[str, StreamV1] = {}
        self._assembling: dict[StreamV1, None] = {}
        self._late: dict[str, None] = {}  # requests that ended here and may go on there
        self._last = -1
        self._beat_at = 0.0
        if role is Role.RECEIVER:
            self.outbound.control(texts.ready(around.opened, around.number))

    # --- for the user of this side --------------------------------------

    @property
    def room(self) -> int:
        """How many more streams this side may open now."""
        return self._limits.streams - len(self.streams) if self.state is State.OPEN else 0

    @property
    def excused(self) -> bool:
        """
        Whether the silence of the peer means nothing now.

        A receiver that works on one request at a time may answer nothing meanwhile,
        and once it is cut off it does not come back.
        """
        return self.role is Role.GATEWAY and bool(self.streams)

    def open(self, head: RequestHead, owner: object) -> Stream:
        """
        Open a stream; only a gateway does.

        @param owner: what to find behind C{stream.owner} in events.
        @raise ConnectionClosed: if there is no L{room}.
        @raise InvalidMessage: for a head over a cap.
        """
        assert self.role is Role.GATEWAY, "only a gateway opens streams"
        if self.room <= 0:
            raise ConnectionClosed("no stream can be opened on this connection")
        stream = self._new_stream(self._around.new_id())
        stream.owner = owner
        stream.open_request(head)
        self._admit(stream)
        return stream

    def ping(self, opaque: bytes) -> None:
        """Queue a PING of the WebSocket with eight bytes that the peer sends back."""
        if self.state is not State.CLOSED:
            self.outbound.control(WebSocketPing(opaque))

    def leave(self, code: Code = Code.DRAINING, retry_after: float = 0.0) -> None:
        """
        Open no new stream. The peer cannot be told: what a gateway still sends is
        taken until the link is closed.
        """
        self.state = following(self.state, Input.GOAWAY)

    def close(self, code: Code, text: str = "") -> list[events.Event]:
        """
        End everything, since the link is gone.

        @return: a L{StreamReset<events.StreamReset>} for each stream that was alive.
        """
        self.state = following(self.state, Input.CLOSE)
        self.outbound.clear()
        for stream in list(self.streams.values()):
            self._lose(stream, Reset(int(code), "tunnel", text, stream.phase is not Phase.QUEUED))
        self._late.clear()
        return self.take_events()

    def take_events(self) -> list[events.Event]:
        """Take what happened since the last call."""
        taken, self._events = self._events, []
        return taken

    def next_frame(self) -> Message | None:
        """Make the next message to send; C{None} while there is nothing to send."""
        return self.outbound.next_frame()

    def tick(self, now: float) -> float:
        """
        Say that we are there, and give up messages that stopped growing.

        @return: in how many seconds to call it again at the latest.
        """
        soonest = _IDLE
        if self.role is Role.RECEIVER:
            if now >= self._beat_at:
                self.outbound.control(texts.ping(self._around.epoch + now))
                self._beat_at = now + self._limits.v1_beat
            soonest = self._beat_at - now
        for stream in list(self._assembling):
            assert stream.assembly is not None, "nothing to assemble"
            left = stream.assembly.grown + self._limits.v1_assembly - now
            if left > 0:
                soonest = min(soonest, left)
            else:
                self._fail(stream, Reset(int(Code.TIMEOUT), "tunnel", "the message stopped"))
        return soonest

    # --- for streams ----------------------------------------------------

    def return_credit(self, stream: Stream, size: int) -> None:
        """Count bytes that the consumer of a stream took."""
        stream.inbox.consumed(size)
        self._inbox.consumed(size)

    def cut(self, stream: Stream, reset: Reset) -> None:
        """End a stream before its time; a gateway hears of it, a receiver cannot."""
        assert isinstance(stream, StreamV1), "a stream of another version"
        heard = self.role is Role.RECEIVER and reset.code != Code.NO_ERROR
        self._drop(stream, Phase.CUT)
        self._remember(stream.request_id)
        if heard:
            self._refuse(stream.request_id, reset.text)

    def lost(self, values: int) -> None:
        """Count values that version 1 has no place for."""
        self.losses += values

    # --- frames in ------------------------------------------------------

    def receive(self, message: bytes, now: float = 0.0) -> None:
        """
        Take one frame; what it means is in L{take_events}.

        @param now: when it came, in seconds.
        @raise ConnectionFault: if the connection cannot go on; call L{close}.
        """
        if self.state is State.CLOSED:
            return
        if self.outbound.overdue:
            raise UnexpectedFrame("the peer makes us answer more than it reads")
        try:
            frame = v1.decode(message, self._limits.v1_frame, self._limits.frame_fields)
        except FrameError:
            self._garbage()
            return
        take = _RECEIVE.get((self.role, frame.kind))
        if take is None:
            self._offend("a frame that only the other side sends")
        else:
            take(self, frame, now)

    def receive_text(self, text: str) -> None:
        """
        Take a text message.

        @raise ConnectionFault: if the connection cannot go on.
        """
        if self.outbound.overdue:
            raise UnexpectedFrame("the peer makes us answer more than it reads")
        reply = texts.answer(text, self.role, self.hello.paths, self._limits.v1_text)
        if reply is not None:
            self.outbound.control(reply)

    def _garbage(self) -> None:
        """Take what is no frame for the answer to the only request there is, else for nothing."""
        running = [stream for stream in self.streams.values() if stream.phase is Phase.OPEN]
        if self.role is Role.GATEWAY and len(running) == 1:
            self._fail(running[0], _BROKEN)
        self._offend("what is no frame")

    def _response(self, frame: v1.Frame, now: float) -> None:
        """Take an answer, or a part of one."""
        stream = self._by_id.get(frame.request_id)
        if stream is None or stream.phase is not Phase.OPEN:
            if frame.request_id not in self._late:
                self._offend("an answer to nothing")
            return
        try:
            self._take_response(stream, frame, now)
        except (StreamFault, HeadError, FrameTooLarge) as error:
            self._fail(stream, _BROKEN)
            self._offend(str(error))

    def _take_response(self, stream: StreamV1, frame: v1.Frame, now: float) -> None:
        """
        Tell of an answer, or of a part of one.

        @raise StreamFault: it does not go with what came before.
        @raise HeadError: its metadata is malformed.
        """
        begun = stream.receiving is not Half.HEAD
        body, ended = self._joined(stream, frame, now)
        if not self._hold(stream, len(frame.body)) or body is None:
            return
        if begun:
            self._events.append(events.DataReceived(stream, body, ended, []))
        else:
            meta = frame.meta if stream.assembly is None else stream.assembly.meta
            head = v1heads.decode_response(meta or b"", self._limits.v1_meta, self._limits.headers)
            stream.receiving = Half.BODY
            self._events.append(events.ResponseReceived(stream, head, body, ended))
        if ended:
            stream.receiving = Half.DONE
            self._drop(stream, Phase.ENDED)
            self._events.append(events.StreamEnded(stream))

    def _request(self, frame: v1.Frame, now: float) -> None:
        """Take a request, or a part of one."""
        stream = self._by_id.get(frame.request_id)
        if stream is None and frame.request_id in self._late and frame.chunk is not None and frame.chunk.index:
            return
        try:
            if stream is None:
                self._take_request(frame, now)
            else:
                self._take_more(stream, frame, now)
        except (StreamFault, HeadError, FrameTooLarge) as error:
            broken = self._by_id.get(frame.request_id)
            if broken is not None:
                self._fail(broken, _BROKEN)
            else:
                self._refuse(frame.request_id, "malformed request")
                self._remember(frame.request_id)
            self._offend(str(error))

    def _take_request(self, frame: v1.Frame, now: float) -> None:
        """
        Tell of a new request.

        @raise StreamFault: it does not begin with its metadata.
        @raise HeadError: that is malformed.
        """
        if frame.meta is None:
            raise StreamFault("no metadata")
        head = v1heads.decode_request(frame.meta, self._limits.v1_meta, self._limits.headers)
        if len(self.streams) >= min(self.hello.max_streams, self._limits.streams):
            self._refuse(frame.request_id, "busy")
            self._remember(frame.request_id)
            return
        stream = self._new_stream(frame.request_id)
        stream.enter(Phase.OPEN)
        stream.receiving = Half.BODY
        self._admit(stream)
        body, ended = self._joined(stream, frame, now)
        if not self._hold(stream, len(frame.body)):
            return
        stream.receiving = Half.DONE if ended else Half.BODY
        self._events.append(events.RequestReceived(stream, head, body or b"", ended))

    def _take_more(self, stream: StreamV1, frame: v1.Frame, now: float) -> None:
        """
        Tell of the next part of a request.

        @raise StreamFault: it is none.
        """
        if stream.assembly is None:
            raise StreamFault("a request twice")
        body, ended = self._joined(stream, frame, now)
        if not self._hold(stream, len(frame.body)):
            return
        stream.receiving = Half.DONE if ended else Half.BODY
        self._events.append(events.DataReceived(stream, body or b"", ended, []))

    def _joined(self, stream: StreamV1, frame: v1.Frame, now: float) -> tuple[bytes | None, bool]:
        """
        Join a frame to what came before.

        @return: the body that can be passed on, C{None} while there is no metadata; and whether it is the end.
        @raise StreamFault: it does not go with that.
        """
        if frame.chunk is None:
            if stream.assembly is not None:
                raise StreamFault("a whole message amid chunks")
            if frame.meta is None:
                raise StreamFault("no metadata")
            return frame.body, True
        assembly = stream.assembly
        if assembly is None:
            if len(self._assembling) >= self._limits.v1_assemblies:
                raise StreamFault("too many messages in chunks")
            assembly = stream.assembly = Assembly(self._limits.v1_chunks, now)
            self._assembling[stream] = None
        body = assembly.add(frame.chunk, frame.meta, frame.body, now)
        if assembly.progress is Progress.COMPLETE:
            self._assembling.pop(stream, None)
            return body, True
        return body, False

    def _error(self, frame: v1.Frame, now: float) -> None:
        """The peer gave a request up; one that it does not name is the only one there is, or none."""
        stream = self._by_id.get(frame.request_id)
        running = list(self.streams.values())
        if stream is None and not frame.request_id and len(running) == 1:
            stream = running[0]
        if stream is not None and stream.phase is Phase.OPEN:
            gateway = self.role is Role.GATEWAY
            code = Code.UNREACHABLE if gateway else Code.CANCELLED
            self._fail(stream, Reset(int(code), "receiver" if gateway else "gateway", "", True))

    # --- the books ------------------------------------------------------

    def _new_stream(self, request_id: str) -> StreamV1:
        """Make a stream that nobody knows yet."""
        self._last += 2
        return StreamV1(self, self._last, request_id, _Bound(self._limits.v1_unread))

    def _admit(self, stream: StreamV1) -> None:
        """Give a stream its slot."""
        self.streams[stream.id] = stream
        self._by_id[stream.request_id] = stream

    def _hold(self, stream: StreamV1, size: int) -> bool:
        """
        Count bytes that its consumer has to take.

        @return: C{False} if that is too far behind; the stream is gone then.
        """
        if size > stream.inbox.expected or size > self._inbox.expected:
            self._fail(stream, Reset(int(Code.FLOW_CONTROL), "tunnel", "more came than was taken"))
            return False
        stream.inbox.received(size)
        self._inbox.received(size)
        return True

    def _fail(self, stream: StreamV1, reset: Reset) -> None:
        """End a stream for what came of it, or did not come; a gateway hears of it."""
        self.cut(stream, reset)
        self._events.append(events.StreamReset(stream, reset))

    def _unsendable(self, stream: StreamV1) -> None:
        """End a stream of which no frame can be made."""
        side = "receiver" if self.role is Role.GATEWAY else "app"
        reset = Reset(int(Code.TOO_LARGE), side, "too large for version 1", stream.phase is not Phase.QUEUED)
        self._fail(stream, reset)

    def _lose(self, stream: StreamV1, reset: Reset) -> None:
        """End a stream with its connection."""
        self._drop(stream, Phase.CUT)
        self._events.append(events.StreamReset(stream, reset))

    def _refuse(self, request_id: str, text: str) -> None:
        """Send an ERROR frame, whose text is ours."""
        self.outbound.control(v1.encode(v1.Frame(v1.Kind.ERROR, request_id, None, (text or "failed").encode())))

    def _offend(self, what: str) -> None:
        """
        Ignore what the peer had no right to send, and count it.

        @raise UnexpectedFrame: once too often.
        """
        self.offences += 1
        if self.offences >= self._limits.offences:
            raise UnexpectedFrame(f"{what}, once too often")

    def _remember(self, request_id: str) -> None:
        """Note that frames of a request may still be under way; the oldest note goes first."""
        self._late[request_id] = None
        if len(self._late) > self._limits.remembered_streams:
            del self._late[next(iter(self._late))]

    def _sent(self, stream: StreamV1) -> None:
        """See to a stream of which a frame was made."""
        if stream.pausing and stream.backlog < self._limits.v1_part:
            stream.pausing = False
            self._events.append(events.StreamWritable(stream))
        if self.role is Role.RECEIVER and stream.sending is Half.DONE and not stream.outbox:
            phase = Phase.ENDED if stream.receiving is Half.DONE else Phase.CUT
            self._drop(stream, phase)
            self._remember(stream.request_id)
            self._events.append(events.StreamEnded(stream))

    def _drop(self, stream: StreamV1, phase: Phase) -> None:
        """Free the slot of a stream; what nobody will consume is no longer counted."""
        self.streams.pop(stream.id, None)
        self._by_id.pop(stream.request_id, None)
        self._assembling.pop(stream, None)
        stream.enter(phase)
        stream.pausing = False
        self.outbound.forget(stream)
        if phase is Phase.CUT or self.role is Role.RECEIVER:
            self._inbox.consumed(stream.inbox.release())

    def invariants(self) -> None:
        """Assert what holds between any two calls; only tests call it."""
        for stream in self.streams.values():
            stream.invariants()
        self._inbox.invariants()
        assert all(stream.alive for stream in self.streams.values()), "a dead stream has a slot"
        assert {stream.request_id for stream in self.streams.values()} == self._by_id.keys(), "an id is lost"
        assert self._assembling.keys() <= set(self.streams.values()), "a dead stream is assembled"
        assert self.state is not State.CLOSED or not self.streams, "a stream outlived its connection"


_BROKEN = Reset(int(Code.PROTOCOL), "tunnel", "the peer broke the protocol")

_RECEIVE: dict[tuple[Role, int], Callable[[ConnectionV1, v1.Frame, float], None]] = {
    (Role.GATEWAY, v1.Kind.RESPONSE): ConnectionV1._response,
    (Role.RECEIVER, v1.Kind.REQUEST): ConnectionV1._request,
    (Role.GATEWAY, v1.Kind.ERROR): ConnectionV1._error,
    (Role.RECEIVER, v1.Kind.ERROR): ConnectionV1._error,
}
