"""
A WebSocket to a HTTP server, over Autobahn.

Autobahn writes a handshake of its own and hangs up at any answer but 101. Here
the handshake is the caller's, field by field, and an answer that denies the
WebSocket is read like any other, so that the caller gets it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from os import urandom
from typing import Any, Final, NamedTuple, Protocol

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from txaio.tx import make_logger

from anp_twisted.errors import BackendFault
from anp_twisted.headers import Header
from anp_twisted.limits import Limits
from anp_twisted.receiver.target_pool import prepare
from anp_twisted.receiver.target_reply import Reply, ReplyEvent
from anp_twisted.transports.websocket import set_options

NO_CODE: Final = 1005

_SWITCHING: Final = b"HTTP/1.1 101"
_HEAD: Final = re.compile(rb"HTTP/1\.1 101( [\t -~\x80-\xff]*)?(\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*)*")
_OWN: Final = frozenset({b"connection", b"upgrade", b"sec-websocket-accept", b"sec-websocket-extensions"})
_PROTOCOL: Final = b"sec-websocket-protocol"


class Opened(NamedTuple):
    """
    The server took the WebSocket.

    @ivar subprotocol: which it chose.
    @ivar headers: the fields of its answer that are not about the handshake.
    """

    subprotocol: str | None
    headers: list[Header]


class Arrived(NamedTuple):
    """A message came; text is UTF-8, which was checked."""

    text: bool
    data: bytes


class Closed(NamedTuple):
    """The server closed in good order; L{NO_CODE} if it gave no code."""

    code: int
    reason: str


SocketEvent = Opened | Arrived | Closed | ReplyEvent


class Listener(Protocol):
    """Who the WebSocket is for."""

    def connected(self, socket: TargetSocket) -> None:
        """There is a connection; the handshake is under way."""

    def happened(self, event: SocketEvent) -> None:
        """Something came."""

    def lost(self, error: BackendFault) -> None:
        """Nothing will come any more, though it should."""

    def writable(self) -> None:
        """More may be written."""


class TargetSocket(WebSocketClientProtocol):
    """
    The WebSocket; it is the producer of its transport.

    @ivar full: nothing more should be sent now.
    """

    log = make_logger(level="none")  # type: ignore[no-untyped-call]
    transport: Any
    state: Any
    failedByMe: Any
    localCloseCode: Any

    def __init__(self, order: Order) -> None:
        super().__init__()
        self.full = False
        self._order = order
        self._listener: Listener | None = order.listener
        self._start = b""
        self._reply: Reply | None = None  # of a server that denies
        self._deaf = False
        self._last: IDelayedCall | None = None  # ends a connection that the server does not end

    # --- from the transport -------------------------------------------------

    def connectionMade(self) -> None:
        """Begin the handshake."""
        prepare(self.transport)
        self.transport.registerProducer(self, True)
        super().connectionMade()
        self._order.listener.connected(self)

    def startHandshake(self) -> None:
        """Ask for the WebSocket, in the words of the caller and with a key of our own."""
        self.websocket_key = b64encode(urandom(16))
        self.http_request_data = self._order.head(self.websocket_key)
        self.transport.write(self.http_request_data)

    def dataReceived(self, data: bytes) -> None:
        """Find out whether the server denies; what else comes is for Autobahn."""
        try:
            if self._reply is None and self.state == self.STATE_CONNECTING:
                data = self._read_head(data)
            if self._reply is not None:
                self._tell(self._reply.feed(data))
            elif data and not self.failedByMe:
                self._dataReceived(data)
        except BackendFault as error:
            self._fail(error)
        if self.failedByMe:
            self._fail(BackendFault(f"its WebSocket is closed with {self.localCloseCode} for a breach of RFC 6455"))

    def _read_head(self, data: bytes) -> bytes:
        """
        Wait for a whole head that says 101.

        @return: what Autobahn may have.
        @raise BackendFault: if there will be no such head.
        """
        self._start += data
        if not self._start.startswith(_SWITCHING[: len(self._start)]):
            data, self._start = self._start, b""
            self._reply = Reply("GET", self._order.limits)
            return data
        head, end, _ = self._start.partition(b"\r\n\r\n")
        if len(head) > self._order.limits.target_head or (end and not _HEAD.fullmatch(head)):
            raise BackendFault("its answer is not HTTP")
        if not end:
            return b""
        data, self._start = self._start, b""
        self._switched = [_field(line) for line in head.split(b"\r\n")[1:]]
        return data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whether that was to be."""
        super().connectionLost(reason)
        if self._last is not None and self._last.active():
            self._last.cancel()
        self._order.released()
        try:
            if self._reply is not None:
                self._tell(self._reply.closed(reason.check(type(connectionDone.value)) is not None))
            self._fail(BackendFault("it cut the WebSocket"))
        except BackendFault as error:
            self._fail(error)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write bytes; Autobahn's own method logs each."""
        self.transport.write(data)

    def pauseProducing(self) -> None:
        """The socket takes no more."""
        self.full = True

    def resumeProducing(self) -> None:
        """The socket took everything."""
        self.full = False
        if self._listener is not None:
            self._listener.writable()

    def stopProducing(self) -> None:
        """The socket is about to go."""

    # --- from Autobahn --------------------------------------------------------

    def onOpen(self) -> None:
        """The server took it."""
        chosen = [value.decode("latin-1") for name, value in self._switched if name.lower() == _PROTOCOL]
        fields = [field for field in self._switched if field[0].lower() not in _OWN | {_PROTOCOL}]
        self._tell([Opened(chosen[0] if chosen else None, fields)])

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message came."""
        self._tell([Arrived(not isBinary, payload)])

    def onCloseFrame(self, code: Any, reasonRaw: Any) -> bool | None:
        """Answer as RFC 6455 says, and pass on what the server said."""
        stop = super().onCloseFrame(code, reasonRaw)
        if not self.failedByMe:
            self._tell([Closed(NO_CODE if code is None else code, (reasonRaw or b"").decode("utf-8", "replace"))])
            self._end_soon()
        return bool(stop)

    def _protocol_violation(self, reason: str) -> bool:
        """Stop at a breach; Autobahn would go on with the very frame that was wrong."""
        super()._protocol_violation(reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        """Stop at text that is none, for the same reason."""
        super()._invalid_payload(reason)
        return True

    # --- for the listener -----------------------------------------------------

    def listen(self, wanted: bool) -> None:
        """Read on, or let the server wait."""
        if self._deaf is wanted:
            self._deaf = not wanted
            if wanted:
                self.transport.resumeProducing()
            else:
                self.transport.pauseProducing()

    def say(self, data: bytes, *, text: bool) -> None:
        """Send a message; look at L{full} afterwards."""
        self.sendMessage(data, isBinary=not text)  # type: ignore[no-untyped-call]

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; nobody listens any more."""
        self._listener = None
        self.listen(True)
        self.sendCloseFrame(None if code == NO_CODE else code, reason.encode()[:123] if code != NO_CODE else None)
        self._end_soon()

    def leave(self) -> None:
        """End the connection in good order, since the server has said everything; a reset may be more than it bears."""
        self._listener = None
        if self.state == self.STATE_CLOSED:
            return
        self._reply = None
        self._end_soon()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def cut(self) -> None:
        """End the connection now."""
        self._listener = None
        if self.transport is not None:
            self.transport.abortConnection()

    def _end_soon(self) -> None:
        """The server ends the connection after a close; one that does not is cut."""
        if self._last is None:
            self._last = self._order.clock.callLater(self._order.limits.closing, self.transport.abortConnection)

    def _tell(self, events: list[Any]) -> None:
        for event in events:
            if self._listener is not None:
                self._listener.happened(event)

    def _fail(self, error: BackendFault) -> None:
        """Tell that it is over, once."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.lost(error)
        if self.transport is not None and self.state != self.STATE_CLOSED:
            self._end_soon()


def _field(line: bytes) -> Header:
    """Read one line of a head that was checked."""
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


class Order(NamedTuple):
    """
    What is needed to open a WebSocket.

    @ivar head: makes the bytes of the handshake, from a key.
    @ivar subprotocols: which the caller offers.
    @ivar released: is called when there is no connection any more.
    """

    head: Callable[[bytes], bytes]
    subprotocols: list[str]
    listener: Listener
    released: Callable[[], None]
    clock: IReactorTime
    limits: Limits

    def factory(self) -> Factory:
        """Make the Autobahn factory of this one WebSocket."""
        # The URL says nothing: the handshake does not come from Autobahn, and the endpoint knows the address.
        factory: Any = WebSocketClientFactory(
            "ws://target.invalid/", protocols=self.subprotocols, useragent="", reactor=self.clock
        )
        set_options(factory, self.limits)
        most = self.limits.websocket_message
        factory.setProtocolOptions(maxFramePayloadSize=most, maxMessagePayloadSize=most)
        factory.noisy = False
        factory.protocol = lambda: TargetSocket(self)
        made: Factory = factory
        return made
