"""
One side of one ANPX version 2 connection.

Whole frames go in, events come out; the socket asks for the next frame whenever
it can take one. Nothing here waits, and the reader is never held up by a stream.

C{docs/protocol/anpx.md}, "Connection" and "Streams".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, auto
from typing import TypeVar

from anp_twisted.errors import Code, ConnectionClosed, FrameTooLarge, HeadError, StreamFault, UnexpectedFrame
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.session import events
from anp_twisted.session.outbound import Outbound
from anp_twisted.session.stream import ADVANCE, Half, Part, Phase, Stream, encode_head
from anp_twisted.session.windows import SharedWindow
from anp_twisted.wire import heads, v2
from anp_twisted.wire.heads import Goaway, Hello, RequestHead, Reset, ResponseHead, Trailers
from anp_twisted.wire.v2 import Frame, Kind


class Role(Enum):
    """Which side this is; the gateway opens streams, the receiver answers them."""

    GATEWAY = auto()
    RECEIVER = auto()


class State(Enum):
    """
    The life of a connection.

    C{OPENING}: our HELLO is queued, the peer's has not come. C{LEAVING}: one side
    said GOAWAY; no stream is opened any more. C{CLOSED}: nothing goes in or out.
    """

    OPENING = auto()
    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


class Input(Enum):
    """What moves a connection from one L{State} to the next."""

    HELLO = auto()
    GOAWAY = auto()
    CLOSE = auto()


_NEXT: dict[tuple[State, Input], State] = {
    (State.OPENING, Input.HELLO): State.OPEN,
    (State.OPENING, Input.GOAWAY): State.LEAVING,
    (State.LEAVING, Input.HELLO): State.LEAVING,
    (State.OPEN, Input.GOAWAY): State.LEAVING,
    (State.LEAVING, Input.GOAWAY): State.LEAVING,
    (State.OPENING, Input.CLOSE): State.CLOSED,
    (State.OPEN, Input.CLOSE): State.CLOSED,
    (State.LEAVING, Input.CLOSE): State.CLOSED,
    (State.CLOSED, Input.CLOSE): State.CLOSED,
    (State.CLOSED, Input.GOAWAY): State.CLOSED,
}


def following(state: State, happened: Input) -> State:
    """
    Look up what comes of an input.

    @raise KeyError: it cannot come in that state.
    """
    return _NEXT[state, happened]


_MOST_STREAM_ID = 2**32 - 1
_NO_TRAILERS = Trailers([])
_Head = TypeVar("_Head", RequestHead, ResponseHead, Trailers)


class Connection:
    """
    The machine.

    @ivar role: which side this is.
    @ivar state: where in its life it is.
    @ivar hello: what this side said of itself.
    @ivar peer: what the peer said of itself, C{None} until it did.
    @ivar streams: the streams that are alive, by id.
    @ivar outbound: what waits to be sent.
    @ivar offences: frames for streams the peer had no right to.
    @cvar speaks_text: whether text messages are a part of it.
    @cvar excused: whether the silence of the peer means nothing.
    @cvar losses: values of heads that it had no place for.
    """

    speaks_text = False
    excused = False
    losses = 0

    def __init__(
        self,
        role: Role,
        hello: Hello,
        limits: Limits = DEFAULT_LIMITS,
        *,
        reply: Callable[[Hello], Hello] | None = None,
        judge: Callable[[Hello], None] | None = None,
    ) -> None:
        """
        @param hello: goes out as the first frame; its windows are the credit
            this side gives.
        @param reply: makes what goes out instead, when the peer's HELLO is there.
        @param judge: may raise a L{ConnectionFault<anp_twisted.errors.ConnectionFault>} at the peer's HELLO.
        """
        assert hello.max_frame <= limits.frame, "the HELLO promises to take frames over the cap"
        self.role = role
        self.state = State.OPENING
        self.hello = hello
        self.peer: Hello | None = None
        self.streams: dict[int, Stream] = {}
        self.offences = 0
        self._limits = limits
        head_kind = Kind.REQUEST if role is Role.GATEWAY else Kind.RESPONSE
        self.outbound = Outbound(limits, head_kind, self._sent)
        self._inbox = SharedWindow(hello.connection_window)
        self._events: list[events.Event] = []
        self._last = 0  # the highest stream opened, by us as gateway, by the peer otherwise
        self._accepted: int | None = None  # what our GOAWAY promised
        self._unread: dict[int, Stream] = {}  # streams that ended with bytes their consumer still holds
        self._late: dict[int, None] = {}  # streams we cut whose peer may not know yet
        self._reply = reply
        self._judge = judge
        if reply is None:
            self.outbound.control(v2.encode(Kind.HELLO, 0, False, heads.encode(hello)))

    # --- for the user of this side --------------------------------------

    @property
    def room(self) -> int:
        """
        How many more streams this side may open now.

        One that ended counts until its bytes were consumed: else the credit of
        the connection could be held by more streams than it is meant for.
        """
        if self.peer is None or self.state is not State.OPEN:
            return 0
        return min(self.peer.max_streams, self._limits.streams) - len(self.streams) - len(self._unread)

    def open(self, head: RequestHead, owner: object) -> Stream:
        """
        Open a stream; only a gateway does. With the last id there is, the
        connection begins to drain, so that the peer makes a new one.

        @param owner: what to find behind C{stream.owner} in events.
        @raise ConnectionClosed: if there is no L{room}.
        @raise InvalidMessage: for a head over a cap.
        """
        assert self.role is Role.GATEWAY, "only a gateway opens streams"
        if self.room <= 0 or self.peer is None:
            raise ConnectionClosed("no stream can be opened on this connection")
        payload = encode_head(head, self._limits)
        self._last += 1 if self._last == 0 else 2
        stream = Stream(self, self._last, window=self.peer.window, inbox=self.hello.window)
        stream.owner = owner
        self.streams[stream.id] = stream
        stream.open_with(payload, bool(head.protocol))
        if self._last >= _MOST_STREAM_ID:
            self.leave()
        return stream

    def ping(self, opaque: bytes) -> None:
        """Queue a PING with eight bytes that the peer sends back."""
        assert len(opaque) == 8, "a PING has eight bytes"
        if self.state is not State.CLOSED:
            self.outbound.control(v2.encode(Kind.PING, 0, False, opaque))

    def leave(self, code: Code = Code.DRAINING, retry_after: float = 0.0) -> None:
        """
        Say that this side takes no new stream; those that are open go on.

        @param retry_after: seconds after which a new connection makes sense.
        """
        if self.state is State.CLOSED or self._accepted is not None:
            return
        self._accepted = self._last
        self.state = _NEXT[self.state, Input.GOAWAY]
        accepted = self._last if self.role is Role.RECEIVER else 0
        goaway = Goaway(accepted, int(code), int(retry_after * 1000))
        self.outbound.control(v2.encode(Kind.GOAWAY, 0, False, heads.encode(goaway)))

    def close(self, code: Code, text: str = "") -> list[events.Event]:
        """
        End everything, since the link is gone.

        @return: a L{StreamReset<events.StreamReset>} for each stream that was alive.
        """
        self.state = _NEXT[self.state, Input.CLOSE]
        self.outbound.clear()
        for stream in list(self.streams.values()):
            sent = stream.phase is not Phase.QUEUED
            self._drop(stream, Phase.CUT)
            self._events.append(events.StreamReset(stream, Reset(int(code), "tunnel", text, sent)))
        self._late.clear()
        assert not self.streams, "a stream outlived its connection"
        return self.take_events()

    def take_events(self) -> list[events.Event]:
        """
        Take what happened since the last call.

        @return: events in their order. Sending makes events too, so ask after
            both L{receive} and L{next_frame}.
        """
        taken, self._events = self._events, []
        return taken

    def next_frame(self) -> bytes | None:
        """
        Make the next frame to send.

        @return: its bytes, or C{None} while there is nothing to send.
        """
        return self.outbound.next_frame()

    # --- for streams ----------------------------------------------------

    def return_credit(self, stream: Stream, size: int) -> None:
        """Give the peer credit again for bytes the consumer of C{stream} took."""
        due = stream.inbox.consumed(size)
        if due and stream.alive and stream.receiving is not Half.DONE:
            self._grant(stream.id, due)
        if self._unread and not stream.inbox.held:
            self._unread.pop(stream.id, None)
        self._return_to_connection(size)

    def cut(self, stream: Stream, reset: Reset) -> None:
        """End a stream before its time; the peer hears of it if it knows the stream."""
        known = stream.phase is Phase.OPEN
        self._drop(stream, Phase.CUT)
        if known:
            if stream.receiving is not Half.DONE:
                self._remember(stream.id)
            self.outbound.control(v2.encode(Kind.RESET, stream.id, False, heads.encode(reset)))

    # --- frames in ------------------------------------------------------

    def receive_text(self, text: str) -> None:
        """@raise UnexpectedFrame: always."""
        raise UnexpectedFrame("a text message")

    def tick(self, now: float) -> float:
        """@return: that there is nothing for which to come back."""
        return math.inf

    def receive(self, message: bytes, now: float = 0.0) -> None:
        """
        Take one frame of the peer; what it means is in L{take_events}.

        @param now: makes no difference in version 2.
        @raise ConnectionFault: if the connection cannot go on; call L{close}.
        """
        if self.state is State.CLOSED:
            return
        if self.outbound.overdue:
            raise UnexpectedFrame("the peer makes us answer more than it reads")
        frame = v2.decode(message, self._limits.frame, self._limits.frame_fields)
        if self.peer is None and frame.kind != Kind.HELLO:
            raise UnexpectedFrame("the first frame is not a HELLO")
        _RECEIVE[frame.kind](self, frame)

    def _hello(self, frame: Frame) -> None:
        """Learn who the peer is."""
        if self.peer is not None:
            raise UnexpectedFrame("a second HELLO")
        hello = heads.decode(Hello, frame.meta or b"", self._limits.head)
        if v2.VERSION not in hello.versions:
            raise UnexpectedFrame("the peer does not speak version 2")
        if self._judge is not None:
            self._judge(hello)
        if self._reply is not None:
            self.outbound.control(v2.encode(Kind.HELLO, 0, False, heads.encode(self._reply(hello))))
        self.peer = hello
        self.state = _NEXT[self.state, Input.HELLO]
        self.outbound.agreed(hello.max_frame, hello.connection_window)
        self._events.append(events.HelloReceived(hello))

    def _request(self, frame: Frame) -> None:
        """Accept or refuse a new stream."""
        number = frame.stream
        if self.role is Role.GATEWAY or number % 2 == 0 or number <= self._last:
            self._offend(frame)
            return
        self._last = number
        self._spent(len(frame.body))
        head = self._head(RequestHead, frame)
        if head is not None and head.protocol and (frame.end or frame.body):
            head = None  # a WebSocket begins with nothing but its head
        refusal = self._refusal() if head is not None else Reset(int(Code.PROTOCOL), "tunnel", "malformed head", False)
        if refusal is not None or head is None:
            self._refuse(frame, refusal)
            return
        assert self.peer is not None
        stream = Stream(self, number, window=self.peer.window, inbox=self.hello.window)
        stream.enter(Phase.OPEN)
        stream.receiving = Half.DONE if frame.end else Half.BODY
        if head.protocol:
            stream.receiving, stream.sending = Half.WAIT, Half.OFFER
        stream.inbox.received(len(frame.body))
        self.streams[number] = stream
        self._events.append(events.RequestReceived(stream, head, bytes(frame.body), frame.end))

    def _refuse(self, frame: Frame, refusal: Reset | None) -> None:
        """Answer a request that is not taken; what else comes of it is dropped."""
        self._return_to_connection(len(frame.body))
        self.outbound.control(v2.encode(Kind.RESET, frame.stream, False, heads.encode(refusal)))
        if not frame.end:
            self._remember(frame.stream)

    def _head(self, shape: type[_Head], frame: Frame) -> _Head | None:
        """Read the head of a frame; a malformed one costs its stream, not the link."""
        try:
            return heads.decode_head(shape, frame.meta or b"", self._limits.head, self._limits.headers)
        except (HeadError, FrameTooLarge):
            return None

    def _refusal(self) -> Reset | None:
        """Say why a new stream is not taken, if it is not."""
        if self._accepted is not None:
            return Reset(int(Code.DRAINING), "receiver", "draining", False)
        if len(self.streams) >= min(self.hello.max_streams, self._limits.streams):
            return Reset(int(Code.REFUSED), "receiver", "busy", False)
        return None

    def _response(self, frame: Frame) -> None:
        """Take the head of an answer, informational or final."""
        stream = self._stream_of(frame)
        if stream is None:
            return
        head = self._head(ResponseHead, frame)
        if head is not None and head.status == 101:
            self._accept(stream, frame, head)
            return
        informational = head is not None and head.status < 200
        if informational:
            stream.informational += 1
        if head is None or (informational and (frame.body or frame.end or not stream.informational_allowed)):
            self._fault(stream, frame)
            return
        if not self._step(stream, frame, Part.INFORMATIONAL if informational else Part.HEAD):
            return
        if informational:
            self._events.append(events.InformationalReceived(stream, head))
        else:
            self._events.append(events.ResponseReceived(stream, head, bytes(frame.body), frame.end))
            self._maybe_end(stream)

    def _accept(self, stream: Stream, frame: Frame, head: ResponseHead) -> None:
        """Let messages go both ways, if a WebSocket was asked for."""
        if frame.body or frame.end:
            self._fault(stream, frame)
        elif self._step(stream, frame, Part.ACCEPT):
            stream.sending = Half.MESSAGES
            self._events.append(events.AcceptReceived(stream, head))

    def _data(self, frame: Frame) -> None:
        """Take body bytes, trailers and the end; a frame must have one of the last or of the first."""
        stream = self._stream_of(frame)
        if stream is None:
            return
        trailers = self._head(Trailers, frame) if frame.meta is not None else _NO_TRAILERS
        if trailers is None or (not frame.end and (frame.meta is not None or not frame.body)):
            self._fault(stream, frame)
            return
        if not self._step(stream, frame, Part.DATA):
            return
        self._events.append(events.DataReceived(stream, bytes(frame.body), frame.end, trailers.headers))
        self._maybe_end(stream)

    def _step(self, stream: Stream, frame: Frame, part: Part) -> bool:
        """
        Advance the receiving direction of a stream, credit first.

        @return: C{False} if the frame did not fit; the stream is gone then, and
            it counts against the peer.
        """
        following = ADVANCE.get((stream.receiving, part))
        if following is None:
            self._fault(stream, frame)
            return False
        cost = v2.cost(frame)
        self._spent(cost)
        stream.inbox.received(cost)
        stream.receiving = ADVANCE[following, Part.END] if frame.end else following
        return True

    def _fault(self, stream: Stream, frame: Frame) -> None:
        """Fail one stream for what the peer sent on it."""
        self.cut(stream, Reset(int(StreamFault.code), "tunnel", "frame out of order"))
        if frame.end:
            self._late.pop(stream.id, None)
        reset = Reset(int(StreamFault.code), "tunnel", "the peer broke the protocol")
        self._events.append(events.StreamReset(stream, reset))
        self._offend(frame)

    def _window(self, frame: Frame) -> None:
        """Take credit; that of a stream which has ended is no offence."""
        credit = v2.unpack_credit(frame.meta or b"")
        if not frame.stream:
            self.outbound.granted(credit)
            return
        stream = self._known(frame)
        if stream is not None:
            stream.window.grant(credit)
            self.outbound.touch(stream)

    def _reset(self, frame: Frame) -> None:
        """End a stream as the peer says; one that has ended is no offence."""
        reset = heads.decode(Reset, frame.meta or b"", self._limits.reason * 8)
        self._late.pop(frame.stream, None)
        stream = self._known(frame)
        if stream is not None:
            self._lose(stream, reset)

    def _goaway(self, frame: Frame) -> None:
        """Stop opening streams; those the peer did not accept were not dispatched."""
        goaway = heads.decode(Goaway, frame.meta or b"", self._limits.reason * 8)
        self.state = _NEXT[self.state, Input.GOAWAY]
        self._events.append(events.GoawayReceived(goaway))
        if self.role is not Role.GATEWAY:
            return
        for stream in [stream for stream in self.streams.values() if stream.id > goaway.last]:
            self._lose(stream, Reset(int(Code.DRAINING), "receiver", "draining", False))

    def _lose(self, stream: Stream, reset: Reset) -> None:
        """End a stream that the peer ended; one it began to answer was dispatched, whatever it says."""
        reset.dispatched = reset.dispatched or stream.answered
        self._drop(stream, Phase.CUT)
        self._events.append(events.StreamReset(stream, reset))

    def _ping(self, frame: Frame) -> None:
        """Send the eight bytes back."""
        self.outbound.control(v2.encode(Kind.PONG, 0, False, frame.meta))

    def _pong(self, frame: Frame) -> None:
        """Report that a PING came back."""
        self._events.append(events.PongReceived(frame.meta or b""))

    def _message(self, frame: Frame) -> None:
        """Take a WebSocket message, or a part of one; a close may cut one short."""
        stream = self._stream_of(frame)
        if stream is None:
            return
        kind = frame.meta[0] if frame.meta else 0
        other = stream.joining not in (0, kind & ~v2.LAST) and not frame.end
        if other or not v2.message_is_right(frame):
            self._fault(stream, frame)
        elif self._step(stream, frame, Part.MESSAGE):
            last, kind = bool(kind & v2.LAST), kind & ~v2.LAST
            stream.joining = 0 if last else kind
            self._events.append(events.MessageReceived(stream, kind, bytes(frame.body), last, v2.cost(frame)))
            self._maybe_end(stream)

    # --- the books ------------------------------------------------------

    def _stream_of(self, frame: Frame) -> Stream | None:
        """Find the stream of a frame; a late or wrong one is dropped and credited."""
        stream = self.streams.get(frame.stream)
        if stream is not None and stream.phase is Phase.OPEN:
            return stream
        if frame.stream in self._late:
            self._inbox.received(v2.cost(frame))
            self._return_to_connection(v2.cost(frame))
            if frame.end:
                del self._late[frame.stream]
        else:
            self._offend(frame)
        return None

    def _known(self, frame: Frame) -> Stream | None:
        """Find the stream of a WINDOW or RESET; one that has ended is no offence, one that never was open is."""
        stream = self.streams.get(frame.stream)
        if stream is not None and stream.phase is Phase.OPEN:
            return stream
        if stream is not None or frame.stream % 2 == 0 or frame.stream > self._last:
            self._offend(frame)
        return None

    def _offend(self, frame: Frame) -> None:
        """Ignore a frame the peer had no right to send, and count it."""
        self.offences += 1
        if self.offences > self._limits.offences:
            raise UnexpectedFrame(f"frame type {frame.kind:#04x} on stream {frame.stream}, once too often")
        self._inbox.received(v2.cost(frame))
        self._return_to_connection(v2.cost(frame))

    def _remember(self, number: int) -> None:
        """Note that frames of a stream may still be under way; the oldest note goes first."""
        self._late[number] = None
        if len(self._late) > self._limits.remembered_streams:
            del self._late[next(iter(self._late))]

    def _spent(self, size: int) -> None:
        """
        Count credit that the peer used, and grant what waits if that is enough now.

        Not only what is consumed makes it enough: where all consumers stand still,
        the peer comes to the end of its credit, and nobody would look again.
        """
        self._inbox.received(size)
        if size:
            self._return_to_connection(0)

    def _return_to_connection(self, size: int) -> None:
        """Count bytes that no longer take room, and grant credit when enough are."""
        due = self._inbox.consumed(size)
        if due and self.state is not State.CLOSED:
            self._grant(0, due)

    def _grant(self, stream: int, credit: int) -> None:
        """Queue a WINDOW frame."""
        self.outbound.control(v2.encode(Kind.WINDOW, stream, False, v2.pack_credit(credit)))

    def _sent(self, stream: Stream) -> None:
        """See to a stream of which a frame was made."""
        if stream.pausing and stream.backlog * 2 <= self._limits.stream_backlog:
            stream.pausing = False
            self._events.append(events.StreamWritable(stream))
        self._maybe_end(stream)

    def _maybe_end(self, stream: Stream) -> None:
        """Let a stream go when both directions are done and sent."""
        if stream.sending is not Half.DONE or stream.outbox:
            return
        if stream.receiving is Half.DONE:
            self._drop(stream, Phase.ENDED)
            self._events.append(events.StreamEnded(stream))
        elif self.role is Role.RECEIVER:
            # The answer is complete: nobody will read what is left of the request.
            self.cut(stream, Reset(int(Code.NO_ERROR), "app", "answered"))
            self._events.append(events.StreamEnded(stream))

    def _drop(self, stream: Stream, phase: Phase) -> None:
        """Free the slot of a stream; what nobody will consume no longer takes room."""
        del self.streams[stream.id]
        stream.enter(phase)
        stream.pausing = False
        self.outbound.forget(stream)
        if not stream.inbox.held:
            return
        if phase is Phase.CUT or self.role is Role.RECEIVER:
            self._return_to_connection(stream.inbox.release())
        else:
            self._unread[stream.id] = stream

    def invariants(self) -> None:
        """Assert what holds between any two calls; it looks at every stream, so only tests call it."""
        keeping = [*self.streams.values(), *self._unread.values()]
        for stream in keeping:
            stream.invariants()
        self._inbox.invariants()
        self.outbound.invariants(self.streams.values())
        assert sum(stream.inbox.held for stream in keeping) == self._inbox.held, "bytes of the connection are lost"
        assert all(stream.alive for stream in self.streams.values()), "a dead stream has a slot"
        assert not self._late.keys() & self.streams.keys(), "a stream is alive and late"
        assert len(self._late) <= self._limits.remembered_streams, "too many late streams"
        assert self.state is not State.CLOSED or not self.streams, "a stream outlived its connection"


_RECEIVE: dict[int, Callable[[Connection, Frame], None]] = {
    Kind.HELLO: Connection._hello,
    Kind.REQUEST: Connection._request,
    Kind.RESPONSE: Connection._response,
    Kind.DATA: Connection._data,
    Kind.WINDOW: Connection._window,
    Kind.RESET: Connection._reset,
    Kind.GOAWAY: Connection._goaway,
    Kind.PING: Connection._ping,
    Kind.PONG: Connection._pong,
    Kind.MESSAGE: Connection._message,
}
