"""
The WebSocket of a caller, over Autobahn.

The handshake is over when this begins: the application has accepted, and the head
that says so is the first thing written. Whole frames are cut out as on a link;
everything else is left to Autobahn, whose options are all set and whose timers
are off. Nothing of a message is kept longer than until there is a good piece of
it, so that a large one costs no more memory than a small one.

A caller that breaks RFC 6455 hears why in a close frame; what it sends
afterwards is read and dropped for a while, since a reset could overtake the frame.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IPushProducer, IReactorTime, ISSLTransport, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from txaio.tx import make_logger
from zope.interface import implementer

from anp_twisted.http.pace import NEVER, Stall
from anp_twisted.http.sockets import send_now, unsent
from anp_twisted.limits import KIB, Limits
from anp_twisted.transports.deflate import Deflate
from anp_twisted.transports.framing import MessageCutter, front
from anp_twisted.transports.websocket import set_options, tune
from anp_twisted.wire import v2

ABNORMAL: Final = 1006
_FLOOD: Final = 1008
_INTERNAL: Final = 1011

PIECE: Final = 32 * KIB
"""Bytes of an unfinished message that are passed on together: fragments of a byte each would cost a frame each."""

_WHOLE: Final = 64 * KIB
_CONTINUES: Final = 0
_FIN: Final = 0x80
_COMPRESSED: Final = 0x40


class SocketOwner(Protocol):
    """Who is told what a caller does; each may call the socket back."""

    def part_received(self, kind: int, data: bytes, last: bool) -> None:
        """A message came, or a part of one; text is valid as far as it came."""

    def socket_closed(self, code: int, reason: bytes) -> None:
        """
        No message comes any more, and none is sent; told once.

        @param code: what the caller said, 0 where it gave no code; what it was
            told, if it broke a rule; 1006 if it was lost.
        """

    def socket_gone(self) -> None:
        """The transport is gone; told once, and last."""

    def caller_paused(self) -> None:
        """The caller takes less than it is sent."""

    def caller_resumed(self) -> None:
        """The caller has taken everything."""


@implementer(IPushProducer)
class CallerSocket(WebSocketServerProtocol):
    """One of them."""

    log = make_logger(level="none")  # type: ignore[no-untyped-call]
    own_log = Logger()
    transport: Any
    data: Any
    state: Any
    failedByMe: Any
    localCloseCode: Any
    current_frame: Any
    inside_message: Any
    localCloseReason: Any
    _perMessageCompress: Any

    def __init__(self, owner: SocketOwner, head: bytes, wiring: CallerSockets, deflate: Deflate | None) -> None:
        """
        @param head: what opens the WebSocket.
        @param deflate: the extension, where it was agreed on.
        """
        super().__init__()
        self.factory = wiring.autobahn
        self._owner = owner
        self._head = head
        self._limits = wiring.limits
        self._seconds = wiring.clock.seconds
        self._deflate = deflate
        self._cutter = MessageCutter(min(_WHOLE, wiring.limits.websocket_message))
        self._kind = 0
        self._piece = bytearray()
        self._fragments = 0
        self._controls = 0
        self._sending = False  # a part of a message was sent, and its last was not
        self._told = False  # the owner knows that it is over
        self._reading = True
        self._stall: Stall | None = None
        self._deadline: float | None = None  # when the closing handshake must be over
        self._heard_at = self._asked_at = self._counted_at = self._seconds()

    # --- for the owner ------------------------------------------------------

    def send_part(self, kind: int, data: bytes, last: bool) -> None:
        """Send a message, or a part of one, as a frame."""
        if self.state != WebSocketProtocol.STATE_OPEN:
            return
        first = _CONTINUES if self._sending else kind
        if self._deflate is not None:
            data = self._deflate.compress(data, begins=not self._sending, ends=last)
            first |= 0 if self._sending else _COMPRESSED
        if data or last:
            self._sending = not last
            send_now(self.transport, front(len(data), b"", first | _FIN if last else first) + data)

    def close(self, code: int, reason: bytes = b"") -> None:
        """
        Begin the closing handshake; the owner hears of nothing but the end of the transport.

        @param code: 0 for a close frame without a code.
        """
        self._told = True
        if self.state == WebSocketProtocol.STATE_OPEN:
            self.sendCloseFrame(code or None, reason or None)
            self._deadline = self._seconds() + self._limits.closing
            self.resume_reading()

    def pause_reading(self) -> None:
        """Read no more for now; what has been read is still told."""
        if self._reading and self._deadline is None:
            self._reading = False
            self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._reading:
            self._reading = True
            self._heard_at = self._seconds()
            self.transport.resumeProducing()

    def abort(self) -> None:
        """Cut the transport; L{SocketOwner.socket_gone} follows."""
        self._deadline = NEVER
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    def look(self, now: float) -> None:
        """See whether the caller is still there; to be called every second or so."""
        if now - self._counted_at >= self._limits.websocket_ping_after:
            self._counted_at, self._controls = now, 0
        if self._deadline is not None:
            late = now >= self._deadline
        elif self._stall is not None:
            late = self._stall.lasts(unsent(self.transport), now) >= self._limits.write_timeout
        else:
            late = self._reading and self._is_dead(now)
        if late:
            self.abort()

    def _is_dead(self, now: float) -> bool:
        """Tell whether the caller did not even answer; ask it when it is silent."""
        silent_since = max(self._heard_at, self._asked_at)
        if now - self._heard_at >= self._limits.websocket_dead_after:
            return True
        if now - silent_since >= self._limits.websocket_ping_after:
            self._asked_at = now
            self.sendPing()
        return False

    # --- from the transport ---------------------------------------------------

    def connectionMade(self) -> None:
        """Open it."""
        tune(self.transport)
        super().connectionMade()
        self.state = WebSocketProtocol.STATE_OPEN
        self.websocket_version = 13
        self.inside_message = False
        self.current_frame = None
        self._perMessageCompress = self._deflate
        self.transport.registerProducer(self, True)
        send_now(self.transport, self._head)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; see L{LinkSocket.dataReceived<anp_twisted.transports.websocket.LinkSocket.dataReceived>}."""
        self._heard_at = self._seconds()
        if self.failedByMe or self.state == WebSocketProtocol.STATE_CLOSED:
            return
        try:
            if self.current_frame is None and not self.inside_message and not self.data:
                data = self._take_whole(data)
            if data:
                self._dataReceived(data)
        except Exception:  # noqa: BLE001
            # boundary: whatever Autobahn or the owner could not bear ends this one WebSocket.
            self.own_log.failure("the WebSocket of a caller failed")
            self._fail_connection(_INTERNAL, "internal error")
        if self.failedByMe:
            self._give_up()

    def _take_whole(self, data: bytes) -> bytes:
        """
        Take the whole frames.

        @return: what is for Autobahn.
        """
        cutter = self._cutter
        for kind, payload in cutter.feed_messages(data):
            if kind == v2.TEXT and not _is_text(payload):
                self._invalid_payload("invalid UTF-8")
                return b""
            if not self._told:
                self._owner.part_received(kind, payload, True)
        rest, cutter.foreign = cutter.foreign, b""
        return rest

    def _give_up(self) -> None:
        """The caller broke a rule and was told: only its end is waited for."""
        if self._deadline is None:
            self._deadline = self._seconds() + self._limits.closing
        self.data = b""
        self._piece.clear()
        self.resume_reading()
        if ITCPTransport.providedBy(self.transport) and not ISSLTransport.providedBy(self.transport):
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()
        self._tell_closed(self.localCloseCode or _INTERNAL, self.localCloseReason or b"")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The transport is gone."""
        super().connectionLost(reason)
        self._tell_closed(ABNORMAL, b"")
        self._owner.socket_gone()

    def _tell_closed(self, code: int, reason: bytes) -> None:
        """Tell the owner that it is over, once."""
        if not self._told:
            self._told = True
            self._owner.socket_closed(code, reason)

    def dropConnection(self, abort: bool = False) -> None:
        """
        End the connection in good order, once both sides have closed.

        Autobahn resets it when the caller answered our close; browsers call that an
        end that was not clean.
        """
        super().dropConnection(abort=False)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write bytes; Autobahn's own method prepares a log line."""
        self.transport.write(data)

    # --- the producer of the transport ----------------------------------------

    def pauseProducing(self) -> None:
        """The transport holds as much as it should."""
        if self._stall is None:
            self._stall = Stall(unsent(self.transport), self._seconds())
            self._owner.caller_paused()

    def resumeProducing(self) -> None:
        """The caller took everything."""
        if self._stall is not None:
            self._stall = None
            self._owner.caller_resumed()

    def stopProducing(self) -> None:
        """The transport is going away; L{connectionLost} follows."""

    # --- from Autobahn ----------------------------------------------------------

    def onMessageBegin(self, isBinary: bool) -> None:
        """A message begins."""
        super().onMessageBegin(isBinary)
        self._kind = v2.BINARY if isBinary else v2.TEXT
        self._fragments = 0

    def onMessageFrameBegin(self, length: int) -> None:
        """Count the fragments of a message; an empty one costs the caller nothing."""
        self._fragments += 1
        if self._fragments > self._limits.websocket_parts and not self.failedByMe:
            self._fail_connection(_FLOOD, "too many fragments")
        super().onMessageFrameBegin(length)

    def onMessageFrameData(self, payload: bytes) -> None:
        """Gather pieces, and pass a good one on."""
        if not self.failedByMe:
            self._piece += payload
            if len(self._piece) >= PIECE:
                self._pass_on(False)

    def onMessageEnd(self) -> None:
        """Pass the last piece on."""
        if not self.failedByMe:
            self._pass_on(True)

    def _pass_on(self, last: bool) -> None:
        """Tell the owner a part of the message."""
        data = bytes(self._piece)
        self._piece.clear()
        if not self._told:
            self._owner.part_received(self._kind, data, last)

    def onPing(self, payload: bytes) -> None:
        """Answer, and count."""
        super().onPing(payload)
        self._count()

    def onPong(self, payload: bytes) -> None:
        """Count: a few answer what was asked."""
        self._count()

    def _count(self) -> None:
        """Stop a caller that sends little else."""
        self._controls += 1
        if self._controls > self._limits.websocket_pings and not self.failedByMe:
            self._fail_connection(_FLOOD, "too many pings")

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool | None:
        """Answer as RFC 6455 says, and tell the owner."""
        stop = super().onCloseFrame(code, reasonRaw)
        if not self.failedByMe:
            self._deadline = self._seconds() + self._limits.closing
            self._tell_closed(code or 0, reasonRaw or b"")
        return bool(stop)

    def _protocol_violation(self, reason: str) -> bool:
        """Stop at a breach; see L{LinkSocket._protocol_violation<anp_twisted.transports.websocket.LinkSocket>}."""
        super()._protocol_violation(reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        """Stop at text that is none."""
        super()._invalid_payload(reason)
        return True


def _is_text(payload: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    if payload.isascii():
        return True
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class CallerSockets:
    """
    Makes the WebSockets of callers.

    @ivar autobahn: the factory whose options they share.
    """

    def __init__(self, clock: IReactorTime, limits: Limits, *, compression: bool = False) -> None:
        """
        @param compression: whether permessage-deflate is agreed to.
        """
        self.clock = clock
        self.limits = limits
        self._compression = compression
        self.autobahn = WebSocketServerFactory(server="", reactor=clock)
        set_options(self.autobahn, limits)
        self.autobahn.setProtocolOptions(
            echoCloseCodeReason=True, maxFramePayloadSize=0, maxMessagePayloadSize=limits.websocket_message
        )

    def agree(self, extensions: bytes) -> Deflate | None:
        """
        Choose among the extensions that a caller offers.

        @param extensions: the value of C{Sec-WebSocket-Extensions}.
        """
        return Deflate.agree(extensions) if self._compression and extensions else None

    def make(self, owner: SocketOwner, head: bytes, deflate: Deflate | None) -> CallerSocket:
        """
        Make the protocol that takes over a connection.

        @param head: what opens the WebSocket.
        @return: wants C{makeConnection}, then every byte behind the caller's head.
        """
        return CallerSocket(owner, head, self, deflate)
