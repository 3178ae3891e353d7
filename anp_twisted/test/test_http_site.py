"""Tests for L{anp_twisted.http.site}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, Cooperator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import Data, File

from anp_twisted.http.channel import PublicFactory
from anp_twisted.http.connection import PublicConnection
from anp_twisted.http.site import PageSite
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.callers import DATE, CallerTransport


class Says(Resource):
    """A resource that does what a function says."""

    isLeaf = True

    def __init__(self, answer: Callable[[Request], Any]) -> None:
        super().__init__()
        self.render = answer  # type: ignore[method-assign]


def leaf(resource: Resource) -> Resource:
    """A resource for every path."""
    resource.isLeaf = True
    return resource


class SiteTestCase(SynchronousTestCase):
    """A public port with nothing but pages."""

    def setUp(self) -> None:
        """Make the clock."""
        self.clock = Clock()
        self.turns: list[Callable[[], None]] = []

    def open(self, resource: Any, most: int = 100) -> CallerTransport:
        """Let somebody connect."""
        cooperator = Cooperator(scheduler=lambda turn: self.clock.callLater(0, turn))
        pages = PageSite(Site(resource), cooperator, most)
        factory = PublicFactory(self.clock, DEFAULT_LIMITS, pages, date=lambda: DATE)
        connection = factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 4711))
        assert isinstance(connection, PublicConnection)
        self.connection = connection
        transport = CallerTransport()
        connection.makeConnection(transport)
        return transport

    def ask(self, resource: Any, request: bytes, most: int = 100) -> bytes:
        """Send bytes; what comes back."""
        transport = self.open(resource, most)
        self.connection.dataReceived(request)
        return transport.take()


class AnswerTests(SiteTestCase):
    """What resources say."""

    def test_data(self) -> None:
        """Status, fields and body arrive; what software it is does not."""
        answer = self.ask(leaf(Data(b"hello", "text/plain")), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(answer.endswith(b"\r\n\r\nhello"))
        self.assertNotIn(b"Server:", answer)
        self.assertNotIn(b"Connection: close", answer)

    def test_klein(self) -> None:
        """Klein's routes work, and so do Deferreds."""
        from klein import Klein

        app: Any = Klein()
        waiting: Deferred[bytes] = Deferred()

        @app.route("/later/<int:number>")  # type: ignore[untyped-decorator]
        def later(request: Request, number: int) -> Deferred[bytes]:
            return waiting.addCallback(lambda text: text * number)

        transport = self.open(app.resource())
        self.connection.dataReceived(b"GET /later/3 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(transport.take(), b"")
        waiting.callback(b"ab")
        self.assertTrue(transport.take().endswith(b"\r\n6\r\nababab\r\n0\r\n\r\n"))

    def test_pieces(self) -> None:
        """An answer without length is framed here: chunks for HTTP/1.1, the end of the connection for 1.0."""

        def answer(request: Request) -> int:
            request.write(b"one")
            request.write(b"two")
            request.finish()
            return NOT_DONE_YET

        modern = self.ask(Says(answer), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(modern.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"))
        old = self.ask(Says(answer), b"GET / HTTP/1.0\r\n\r\n")
        self.assertTrue(old.endswith(b"\r\n\r\nonetwo"))

    def test_pipelined(self) -> None:
        """One request after the other on a connection, HEAD without a body."""
        answers = self.ask(
            leaf(Data(b"hello", "text/plain")), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK"), 2)
        self.assertEqual(answers.count(b"hello"), 1)

    def test_malformed(self) -> None:
        """An answer that is not HTTP cuts the connection, with nothing of it sent."""

        def answer(request: Request) -> bytes:
            request.setResponseCode(99)
            return b"x"

        transport = self.open(Says(answer))
        self.connection.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(transport.aborted)
        self.assertEqual(transport.take(), b"")
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_pulled(self) -> None:
        """A producer that has to be pulled, as that of a file, gets its turns, and none while the caller is behind."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(bytes(300_000))
        transport = self.open(leaf(File(path, defaultType="application/octet-stream")))
        self.connection.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.connection.pauseProducing()
        self.clock.pump([0.0] * 5)
        before = len(transport.value())
        self.clock.pump([0.0] * 5)
        self.assertEqual(len(transport.value()), before)
        self.connection.resumeProducing()
        self.clock.pump([0.0] * 20)
        self.assertEqual(len(transport.take().partition(b"\r\n\r\n")[2]), 300_000)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.getTime() <= 0], [])


class RequestTests(SiteTestCase):
    """What resources see."""

    def test_seen(self) -> None:
        """Method, target, fields, arguments, body, and who asks whom."""
        seen: list[Any] = []

        def answer(request: Request) -> bytes:
            assert request.content is not None
            seen.extend((request.method, request.uri, request.args, request.content.read()))
            seen.extend((request.getHeader(b"x-one"), request.getClientAddress().host, request.getHost().port))
            seen.extend((request.isSecure(), request.getRequestHostname(), request.getCookie(b"c")))
            return b""

        self.ask(
            Says(answer),
            b"POST /a%20b?x=1 HTTP/1.1\r\nHost: a.example:8080\r\nX-One: 2\r\nCookie: c=3\r\n"
            b"Content-Length: 4\r\n\r\nbody",
        )
        self.assertEqual(seen[:4], [b"POST", b"/a%20b?x=1", {b"x": [b"1"]}, b"body"])
        self.assertEqual(seen[4:], [b"2", "192.0.2.7", 8080, False, b"a.example", b"3"])

    def test_large(self) -> None:
        """A body over the cap is refused, whether its length is told or not; no resource sees it."""
        called: list[Request] = []
        for head, body in (
            (b"Content-Length: 101\r\n", b""),
            (b"Transfer-Encoding: chunked\r\n", b"65\r\n" + bytes(101) + b"\r\n0\r\n\r\n"),
        ):
            answer = self.ask(Says(called.append), b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n" + body)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        self.assertEqual(called, [])

    def test_left(self) -> None:
        """A resource that waits hears that the caller left, and what it writes then goes nowhere."""
        gone: list[object] = []

        def answer(request: Request) -> int:
            request.notifyFinish().addErrback(gone.append)
            return NOT_DONE_YET

        self.open(Says(answer))
        self.connection.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.connection.connectionLost()
        self.assertEqual(len(gone), 1)
