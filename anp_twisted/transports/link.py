"""
The driver: it pumps one session through one socket.

A link reads whatever the socket brings at once, and never waits with reading. It
writes at the end of a reactor turn, frame by frame, for as long as the socket
takes them: it is the one producer of its transport, so a slow peer costs no more
memory than one burst. It owns the one timer of the connection: first for the
handshake, then for liveness, then for the close.

What a link calls (its owner, the owners of its streams) may call back into it at
any time. So events wait in one list and are told in their order by the outermost
call, and state is changed before anyone hears of it.

C{docs/protocol/anpx.md}, "Liveness" and "Drain".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from anp_twisted.auth.identity import NOBODY, Identity
from anp_twisted.errors import ANPError, Code, ConnectionClosed, ConnectionFault, LinkSilent, RemoteError
from anp_twisted.limits import KIB, Limits
from anp_twisted.session.connection import Role
from anp_twisted.session.events import Event, GoawayReceived, HelloReceived, PongReceived, RequestReceived
from anp_twisted.session.speech import Message, Speech
from anp_twisted.transports.liveness import Liveness, Verdict
from anp_twisted.wire import v1, v2


class State(Enum):
    """
    The life of a link.

    C{CONNECTING}: the WebSocket is not open. C{GREETING}: our HELLO is on its way,
    the peer's, or its answer to ours, has not come. C{OPEN}: streams can live. C{ENDING}: everybody was
    told that it is over, only the socket is still there. C{LOST}: that is gone too.
    """

    CONNECTING = auto()
    GREETING = auto()
    OPEN = auto()
    ENDING = auto()
    LOST = auto()


class Input(Enum):
    """What moves a link from one L{State} to the next."""

    SOCKET_OPEN = auto()
    HELLO = auto()
    END = auto()
    SOCKET_LOST = auto()


_NEXT: dict[tuple[State, Input], State] = {
    (State.CONNECTING, Input.SOCKET_OPEN): State.GREETING,
    (State.GREETING, Input.HELLO): State.OPEN,
    (State.CONNECTING, Input.END): State.ENDING,
    (State.GREETING, Input.END): State.ENDING,
    (State.OPEN, Input.END): State.ENDING,
    (State.ENDING, Input.SOCKET_LOST): State.LOST,
}

_TALKING = frozenset({State.GREETING, State.OPEN})
_OVER = frozenset({State.ENDING, State.LOST})


class Flow(Enum):
    """
    Whether the link may write, and whether it will.

    C{READY}: there was nothing to write. C{DUE}: it writes at the end of this turn.
    C{BLOCKED}: the socket has enough for now.
    """

    READY = auto()
    DUE = auto()
    BLOCKED = auto()


class Farewell(Enum):
    """
    How far this side is with leaving.

    C{NONE}: it stays. C{SAID}: GOAWAY and a PING behind it are on their way.
    C{HEARD}: the PONG came, so the peer will open no stream that we do not know.
    """

    NONE = auto()
    SAID = auto()
    HEARD = auto()


class StreamOwner(Protocol):
    """What hangs behind C{stream.owner}."""

    def stream_event(self, event: Event) -> None:
        """Take an event of the stream; after a StreamReset or StreamEnded none comes."""


class LinkOwner(Protocol):
    """Who is told of the life of links."""

    def link_open(self, link: Link) -> None:
        """
        Both sides know each other: C{link.connection.peer} is set.

        On the side of a receiver a request may be told a moment earlier.
        """

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        """A request came, and C{event.stream.owner} is to be set; or the peer drains."""

    def link_lost(self, link: Link, reason: ANPError) -> None:
        """
        An open link is over: told once, after each of its streams was told so.

        The socket may still be there for a moment; nothing of it is heard any more.
        """


class Socket(Protocol):
    """What a link needs of its WebSocket."""

    def send(self, frames: list[Message]) -> None:
        """Write messages."""

    def start_producing(self, producer: IPushProducer) -> None:
        """Let the link be the producer of the transport."""

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake behind what was written; the answer is waited for."""

    def fail(self, code: int, reason: str) -> None:
        """Say why and read no more: RFC 6455, 7.1.7."""

    def abort(self) -> None:
        """Cut the transport; what was written and not sent is lost."""


Soon = Callable[[Callable[[], None]], object]
"""Runs a function at the end of this reactor turn."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """
    What every link of one side shares.

    @ivar clock: the reactor, or its stand-in.
    @ivar soon: see L{anp_twisted.eventloop.soon}.
    @ivar owner: who is told.
    """

    clock: IReactorTime
    soon: Soon
    limits: Limits
    owner: LinkOwner


BURST = 64 * KIB
"""Bytes after which a link lets others have their turn, and a frame that is ready overtakes."""

_LEAVE_PING = bytes(8)


@implementer(IPushProducer)
class Link:
    """
    One connection with one peer.

    @ivar connection: the session; after any call to it or to one of its streams, call L{wake}.
    @ivar identity: who the peer has proved to be; nobody on the side that dials.
    @ivar remote: the address of the peer, for people.
    @ivar limits: the caps it works under.
    @ivar state: where in its life it is.
    @ivar reason: why it ended, C{None} until it did.
    """

    log = Logger()

    def __init__(
        self, socket: Socket, connection: Speech, wiring: Wiring, *, identity: Identity = NOBODY, remote: str = ""
    ) -> None:
        self.connection = connection
        self.identity = identity
        self.remote = remote
        self.state = State.CONNECTING
        self.reason: ANPError | None = None
        self._socket = socket
        self.limits = wiring.limits
        self._owner = wiring.owner
        self._clock = wiring.clock
        self._seconds = wiring.clock.seconds
        self._soon = wiring.soon
        self._flow = Flow.READY
        self._pulse = Liveness(wiring.limits, wiring.clock.seconds())
        self._timer: IDelayedCall | None = None
        self._controls = 0
        self._events: list[Event] = []
        self._telling = False
        self._bereaved: ANPError | None = None  # the reason the owner has not heard yet
        self._farewell = Farewell.NONE
        self._leavers: list[Deferred[None]] = []

    # --- for the owner ----------------------------------------------------

    @property
    def rtt(self) -> float | None:
        """Seconds that the latest PING took to come back, C{None} before the first."""
        return self._pulse.rtt

    @property
    def version(self) -> int:
        """The version of ANPX that is spoken."""
        return v1.VERSION if self.connection.speaks_text else v2.VERSION

    def wake(self) -> None:
        """
        Write what there is to write at the end of this reactor turn.

        It costs next to nothing when that is already due.
        """
        if self._flow is Flow.READY:
            self._flow = Flow.DUE
            self._soon(self._pump)

    def leave(self, retry_after: float = 0.0) -> Deferred[None]:
        """
        Take no new stream and let those that are open end.

        @param retry_after: seconds after which the peer may connect again.
        @return: fires with C{None} when no stream is left and none can come, or
            the link is lost; it never fails. L{close} is for the caller to call.
        """
        done: Deferred[None] = Deferred()
        if self.state is not State.OPEN:
            done.callback(None)
            return done
        self._leavers.append(done)
        if self._farewell is Farewell.NONE:
            self._farewell = Farewell.SAID
            self.connection.leave(Code.DRAINING, retry_after)
            # A request may have been under way when GOAWAY left. PONG comes behind all of those.
            self.connection.ping(_LEAVE_PING)
        self.wake()
        return done

    def close(self, code: int, reason: str) -> None:
        """
        End the link in good order; what was written before arrives.

        @param code: the WebSocket close code.
        @param reason: a short public text.
        """
        if self.state is State.OPEN and self._flow is not Flow.BLOCKED:
            self._pump()
        if self.state in _TALKING:
            self._end(ConnectionClosed(f"closed by this side with {code}"))
            self._socket.close(code, reason)
            self._tell()
        elif self.state is State.CONNECTING:
            self.abort(ConnectionClosed("closed by this side"))

    def abort(self, reason: ANPError) -> None:
        """Cut the link; nothing happens if its socket is gone."""
        if self.state is State.LOST:
            return
        if self.state is not State.ENDING:
            self._end(reason)
        self._socket.abort()
        self._tell()

    def fail(self, reason: ANPError) -> None:
        """End the link for what the peer did, with the close code of C{reason}."""
        if self.state not in _TALKING:
            self.abort(reason)
            return
        self.log.warn("link with {remote} failed: {reason}", remote=self.remote, reason=reason)
        self._end(reason)
        self._socket.fail(reason.close_code, reason.code.name.lower().replace("_", " "))
        self._tell()

    # --- for the adapter of the socket -------------------------------------

    def socket_made(self) -> None:
        """The transport is there: the time for the handshakes runs."""
        self._watch(self.limits.handshake, self._handshake_is_late)

    def speak(self, connection: Speech) -> None:
        """Speak another version than it was made for; both sides have agreed on it in the handshake."""
        assert self.state is State.CONNECTING, "the version changes amid a conversation"
        self.connection = connection

    def socket_open(self) -> None:
        """The WebSocket is open: HELLO goes out."""
        if self.state is State.CONNECTING:
            self.state = _NEXT[self.state, Input.SOCKET_OPEN]
            self._socket.start_producing(self)
            self.wake()

    def bytes_received(self) -> None:
        """Anything at all came: the peer lives."""
        self._pulse.heard_at = self._seconds()

    def control_received(self) -> None:
        """A WebSocket PING or PONG came; they are rare, or the peer floods."""
        self._controls += 1
        if self._controls > self.limits.websocket_controls:
            self.fail(FLOOD)

    def pong_received(self, payload: bytes) -> None:
        """A WebSocket PONG came, which says something only where it was asked for."""
        self.control_received()
        if self.connection.speaks_text and self.state in _TALKING:
            self._events.append(PongReceived(payload))
            self._tell()

    def text_received(self, text: str) -> None:
        """Take one text message; they are rare, or the peer floods."""
        self.control_received()
        if self.state is not State.OPEN and self.state is not State.GREETING:
            return
        try:
            self.connection.receive_text(text)
        except ConnectionFault as fault:
            self.fail(fault)
            return
        self._tell()
        self.wake()

    def message_received(self, message: bytes) -> None:
        """Take one frame."""
        if self.state is not State.OPEN and self.state is not State.GREETING:
            return
        try:
            self.connection.receive(message, self._pulse.heard_at)
        except ConnectionFault as fault:
            self.fail(fault)
            return
        self._tell()
        if not self.connection.outbound.idle:
            self.wake()

    def socket_closing(self, reason: ANPError) -> None:
        """The peer began or forced the end; the socket goes soon, or is cut."""
        if self.state in _OVER:
            return
        self._end(reason)
        self._tell()

    def socket_lost(self, reason: ANPError) -> None:
        """The transport is gone."""
        if self.state not in _OVER:
            self._end(reason)
        self.state = _NEXT.get((self.state, Input.SOCKET_LOST), self.state)
        self._stop_watching()
        self._tell()

    # --- the producer of the transport --------------------------------------

    def pauseProducing(self) -> None:
        """The transport has enough for now."""
        self._flow = Flow.BLOCKED
        self._pulse.blocked(self._seconds())

    def resumeProducing(self) -> None:
        """The transport has sent all it had."""
        if self._flow is Flow.BLOCKED:
            self._flow = Flow.READY
            self._pulse.unblocked()
            self.wake()

    def stopProducing(self) -> None:
        """The transport is gone; the adapter hears it as well, with the reason."""
        self._flow = Flow.BLOCKED

    # --- out ------------------------------------------------------------------

    def _pump(self) -> None:
        """Write frames while the socket takes them; sending makes events, too."""
        if self._flow is Flow.BLOCKED:
            return
        self._flow = Flow.READY
        if self.state is not State.OPEN and self.state is not State.GREETING:
            return
        try:
            self._write()
        except Exception:  # noqa: BLE001
            # boundary: the loop that calls this would log it and go on with half a link.
            self.log.failure("link with {remote} cannot write", remote=self.remote)
            self.fail(ANPError("internal error"))
        self._tell()

    def _write(self) -> None:
        """Write one burst; if there may be more, let others have their turn first."""
        next_frame = self.connection.next_frame
        frames: list[Message] = []
        size = 0
        while size < BURST:
            frame = next_frame()
            if frame is None:
                break
            frames.append(frame)
            size += len(frame)
        if frames:
            self._socket.send(frames)
        if size >= BURST:
            self.wake()

    # --- events ----------------------------------------------------------------

    def _tell(self) -> None:
        """
        Tell what happened, in order.

        A call from within an owner's reaction adds to the list and returns: the
        outer call goes on with it. So no one hears an event of a stream behind its
        StreamReset, whatever an owner does meanwhile.
        """
        self._events += self.connection.take_events()
        if self._telling:
            return
        self._telling = True
        for event in self._events:  # grows while it is walked through
            self._tell_one(event)
        self._events.clear()
        self._telling = False
        if self._bereaved is not None or self._leavers:
            self._tell_the_end()

    def _tell_one(self, event: Event) -> None:
        """Tell one event to whom it concerns."""
        try:
            special = _SPECIAL.get(type(event))
            if special is not None:
                special(self, event)
            else:
                owner = event.stream.owner  # type: ignore[union-attr]
                if owner is not None:
                    owner.stream_event(event)
        except Exception:  # noqa: BLE001
            # boundary: a mistake of an owner costs its one stream, or the link where there is none.
            self.log.failure("owner of {remote} failed at {event}", remote=self.remote, event=type(event).__name__)
            self._contain(event)

    def _contain(self, event: Event) -> None:
        """End what an owner could not look after."""
        if isinstance(event, HelloReceived | GoawayReceived | PongReceived):
            self.fail(ANPError("the owner of the link failed"))
        else:
            event.stream.reset(Code.INTERNAL, "tunnel", "internal error")
            self.wake()

    def _hello(self, event: HelloReceived) -> None:
        """
        The peer is known. To a gateway the link is open with that.

        A receiver asks first: the gateway reads the PING behind our HELLO, so its
        answer says that it has taken us in, and requests find their way.
        """
        self._send_ping()
        if self.connection.role is Role.GATEWAY:
            self._open()

    def _open(self) -> None:
        """Streams can live from now on."""
        following = _NEXT.get((self.state, Input.HELLO))
        if following is None:
            return
        self.state = following
        self._watch(self.limits.ping_after, self._check)
        self._owner.link_open(self)

    def _link_event(self, event: RequestReceived | GoawayReceived) -> None:
        """Something for the owner of the link."""
        self._owner.link_event(self, event)

    def _pong(self, event: PongReceived) -> None:
        """A PING came back."""
        self._pulse.answered(event.opaque, self._seconds())
        if event.opaque == _LEAVE_PING and self._farewell is Farewell.SAID:
            self._farewell = Farewell.HEARD
        elif self.state is State.GREETING:
            self._open()

    def _tell_the_end(self) -> None:
        """Tell the owner that the link is over, and those who wait that no stream is left."""
        if self._bereaved is not None:
            reason, self._bereaved = self._bereaved, None
            try:
                self._owner.link_lost(self, reason)
            except Exception:  # noqa: BLE001
                # boundary: the link is over either way.
                self.log.failure("owner of {remote} failed at its end", remote=self.remote)
        gone = self._farewell is Farewell.HEARD and not self.connection.streams
        if gone or self.state in _OVER:
            leavers, self._leavers = self._leavers, []
            for done in leavers:
                done.callback(None)

    def _end(self, reason: ANPError) -> None:
        """Change to the end; telling it is for the caller."""
        assert self.state not in _OVER, "a link ended twice"
        if self.state is State.OPEN:
            self._bereaved = reason
        self.state = _NEXT[self.state, Input.END]
        self.reason = reason
        self._watch(self.limits.closing, self._socket.abort)
        code = reason.code if isinstance(reason, RemoteError) else Code.UNREACHABLE
        self._events += self.connection.close(code, "the link was lost")

    # --- time --------------------------------------------------------------------

    def _watch(self, delay: float, then: Callable[[], None]) -> None:
        """Let the one timer run for something else."""
        self._stop_watching()

        def fire() -> None:
            self._timer = None
            then()

        self._timer = self._clock.callLater(delay, fire)

    def _stop_watching(self) -> None:
        """Let no timer run."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _handshake_is_late(self) -> None:
        """The peer took too long to say HELLO."""
        self.abort(LinkSilent("no HELLO in time"))

    def _check(self) -> None:
        """Look whether the peer lives; ask it if it is silent."""
        self._controls = 0
        now = self._seconds()
        verdict, delay = self._pulse.judge(now)
        if verdict is Verdict.DEAD and self.connection.excused:
            verdict, delay = Verdict.SILENT, self.limits.ping_after
        if verdict is Verdict.DEAD:
            self.abort(LinkSilent(f"nothing was received for {self.limits.dead_after:g} s"))
        elif verdict is Verdict.STUCK:
            self.abort(LinkSilent(f"nothing could be sent for {self.limits.write_timeout:g} s"))
        else:
            self._watch(min(delay, self.connection.tick(now)), self._check)
            if verdict is Verdict.SILENT:
                self._send_ping()
            self._tell()
            self.wake()

    def _send_ping(self) -> None:
        """Ask the peer for a sign of life; the latest question gives the round trip."""
        self.connection.ping(self._pulse.ask(self._seconds()))
        self.wake()


class Flood(ConnectionFault):
    """A peer sends WebSocket control frames or fragments without end."""

    close_code = 1008


FLOOD = Flood("too many WebSocket control frames or fragments")

_SPECIAL: dict[type[Any], Callable[[Link, Any], None]] = {
    HelloReceived: Link._hello,
    RequestReceived: Link._link_event,
    GoawayReceived: Link._link_event,
    PongReceived: Link._pong,
}
