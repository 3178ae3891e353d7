"""
Tests for L{anp_twisted.http.connection}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http import connection
from anp_twisted.http.channel import PublicFactory
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.test.callers import DATE, GET, CallerTransport, Port, reply, whole_answer


def post(length: int) -> bytes:
    """The head of a request with a body."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


POST = post(5)
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


class ConnectionTestCase(SynchronousTestCase):
    """
    Has a port with one caller.
    """

    limits = DEFAULT_LIMITS

    def setUp(self) -> None:
        self.port = Port(self.limits)
        self.caller, self.transport = self.port.connect()

    def receive(self, data: bytes) -> None:
        """
        The caller sends bytes.
        """
        self.caller.dataReceived(data)

    def hang_up(self) -> None:
        """
        The connection is gone.
        """
        self.caller.connectionLost()

    def assert_problem(self, status: int) -> None:
        """
        The last thing written is our own error answer, and the connection is ending.
        """
        answer = self.transport.take()
        head, _, body = answer[answer.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), answer)
        self.assertIn(b"\r\nContent-Type: application/problem+json\r\n", head)
        self.assertIn(b"\r\nConnection: close", head)
        self.assertIn(b'"request_id":"id-1"', body)
        self.assertTrue(self.transport.half_closed)
        self.assertEqual((self.port.refusals[-1], self.port.refused_client), (status, ("192.0.2.7", 4711)))


class RequestTests(ConnectionTestCase):
    """Requests arriving and being answered."""

    def test_handed_over(self) -> None:
        """A request says who asked, how and when."""
        self.port.clock.advance(3)
        self.receive(GET)
        (request,) = self.port.requests
        self.assertEqual((request.client, request.scheme, request.received), (("192.0.2.7", 4711), b"http", 3.0))
        self.assertEqual(self.port.recorders[0].events, ["ended"])

    def test_keep_alive(self) -> None:
        """One request after the other, on one connection."""
        for _ in range(3):
            self.receive(GET)
            reply(self.port.requests[-1])
            self.assertEqual(self.transport.take(), whole_answer())
        self.assertTrue(self.transport.open)

    def test_close(self) -> None:
        """A connection that shall end is half closed after the answer; what follows is dropped."""
        self.receive(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
        reply(self.port.requests[0])
        self.assertIn(b"Connection: close\r\n", self.transport.value())
        self.assertTrue(self.transport.half_closed)
        self.receive(GET)
        self.assertEqual(len(self.port.requests), 1)

    def test_http10(self) -> None:
        """HTTP/1.0 stays only if asked, and a body without a length ends with the connection."""
        self.receive(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply(self.port.requests[0])
        self.assertIn(b"Connection: keep-alive\r\n", self.transport.take())
        self.receive(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        request = self.port.requests[1]
        request.send_head(200, [])
        request.write(b"abc")
        request.finish()
        self.assertTrue(self.transport.take().endswith(b"Connection: close\r\n\r\nabc"))
        self.assertTrue(self.transport.half_closed)

    def test_one_write(self) -> None:
        """What is written while received bytes are worked on leaves as one piece."""
        writes: list[bytes] = []
        factory = PublicFactory(self.port.clock, DEFAULT_LIMITS, reply, date=lambda: DATE)
        caller = factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 1))
        assert caller is not None
        transport = CallerTransport()
        self.patch(transport, "write", writes.append)
        caller.makeConnection(transport)
        caller.dataReceived(GET * 3)
        self.assertEqual(writes, [whole_answer() * 3])

    def test_large_pieces(self) -> None:
        """A large piece does not wait, so that a caller who takes nothing is noticed."""
        self.port.factory.on_request = self.write_much
        self.receive(GET)

    def write_much(self, request: PublicRequest) -> None:
        """Write more than is gathered."""
        request.send_head(200, [])
        request.write(b"x" * 5000)
        self.assertIn(b"x" * 5000, self.transport.value())
        request.finish()

    def test_no_delay(self) -> None:
        """Small writes are not held back by the kernel."""
        self.assertTrue(self.transport.no_delay)


class PipelineTests(ConnectionTestCase):
    """Requests behind one another."""

    limits = replace(DEFAULT_LIMITS, pipelined=200)

    def test_in_order(self) -> None:
        """The second is not even looked at before the first is answered."""
        self.receive(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual([request.target for request in self.port.requests], [b"/1"])
        reply(self.port.requests[0], b"one")
        self.assertEqual([request.target for request in self.port.requests], [b"/1", b"/2"])
        reply(self.port.requests[1], b"two")
        self.assertEqual(self.transport.take(), whole_answer(b"one") + whole_answer(b"two"))

    def test_bounded(self) -> None:
        """What waits is bounded: with more, the socket waits too, until it is used up."""
        self.receive(GET)
        self.receive(GET * 5)
        self.assertTrue(self.transport.reading)
        self.receive(GET * 5)
        self.assertFalse(self.transport.reading)
        while len(self.port.requests) < 11:
            reply(self.port.requests[-1])
        self.assertTrue(self.transport.reading)

    def test_malformed(self) -> None:
        """A malformed one ends the connection after the answers before it."""
        self.receive(GET + GET + b"GE/T / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        reply(self.port.requests[0])
        self.assertTrue(self.transport.open)
        reply(self.port.requests[1])
        self.assertTrue(self.transport.value().startswith(whole_answer() * 2))
        self.assert_problem(400)
        self.assertEqual(len(self.port.requests), 2)

    def test_many(self) -> None:
        """Any number, answered at once, needs no depth."""
        self.port.factory.on_request = reply
        self.receive(GET * 3000)
        self.assertEqual(self.transport.take(), whole_answer() * 3000)


class BodyTests(ConnectionTestCase):
    """Bodies on their way in."""

    def test_streams(self) -> None:
        """Each piece is passed on when it comes."""
        self.receive(POST)
        (recorder,) = self.port.recorders
        self.assertEqual(recorder.events, [])
        self.receive(b"ab")
        self.receive(b"cde" + GET)
        self.assertEqual((recorder.events, recorder.body), (["body", "body", "ended"], b"abcde"))
        self.assertEqual(self.port.requests[0].body_bytes, 5)
        reply(self.port.requests[0])
        self.assertEqual(len(self.port.requests), 2)

    def test_chunked(self) -> None:
        """Chunks of one read are one piece; trailers come with the end."""
        self.receive(CHUNKED + b"1\r\na\r\n1\r\nb\r\n0\r\nT: v\r\n\r\n")
        (recorder,) = self.port.recorders
        self.assertEqual((recorder.events, recorder.body), (["body", "ended"], b"ab"))
        self.assertEqual(recorder.trailers, [(b"T", b"v")])

    def test_back_pressure(self) -> None:
        """A paused body pauses the socket, and its clock."""
        self.receive(POST + b"a")
        request = self.port.requests[0]
        request.pause_body()
        self.assertFalse(self.transport.reading)
        self.port.pass_time(100)
        self.assertTrue(self.transport.open)
        request.resume_body()
        self.assertTrue(self.transport.reading)
        self.port.pass_time(29)
        self.assertTrue(self.transport.open)
        self.port.pass_time(1)
        self.assert_problem(408)

    def test_pause_ends_with_body(self) -> None:
        """A body that came completely cannot hold up the next request."""
        self.receive(POST)
        self.port.requests[0].pause_body()
        self.receive(b"abcde")
        self.assertTrue(self.transport.reading)
        self.port.requests[0].pause_body()
        self.assertTrue(self.transport.reading)

    def test_malformed(self) -> None:
        """Broken framing is answered if nothing was, and the consumer is told of the loss."""
        self.receive(CHUNKED + b"1\r\na")
        self.receive(b"X")
        self.assertEqual(self.port.recorders[0].events, ["body", "lost"])
        self.assert_problem(400)

    def test_malformed_during_answer(self) -> None:
        """If an answer has begun, only cutting tells the truth."""
        self.receive(CHUNKED)
        self.port.requests[0].send_head(200, [])
        self.transport.clear()
        self.receive(b"zz\r\n")
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.transport.take(), b"")
        self.assertEqual(self.port.recorders[0].events, ["lost"])

    def test_too_large(self) -> None:
        """A body over the cap is refused before it comes, if it says so."""
        self.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nxxxx")
        self.assertEqual(self.port.requests, [])
        self.assert_problem(413)

    def test_expect(self) -> None:
        """The clock of a body that was not asked for stands still."""
        self.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(self.transport.take(), b"")
        self.port.pass_time(60)
        self.assertTrue(self.transport.open)
        self.port.requests[0].send_continue()
        self.assertEqual(self.transport.take(), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.port.pass_time(31)
        self.assert_problem(408)


class EarlyAnswerTests(ConnectionTestCase):
    """Answers before the request is complete."""

    limits = replace(DEFAULT_LIMITS, linger_bytes=100)

    def test_rest_is_dropped(self) -> None:
        """The rest of the body is dropped, then the next request is served."""
        self.receive(POST + b"ab")
        reply(self.port.requests[0])
        self.assertTrue(self.transport.open)
        self.receive(b"cde" + GET)
        self.assertEqual(self.port.recorders[0].body, b"ab")
        self.assertEqual(len(self.port.requests), 2)

    def test_paused_then_answered(self) -> None:
        """A body that was paused is read on to be dropped."""
        self.receive(POST)
        self.port.requests[0].pause_body()
        reply(self.port.requests[0])
        self.assertTrue(self.transport.reading)

    def test_not_for_long(self) -> None:
        """A body that does not end soon ends the connection."""
        self.receive(POST)
        reply(self.port.requests[0])
        self.port.pass_time(2)
        self.assertTrue(self.transport.half_closed)

    def test_not_for_much(self) -> None:
        """Nor is a large one read to its end."""
        self.receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n")
        reply(self.port.requests[0])
        self.receive(b"x" * 101)
        self.assertTrue(self.transport.half_closed)

    def test_malformed_rest(self) -> None:
        """A malformed rest gets no second answer."""
        self.receive(CHUNKED)
        reply(self.port.requests[0])
        self.transport.clear()
        self.receive(b"zz\r\n")
        self.assertEqual(self.transport.take(), b"")
        self.assertTrue(self.transport.half_closed)
        self.assertEqual(self.port.refusals, [])


class RefusalTests(ConnectionTestCase):
    """What is answered here."""

    def test_statuses(self) -> None:
        """Each class of bad request has its status, reaches nobody and ends the connection."""
        for status, data in (
            (400, b"GET / HTTP/1.1\r\n\r\n"),
            (400, GET[:-2] + b"X : y\r\n\r\n"),
            (413, b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999999\r\n\r\n"),
            (414, b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
            (417, GET[:-2] + b"Expect: more\r\n\r\n"),
            (421, b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            (431, GET[:-2] + b"x: y\r\n" * 100 + b"\r\n"),
            (501, b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
            (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        ):
            self.setUp()
            self.receive(data)
            self.assert_problem(status)
            self.receive(GET)
            self.assertEqual((self.transport.take(), self.port.requests), (b"", []))

    def test_lingers(self) -> None:
        """The caller's end is awaited for a while, so that it can read the answer."""
        self.receive(b"\x00")
        self.assertTrue(self.transport.reading)
        self.port.pass_time(1)
        self.assertFalse(self.transport.disconnecting)
        self.port.pass_time(1)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)

    def test_linger_is_bounded(self) -> None:
        """What comes meanwhile is not read for ever."""
        self.receive(b"\x00")
        for _ in range(17):
            self.receive(b"x" * 2**20)
        self.assertTrue(self.transport.aborted)

    def test_failing_callback(self) -> None:
        """A callback that raises is logged and answered with 500, without its words."""
        self.port.factory.on_request = self.fail_with("secret")
        self.receive(GET)
        self.assertNotIn(b"secret", self.transport.value())
        self.assert_problem(500)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_failing_during_answer(self) -> None:
        """If it raises after the head, the connection is cut."""
        self.port.factory.on_request = self.fail_with("x", lambda request: request.send_head(200, []))
        self.receive(GET)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.transport.take(), b"")
        self.flushLoggedErrors(RuntimeError)

    def test_failing_afterwards(self) -> None:
        """If it raises after the end, there is no second answer."""
        self.port.factory.on_request = self.fail_with("x", reply)
        self.receive(GET)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.transport.value().count(b"HTTP/1.1"), 0)
        self.flushLoggedErrors(RuntimeError)

    def test_nobody_cares(self) -> None:
        """A request that is neither attached to nor answered is a failure of ours."""
        self.port.factory.on_request = lambda request: None
        self.receive(GET)
        self.assert_problem(500)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def fail_with(
        self, text: str, first: Callable[[PublicRequest], None] = lambda request: None
    ) -> Callable[[PublicRequest], None]:
        """
        A callback that does something and raises.
        """

        def on_request(request: PublicRequest) -> None:
            first(request)
            raise RuntimeError(text)

        return on_request


class LossTests(ConnectionTestCase):
    """Callers who leave."""

    def test_during_answer(self) -> None:
        """The consumer is told once, and the connection is forgotten."""
        self.receive(GET)
        self.hang_up()
        self.assertEqual(self.port.recorders[0].events, ["ended", "lost"])
        self.assertEqual(self.port.factory.connections, 0)
        reply(self.port.requests[0])
        self.assertEqual(self.transport.take(), b"")

    def test_half_close(self) -> None:
        """A caller who closes its half has left, but gets what was written."""
        self.receive(GET)
        self.port.requests[0].send_head(200, [])
        self.caller.readConnectionLost()
        self.assertEqual(self.port.recorders[0].events, ["ended", "lost"])
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)

    def test_half_close_of_both(self) -> None:
        """After our last answer it is the end that was awaited."""
        self.receive(b"\x00")
        self.caller.readConnectionLost()
        self.assertTrue(self.transport.disconnecting)

    def test_idle(self) -> None:
        """Nobody is told of an idle connection."""
        self.receive(GET)
        reply(self.port.requests[0])
        self.hang_up()
        self.assertEqual(self.port.recorders[0].events, ["ended"])

    def test_abort(self) -> None:
        """An answer that is given up leaves nothing behind that looks complete, and what was written is delivered."""
        self.receive(GET)
        self.port.requests[0].send_head(200, [])
        self.port.requests[0].write(b"half")
        self.port.requests[0].abort()
        self.assertFalse(self.transport.aborted)
        self.assertTrue(self.transport.value().endswith(b"4\r\nhalf\r\n"))
        self.receive(GET)
        self.assertEqual(len(self.port.requests), 1)
        self.hang_up()
        self.assertEqual(self.port.recorders[0].events, ["ended"])


class SlowReaderTests(ConnectionTestCase):
    """Callers who take little or nothing."""

    left: tuple[int, int] | None = None

    def test_told(self) -> None:
        """The consumer is told when the transport is full and when it is empty."""
        self.receive(GET)
        self.port.requests[0].send_head(200, [])
        self.caller.pauseProducing()
        self.caller.pauseProducing()
        self.caller.resumeProducing()
        self.caller.resumeProducing()
        self.assertEqual(self.port.recorders[0].events, ["ended", "paused", "resumed"])

    def test_stalled(self) -> None:
        """One who takes nothing is cut, and the consumer is told."""
        self.receive(GET)
        self.port.requests[0].send_head(200, [])
        self.caller.pauseProducing()
        self.port.pass_time(58)
        self.assertFalse(self.transport.aborted)
        self.port.pass_time(2)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.port.recorders[0].events, ["ended", "paused", "lost"])

    def test_resumed_in_time(self) -> None:
        """One who takes everything in time is not."""
        self.receive(GET)
        self.port.requests[0].send_head(200, [])
        for _ in range(3):
            self.caller.pauseProducing()
            self.port.pass_time(50)
            self.caller.resumeProducing()
        self.port.pass_time(100)
        self.assertTrue(self.transport.open)

    def test_moving(self) -> None:
        """One who takes something now and then is not cut, however long it lasts."""
        self.watch_unsent()
        self.receive(GET)
        self.port.requests[0].send_head(200, [])
        self.caller.pauseProducing()
        for index in range(5):
            self.left = (1000, index)
            self.port.pass_time(50)
        self.assertFalse(self.transport.aborted)
        self.port.pass_time(60)
        self.assertTrue(self.transport.aborted)

    def test_last_answer(self) -> None:
        """The wait for the caller's end begins when the last answer was taken."""
        self.watch_unsent()
        self.left = (1000, 0)
        self.receive(b"\x00")
        self.port.pass_time(30)
        self.assertFalse(self.transport.disconnecting)
        self.left = None
        self.port.pass_time(1)
        self.assertFalse(self.transport.disconnecting)
        self.port.pass_time(1.5)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.aborted)

    def test_last_answer_stalled(self) -> None:
        """One who takes nothing of it is cut."""
        self.watch_unsent()
        self.left = (1000, 0)
        self.receive(b"\x00")
        self.port.pass_time(60)
        self.assertTrue(self.transport.aborted)

    def watch_unsent(self) -> None:
        """
        Let C{self.left} be what the socket holds.
        """
        self.patch(connection, "unsent", lambda transport: self.left)

    def test_paused_idle(self) -> None:
        """A caller who stalls between two requests is nobody's concern but ours."""
        self.caller.pauseProducing()
        self.caller.resumeProducing()
        self.receive(GET)
        self.assertEqual(self.port.recorders[0].events, ["ended"])


class TimeTests(ConnectionTestCase):
    """Callers who send slowly."""

    def test_trickled_head(self) -> None:
        """A head has ten seconds from its first byte, however it trickles."""
        self.port.pass_time(5)
        for index in range(9):
            self.receive(GET[index : index + 1])
            self.assertTrue(self.transport.open)
            self.port.pass_time(1)
        self.receive(GET[9:10])
        self.port.pass_time(1)
        self.assert_problem(408)

    def test_trickled_head_behind_another(self) -> None:
        """The same holds for the second request of a connection."""
        self.receive(GET + GET[:5])
        reply(self.port.requests[0])
        self.port.pass_time(9)
        self.assertTrue(self.transport.open)
        self.port.pass_time(1)
        self.assert_problem(408)

    def test_idle(self) -> None:
        """An idle connection is closed without a word."""
        self.receive(GET)
        reply(self.port.requests[0])
        self.transport.clear()
        self.port.pass_time(74)
        self.assertTrue(self.transport.open)
        self.port.pass_time(1)
        self.assertTrue(self.transport.half_closed)
        self.assertEqual(self.transport.take(), b"")

    def test_silent(self) -> None:
        """Who connects and asks nothing has no more time than a head, and is closed without a word."""
        self.port.pass_time(9)
        self.assertTrue(self.transport.open)
        self.port.pass_time(1)
        self.assertTrue(self.transport.half_closed)
        self.assertEqual(self.transport.take(), b"")

    def test_body_gap(self) -> None:
        """A body may come slowly, but not stop."""
        self.receive(post(10_000))
        for _ in range(4):
            self.receive(b"x" * 1024)
            self.port.pass_time(29)
        self.assertTrue(self.transport.open)
        self.port.pass_time(1)
        self.assertEqual(self.port.recorders[0].events[-1], "lost")
        self.assert_problem(408)

    def test_body_trickle(self) -> None:
        """A byte now and then is no progress."""
        self.receive(post(10_000))
        for _ in range(29):
            self.receive(b"x")
            self.port.pass_time(1)
        self.assertTrue(self.transport.open)
        self.receive(b"x")
        self.port.pass_time(1)
        self.assert_problem(408)

    def test_body_held(self) -> None:
        """The time for which nobody wants the body is not the caller's."""
        self.receive(post(10_000) + b"x")
        self.port.requests[0].pause_body()
        self.port.pass_time(100)
        self.port.requests[0].resume_body()
        self.port.pass_time(29)
        self.assertTrue(self.transport.open)
        self.port.pass_time(1)
        self.assertEqual(self.port.recorders[0].events[-1], "lost")
        self.assert_problem(408)

    def test_answering(self) -> None:
        """While we are working on the answer, the caller owes us nothing."""
        self.receive(POST + b"abcde")
        self.port.pass_time(300)
        self.assertTrue(self.transport.open)


class Taker(Protocol):
    """A protocol that takes over and notes what it gets."""

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.received += data


class UpgradeTests(ConnectionTestCase):
    """Handing the connection over."""

    def test_hand_over(self) -> None:
        """The new protocol gets the head as it came, and everything behind it."""
        taker = Taker()
        self.receive(UPGRADE + b"frames")
        self.port.requests[0].upgrade_to(taker)
        self.assertEqual(taker.received, UPGRADE + b"frames")
        self.assertIs(self.transport.protocol, taker)
        self.assertIs(taker.transport, self.transport)
        self.assertIsNone(self.transport.producer)
        self.assertEqual(self.port.factory.connections, 0)

    def test_without_the_head(self) -> None:
        """One that does not want the head gets what is behind it, and is not called for nothing."""
        for rest in (b"frames", b""):
            self.setUp()
            taker = Taker()
            self.receive(UPGRADE + rest)
            self.port.requests[0].upgrade_to(taker, replay=False)
            self.assertEqual((taker.received, self.port.requests[0].status), (rest, 101))

    def test_inside_the_callback(self) -> None:
        """It can be done as soon as the request comes."""
        taker = Taker()
        self.port.factory.on_request = lambda request: request.upgrade_to(taker)
        self.receive(UPGRADE[:30])
        self.receive(UPGRADE[30:] + b"frames")
        self.assertEqual(taker.received, UPGRADE + b"frames")
        self.port.pass_time(100)
        self.assertTrue(self.transport.open)
        self.assertEqual(self.port.clock.getDelayedCalls(), [])

    def test_paused_socket(self) -> None:
        """A socket that waited reads again."""
        self.receive(UPGRADE + b"x" * (DEFAULT_LIMITS.pipelined + 1))
        self.assertFalse(self.transport.reading)
        self.port.requests[0].upgrade_to(Taker())
        self.assertTrue(self.transport.reading)

    def test_not_taken(self) -> None:
        """An upgrade nobody wants is an ordinary request."""
        self.receive(UPGRADE + GET)
        reply(self.port.requests[0])
        self.assertEqual(len(self.port.requests), 2)

    def test_failing_protocol(self) -> None:
        """If the new protocol fails at once, the connection is cut."""
        taker = Taker()
        self.patch(taker, "dataReceived", self.raise_runtime)
        self.port.factory.on_request = lambda request: request.upgrade_to(taker)
        self.receive(UPGRADE)
        self.assertTrue(self.transport.aborted)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def raise_runtime(self, data: bytes) -> None:
        """Fail."""
        raise RuntimeError


class SplitTests(SynchronousTestCase):
    """Requests are the same however their bytes arrive."""

    stream = (
        GET
        + POST
        + b"abcde"
        + CHUNKED
        + b"3\r\nxyz\r\n0\r\n\r\n"
        + b"HEAD /h HTTP/1.1\r\nHost: a\r\n\r\n"
        + UPGRADE
        + GET
    )

    @given(st.lists(st.integers(1, 120), max_size=12), st.booleans())
    def test_any_split(self, sizes: list[int], at_once: bool) -> None:
        """Any split, answered at once or later, gives the same requests, bodies and answers."""
        port = Port(replace(DEFAULT_LIMITS, pipelined=100))

        def take_and_reply(request: PublicRequest) -> None:
            port.on_request(request)
            reply(request)

        if at_once:
            port.factory.on_request = take_and_reply
        caller, transport = port.connect()
        data = self.stream
        for size in [*sizes, len(data)]:
            caller.dataReceived(data[:size])
            data = data[size:]
            self.answer_all(port)
        self.assertEqual(
            [request.method for request in port.requests], [b"GET", b"POST", b"POST", b"HEAD", b"GET", b"GET"]
        )
        if not at_once:
            self.assertEqual([recorder.body for recorder in port.recorders], [b"", b"abcde", b"xyz", b"", b"", b""])
        self.assertEqual(transport.value().count(b"HTTP/1.1 200 OK"), 6)
        self.assertTrue(transport.open)
        self.assertTrue(transport.reading)

    def answer_all(self, port: Port) -> None:
        """
        Answer whatever is complete.
        """
        for request, recorder in zip(port.requests, port.recorders, strict=True):
            if not request.status and recorder.events[-1:] == ["ended"]:
                reply(request)
                self.answer_all(port)
                return


class LimitsTests(SynchronousTestCase):
    """Caps that are set otherwise."""

    def test_obeyed(self) -> None:
        """Each cap comes from the limits, not from a constant."""
        limits = Limits(target=10, field=30, fields=2, request_head=80, body=4, head_timeout=2, keep_alive=3)
        for status, data in (
            (414, b"GET /1234567890 HTTP/1.1\r\nHost: a\r\n\r\n"),
            (431, b"GET / HTTP/1.1\r\nHost: a\r\na: b\r\nc: d\r\n\r\n"),
            (413, POST),
            (413, CHUNKED + b"5\r\n"),
        ):
            port = Port(limits)
            caller, transport = port.connect()
            caller.dataReceived(data)
            self.assertIn(b"HTTP/1.1 %d " % status, transport.value())
