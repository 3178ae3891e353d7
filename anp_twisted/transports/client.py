"""
The end of a link that a receiver has.

C{ClientService} takes a TCP connection for success. L{LinkEndpoint} is an endpoint
whose connections are made when the link is open: WebSocket, credentials and both
HELLOs. So back-off counts what matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.types import ConnectionResponse
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.errors import ANPError, ConnectionClosed, LinkRefused
from anp_twisted.session.connection import Connection, Role
from anp_twisted.session.events import GoawayReceived, RequestReceived
from anp_twisted.transports import versions
from anp_twisted.transports.backoff import Backoff
from anp_twisted.transports.link import Link, State, Wiring
from anp_twisted.transports.reasons import explain
from anp_twisted.transports.versions import Legacy
from anp_twisted.transports.websocket import LinkSocket, set_options
from anp_twisted.wire import v1, v2
from anp_twisted.wire.heads import Hello

HEAD: Final = re.compile(rb"HTTP/1\.1 [0-9]{3}( [\t -~]*)?(\r\n[!-9;-~]+:[\t -~]*)*")
"""The head of an answer that Autobahn can read."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """
    What each attempt says.

    @ivar url: C{ws[s]://host:port/path}.
    @ivar headers: makes the header fields of one attempt, among them C{Authorization}.
    @ivar hello: makes the HELLO of one attempt.
    @ivar backoff: hears how attempts and links end.
    @ivar legacy: for gateways of version 1; without it, they are refused.
    @ivar judge: takes the challenge of our HELLO and the gateway's, and raises if that is no answer.
    """

    url: str
    headers: Callable[[], dict[str, str]]
    hello: Callable[[], Hello]
    backoff: Backoff
    legacy: Legacy | None = None
    judge: Callable[[str, Hello], None] | None = None

    @property
    def protocols(self) -> list[str]:
        """The subprotocols to offer."""
        return [v2.SUBPROTOCOL] if self.legacy is None else list(versions.OFFERED)


class ClientSocket(LinkSocket, WebSocketClientProtocol):  # type: ignore[misc]
    """
    The WebSocket of one attempt.

    @ivar attempt: hears of its end.
    @ivar speak_v1: lets the link speak version 1; C{None} where that is not spoken.
    """

    attempt: Attempt
    speak_v1: Callable[[], None] | None = None
    http_status_line = ""

    def dataReceived(self, data: bytes) -> None:
        """Give up on an answer that is no HTTP head, which Autobahn would keep or trip over."""
        if self.state == self.STATE_CONNECTING:
            head, end, _ = (self.data + data).partition(b"\r\n\r\n")
            if len(head) > self._most_head or (end and not HEAD.fullmatch(head)):
                self.link.abort(LinkRefused("what answers at the gateway's address does not speak HTTP"))
                return
        super().dataReceived(data)

    def onConnect(self, response: ConnectionResponse) -> None:
        """Speak the version that the gateway chose."""
        version = versions.agreed(response.protocol, with_v1=self.speak_v1 is not None)
        if version is None:
            self.link.abort(LinkRefused("the gateway does not speak " + v2.SUBPROTOCOL))
        elif version == v1.VERSION and self.speak_v1 is not None:
            self.speak_v1()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The link hears it first, then who waits for it."""
        super().connectionLost(reason)
        self.attempt.socket_lost()

    def _loss(self, reason: Failure) -> ANPError:
        """Before the WebSocket was open, say what the gateway or TLS objected to."""
        if self.link.state is not State.CONNECTING:
            return super()._loss(reason)
        words = self.http_status_line.split()
        if len(words) > 1 and words[1].isdigit() and words[1] != "101":
            return LinkRefused(f"the gateway answered {words[1][:3]}", int(words[1][:3]))
        return LinkRefused(explain(reason.value))


@implementer(ITransport)
class LinkTransport:
    """
    What the protocol of an open link has for a transport: it can only be ended.

    @ivar link: the link.
    """

    disconnecting = False

    def __init__(self, link: Link, transport: ITransport) -> None:
        self.link = link
        self._transport = transport

    def write(self, data: bytes) -> None:
        """@raise ConnectionClosed: always; a link carries streams, not bytes."""
        raise ConnectionClosed("a link carries streams, not bytes")

    def writeSequence(self, data: object) -> None:
        """@raise ConnectionClosed: always."""
        self.write(b"")

    def loseConnection(self) -> None:
        """End the link in good order."""
        self.link.close(1001, "going away")

    def abortConnection(self) -> None:
        """Cut the link."""
        self.link.abort(ConnectionClosed("aborted by this side"))

    def getPeer(self) -> IAddress:
        """The address of the gateway."""
        return self._transport.getPeer()

    def getHost(self) -> IAddress:
        """Our own address."""
        return self._transport.getHost()


class Attempt:
    """
    One attempt and the link it leads to; it stands between the link and its owner.

    @ivar opened: fires with the protocol when the link is open.
    """

    log = Logger()

    def __init__(self, factory: IProtocolFactory, wiring: Wiring, dialling: Dialling) -> None:
        self.opened: Deferred[IProtocol] = Deferred(self._cancelled)
        self.socket: ClientSocket | None = None
        self._factory = factory
        self._owner = wiring.owner
        self._url = dialling.url
        self._backoff = dialling.backoff
        self._protocol: IProtocol | None = None
        self._connecting: Deferred[IProtocol] | None = None

    def start(self, endpoint: IStreamClientEndpoint, raw: IProtocolFactory) -> None:
        """Connect; whatever comes of it reaches L{opened}."""
        self._connecting = endpoint.connect(raw)
        self._connecting.addErrback(self._unreachable)

    def _unreachable(self, reason: Failure) -> None:
        """There is no connection at all."""
        if reason.check(CancelledError, ConnectingCancelledError):
            return  # who cancels needs no reason
        self._fail(reason.value if isinstance(reason.value, LinkRefused) else LinkRefused(explain(reason.value)))

    def _cancelled(self, opened: Deferred[IProtocol]) -> None:
        """Nobody wants the link any more."""
        if self.socket is not None and self.socket.transport is not None:
            self.socket.link.abort(ConnectionClosed("the attempt was cancelled"))
        elif self._connecting is not None:
            self._connecting.cancel()

    def _fail(self, reason: ANPError) -> None:
        """Tell that this attempt came to nothing, once."""
        if not self.opened.called:
            self._count(reason)
            self.opened.errback(reason)

    def _count(self, reason: ANPError) -> None:
        """Let an attempt that failed count, and say so."""
        self.log.warn("no link with {url}: {reason}", url=self._url, reason=reason)
        self._backoff.failed(reason)

    def late(self, result: Any, limit: float) -> Any:
        """Name a timeout, as C{Deferred.addTimeout} asks for it."""
        assert isinstance(result, Failure) and result.check(CancelledError), "a timeout that was none"
        reason = LinkRefused(f"no link within {limit:g} s")
        self._count(reason)
        raise reason

    # --- from the link ------------------------------------------------------

    def link_open(self, link: Link) -> None:
        """The link is open: the owner first, then who waited for it."""
        self._backoff.opened()
        self._owner.link_open(link)
        if link.state is not State.OPEN or self.opened.called:
            return
        assert self.socket is not None
        transport = LinkTransport(link, self.socket.transport)
        protocol = self._factory.buildProtocol(transport.getPeer())
        if protocol is None:
            link.close(1001, "not wanted")
            return
        self._protocol = protocol
        protocol.makeConnection(transport)
        self.opened.callback(protocol)

    def link_event(self, link: Link, event: RequestReceived | GoawayReceived) -> None:
        """Remember for how long the gateway does not want us."""
        if isinstance(event, GoawayReceived):
            self._backoff.hold(event.goaway.retry_after / 1000)
        self._owner.link_event(link, event)

    def link_lost(self, link: Link, reason: ANPError) -> None:
        """The link is over."""
        self._backoff.lost(reason)
        self._owner.link_lost(link, reason)

    def socket_lost(self) -> None:
        """The socket is gone as well."""
        assert self.socket is not None
        reason = self.socket.link.reason or ConnectionClosed("the link is gone")
        if self._protocol is not None:
            self._protocol.connectionLost(Failure(reason))
        else:
            self._fail(reason)


def _speak_v1(legacy: Legacy, socket: ClientSocket, hello: Hello, wiring: Wiring) -> None:
    """Let a link speak version 1."""
    now = wiring.clock.seconds()
    socket.link.speak(legacy.connection(Role.RECEIVER, hello, wiring.limits, now=now))
    socket.take_larger(wiring.limits.v1_frame)


@implementer(IStreamClientEndpoint)
class LinkEndpoint:
    """Connects to a gateway; made for C{ClientService}."""

    def __init__(self, inner: IStreamClientEndpoint, dialling: Dialling, wiring: Wiring) -> None:
        """
        @param inner: makes the TCP or TLS connection.
        """
        self._inner = inner
        self._dialling = dialling
        self._wiring = wiring

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Make a link.

        @param protocolFactory: makes a protocol that hears C{connectionLost} when
            the socket of the link is gone. Its transport is a L{LinkTransport}.
        @return: fires when the link is open, and after the owner heard of it; fails
            with an L{ANPError<anp_twisted.errors.ANPError>}, such as
            L{LinkRefused<anp_twisted.errors.LinkRefused>}.
        """
        attempt = Attempt(protocolFactory, self._wiring, self._dialling)
        attempt.start(self._inner, self._raw_factory(attempt))
        limit = self._wiring.limits.handshake
        return attempt.opened.addTimeout(limit, self._wiring.clock, attempt.late)

    def _raw_factory(self, attempt: Attempt) -> IProtocolFactory:
        """Make the Autobahn factory of one attempt, with its own header fields."""
        dialling, wiring = self._dialling, replace(self._wiring, owner=attempt)
        factory: Any = WebSocketClientFactory(
            dialling.url,
            protocols=dialling.protocols,
            useragent="",
            headers=dialling.headers(),
            reactor=wiring.clock,
        )
        set_options(factory, wiring.limits)

        def build() -> ClientSocket:
            socket = attempt.socket = ClientSocket(wiring.limits)
            hello = dialling.hello()
            judge = None if dialling.judge is None else partial(dialling.judge, hello.challenge)
            connection = Connection(Role.RECEIVER, hello, wiring.limits, judge=judge)
            socket.attempt = attempt
            socket.link = Link(socket, connection, wiring, remote=dialling.url)
            if dialling.legacy is not None:
                socket.speak_v1 = partial(_speak_v1, dialling.legacy, socket, connection.hello, wiring)
            return socket

        factory.noisy = False
        factory.protocol = build
        raw: IProtocolFactory = factory
        return raw
