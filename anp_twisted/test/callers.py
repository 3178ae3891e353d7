"""
Stand-ins for the two sides of a public connection: the caller and the features.
"""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IProtocol, ITCPTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from anp_twisted.headers import Header
from anp_twisted.http.channel import PublicFactory
from anp_twisted.http.connection import PublicConnection
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import DEFAULT_LIMITS, Limits

DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@implementer(ITCPTransport)
class CallerTransport(StringTransport):
    """
    A transport in memory that notes how it was closed.

    @ivar half_closed: our half was closed.
    @ivar aborted: it was cut.
    """

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.protocol: IProtocol | None = None
        self.no_delay = False
        self.half_closed = False
        self.aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Note it.
        """
        self.no_delay = enabled

    def getTcpNoDelay(self) -> bool:
        """
        As set.
        """
        return self.no_delay

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        There is nobody to probe.
        """

    def getTcpKeepAlive(self) -> bool:
        """
        There is nobody to probe.
        """
        return False

    def loseWriteConnection(self) -> None:
        """
        Note it.
        """
        self.half_closed = True

    def abortConnection(self) -> None:
        """
        Note it.
        """
        self.aborted = True
        super().abortConnection()

    @property
    def open(self) -> bool:
        """
        Whether nothing has closed it in any way.
        """
        return not (self.half_closed or self.aborted or self.disconnecting)

    @property
    def reading(self) -> bool:
        """
        Whether it would deliver bytes.
        """
        return self.producerState == "producing"

    def take(self) -> bytes:
        """
        What was written since the last time.
        """
        data: bytes = self.value()
        self.clear()
        return data


class Recorder:
    """
    A consumer that notes what it is told.

    @ivar events: names of what happened, in order.
    @ivar body: the bytes received.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.body = b""
        self.trailers: list[Header] = []

    def body_received(self, data: bytes) -> None:
        """
        Note it.
        """
        self.events.append("body")
        self.body += data

    def body_ended(self, trailers: list[Header]) -> None:
        """
        Note it.
        """
        self.events.append("ended")
        self.trailers = trailers

    def caller_lost(self) -> None:
        """
        Note it.
        """
        self.events.append("lost")

    def caller_paused(self) -> None:
        """
        Note it.
        """
        self.events.append("paused")

    def caller_resumed(self) -> None:
        """
        Note it.
        """
        self.events.append("resumed")


class Port:
    """
    A public port in memory. Each request gets a L{Recorder} and is answered by
    the test.

    @ivar requests: what arrived, in order.
    @ivar recorders: their consumers.
    @ivar refusals: the statuses of what was refused.
    @ivar refused_client: whose request was refused last.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.clock = Clock()
        self.requests: list[PublicRequest] = []
        self.recorders: list[Recorder] = []
        self.refusals: list[int] = []
        self.refused_client = ("", 0)
        self.factory = PublicFactory(
            self.clock,
            limits,
            self.on_request,
            on_refused=self.on_refused,
            date=lambda: DATE,
        )

    def on_request(self, request: PublicRequest) -> None:
        """
        Attach a recorder.
        """
        recorder = Recorder()
        self.requests.append(request)
        self.recorders.append(recorder)
        request.attach(recorder)

    def on_refused(self, client: tuple[str, int], status: int) -> str:
        """
        Note it.
        """
        self.refused_client = client
        self.refusals.append(status)
        return "id-1"

    def connect(self) -> tuple[PublicConnection, CallerTransport]:
        """
        A new caller.
        """
        connection = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 4711))
        assert isinstance(connection, PublicConnection)
        transport = CallerTransport()
        transport.protocol = connection
        connection.makeConnection(transport)
        return connection, transport

    def pass_time(self, seconds: float) -> None:
        """
        Let time pass in steps shorter than a sweep.
        """
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)


def reply(request: PublicRequest, body: bytes = b"ok") -> None:
    """
    Answer a request with 200.
    """
    request.send_head(200, [(b"Content-Length", b"%d" % len(body))])
    request.write(body)
    request.finish()


def whole_answer(body: bytes = b"ok") -> bytes:
    """
    What L{reply} writes on a connection that stays.
    """
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nDate: %b\r\n\r\n%b" % (len(body), DATE, body)
