"""
Tests for L{anp_twisted.http.request}.
"""

from __future__ import annotations

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import Header
from anp_twisted.http.head import RequestHead
from anp_twisted.http.request import Answer, PublicRequest
from anp_twisted.test.callers import DATE, Recorder, reply, whole_answer

LENGTH_2 = [(b"Content-Length", b"2")]


class Line:
    """
    A connection that notes what a request asks of it.

    @ivar sent: the bytes written.
    @ivar calls: everything else.
    """

    date = DATE

    def __init__(self) -> None:
        self.staying = True
        self.sent = b""
        self.calls: list[object] = []

    def send(self, data: bytes) -> None:
        """Note it."""
        self.sent += data

    send_last = send

    @property
    def certificate(self) -> str:
        """A name."""
        return "somebody"

    def hold_body(self, held: bool) -> None:
        """Note it."""
        self.calls.append(("held", held))

    def start_body_clock(self) -> None:
        """Note it."""
        self.calls.append("clock")

    def answered(self, keep_alive: bool) -> None:
        """Note it."""
        self.calls.append(("answered", keep_alive))

    def cut(self) -> None:
        """Note it."""
        self.calls.append("cut")

    def end_short(self) -> None:
        """Note it."""
        self.calls.append("short")

    def hand_over(self, protocol: IProtocol, raw_head: bytes) -> None:
        """Note it."""
        self.calls.append((protocol, raw_head))


HEAD = RequestHead(
    method=b"GET",
    target=b"/",
    version=b"1.1",
    headers=[(b"Host", b"a")],
    host=b"a",
    content_length=None,
    has_body=False,
    expects_continue=False,
    upgrade=b"",
    keep_alive=True,
    raw=b"",
)


class RequestTestCase(SynchronousTestCase):
    """
    Has a request on a L{Line}.
    """

    def setUp(self) -> None:
        self.line = Line()
        self.consumer = Recorder()

    def make(self, head: RequestHead = HEAD) -> PublicRequest:
        """
        A request with a consumer.
        """
        request = PublicRequest(self.line, head, client=("192.0.2.7", 1), scheme=b"http", received=5.0)
        request.attach(self.consumer)
        return request


class AnswerTests(RequestTestCase):
    """The answer, step by step."""

    def test_parts(self) -> None:
        """Head, body and end are counted and told to the connection."""
        request = self.make()
        self.assertEqual(request.status, 0)
        reply(request)
        self.assertEqual(self.line.sent, whole_answer())
        self.assertEqual((request.status, request.sent, request.answer), (200, 2, Answer.ENDED))
        self.assertEqual(self.line.calls, [("answered", True)])

    def test_at_once(self) -> None:
        """The whole answer in one call is the same answer."""
        request = self.make()
        request.respond(200, LENGTH_2, body=b"ok")
        self.assertEqual(self.line.sent, whole_answer())
        self.assertEqual((request.status, request.sent, self.line.calls), (200, 2, [("answered", True)]))

    def test_chunked_at_once(self) -> None:
        """It is framed like one in parts."""
        self.make().respond(200, [], body=b"abc", trailers=[(b"T", b"v")])
        self.assertTrue(self.line.sent.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n"))

    def test_order(self) -> None:
        """Nothing before the head, nothing after the end, no second head."""
        request = self.make()
        self.assertRaises(InvalidMessage, request.write, b"x")
        self.assertRaises(InvalidMessage, request.finish)
        self.assertEqual(request.answer, Answer.WAITING)
        request.send_head(200, LENGTH_2)
        self.assertRaises(InvalidMessage, request.send_head, 200, [])
        self.assertRaises(InvalidMessage, request.respond, 200, [])
        self.assertRaises(InvalidMessage, request.send_informational, 103, [])
        request.write(b"ok")
        request.finish()
        for call in (request.finish, lambda: request.write(b"x"), lambda: request.send_head(200, [])):
            self.assertRaises(InvalidMessage, call)
        self.assertEqual(self.line.sent, whole_answer())

    def test_refused_head(self) -> None:
        """A head that was refused leaves room for another."""
        request = self.make()
        bad: list[list[Header]] = [[(b"X", b"a\r\nb")], [(b"a b", b"")], LENGTH_2 * 2]
        for headers in bad:
            self.assertRaises(InvalidMessage, request.send_head, 200, headers)
        self.assertRaises(InvalidMessage, request.send_head, 1000, [])
        self.assertEqual((self.line.sent, request.status), (b"", 0))
        reply(request)
        self.assertEqual(self.line.sent, whole_answer())

    def test_too_long(self) -> None:
        """Of a piece that is too long, nothing is sent."""
        request = self.make()
        request.send_head(200, LENGTH_2)
        before = self.line.sent
        self.assertRaises(InvalidMessage, request.write, b"abc")
        self.assertEqual((self.line.sent, request.sent), (before, 0))

    def test_too_long_at_once(self) -> None:
        """A whole answer that is too long is not sent at all, and another one can be."""
        request = self.make()
        self.assertRaises(InvalidMessage, request.respond, 200, LENGTH_2, body=b"abc")
        self.assertRaises(InvalidMessage, request.respond, 204, [], body=b"abc")
        self.assertEqual((self.line.sent, request.status), (b"", 0))
        reply(request)
        self.assertEqual(self.line.sent, whole_answer())

    def test_too_short(self) -> None:
        """One that ends early ends the connection, is never padded, never called complete."""
        request = self.make()
        request.send_head(200, LENGTH_2)
        request.write(b"o")
        request.finish()
        self.assertEqual(self.line.calls, ["short"])
        self.make().respond(200, LENGTH_2, body=b"o")
        self.assertEqual(self.line.calls, ["short", "cut"])

    def test_swallowed(self) -> None:
        """A body that has no place is swallowed and not counted."""
        request = self.make(HEAD._replace(method=b"HEAD"))
        request.send_head(200, LENGTH_2)
        request.write(b"okok")
        request.finish()
        self.assertTrue(self.line.sent.endswith(b"\r\n\r\n"))
        self.assertEqual((request.sent, self.line.calls), (0, [("answered", True)]))

    def test_ends_connection(self) -> None:
        """The connection ends if the caller, the port or the framing wants it."""
        for change, staying in ((HEAD._replace(keep_alive=False), True), (HEAD, False)):
            self.line = Line()
            self.line.staying = staying
            reply(self.make(change))
            self.assertIn(b"\r\nConnection: close\r\n", self.line.sent)
            self.assertEqual(self.line.calls, [("answered", False)])

    def test_abort(self) -> None:
        """An aborted answer ends the connection, once, and nobody is told of it."""
        request = self.make()
        request.send_head(200, [])
        request.abort()
        request.abort()
        request.write(b"x")
        request.finish()
        self.assertEqual(self.line.calls, ["short"])
        self.assertEqual(self.consumer.events, [])

    def test_abort_delimited_by_the_end(self) -> None:
        """Where the end of the connection would look like the end of the body, only a reset will do."""
        for version, head in ((b"1.0", True), (b"1.1", False)):
            self.line = Line()
            request = self.make(HEAD._replace(version=version, keep_alive=False))
            if head:
                request.send_head(200, [])
            request.abort()
            self.assertEqual(self.line.calls, ["cut"])

    def test_abort_afterwards(self) -> None:
        """A complete answer cannot be aborted."""
        request = self.make()
        reply(request)
        request.abort()
        self.assertEqual(self.line.calls, [("answered", True)])


class LostTests(RequestTestCase):
    """A caller who has gone."""

    def test_ignored(self) -> None:
        """After the loss everything is ignored: a feature may not know yet."""
        request = self.make(HEAD._replace(expects_continue=True, upgrade=b"websocket"))
        request.lose()
        request.lose()
        self.assertEqual(self.consumer.events, ["lost"])
        request.send_continue()
        request.send_informational(103, [])
        request.upgrade_to(Protocol())
        request.pause_body()
        request.resume_body()
        reply(request)
        request.respond(200, LENGTH_2, body=b"ok")
        request.receive(b"x")
        request.receive_end([])
        request.abort()
        self.assertEqual((self.line.sent, self.line.calls, self.consumer.events), (b"", [], ["lost"]))

    def test_after_the_end(self) -> None:
        """Whoever has been answered is not lost, and sends to nobody."""
        request = self.make()
        reply(request)
        request.lose()
        request.receive(b"rest")
        request.receive_end([])
        self.assertEqual(self.consumer.events, [])


class InterimTests(RequestTestCase):
    """Interim responses."""

    def test_continue(self) -> None:
        """A caller who waits is told once."""
        request = self.make(HEAD._replace(expects_continue=True, has_body=True, content_length=2))
        self.assertTrue(request.awaits_continue)
        request.send_continue()
        request.send_continue()
        self.assertEqual(self.line.sent, b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(self.line.calls, ["clock"])

    def test_not_asked(self) -> None:
        """Nobody else is, nor one whose body has begun or whose answer has."""
        self.make().send_continue()
        started = self.make(HEAD._replace(expects_continue=True, has_body=True))
        started.receive(b"x")
        started.send_continue()
        self.assertEqual(self.line.sent, b"")
        answered = self.make(HEAD._replace(expects_continue=True, has_body=True))
        answered.send_head(200, LENGTH_2)
        sent = self.line.sent
        answered.send_continue()
        self.assertEqual(self.line.sent, sent)

    def test_never_told(self) -> None:
        """If a caller who waits is answered instead, the connection ends: will its body come or not?"""
        request = self.make(HEAD._replace(expects_continue=True, has_body=True))
        reply(request)
        self.assertEqual(self.line.calls, [("answered", False)])

    def test_informational(self) -> None:
        """Interim responses go before the head, as many as wanted; HTTP/1.0 gets none."""
        request = self.make()
        request.send_informational(103, [(b"Link", b"x")])
        request.send_informational(102, [])
        self.assertEqual(self.line.sent.count(b"HTTP/1.1 10"), 2)
        self.line.sent = b""
        self.make(HEAD._replace(version=b"1.0")).send_informational(103, [])
        self.assertEqual(self.line.sent, b"")
        self.assertRaises(InvalidMessage, self.make().send_informational, 101, [])


class UpgradeTests(RequestTestCase):
    """Handing the connection over."""

    def test_hand_over(self) -> None:
        """The raw head goes along, and the request is over."""
        request = self.make(HEAD._replace(upgrade=b"websocket", raw=b"GET..."))
        protocol = Protocol()
        request.upgrade_to(protocol)
        self.assertEqual(self.line.calls, [(protocol, b"GET...")])
        request.lose()
        self.assertEqual(self.consumer.events, [])

    def test_not_possible(self) -> None:
        """Not without being asked, with a body or with an answer."""
        asked = HEAD._replace(upgrade=b"websocket")
        answered = self.make(asked)
        answered.send_head(200, [])
        for request in (self.make(), self.make(asked._replace(has_body=True)), answered):
            self.assertRaises(InvalidMessage, request.upgrade_to, Protocol())
        self.assertEqual(self.line.calls, [])
