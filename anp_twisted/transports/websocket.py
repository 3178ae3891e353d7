"""
What both ends of a WebSocket have in common, over Autobahn.

Autobahn bounds nothing by itself: L{set_options} is the one place where each of
its options gets a value. Its timers run on the global reactor and outlive their
connection by a while, so they stay off; the
L{Link<anp_twisted.transports.link.Link>} has one timer for all of that. Its
log lines quote the peer, so they stay off too; the link logs the end of a
connection in its own words.
"""

from __future__ import annotations

import socket
from os import urandom
from typing import Any

from autobahn.twisted.websocket import WebSocketAdapterProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet import tcp
from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from txaio.tx import make_logger

from anp_twisted.errors import ANPError, ConnectionFault, FrameTooLarge, LinkLost
from anp_twisted.http.sockets import send_now
from anp_twisted.limits import KIB, Limits
from anp_twisted.session.speech import Message, WebSocketPing
from anp_twisted.transports.framing import FrameCutter, front, xor
from anp_twisted.transports.link import FLOOD, Link

UNSENT = 128 * KIB
"""
What the kernel may hold of one link without having sent it.

Everything in there is ahead of the next control frame, so without a bound a PING
waits behind megabytes. A link of 1 Gbit/s empties this in a millisecond.
"""


_BINARY = 0x82
_TEXT = 0x81
_PING = 0x89


class WebSocketViolation(ConnectionFault):
    """The peer broke RFC 6455; the socket has said so."""


class NotBinary(ConnectionFault):
    """A text message came where only binary ones are spoken."""

    close_code = 1003


def set_options(factory: Any, limits: Limits) -> None:
    """
    Give every option of an Autobahn factory its value.

    @param factory: an Autobahn server or client factory.
    """
    common: dict[str, Any] = {
        "utf8validateIncoming": True,
        "applyMask": True,
        "maxFramePayloadSize": limits.frame,
        "maxMessagePayloadSize": limits.frame,
        "autoFragmentSize": 0,
        "failByDrop": False,  # a close frame says why
        "echoCloseCodeReason": False,
        "openHandshakeTimeout": 0,
        "closeHandshakeTimeout": 0,
        "tcpNoDelay": True,
        "perMessageCompressionAccept": lambda _: None,
        "autoPingInterval": 0,
        "autoPingTimeout": 0,
        "autoPingSize": 12,
        "autoPingRestartOnAnyTraffic": True,
    }
    if factory.isServer:
        # Any origin passes here and is refused in onConnect, where the status can be chosen.
        factory.setProtocolOptions(
            **common,
            versions=[13],
            webStatus=False,
            requireMaskedClientFrames=True,
            maskServerFrames=False,
            serveFlashSocketPolicy=False,
            allowedOrigins=["*"],
            allowNullOrigin=True,
            maxConnections=0,  # the public front counts connections
            trustXForwardedFor=0,
        )
    else:
        factory.setProtocolOptions(
            **common,
            version=18,  # RFC 6455; Autobahn counts drafts
            acceptMaskedServerFrames=False,
            maskClientFrames=True,
            serverConnectionDropTimeout=0,
            perMessageCompressionOffers=[],
        )


def tune(transport: ITransport) -> None:
    """
    Set the options of a TCP connection, where there is one below.

    Autobahn's C{tcpNoDelay} has no effect: it looks for the option before it has
    copied it from the factory, and ignores that this fails. With Nagle's
    algorithm on, each burst waits for a delayed acknowledgement: 40 ms.
    """
    inner: Any = transport
    while isinstance(inner, ProtocolWrapper):
        inner = inner.transport
    if not isinstance(inner, tcp.Connection):
        return
    inner.setTcpNoDelay(True)
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None:
        inner.socket.setsockopt(socket.IPPROTO_TCP, option, UNSENT)


def _other(message: Message) -> tuple[int, bytes]:
    """
    @return: the first byte and the payload of the frame for a message that is not binary.
    """
    if isinstance(message, WebSocketPing):
        return _PING, message.payload
    return (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)


class LinkSocket(WebSocketAdapterProtocol, WebSocketProtocol):  # type: ignore[misc]
    """
    A L{Socket<anp_twisted.transports.link.Socket>}: mixed into Autobahn's server or client protocol.

    @ivar link: what it serves; set before the connection is made.
    """

    log = make_logger(level="none")  # type: ignore[no-untyped-call]
    own_log = Logger()
    link: Link
    transport: Any
    failedByMe: Any
    localCloseCode: Any
    current_frame: Any
    inside_message: Any
    maxFramePayloadSize: int
    maxMessagePayloadSize: int
    data: Any

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._most_fragments = limits.websocket_fragments
        self._most_head = limits.request_head
        self._most_text = limits.v1_text
        self._is_text = False
        self._cutter = FrameCutter(bool(self.is_server), limits.frame)
        self._fragments = 0
        self._message = bytearray()

    # --- for the link -------------------------------------------------------

    def send(self, frames: list[Message]) -> None:
        """Write messages in one piece."""
        parts: list[bytes] = []
        # One system call for all masks; a server masks nothing.
        masks = b"" if self.is_server else urandom(4 * len(frames))
        for number, frame in enumerate(frames):
            mask = masks[4 * number : 4 * number + 4]
            first, data = (_BINARY, frame) if type(frame) is bytes else _other(frame)
            parts += front(len(data), mask, first), xor(mask, data) if mask else data
        send_now(self.transport, b"".join(parts))

    def take_larger(self, most: int) -> None:
        """
        Take messages of another size than before; only while the handshake goes on.

        @param most: bytes.
        """
        self.maxFramePayloadSize = self.maxMessagePayloadSize = most
        self._cutter = FrameCutter(bool(self.is_server), most)

    def start_producing(self, producer: IPushProducer) -> None:
        """Let the link be the producer of the transport."""
        self.transport.registerProducer(producer, True)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake."""
        self.sendCloseFrame(code, reason.encode()[:123])

    def fail(self, code: int, reason: str) -> None:
        """Say why and read no more."""
        self._fail_connection(code, reason)
        self.data = b""  # Autobahn would go on with what it has

    def abort(self) -> None:
        """Cut the transport."""
        self.transport.unregisterProducer()
        self.transport.abortConnection()

    # --- from the transport ---------------------------------------------------

    def connectionMade(self) -> None:
        """Start the time of the link, then let Autobahn begin."""
        tune(self.transport)
        self.link.socket_made()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """
        Take bytes.

        Autobahn's own method prepares a log line for each call, even where nobody
        asks for one, at a third of the cost of a small frame.
        """
        self.link.bytes_received()
        if self.failedByMe:
            return
        try:
            if self._between_messages():
                data = self._take_whole(data)
            if data:
                self._dataReceived(data)
        except Exception:  # noqa: BLE001
            # boundary: whatever Autobahn or a machine could not bear ends this one link.
            self.own_log.failure("link with {remote} failed", remote=self.link.remote)
            self.link.fail(ANPError("internal error"))
        if self.failedByMe:
            self.link.socket_closing(self._violation())

    def _between_messages(self) -> bool:
        """Tell whether Autobahn holds nothing, so that the next byte begins a frame."""
        if self.state != WebSocketProtocol.STATE_OPEN and self.state != WebSocketProtocol.STATE_CLOSING:
            return False
        return self.current_frame is None and not self.inside_message and not self.data

    def _take_whole(self, data: bytes) -> bytes:
        """
        Take the whole frames.

        @return: what is for Autobahn.
        """
        cutter = self._cutter
        for message in cutter.feed(data):
            self.link.message_received(message)
        rest, cutter.foreign = cutter.foreign, b""
        return b"" if self.failedByMe else rest

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Let Autobahn end, then the link."""
        super().connectionLost(reason)
        self.link.socket_lost(self._loss(reason))

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write bytes; Autobahn's own method logs as that of L{dataReceived} does."""
        self.transport.write(data)

    # --- from Autobahn ----------------------------------------------------------

    def onOpen(self) -> None:
        """The WebSocket is open."""
        try:
            self.link.socket_open()
        except Exception:  # noqa: BLE001
            # boundary: Autobahn calls this from a Deferred nobody looks at.
            self.own_log.failure("link with {remote} failed to open", remote=self.link.remote)
            self.link.fail(ANPError("internal error"))

    def onMessageBegin(self, isBinary: bool) -> None:
        """Refuse what is not binary before it is read."""
        self._fragments = 0
        self._is_text = not isBinary
        super().onMessageBegin(isBinary)
        if not isBinary and not self.link.connection.speaks_text:
            self.link.fail(NotBinary("a text message"))

    def onMessageFrameBegin(self, length: int) -> None:
        """Count the fragments of a message; an empty one costs the peer nothing."""
        self._fragments += 1
        if self._fragments > self._most_fragments:
            self.link.fail(FLOOD)
        super().onMessageFrameBegin(length)

    def onMessageFrameData(self, payload: bytes) -> None:
        """Keep a piece; Autobahn's list of pieces costs 50 bytes for each, however small."""
        if not self.failedByMe and not (self._is_text and len(self._message) > self._most_text):
            self._message += payload

    def onMessageEnd(self) -> None:
        """Take one frame of ANPX that came in fragments, or a text message."""
        message = bytes(self._message)
        self._message.clear()
        if self.failedByMe:
            return
        if self._is_text:
            self.link.text_received(message.decode("utf-8", "replace"))
        else:
            self.link.message_received(message)

    def onPing(self, payload: bytes) -> None:
        """Answer, and count."""
        super().onPing(payload)
        self.link.control_received()

    def onPong(self, payload: bytes) -> None:
        """Count it, and let the link see whether it asked for one."""
        self.link.pong_received(payload)

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool | None:
        """Answer as RFC 6455 says; the link is over already."""
        stop = super().onCloseFrame(code, reasonRaw)
        if not self.failedByMe:
            self.link.socket_closing(self._closed_by_peer())
        return bool(stop)

    def _protocol_violation(self, reason: str) -> bool:
        """
        Stop at a breach.

        With C{failByDrop} off Autobahn would go on with the very frame that was
        wrong, and take a wrong close frame for the answer to its own.
        """
        super()._protocol_violation(reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        """Stop at text that is none, for the same reason."""
        super()._invalid_payload(reason)
        return True

    # --- reasons ------------------------------------------------------------------

    def _violation(self) -> ANPError:
        """Name what Autobahn refused."""
        if self.localCloseCode == FrameTooLarge.close_code:
            return FrameTooLarge("a WebSocket message over the cap")
        return WebSocketViolation(f"closed with {self.localCloseCode} for a breach of RFC 6455")

    def _closed_by_peer(self) -> LinkLost:
        """Name the close frame of the peer."""
        code = self.remoteCloseCode or 1005
        return LinkLost(f"the peer closed the link with {code}", code)

    def _loss(self, reason: Failure) -> ANPError:
        """Name the end of the transport."""
        return LinkLost(f"the connection was lost: {type(reason.value).__name__}")
