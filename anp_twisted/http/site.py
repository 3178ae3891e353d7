"""
Pages of twisted.web, and so of Klein, on a port of this package.

One L{PublicRequest} is the channel of one C{twisted.web} request, in the way in which
Twisted's own HTTP/2 makes a stream the channel of one. So a resource sees what it
knows, and what strangers send has been held to the rules of this package before:
head, sizes, time and Host. Nothing that is forwarded comes here.

This module imports C{twisted.web.server}, which installs no reactor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, IProducer, IPullProducer, IPushProducer
from twisted.internet.task import CooperativeTask, Cooperator, TaskFinished
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site
from zope.interface import implementer

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import Header
from anp_twisted.http.request import Answer, PublicRequest
from anp_twisted.limits import KIB

MOST_BODY: Final = 64 * KIB
"""Bytes of a request to a page. twisted.web spools what is larger than 100 kB to the disk."""

_PORTS: Final = {b"http": 80, b"https": 443}
_VERSION: Final = b"HTTP/1.0"
"""What resources are told: to one of 1.1 they would send chunks, and how a body is delimited is decided here."""


class PageSite:
    """
    Takes requests for the resources of a site.

    @ivar site: of C{twisted.web}.
    """

    def __init__(self, site: Site, cooperator: Cooperator, most: int = MOST_BODY) -> None:
        """
        @param cooperator: gives producers that have to be pulled their turns.
        @param most: bytes a request may have.
        """
        self.site = site
        self._cooperator = cooperator
        self._most = most

    def __call__(self, request: PublicRequest) -> None:
        """Answer a request, from inside the callback that got it."""
        if request.content_length is not None and request.content_length > self._most:
            request.respond(413, [(b"Content-Length", b"0")])
            return
        request.attach(PageChannel(request, self.site, self._cooperator, self._most))


@implementer(IConsumer)
class PageChannel:
    """
    The channel of one request, and the consumer of its body.

    @ivar site: where the request finds its resource.
    @ivar factory: there is none, so that the request is not logged a second time.
    @ivar transport: the request does not get at it.
    """

    log = Logger()
    factory = None
    transport = None

    def __init__(self, request: PublicRequest, site: Site, cooperator: Cooperator, most: int) -> None:
        self.site = site
        self._caller = request
        self._cooperator = cooperator
        self._most = most
        self._body: list[bytes] = []
        self._page: Request | None = None
        self._producer: IPushProducer | IPullProducer | None = None
        self._pulling: CooperativeTask[Iterator[None]] | None = None

    # --- from the caller -----------------------------------------------------

    def body_received(self, data: bytes) -> None:
        """Keep a piece: resources read bodies that are whole."""
        self._body.append(data)
        if self._caller.body_bytes > self._most:
            self._body.clear()
            self._caller.respond(413, [(b"Content-Length", b"0")])

    def body_ended(self, trailers: list[Header]) -> None:
        """Ask the resource."""
        caller = self._caller
        self._page = page = self.site.requestFactory(self)
        for name, value in caller.headers:
            page.requestHeaders.addRawHeader(name, value)
        page.gotLength(caller.body_bytes)
        page.parseCookies()
        for piece in self._body:
            page.handleContentChunk(piece)
        self._body.clear()
        page.requestReceived(caller.method, caller.target, _VERSION)

    def caller_lost(self) -> None:
        """Tell whoever works for the caller."""
        page, self._page = self._page, None
        self.unregisterProducer()
        if page is not None:
            page.connectionLost(Failure(ConnectionLost()))

    def caller_paused(self) -> None:
        """Ask for no more."""
        if self._pulling is not None:
            self._pulling.pause()
        elif self._producer is not None:
            cast(IPushProducer, self._producer).pauseProducing()

    def caller_resumed(self) -> None:
        """Ask for more."""
        if self._pulling is not None:
            self._pulling.resume()
        elif self._producer is not None:
            self._producer.resumeProducing()

    # --- from the resource ----------------------------------------------------

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Send the head; what it says of the server's software is nobody's business."""
        fields = [(name, value) for name, values in headers.getAllRawHeaders() for value in values]
        try:
            self._caller.send_head(int(code), [field for field in fields if field[0].lower() != b"server"])
        except InvalidMessage:
            self.log.failure("{target}: a page gave an answer that is not HTTP", target=self._caller.target)
            self._caller.abort()

    def write(self, data: bytes) -> None:
        """Send a piece."""
        if self._caller.answer is Answer.SENDING:
            self._caller.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send some pieces."""
        self.write(b"".join(iovec))

    def requestDone(self, request: Request) -> None:
        """The answer is complete."""
        self._page = None
        if self._caller.answer is Answer.SENDING:
            self._caller.finish()

    def loseConnection(self) -> None:
        """End without having completed the answer."""
        self._page = None
        self._caller.abort()

    abortConnection = loseConnection

    def _respondToBadRequestAndDisconnect(self) -> None:
        """What the request calls where it cannot read a form."""
        self._page = None
        self._caller.respond(400, [(b"Content-Length", b"0")])

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let somebody write as fast as the caller reads."""
        self._producer = cast("IPullProducer | IPushProducer", producer)
        if not streaming:
            self._pulling = self._cooperator.cooperate(self._pull(cast(IPullProducer, producer)))

    def unregisterProducer(self) -> None:
        """That was all."""
        pulling, self._pulling, self._producer = self._pulling, None, None
        if pulling is not None:
            with suppress(TaskFinished):
                pulling.stop()

    def _pull(self, producer: IPullProducer) -> Iterator[None]:
        while self._producer is producer:
            producer.resumeProducing()
            yield None

    def getPeer(self) -> IPv4Address:
        """Who calls."""
        return IPv4Address("TCP", *self._caller.client)

    def getHost(self) -> IPv4Address:
        """Whom the caller meant."""
        name, colon, port = self._caller.host.decode("latin-1").rpartition(":")
        if not colon or port.endswith("]"):
            return IPv4Address("TCP", self._caller.host.decode("latin-1"), _PORTS[self._caller.scheme])
        return IPv4Address("TCP", name, int(port))

    def isSecure(self) -> bool:
        """Whether the caller uses TLS."""
        return self._caller.scheme == b"https"
