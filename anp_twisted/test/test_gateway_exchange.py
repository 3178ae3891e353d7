"""Tests for L{anp_twisted.gateway.exchange}."""

from __future__ import annotations

import gc
from typing import Any

from anp_twisted.errors import ANPError, Code
from anp_twisted.gateway.exchange import Exchange, Step, for_the_receiver
from anp_twisted.http.request import PublicRequest
from anp_twisted.session import events
from anp_twisted.test.gatewaylab import Caller, ExchangeTestCase, Lab
from anp_twisted.wire.heads import ResponseHead


class AnswerTests(ExchangeTestCase):
    """A request reaches the receiver and its answer the caller."""

    def test_small(self) -> None:
        """A small request is one event there, and its answer comes back with the fields it had."""
        caller = self.lab.caller()
        caller.get(b"/a%2Fb?x=1&x=2", b"X-One: 1\r\nx-one: 2\r\n")
        (request,) = self.link.requests
        self.assertEqual((request.head.method, request.head.target), ("GET", "/a%2Fb?x=1&x=2"))
        self.assertEqual(request.head.headers, [("Host", "gate.example"), ("X-One", "1"), ("x-one", "2")])
        self.assertEqual(request.head.client, ("198.51.100.7", 4711))
        self.assertTrue(request.ended)
        self.lab.answer(self.link, b"hello")
        self.assertTrue(caller.received().startswith(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"))
        self.assertTrue(caller.received().endswith(b"\r\n\r\nhello"))
        self.check_rest()

    def test_no_garbage(self) -> None:
        """What belongs to a request is freed as it ends: nothing is left that only the collector could find."""
        caller = self.lab.caller()
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for _ in range(3):
            caller.get()
            self.lab.answer(self.link, b"hello")
        caller.get()
        self.link.requests[-1].stream.reset(Code.APP_FAILED, "app", "failed")
        self.assertIn(b"500 Internal", caller.received())
        self.assertEqual([one for one in gc.get_objects() if isinstance(one, Exchange | PublicRequest)], [])

    def test_log(self) -> None:
        """Each request is logged once, when it has ended."""
        caller = self.lab.caller()
        caller.get(b"/x")
        self.assertEqual(self.lab.records, [])
        self.lab.clock.advance(2)
        self.lab.answer(self.link, b"hello")
        (record,) = self.lab.records
        self.assertEqual((record.request_id, record.caller, record.method), ("id-1", "198.51.100.7", "GET"))
        self.assertEqual((record.target, record.status, record.sent, record.duration), ("/x", 200, 5, 2.0))
        self.assertEqual((record.receiver, record.source), ("receiver@192.0.2.1:5", "app"))

    def test_body(self) -> None:
        """A body goes through piece by piece, its end with it."""
        caller = self.lab.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        (request,) = self.link.requests
        self.assertEqual((request.body, request.ended), (b"abc", False))
        caller.send(b"def")
        self.assertEqual(self.link.bodies(request.stream), b"abcdef")
        self.lab.answer(self.link)
        self.check_rest()

    def test_pieces(self) -> None:
        """Pieces of an answer without length stay the pieces they were; trailers go to who says that it knows them."""
        for extra, trailer in ((b"", b""), (b"TE: gzip\r\nte: Trailers\r\n", b"x-sum: 9\r\n")):
            caller = self.lab.caller()
            caller.get(extra=extra)
            stream = self.link.requests[-1].stream
            stream.send_head(ResponseHead(200, []))
            stream.send_data(b"one")
            stream.send_data(b"three")
            stream.send_end([("x-sum", "9")])
            ending = b"3\r\none\r\n5\r\nthree\r\n0\r\n" + trailer + b"\r\n"
            self.assertTrue(caller.received().endswith(ending), caller.received())
        self.check_rest()

    def test_informational(self) -> None:
        """Heads below 200 reach the caller before the final one."""
        caller = self.lab.caller()
        caller.get()
        self.link.requests[0].stream.send_informational(ResponseHead(103, [("link", "</a>")]))
        self.assertEqual(caller.received(), b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
        self.lab.answer(self.link)
        self.assertIn(b"\r\n\r\nHTTP/1.1 200 OK\r\n", caller.received())

    def test_continue(self) -> None:
        """The caller is asked for its body when the application asks for it, not before."""
        caller = self.lab.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(caller.received(), b"")
        self.link.requests[0].stream.send_informational(ResponseHead(100, []))
        self.assertEqual(caller.received(), b"HTTP/1.1 100 Continue\r\n\r\n")

    def test_early_answer(self) -> None:
        """An answer may be complete before the request is; the rest of that is not wanted."""
        caller = self.lab.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc")
        self.lab.answer(self.link, b"enough")
        self.assertTrue(caller.received().endswith(b"enough"))
        caller.send(b"more")
        self.check_rest()

    def test_hop_by_hop(self) -> None:
        """What concerns one connection stays on it, and only trusted proxies say who calls."""
        fields = [
            (b"Host", b"h"),
            (b"Connection", b"x-drop"),
            (b"X-Drop", b"1"),
            (b"X-Forwarded-For", b"1.2.3.4"),
            (b"X-Real-IP", b"1"),
        ]
        self.assertEqual(for_the_receiver([*fields, (b"X-Keep", b"\xe9")]), [("Host", "h"), ("X-Keep", "é")])

    def test_response_fields(self) -> None:
        """The application's own framing of its connection is not the caller's."""
        caller = self.lab.caller()
        caller.get()
        stream = self.link.requests[0].stream
        stream.send_head(ResponseHead(200, [("connection", "close"), ("transfer-encoding", "chunked"), ("a", "b")]))
        stream.send_data(b"x")
        stream.send_end()
        self.assertNotIn(b"close", caller.received())
        self.assertEqual(caller.received().count(b"hunked"), 1)


class FailureTests(ExchangeTestCase):
    """What goes wrong is a problem document before the head, and a cut after it."""

    def reset(self, code: Code, *, dispatched: bool = True) -> Caller:
        """Let a request fail at the receiver."""
        caller = self.lab.caller()
        caller.get()
        self.link.requests[-1].stream.reset(code, "app", "secret", dispatched=dispatched)
        self.lab.settle()
        return caller

    def test_statuses(self) -> None:
        """Each reason has its status and its source, and none shows the receiver's text."""
        expected = {
            Code.APP_FAILED: (500, "app"),
            Code.TIMEOUT: (504, "receiver"),
            Code.REFUSED: (503, "receiver"),
            Code.DRAINING: (503, "receiver"),
            Code.TOO_LARGE: (413, "receiver"),
            Code.INTERNAL: (502, "tunnel"),
            Code.NO_ERROR: (502, "tunnel"),
        }
        for code, (status, source) in expected.items():
            caller = self.reset(code)
            document = self.problem(caller)
            self.assertEqual((document["status"], document["source"]), (status, source), code)
            self.assertNotIn(b"secret", caller.received())
        self.check_rest()

    def test_cut(self) -> None:
        """After the head nothing may look complete."""
        caller = self.lab.caller()
        caller.get()
        stream = self.link.requests[0].stream
        stream.send_head(ResponseHead(200, []))
        stream.send_data(b"half")
        self.lab.settle()
        stream.reset(Code.APP_FAILED, "app")
        self.assertNotIn(b"0\r\n\r\n", caller.received())
        self.assertTrue(caller.aborted)
        self.check_rest()

    def test_too_short(self) -> None:
        """A body shorter than it said is cut, never padded."""
        caller = self.lab.caller()
        caller.get()
        stream = self.link.requests[0].stream
        stream.send_head(ResponseHead(200, [("content-length", "10")]))
        stream.send_data(b"half")
        stream.send_end()
        self.lab.settle()
        self.assertTrue(caller.aborted)
        self.check_rest()

    def test_not_http(self) -> None:
        """An answer that is not HTTP never reaches the caller."""
        heads = [
            ResponseHead(200, [("a", "b\r\nc: d")]),
            ResponseHead(200, [("a b", "c")]),
            ResponseHead(200, [("content-length", "1"), ("content-length", "2")]),
        ]
        for head in heads:
            caller = self.lab.caller()
            caller.get()
            stream = self.link.requests[-1].stream
            if head.status < 200:
                stream.send_informational(head)
            else:
                stream.send_head(head)
            self.assertEqual((caller.status, self.problem(caller)["source"]), (502, "app"), head)
        self.assertEqual(self.lab.exchanges.malformed, len(heads))
        self.check_rest()

    def test_whole_answers(self) -> None:
        """An answer that comes in one piece and contradicts itself is refused as a whole."""
        cases = [
            (200, [("content-length", "3")], b"abcHTTP/1.1 200 OK\r\n\r\n"),
            (200, [("content-length", "3"), ("transfer-encoding", "chunked")], b"abc"),
            (204, [], b"abc"),
            (304, [], b"abc"),
        ]
        for status, fields, body in cases:
            caller = self.lab.caller()
            caller.get()
            stream = self.link.requests[-1].stream
            stream.send_head(ResponseHead(status, fields))
            stream.send_data(body)
            stream.send_end()
            self.assertEqual((caller.status, self.problem(caller)["source"]), (502, "app"), fields)
        self.check_rest()

    def test_unasked_switch(self) -> None:
        """A receiver that switches protocols where nobody asked for it loses the stream."""
        caller = self.lab.caller()
        caller.get()
        stream = self.link.requests[-1].stream
        stream.send_informational(ResponseHead(101, [("upgrade", "websocket")]))
        self.assertEqual((caller.status, self.problem(caller)["source"]), (502, "tunnel"))
        self.assertEqual(self.link.connection.offences, 1)
        self.check_rest()

    def test_too_long(self) -> None:
        """A body longer than it said is cut where it was to end."""
        caller = self.lab.caller()
        caller.get()
        stream = self.link.requests[0].stream
        stream.send_head(ResponseHead(200, [("content-length", "3")]))
        stream.send_data(b"abc")
        stream.send_data(b"HTTP/1.1 200 OK\r\n\r\n")
        self.lab.settle()
        self.assertEqual(caller.received().count(b"HTTP/1.1"), 1)
        self.check_rest()

    def test_receiver_lost(self) -> None:
        """A receiver that is lost is a 502 before the head and a cut after it."""
        before, after = self.lab.caller(), self.lab.caller()
        before.get()
        after.get()
        stream = self.link.requests[-1].stream
        stream.send_head(ResponseHead(200, []))
        self.lab.settle()
        self.link.abort(ANPError("gone"))
        self.assertEqual((self.problem(before)["status"], self.problem(before)["source"]), (502, "tunnel"))
        self.assertTrue(after.aborted)
        self.check_rest()

    def test_caller_leaves(self) -> None:
        """The receiver hears at once that nobody waits, and the request frees its room."""
        caller = self.lab.caller()
        caller.get()
        assert caller.protocol is not None
        caller.protocol.connectionLost()
        self.lab.settle()
        (reset,) = [event for event in self.link.others if isinstance(event, events.StreamReset)]
        self.assertEqual((reset.reset.code, reset.reset.source), (Code.CANCELLED, "gateway"))
        self.assertEqual((self.lab.records[0].source, self.lab.records[0].status), ("caller", 0))
        self.check_rest()

    def test_queued_request_is_dropped(self) -> None:
        """A request that was not sent yet leaves no trace at the receiver."""
        self.link.held = True
        caller = self.lab.caller()
        caller.get()
        assert caller.protocol is not None
        caller.protocol.connectionLost()
        self.link.held = False
        self.lab.settle()
        self.assertEqual((self.link.requests, self.link.connection.outbound.idle), ([], True))
        self.check_rest()

    def test_no_route(self) -> None:
        """A path nobody serves is a 404, or a 503 while receivers may be on their way back."""
        lab = self.lab = Lab()
        lab.connect(paths=["/a"])
        caller = lab.caller()
        caller.get(b"/b")
        self.assertEqual(self.problem(caller)["source"], "route")
        self.assertEqual(caller.status, 404)
        lab.starting = True
        caller = lab.caller()
        caller.get(b"/b")
        self.assertEqual(caller.status, 503)
        self.assertIn(b"Retry-After", caller.received())

    def test_ambiguous(self) -> None:
        """A target with two readings is a 400."""
        self.lab.connect(paths=["/a"])
        caller = self.lab.caller()
        caller.get(b"/x/%2e%2e/a")
        self.assertEqual((caller.status, self.problem(caller)["source"]), (400, "route"))

    def test_head_too_large_for_the_tunnel(self) -> None:
        """A head that the tunnel cannot carry is the caller's fault and costs no link."""
        self.lab = Lab(headers=4)
        link = self.lab.connect()
        caller = self.lab.caller()
        caller.get(b"/", b"".join(b"X-%d: 1\r\n" % number for number in range(4)))
        self.assertEqual((caller.status, link.requests), (431, []))
        self.check_rest()


class WaitingTests(ExchangeTestCase):
    """A request waits for a receiver with room, within its budget."""

    caps = {"in_flight": 1, "parked": 2}

    def test_room_comes_back(self) -> None:
        """The one that waits longest gets the room, with all that came of its body meanwhile."""
        first, second = self.lab.caller(), self.lab.caller()
        first.get(b"/1")
        second.send(b"POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        self.assertEqual([request.head.target for request in self.link.requests], ["/1"])
        self.assertEqual(second.transport.producerState, "paused")
        self.lab.answer(self.link)
        self.assertEqual(self.link.requests[-1].head.target, "/2")
        self.assertEqual(second.transport.producerState, "producing")
        second.send(b"def")
        self.assertEqual(self.link.bodies(self.link.requests[-1].stream), b"abcdef")
        self.lab.answer(self.link)
        self.assertEqual((first.status, second.status), (200, 200))
        self.check_rest()

    def test_nobody_has_room(self) -> None:
        """Waiting ends with a 503 that says when to come back."""
        first, second = self.lab.caller(), self.lab.caller()
        first.get()
        second.get()
        self.lab.advance(self.lab.limits.connect_budget - 1)
        self.assertEqual(second.status, 0)
        self.lab.advance(2)
        self.assertEqual((second.status, self.problem(second)["source"]), (503, "gateway"))
        self.assertIn(b"Retry-After: 1\r\n", second.received())
        self.lab.answer(self.link)
        self.check_rest()

    def test_too_many_wait(self) -> None:
        """Beyond the cap the answer is immediate."""
        callers = [self.lab.caller() for _ in range(4)]
        for caller in callers:
            caller.get()
        self.assertEqual([caller.status for caller in callers], [0, 0, 0, 503])
        for caller in callers:
            assert caller.protocol is not None
            caller.protocol.connectionLost()
        self.check_rest()

    def test_caller_leaves(self) -> None:
        """A request whose caller leaves while it waits reaches nobody."""
        first, second = self.lab.caller(), self.lab.caller()
        first.get(b"/1")
        second.get(b"/2")
        assert second.protocol is not None
        second.protocol.connectionLost()
        self.lab.answer(self.link)
        self.assertEqual(len(self.link.requests), 1)
        self.check_rest()

    def test_reconnect(self) -> None:
        """A request waits for a receiver that is about to connect again."""
        self.link.abort(ANPError("gone"))
        caller = self.lab.caller()
        caller.get(b"/x")
        self.assertEqual(caller.status, 0)
        link = self.lab.connect()
        self.assertEqual(link.requests[0].head.target, "/x")
        self.lab.answer(link)
        self.assertEqual(caller.status, 200)
        self.check_rest()


class GivingWayTests(ExchangeTestCase):
    """A receiver without room, and callers who hold it up."""

    caps = {"in_flight": 1}

    def hold(self, head: bytes = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n") -> Caller:
        """Take the room of the receiver."""
        caller = self.lab.caller()
        caller.send(head)
        return caller

    def served(self) -> bool:
        """Whether another caller is served."""
        caller = self.lab.caller()
        before = len(self.link.requests)
        caller.get()
        if len(self.link.requests) == before:
            caller.protocol.connectionLost()
            return False
        self.lab.answer(self.link)
        return caller.status == 200

    def test_slow_body(self) -> None:
        """A body that trickles gives way after the patience, not before."""
        slow = self.hold()
        self.lab.advance(1.5)
        self.assertFalse(self.served())
        self.lab.advance(0.5)
        slow.send(b"x")
        self.assertTrue(self.served())
        self.assertEqual((slow.status, self.lab.exchanges.gave_way), (408, 1))
        self.check_rest()

    def test_waiting(self) -> None:
        """It gives way to those who were waiting by then, to as many as there is room for."""
        slow = self.hold()
        callers = [self.lab.caller() for _ in range(3)]
        for caller in callers:
            caller.get()
        self.lab.advance(4)
        self.assertEqual((slow.status, len(self.link.requests), self.lab.exchanges.gave_way), (408, 2, 1))
        for number in range(3):
            self.lab.answer(self.link, which=1 + number)
        self.assertEqual([caller.status for caller in callers], [200] * 3)
        self.check_rest()

    def test_after_waiting(self) -> None:
        """Whoever had to wait with its body is not to blame for that."""
        self.hold(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        second = self.hold()
        self.lab.advance(4)
        self.lab.answer(self.link)
        self.assertFalse(self.served())
        self.lab.advance(2)
        self.assertTrue(self.served())
        self.assertEqual(second.status, 408)

    def test_pressure(self) -> None:
        """The more wait, the sooner."""
        slow = self.hold()
        for _ in range(3):
            self.lab.caller().get()
        self.lab.advance(0.5, step=0.25)
        self.assertEqual(slow.status, 0)
        self.lab.advance(0.5, step=0.25)
        self.assertEqual((slow.status, len(self.link.requests)), (408, 2))

    def test_slow_reader(self) -> None:
        """So does an answer that its caller does not read."""
        slow = self.lab.caller()
        slow.get()
        self.link.requests[0].stream.send_head(ResponseHead(200, []))
        slow.transport.producer.pauseProducing()
        self.link.requests[0].stream.send_data(b"x" * 1000)
        self.lab.settle()
        self.lab.advance(5)
        self.assertTrue(self.served())
        self.assertTrue(slow.aborted)
        self.check_rest()

    def test_slow_application(self) -> None:
        """Nobody gives way for an application that works, has not asked for the body, or does not read it."""
        expecting = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        for head in (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", expecting):
            self.hold(head)
            self.lab.advance(100)
            self.assertFalse(self.served())
            self.lab.answer(self.link)
        caller = self.hold(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
        while caller.transport.producerState == "producing":
            caller.send(b"x" * 16384)
        self.lab.advance(299)
        self.assertFalse(self.served())

    def test_brisk_body(self) -> None:
        """A body that comes as fast as one may expect goes on."""
        self.hold(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + b"x" * 20_000)
        self.lab.advance(10)
        self.assertFalse(self.served())

    def test_searches_are_rare(self) -> None:
        """While nobody can give way, the exchanges are looked at a few times a second."""
        self.hold(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.lab.advance(10)
        self.assertFalse(self.served())
        (exchange,) = self.lab.exchanges._alive
        self.patch(Exchange, "held_up", lambda exchange, now: self.fail("looked again"))
        self.assertFalse(self.served())
        self.assertIs(exchange.step, Step.ASKED)


class OtherReceiverTests(ExchangeTestCase):
    """What was not dispatched is asked of another receiver."""

    def send_and_drain(self, request: bytes) -> tuple[Caller, Any]:
        """Let the first receiver drain while a request is on its way to it."""
        caller = self.lab.caller()
        self.link.held = True
        caller.send(request)
        other = self.lab.connect()
        self.link.far.leave()
        self.lab.settle()
        self.link.held = False
        self.lab.settle()
        return caller, other

    def test_drain(self) -> None:
        """A request that met a draining receiver is answered by the other one, body and all."""
        caller, other = self.send_and_drain(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
        (request,) = other.requests
        self.assertEqual((request.body, request.ended, self.link.requests), (b"abc", True, []))
        self.lab.answer(other)
        self.assertEqual(caller.status, 200)
        self.check_rest()

    def test_refused(self) -> None:
        """A refusal of one receiver is not the caller's business while there is another."""
        caller = self.lab.caller()
        caller.get()
        other = self.lab.connect()
        self.link.requests[0].stream.reset(Code.REFUSED, "receiver", dispatched=False)
        self.link.far.leave()
        self.lab.settle()
        self.lab.answer(other)
        self.assertEqual(caller.status, 200)
        self.check_rest()

    def test_body_is_gone(self) -> None:
        """A request whose body is no longer here cannot be asked again."""
        caller, other = self.send_and_drain(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000
        )
        self.assertEqual((caller.status, other.requests), (503, []))
        self.check_rest()

    def test_new_requests(self) -> None:
        """A receiver that drains gets no new request."""
        other = self.lab.connect()
        self.link.far.leave()
        self.lab.settle()
        for _ in range(4):
            caller = self.lab.caller()
            caller.get()
            self.lab.answer(other)
        self.assertEqual((len(self.link.requests), len(other.requests)), (0, 4))


class LostReceiverTests(ExchangeTestCase):
    """What was dispatched to a receiver that is lost is asked of another one, where that can do no harm."""

    def lose(self, request: bytes, *, after: bytes = b"") -> tuple[Caller, Any]:
        """
        Send a request to the first receiver, which is lost with it.

        @param after: what the caller sends then.
        @return: the caller, and the other receiver.
        """
        caller = self.lab.caller()
        caller.send(request)
        self.assertEqual(len(self.link.requests), 1)
        other = self.lab.connect()
        self.link.abort(ANPError("gone"))
        self.lab.settle()
        if after:
            caller.send(after)
        return caller, other

    def test_idempotent(self) -> None:
        """Each method of which two are no more than one goes to the other receiver, once."""
        for method in (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"):
            self.setUp()
            caller, other = self.lose(method + b" /x HTTP/1.1\r\nHost: h\r\n\r\n")
            (request,) = other.requests
            self.assertEqual((request.head.method, request.head.target, caller.status), (method.decode(), "/x", 0))
            self.lab.answer(other, b"" if method == b"HEAD" else b"ok")
            self.assertEqual((caller.status, self.lab.exchanges.repeated), (200, 1))
            self.check_rest()

    def test_others(self) -> None:
        """Any other may have been acted on, so its caller has to decide."""
        for method in (b"POST", b"PATCH", b"QUERY"):
            self.setUp()
            caller, other = self.lose(method + b" /x HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertEqual((caller.status, self.problem(caller)["source"], other.requests), (502, "tunnel", []))
            self.check_rest()

    def test_body(self) -> None:
        """A body that could be kept goes with it, and so does the rest, which comes later."""
        head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n"
        caller, other = self.lose(head + b"abc", after=b"def")
        self.assertEqual(other.bodies(other.requests[0].stream), b"abcdef")
        self.lab.answer(other)
        self.assertEqual(caller.status, 200)
        self.check_rest()

    def test_large_body(self) -> None:
        """A body that could not be kept does not."""
        for size, status in ((65536, 0), (65537, 502)):
            self.setUp()
            head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size
            caller, other = self.lose(head + b"x" * size)
            self.assertEqual((caller.status, len(other.requests)), (status, int(not status)), size)

    def test_answered(self) -> None:
        """When a byte was answered, be it a head below 200, it is too late."""
        caller = self.lab.caller()
        caller.get()
        other = self.lab.connect()
        self.link.requests[0].stream.send_informational(ResponseHead(103, [("link", "</a>")]))
        self.lab.settle()
        self.link.abort(ANPError("gone"))
        self.assertIn(b"HTTP/1.1 502 ", caller.received())
        self.assertEqual(other.requests, [])
        begun = self.lab.caller()
        begun.get()
        other.requests[0].stream.send_head(ResponseHead(200, []))
        self.lab.settle()
        third = self.lab.connect()
        other.abort(ANPError("gone"))
        self.assertEqual((begun.aborted, third.requests), (True, []))
        self.check_rest()

    def test_upgrade(self) -> None:
        """A request for another protocol is asked once."""
        caller, other = self.lose(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        self.assertEqual((caller.status, other.requests), (502, []))

    def test_failed_elsewhere(self) -> None:
        """An application that failed is an answer; nobody else is asked."""
        caller = self.lab.caller()
        caller.get()
        other = self.lab.connect()
        self.link.requests[0].stream.reset(Code.APP_FAILED, "app", "failed")
        self.lab.settle()
        self.assertEqual((caller.status, other.requests), (500, []))

    def test_alone(self) -> None:
        """Without another receiver the caller hears at once, since waiting would tell it nothing."""
        caller = self.lab.caller()
        caller.get()
        self.link.abort(ANPError("gone"))
        self.assertEqual((caller.status, self.problem(caller)["source"]), (502, "tunnel"))
        self.check_rest()

    def test_busy(self) -> None:
        """If no other has room, the request waits for it."""
        self.lab = Lab(in_flight=1)
        self.link = self.lab.connect()
        first, second = self.lab.caller(), self.lab.caller()
        first.get(b"/1")
        other = self.lab.connect()
        second.get(b"/2")
        self.link.abort(ANPError("gone"))
        self.assertEqual((first.status, self.lab.receivers.parked), (0, 1))
        self.lab.answer(other)
        self.lab.answer(other)
        self.assertEqual((first.status, second.status, other.requests[-1].head.target), (200, 200, "/1"))
        self.check_rest()

    def test_cap(self) -> None:
        """A request that is the end of every receiver does not go round for ever."""
        caller = self.lab.caller()
        caller.get()
        links = [self.link]
        while caller.status == 0:
            links.append(self.lab.connect())
            links[-2].abort(ANPError("gone"))
        self.assertEqual((caller.status, [len(link.requests) for link in links]), (502, [1, 1, 1, 1, 0]))
        self.check_rest()

    def test_refused_for_ever(self) -> None:
        """A receiver that refuses all the same, though it has room, is not asked for ever."""
        caller = self.lab.caller()
        caller.get()
        for number in range(self.lab.limits.dispatches):
            self.assertEqual((caller.status, len(self.link.requests)), (0, number + 1))
            self.link.requests[-1].stream.reset(Code.REFUSED, "receiver", dispatched=False)
            self.lab.settle()
        self.assertEqual(caller.status, 503)
        self.check_rest()

    def test_other_process(self) -> None:
        """Another process is asked before another link of the one that was lost."""
        self.lab = Lab()
        links = [self.lab.connect(instance="p", link=number) for number in range(3)]
        other = self.lab.connect(instance="q")
        for _ in range(4):
            self.lab.caller().get()
        self.assertEqual([len(link.requests) for link in (*links, other)], [1, 1, 0, 2])
        links[0].abort(ANPError("gone"))
        self.lab.settle()
        self.assertEqual([len(link.requests) for link in (*links, other)], [1, 1, 0, 3])


class LastStreamTests(ExchangeTestCase):
    """Stream ids run out."""

    def test_new_link(self) -> None:
        """The link takes nothing new, is closed when the last request on it has ended, and its successor serves."""
        self.link.connection._last = self.link.far._last = 2**32 - 3
        last = self.lab.caller()
        last.get(b"/last")
        successor = self.lab.connect(instance="i0")
        caller = self.lab.caller()
        caller.get(b"/next")
        self.assertEqual([one.requests[-1].head.target for one in (self.link, successor)], ["/last", "/next"])
        self.assertIn(self.link, self.lab.links)
        self.lab.answer(self.link)
        self.lab.answer(successor)
        self.assertEqual((last.status, caller.status, self.link.closed), (200, 200, (1001, "no more streams")))
        self.check_rest()


class PressureTests(ExchangeTestCase):
    """Whoever is slow holds up its own stream and nothing else."""

    def test_slow_caller(self) -> None:
        """Credit stops while the caller's socket is full and comes back when it has drained."""
        caller = self.lab.caller()
        caller.get()
        stream = self.link.requests[0].stream
        stream.send_head(ResponseHead(200, []))
        caller.transport.producer.pauseProducing()
        window = self.lab.limits.stream_window
        paused = stream.send_data(b"x" * (2 * window))
        self.lab.settle()
        self.assertTrue(paused)
        self.assertEqual(stream.window.credit, 0)
        self.assertLess(len(caller.received()), window + 4096)
        caller.transport.producer.resumeProducing()
        self.lab.settle()
        self.assertEqual((stream.backlog, stream.pausing), (0, False))

    def test_slow_application(self) -> None:
        """The caller's socket is not read while the application reads nothing."""
        caller = self.lab.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
        stream = self.link.requests[0].stream
        sent = 0
        while caller.transport.producerState == "producing":
            caller.send(b"x" * 16384)
            sent += 16384
            self.assertLess(sent, 400_000)
        stream.consume(self.link.far.streams[stream.id].inbox.held)
        self.lab.settle()
        self.assertEqual(caller.transport.producerState, "producing")
