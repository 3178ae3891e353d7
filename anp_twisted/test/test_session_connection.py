"""
Tests for L{anp_twisted.session.connection}: frames in, events out.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import (
    Code,
    ConnectionClosed,
    ConnectionFault,
    FlowControlError,
    FrameError,
    FrameTooLarge,
    HeadError,
    UnexpectedFrame,
)
from anp_twisted.limits import DEFAULT_LIMITS, KIB, Limits
from anp_twisted.session import connection as module
from anp_twisted.session import events
from anp_twisted.session.connection import Connection, Input, Role, State
from anp_twisted.session.events import (
    DataReceived,
    Event,
    GoawayReceived,
    InformationalReceived,
    PongReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    StreamWritable,
)
from anp_twisted.session.stream import Half, Phase, Stream
from anp_twisted.test.frames import PROPERTY
from anp_twisted.test.sessions import (
    WINDOW,
    Link,
    Side,
    connected,
    frame,
    frames_of,
    hello,
    request,
    response,
    websocket,
)
from anp_twisted.wire import heads, v2
from anp_twisted.wire.heads import Goaway, Reset, Trailers
from anp_twisted.wire.v2 import Frame, Kind, pack_credit


def resets(events: list[Event]) -> list[tuple[int, int, str, bool]]:
    """Stream, code, source and dispatched of each reset among C{events}."""
    return [
        (event.stream.id, event.reset.code, event.reset.source, event.reset.dispatched)
        for event in events
        if isinstance(event, StreamReset)
    ]


def reset_of(sent: Frame) -> tuple[int, Reset]:
    """What a RESET frame says, and of which stream."""
    assert sent.kind == Kind.RESET
    return sent.stream, heads.decode(Reset, sent.meta or b"", 8192)


class StateTests(SynchronousTestCase):
    """The life of a connection."""

    def test_table(self) -> None:
        """CLOSED is never left, and a HELLO or GOAWAY never leads back."""
        order = list(State)
        for (state, happened), following in module._NEXT.items():
            self.assertGreaterEqual(order.index(following), order.index(state))
            self.assertEqual(happened is Input.CLOSE or state is State.CLOSED, following is State.CLOSED)

    def test_hello_goes_first(self) -> None:
        """Each side speaks without waiting for the other."""
        for role in Role:
            connection = Connection(role, hello())
            connection.leave()
            self.assertEqual([sent.kind for sent in frames_of(connection)], [Kind.HELLO, Kind.GOAWAY])
            self.assertIs(connection.state, State.LEAVING)

    def test_hello_comes_first(self) -> None:
        """Before it, and instead of it, no other frame is taken."""
        for kind, stream, value in (
            (Kind.PING, 0, bytes(8)),
            (Kind.WINDOW, 0, pack_credit(1)),
            (Kind.REQUEST, 1, request()),
        ):
            connection = Connection(Role.RECEIVER, hello())
            self.assertRaises(UnexpectedFrame, connection.receive, frame(kind, stream, value))

    def test_second_hello(self) -> None:
        """Settings are agreed on once."""
        link = connected()
        self.assertRaises(UnexpectedFrame, link.gateway.connection.receive, frame(Kind.HELLO, 0, hello()))

    def test_wrong_hello(self) -> None:
        """A peer of another version, or without settings, is none."""
        other = heads.Hello([1, 3], 1, 1, 1)
        self.assertRaises(UnexpectedFrame, Connection(Role.GATEWAY, hello()).receive, frame(Kind.HELLO, 0, other))
        self.assertRaises(HeadError, Connection(Role.GATEWAY, hello()).receive, frame(Kind.HELLO, 0, b"{}"))

    def test_hello_after_leaving(self) -> None:
        """A side that leaves at once still learns who the peer is."""
        link = Link()
        link.receiver.connection.leave()
        link.settle()
        self.assertEqual(link.gateway.connection.room, 0)
        self.assertIsNotNone(link.receiver.connection.peer)

    def test_promise_over_the_cap(self) -> None:
        """A HELLO that promises frames which the cap refuses is a mistake of ours."""
        self.assertRaises(AssertionError, Connection, Role.GATEWAY, hello(), Limits(frame=512 * KIB))

    def test_closed(self) -> None:
        """Nothing goes in or out any more, and closing again does nothing."""
        link = connected()
        gateway = link.gateway.connection
        stream = link.open()
        self.assertEqual(resets(gateway.close(Code.TIMEOUT, "silent")), [(1, 7, "tunnel", False)])
        gateway.receive(b"noise")
        gateway.ping(bytes(8))
        gateway.leave()
        stream.consume(1)
        self.assertEqual((gateway.next_frame(), gateway.close(Code.TIMEOUT), gateway.room), (None, [], 0))
        self.assertRaises(ConnectionClosed, link.open)

    def test_close_tells_what_was_sent(self) -> None:
        """A request of which a frame was sent may have been seen by an application."""
        link = connected()
        link.open()
        link.settle()
        link.open()
        self.assertEqual(
            resets(link.gateway.connection.close(Code.UNREACHABLE)), [(1, 9, "tunnel", True), (3, 9, "tunnel", False)]
        )

    def test_close_keeps_what_happened_before(self) -> None:
        """Events that were not taken come before the resets."""
        link = connected()
        link.open()
        link.transmit(link.gateway)
        link.receiver.connection.receive(link.receiver.wire.popleft())
        told = link.receiver.connection.close(Code.UNREACHABLE)
        self.assertEqual([type(event) for event in told], [RequestReceived, StreamReset])


class ExchangeTests(SynchronousTestCase):
    """A request and its answer."""

    def test_small(self) -> None:
        """One frame each, and exactly these events on each side."""
        link = connected()
        link.open(request("GET", [("A", "1"), ("a", "2")])).send_end()
        self.assertTrue(link.transmit(link.gateway))
        self.assertFalse(link.transmit(link.gateway))
        link.deliver(link.receiver)
        [event] = link.receiver.taken()
        assert isinstance(event, RequestReceived)
        self.assertEqual((event.head, event.body, event.ended), (request("GET", [("A", "1"), ("a", "2")]), b"", True))
        event.stream.send_head(response(200, [("B", "3")]))
        event.stream.send_data(b"hello")
        event.stream.send_end()
        self.assertTrue(link.transmit(link.receiver))
        self.assertFalse(link.transmit(link.receiver))
        self.assertEqual(link.receiver.taken(), [StreamEnded(event.stream)])
        link.settle()
        [stream] = {told.stream for told in link.gateway.events if isinstance(told, ResponseReceived)}
        self.assertEqual(
            link.gateway.taken(),
            [ResponseReceived(stream, response(200, [("B", "3")]), b"hello", True), StreamEnded(stream)],
        )
        self.assertEqual(
            (stream.phase, link.gateway.connection.streams, link.receiver.connection.streams), (Phase.ENDED, {}, {})
        )

    def test_long(self) -> None:
        """Informational heads, pieces and trailers come in their order, both ways at once."""
        link = connected()
        stream = link.open(request("POST"))
        stream.send_data(b"a")
        theirs = link.accepted()
        theirs.send_informational(response(100))
        theirs.send_informational(response(103, [("Link", "x")]))
        stream.send_data(b"b")
        link.settle()
        theirs.send_head(response(201))
        theirs.send_data(b"c")
        stream.send_end([("T", "1")])
        link.settle()
        theirs.send_end([("U", "2")])
        link.settle()
        self.assertEqual(
            link.receiver.taken(),
            [DataReceived(theirs, b"b", False, []), DataReceived(theirs, b"", True, [("T", "1")]), StreamEnded(theirs)],
        )
        self.assertEqual(
            link.gateway.taken(),
            [
                InformationalReceived(stream, response(100)),
                InformationalReceived(stream, response(103, [("Link", "x")])),
                ResponseReceived(stream, response(201), b"c", False),
                DataReceived(stream, b"", True, [("U", "2")]),
                StreamEnded(stream),
            ],
        )

    def test_answer_before_the_request_is_complete(self) -> None:
        """The gateway has all of the answer before it hears that nobody reads on; what still comes is credited."""
        link = connected()
        stream = link.open(request("POST"))
        theirs = link.accepted()
        stream.send_data(bytes(3 * WINDOW))
        while link.transmit(link.gateway):
            pass
        theirs.send_head(response(413))
        theirs.send_data(b"too large")
        theirs.send_end()
        while link.transmit(link.receiver):
            pass
        self.assertEqual((link.receiver.taken(), theirs.phase), ([StreamEnded(theirs)], Phase.CUT))
        link.settle()
        told = link.gateway.taken()
        self.assertEqual(told[0], ResponseReceived(stream, response(413), b"too large", True))
        self.assertEqual(resets(told), [(1, 0, "app", True)])
        self.assertEqual((link.receiver.taken(), link.receiver.connection.offences), ([], 0))
        self.assertEqual((link.receiver.connection._inbox.held, link.gateway.connection.room), (0, 8))

    def test_answer_as_the_request_ends(self) -> None:
        """The end of the request and the word that nobody reads it cross: the gateway sees a whole exchange."""
        link = connected()
        stream = link.open(request("POST"))
        theirs = link.accepted()
        theirs.send_head(response())
        theirs.send_end()
        while link.transmit(link.receiver):
            pass
        stream.send_end()
        while link.transmit(link.gateway):
            pass
        link.settle()
        self.assertEqual([type(event) for event in link.gateway.taken()], [ResponseReceived, StreamEnded])
        self.assertEqual((link.gateway.connection.offences, link.receiver.connection.offences), (0, 0))
        self.assertEqual(link.receiver.connection._late, {})

    def test_unread_request_body(self) -> None:
        """An answer to a request whose body nobody read gives the credit back."""
        link = connected()
        for _ in range(20):
            stream = link.open(request("POST"))
            stream.send_data(bytes(WINDOW // 2))
            stream.send_end()
            theirs = link.accepted()
            theirs.send_head(response())
            theirs.send_end()
            link.settle()
            self.assertEqual((link.receiver.connection._inbox.held, stream.phase), (0, Phase.ENDED))
            theirs.consume(WINDOW // 2)
        link.receiver.connection.invariants()


class CreditTests(SynchronousTestCase):
    """Who holds what was received, and what it costs the others."""

    def test_window_when_half_is_consumed(self) -> None:
        """Receiving grants nothing; consuming half of a window grants it, to the stream and to the connection."""
        link = connected(receiver=hello(connection_window=2 * WINDOW))
        stream = link.open(request("POST"))
        stream.send_data(bytes(WINDOW))
        theirs = link.accepted()
        half = pack_credit(WINDOW // 2)
        grants = []
        for size in (0, WINDOW // 2 - 1, 1, WINDOW // 2):
            theirs.consume(size)
            grants.append([(sent.kind, sent.stream, sent.meta) for sent in frames_of(link.receiver.connection)])
        both = [(Kind.WINDOW, 1, half), (Kind.WINDOW, 0, pack_credit(WINDOW))]
        self.assertEqual(grants, [[], [], [(Kind.WINDOW, 1, half)], both])

    def test_no_credit_for_a_stream_that_has_ended(self) -> None:
        """Nothing more can come of it; only the connection gets its bytes back."""
        link = connected(gateway=hello(connection_window=WINDOW))
        stream = link.open()
        stream.send_end()
        theirs = link.accepted()
        theirs.send_head(response())
        theirs.send_data(bytes(WINDOW))
        theirs.send_end()
        link.settle()
        stream.consume(WINDOW)
        self.assertEqual([sent.stream for sent in frames_of(link.gateway.connection) if sent.kind == Kind.WINDOW], [0])

    def test_more_than_the_stream_has(self) -> None:
        """The byte behind the credit of a stream ends the connection."""
        link = connected()
        link.open()
        link.settle()
        receiver = link.receiver.connection
        receiver.receive(frame(Kind.DATA, 1, None, bytes(WINDOW)))
        self.assertRaises(FlowControlError, receiver.receive, frame(Kind.DATA, 1, None, b"x"))

    def test_more_than_the_connection_has(self) -> None:
        """So does the one behind the credit of the connection, whatever stream it is for, or for none."""
        for stream in (1, 3, 99):
            link = connected(receiver=hello(connection_window=WINDOW))
            link.open()
            link.open()
            link.settle()
            receiver = link.receiver.connection
            receiver.receive(frame(Kind.DATA, 1, None, bytes(WINDOW)))
            self.assertRaises(FlowControlError, receiver.receive, frame(Kind.DATA, stream, None, b"x"))

    def test_body_in_the_head_counts(self) -> None:
        """A request whose first bytes are more than a stream may have."""
        link = connected()
        self.assertRaises(
            FlowControlError, link.receiver.connection.receive, frame(Kind.REQUEST, 1, request(), bytes(WINDOW + 1))
        )

    def test_sum_of_credit(self) -> None:
        """A peer that grants without end is ended itself, on a stream and on the connection."""
        for stream in (0, 1):
            link = connected()
            link.open()
            link.settle()
            most = frame(Kind.WINDOW, stream, pack_credit(2**31 - 1))
            self.assertRaises(FlowControlError, link.gateway.connection.receive, most)

    def test_zero_credit(self) -> None:
        """A WINDOW of nothing is no frame."""
        self.assertRaises(FrameError, connected().gateway.connection.receive, frame(Kind.WINDOW, 0, pack_credit(0)))

    def test_stalled_streams_never_stop_another(self) -> None:
        """All streams but one are full and nobody reads them: the last one still moves, again and again."""
        limits = Limits(connection_window=1, stream_window=WINDOW)
        own = hello(connection_window=limits.connection_credit(8))
        link = connected(limits, gateway=own, receiver=own)
        for _ in range(7):
            link.open()
            stalled = link.accepted()
            stalled.send_head(response())
            stalled.send_data(bytes(WINDOW * 2))
        for _ in range(5):
            lively = link.open()
            lively.send_end()
            theirs = link.accepted()
            theirs.send_head(response())
            theirs.send_data(bytes(WINDOW * 3))
            theirs.send_end()
            for _ in range(6):
                link.settle()
                lively.consume(lively.inbox.held)
            self.assertIs(lively.phase, Phase.ENDED)

    def test_ended_streams_that_nobody_reads_keep_their_slot(self) -> None:
        """Slow callers with short answers cannot hold more than all slots may: else they would stop the link."""
        link = connected()
        held = []
        for count in range(8):
            self.assertEqual(link.gateway.connection.room, 8 - count)
            held.append(link.open())
            held[-1].send_end()
            theirs = link.accepted()
            theirs.send_head(response())
            theirs.send_data(b"short")
            theirs.send_end()
            link.settle()
        self.assertEqual((link.gateway.connection.streams, link.gateway.connection.room), ({}, 0))
        self.assertRaises(ConnectionClosed, link.open)
        held[3].consume(4)
        self.assertEqual(link.gateway.connection.room, 0)
        held[3].consume(1)
        self.assertEqual(link.gateway.connection.room, 1)
        link.gateway.connection.invariants()

    def test_late_frames_are_credited(self) -> None:
        """What was under way to a stream that was cut costs the connection nothing."""
        link = connected(receiver=hello(connection_window=WINDOW))
        stream = link.open(request("POST"))
        theirs = link.accepted()
        stream.send_data(bytes(WINDOW))
        link.transmit(link.gateway)
        theirs.reset(Code.APP_FAILED, "app")
        link.settle()
        self.assertEqual((link.receiver.taken(), link.receiver.connection.offences), ([], 0))
        again = link.open(request("POST"))
        again.send_data(bytes(WINDOW))
        link.settle()
        self.assertEqual(again.backlog, 0)

    def test_held_bytes_of_a_cut_stream_are_credited(self) -> None:
        """By either side's reset, whatever its consumer still has."""
        for side in ("gateway", "receiver"):
            link = connected(receiver=hello(connection_window=WINDOW))
            stream = link.open(request("POST"))
            stream.send_data(bytes(WINDOW))
            theirs = link.accepted()
            self.assertEqual(link.gateway.connection.outbound.window.credit, 0)
            (stream if side == "gateway" else theirs).reset(Code.CANCELLED, side)
            link.settle()
            self.assertEqual(link.gateway.connection.outbound.window.credit, WINDOW)


class ResetTests(SynchronousTestCase):
    """Streams that end before their time."""

    def test_by_the_gateway(self) -> None:
        """The receiver hears it once; a producer that was paused is released by it."""
        link = connected()
        stream = link.open()
        theirs = link.accepted()
        theirs.send_head(response())
        self.assertTrue(theirs.send_data(bytes(WINDOW * 3)))
        stream.reset(Code.CANCELLED, "gateway", "gone")
        link.settle()
        self.assertEqual(resets(link.receiver.taken()), [(1, 6, "gateway", True)])
        self.assertEqual((theirs.pausing, theirs.outbox, theirs.backlog), (False, type(theirs.outbox)(), 0))

    def test_crossing(self) -> None:
        """Both cut at once: no offence, no event, nothing left."""
        link = connected()
        stream = link.open()
        theirs = link.accepted()
        stream.reset(Code.CANCELLED, "gateway")
        theirs.reset(Code.APP_FAILED, "app")
        link.settle()
        for side in (link.gateway, link.receiver):
            self.assertEqual((side.taken(), side.connection.offences, side.connection._late), ([], 0, {}))

    def test_crossing_the_end(self) -> None:
        """A RESET that meets a stream which has ended there is no offence."""
        link = connected()
        stream = link.open()
        stream.send_end()
        theirs = link.accepted()
        theirs.send_head(response())
        theirs.send_end()
        while link.transmit(link.receiver):
            pass
        stream.reset(Code.CANCELLED, "gateway")
        link.settle()
        self.assertEqual(link.receiver.taken(), [StreamEnded(theirs)])
        self.assertEqual((link.gateway.taken(), link.gateway.connection.offences), ([], 0))
        self.assertEqual(link.receiver.connection.offences, 0)

    def test_not_dispatched(self) -> None:
        """A receiver may promise that no application saw a request, until it has answered."""
        for answered, promised in ((False, False), (True, True)):
            link = connected()
            link.open()
            theirs = link.accepted()
            if answered:
                theirs.send_informational(response(103))
                link.settle()
            theirs.reset(Code.REFUSED, "receiver", dispatched=False)
            link.settle()
            self.assertEqual(resets(link.gateway.taken()), [(1, 5, "receiver", promised)])

    def test_no_event_afterwards(self) -> None:
        """What was pending when a stream was cut by the peer comes before, and nothing after."""
        link = connected()
        stream = link.open()
        link.settle()
        stream.send_data(bytes(WINDOW + 30 * KIB))
        while link.gateway.connection.next_frame():
            pass
        link.gateway.connection.receive(frame(Kind.RESET, 1, Reset(8)))
        link.gateway.connection.receive(frame(Kind.WINDOW, 1, pack_credit(5)))
        self.assertEqual([type(event) for event in link.gateway.taken()], [StreamWritable, StreamReset])
        self.assertIsNone(link.gateway.connection.next_frame())

    def test_unknown_code(self) -> None:
        """A code of a later version passes through."""
        link = connected()
        link.open()
        link.settle()
        link.gateway.connection.receive(frame(Kind.RESET, 1, Reset(4711, "other")))
        self.assertEqual(resets(link.gateway.taken()), [(1, 4711, "other", True)])

    def test_malformed(self) -> None:
        """A RESET that cannot be read ends the connection: nobody knows what was meant."""
        link = connected()
        link.open()
        link.settle()
        self.assertRaises(HeadError, link.gateway.connection.receive, frame(Kind.RESET, 1, b"{}"))
        self.assertRaises(FrameTooLarge, link.gateway.connection.receive, frame(Kind.RESET, 1, b" " * 9000))


def accepted() -> Link:
    """A link with a WebSocket, on stream 1."""
    link = connected()
    link.open(websocket())
    link.accepted().send_accept(response(101))
    link.settle()
    link.gateway.taken()
    return link


class RefusalTests(SynchronousTestCase):
    """Requests that a receiver does not take."""

    def refused(self, link: Link, sent: bytes) -> Reset:
        """Let a request arrive, and expect that it is refused without a word to the application."""
        link.receiver.connection.receive(sent)
        self.assertEqual(link.receiver.taken(), [])
        [answer] = frames_of(link.receiver.connection)
        link.receiver.connection.invariants()
        return reset_of(answer)[1]

    def test_busy(self) -> None:
        """One more than it said it takes; what else comes of it is dropped and credited."""
        link = connected(receiver=hello(max_streams=1))
        link.open()
        link.settle()
        link.receiver.taken()
        self.assertEqual(
            self.refused(link, frame(Kind.REQUEST, 3, request(), b"body")), Reset(5, "receiver", "busy", False)
        )
        link.receiver.connection.receive(frame(Kind.DATA, 3, None, b"more"))
        link.receiver.connection.receive(frame(Kind.DATA, 3, Trailers([]), end=True))
        self.assertEqual((link.receiver.connection.offences, link.receiver.connection._inbox.held), (0, 0))

    def test_own_cap(self) -> None:
        """Whatever was said, the cap of the process holds, on both sides."""
        link = connected(Limits(streams=2))
        link.open()
        link.open()
        link.settle()
        link.receiver.taken()
        self.assertRaises(ConnectionClosed, link.open)
        self.assertEqual(self.refused(link, frame(Kind.REQUEST, 9, request())).code, Code.REFUSED)

    def test_malformed_heads(self) -> None:
        """They cost their stream and not the link, and no offence is counted."""
        link = connected()
        wrong = (
            *(b"", b"{}", b"[" * 5000, b'{"method":"G\\r\\nT","target":"/","headers":[]}', b" " * (64 * KIB + 1)),
            heads.encode(request(headers=[("a", "b")] * 129)),
            heads.encode(request(headers=[("a", "\u20ac")])),
        )
        for number, head in enumerate(wrong):
            reset = self.refused(link, frame(Kind.REQUEST, 2 * number + 1, head, b"x", end=True))
            self.assertEqual(reset, Reset(1, "tunnel", "malformed head", False))
        self.assertEqual((link.receiver.connection.offences, link.receiver.connection.streams), (0, {}))

    def test_malformed_answers(self) -> None:
        """They cost their stream, and count: an answer is made by the peer itself."""
        wrong: list[tuple[Kind, bytes | None, bytes, bool]] = [
            (Kind.RESPONSE, b"{}", b"", False),
            (Kind.RESPONSE, b'{"status":1000,"headers":[]}', b"", False),
            (Kind.RESPONSE, heads.encode(response(200, [("a", "b")] * 129)), b"body", True),
            (Kind.RESPONSE, heads.encode(response(103)), b"body", False),
            (Kind.RESPONSE, heads.encode(response(103)), b"", True),
            (Kind.DATA, None, b"before the head", False),
            (Kind.RESPONSE, heads.encode(response(101)), b"", False),
            (Kind.MESSAGE, b"\x81", b"no WebSocket", False),
        ]
        for kind, head, body, end in wrong:
            link = connected()
            link.open()
            link.settle()
            link.gateway.connection.receive(frame(kind, 1, head, body, end=end))
            self.assertEqual(resets(link.gateway.taken()), [(1, 1, "tunnel", True)])
            self.assertEqual([reset_of(sent)[1].code for sent in frames_of(link.gateway.connection)], [1])
            self.assertEqual((link.gateway.connection.offences, link.gateway.connection.room), (1, 8))
            self.assertEqual(bool(link.gateway.connection._late), not end)
            link.gateway.connection.invariants()

    def test_malformed_messages(self) -> None:
        """Kinds that are none, END on what is no close, a close without END, parts of two messages in one."""
        wrong: list[list[tuple[bytes, bytes, bool]]] = [
            *([(kind, b"x", False)] for kind in (b"\x00", b"\x80", b"\x83", b"\x08", b"\xff", b"\x88")),
            *([(kind, b"x", True)] for kind in (b"\x81", b"\x82", b"\x01")),
            [(b"\x88", b"x", True)],
            [(b"\x88", b"x" * 126, True)],
            [(b"\x01", b"", False)],
            [(b"\x01", b"a", False), (b"\x82", b"b", False)],
            [(b"\x02", b"a", False), (b"\x81", b"b", False)],
        ]
        for sent in wrong:
            link = accepted()
            for kind, body, end in sent:
                link.gateway.connection.receive(frame(Kind.MESSAGE, 1, kind, body, end=end))
            told = [event for event in link.gateway.taken() if isinstance(event, events.StreamReset)]
            self.assertEqual(([event.reset.code for event in told], link.gateway.connection.offences), ([1], 1), sent)
            link.gateway.connection.invariants()

    def test_websocket_out_of_order(self) -> None:
        """Accepted twice or with a body, by the wrong side; body bytes on a WebSocket, or in its request."""
        answers: list[tuple[Kind, bytes | None, bytes, bool]] = [
            (Kind.RESPONSE, heads.encode(response(101)), b"", False),
            (Kind.RESPONSE, heads.encode(response(200)), b"", False),
            (Kind.DATA, None, b"x", False),
            (Kind.DATA, None, b"", True),
        ]
        for kind, head, body, end in answers:
            for side in (lambda link: link.gateway, lambda link: link.receiver):
                link = accepted()
                side(link).connection.receive(frame(kind, 1, head, body, end=end))
                self.assertEqual(side(link).connection.offences, 1)
        for body, end in ((b"x", False), (b"", True)):
            link = connected()
            link.open(websocket())
            link.settle()
            link.gateway.connection.receive(frame(Kind.RESPONSE, 1, response(101), body, end=end))
            self.assertEqual(link.gateway.connection.offences, 1)
            fresh = connected()
            reset = self.refused(fresh, frame(Kind.REQUEST, 1, websocket(), body, end=end))
            self.assertEqual((reset.code, reset.dispatched), (Code.PROTOCOL, False))
        for early in (frame(Kind.RESPONSE, 1, response(101)), frame(Kind.MESSAGE, 1, b"\x81", b"too early")):
            link = connected()
            link.open(websocket())
            link.settle()
            link.receiver.connection.receive(early)
            self.assertEqual((link.receiver.connection.offences, link.receiver.connection.streams), (1, {}))

    def test_messages_beyond_the_credit(self) -> None:
        """Each costs more than its bytes; a close costs nothing."""
        link = accepted()
        for _ in range(WINDOW // 32):
            link.gateway.connection.receive(frame(Kind.MESSAGE, 1, b"\x81"))
        link.gateway.connection.receive(frame(Kind.MESSAGE, 1, b"\x88", b"\x03\xe8", end=True))
        link = accepted()
        for _ in range(WINDOW // 32):
            link.gateway.connection.receive(frame(Kind.MESSAGE, 1, b"\x81"))
        self.assertRaises(FlowControlError, link.gateway.connection.receive, frame(Kind.MESSAGE, 1, b"\x81"))

    def test_the_rest_of_a_malformed_answer(self) -> None:
        """What was already under way of it is no further offence: the link lives on."""
        link = connected()
        link.open()
        link.settle()
        gateway = link.gateway.connection
        gateway.receive(frame(Kind.RESPONSE, 1, b"{}"))
        for _ in range(10):
            gateway.receive(frame(Kind.DATA, 1, None, b"piece"))
        gateway.receive(frame(Kind.DATA, 1, None, b"last", end=True))
        self.assertEqual((gateway.offences, gateway._inbox.held, gateway._late), (1, 0, {}))

    def test_malformed_data(self) -> None:
        """Trailers before the end, unreadable ones, and frames of nothing."""
        for sent in (
            frame(Kind.DATA, 1, Trailers([("a", "b")])),
            frame(Kind.DATA, 1, Trailers([]), b"x"),
            frame(Kind.DATA, 1, b"{", b"x", end=True),
            frame(Kind.DATA, 1),
        ):
            link = connected()
            link.open(request("POST"))
            link.settle()
            link.receiver.taken()
            link.receiver.connection.receive(sent)
            self.assertEqual(resets(link.receiver.taken()), [(1, 1, "tunnel", True)])
            self.assertEqual(link.receiver.connection.offences, 1)

    def test_informational_flood(self) -> None:
        """Heads below 200 need no credit, so one over the cap ends the stream."""
        link = connected()
        link.open()
        link.settle()
        gateway = link.gateway.connection
        for _ in range(DEFAULT_LIMITS.informational):
            gateway.receive(frame(Kind.RESPONSE, 1, response(103)))
        self.assertEqual(len(link.gateway.taken()), 16)
        gateway.receive(frame(Kind.RESPONSE, 1, response(103)))
        self.assertEqual([type(event) for event in link.gateway.taken()], [StreamReset])


class OffenceTests(SynchronousTestCase):
    """Frames that a peer has no right to."""

    def offended(self, link: Link, side: Side, sent: bytes) -> None:
        """Expect that a frame changes nothing but the count, and that the fourth ends the link."""
        connection = side.connection
        alive = dict(connection.streams)
        for count in range(1, 4):
            connection.receive(sent)
            self.assertEqual((side.taken(), frames_of(connection), connection.offences), ([], [], count))
        self.assertRaises(UnexpectedFrame, connection.receive, sent)
        self.assertEqual((connection.streams, connection._inbox.held), (alive, 0))

    def test_answers_for_nobody(self) -> None:
        """A receiver answers, errors or sends data for a stream that never was: another's, a later one, an even one."""
        for number in (3, 2, 2**32 - 1):
            for kind, value, end in (
                (Kind.RESPONSE, response(), True),
                (Kind.RESPONSE, b"{}", False),
                (Kind.DATA, None, True),
                (Kind.RESET, Reset(8), False),
                (Kind.WINDOW, pack_credit(1), False),
                (Kind.MESSAGE, b"\x01", False),
            ):
                link = connected()
                link.open()
                link.settle()
                body = b"" if kind in (Kind.RESET, Kind.WINDOW) else b"stolen"
                self.offended(link, link.gateway, frame(kind, number, value, body, end=end))

    def test_answer_before_the_request_was_sent(self) -> None:
        """A receiver that guesses the next id gets nowhere, and the request goes out unharmed."""
        for kind, value in ((Kind.RESPONSE, response()), (Kind.RESET, Reset(8)), (Kind.WINDOW, pack_credit(1))):
            link = connected()
            stream = link.open()
            link.gateway.connection.receive(frame(kind, 1, value))
            self.assertEqual((link.gateway.taken(), link.gateway.connection.offences), ([], 1))
            self.assertEqual((stream.phase, stream.window.credit), (Phase.QUEUED, WINDOW))
            self.assertEqual([sent.kind for sent in frames_of(link.gateway.connection)], [Kind.REQUEST])

    def test_answer_of_a_finished_stream(self) -> None:
        """Once answered, a stream is nobody's."""
        link = connected()
        link.open().send_end()
        theirs = link.accepted()
        theirs.send_head(response())
        theirs.send_end()
        link.settle()
        link.gateway.taken()
        self.offended(link, link.gateway, frame(Kind.RESPONSE, 1, response(), b"again", end=True))

    def test_answer_twice(self) -> None:
        """A second answer costs the stream, if it still lives, and counts."""
        link = connected()
        link.open(request("POST"))
        theirs = link.accepted()
        theirs.send_head(response())
        link.settle()
        link.gateway.taken()
        link.gateway.connection.receive(frame(Kind.RESPONSE, 1, response()))
        self.assertEqual(resets(link.gateway.taken()), [(1, 1, "tunnel", True)])
        self.assertEqual(link.gateway.connection.offences, 1)

    def test_data_after_the_end(self) -> None:
        """Costs the stream, and counts; nothing of it is delivered."""
        for role in ("gateway", "receiver"):
            link = connected()
            stream = link.open(request("POST"))
            if role == "receiver":
                stream.send_end()
            theirs = link.accepted()
            if role == "gateway":
                link.gateway.connection.receive(frame(Kind.RESPONSE, 1, response(), end=True))
            side = link.gateway if role == "gateway" else link.receiver
            side.taken()
            side.connection.receive(frame(Kind.DATA, theirs.id, None, b"more"))
            self.assertEqual([type(event) for event in side.taken()], [StreamReset])
            self.assertEqual((side.connection.offences, side.connection._late), (1, {}))

    def test_requests_to_a_gateway(self) -> None:
        """A receiver opens nothing, with odd ids or even ones."""
        for number in (1, 2):
            link = connected()
            self.offended(link, link.gateway, frame(Kind.REQUEST, number, request(), b"body"))

    def test_ids_of_requests(self) -> None:
        """A gateway opens odd ids, each once, rising."""
        link = connected()
        link.receiver.connection.receive(frame(Kind.REQUEST, 5, request()))
        link.receiver.taken()
        for number in (5, 3, 1):
            link.receiver.connection.receive(frame(Kind.REQUEST, number, request(), b"x"))
        self.assertEqual((link.receiver.taken(), link.receiver.connection.offences), ([], 3))
        self.assertRaises(UnexpectedFrame, link.receiver.connection.receive, frame(Kind.REQUEST, 6, request()))

    def test_answers_to_a_receiver(self) -> None:
        """A gateway that answers its own request ends it."""
        link = connected()
        link.open(request("POST"))
        link.settle()
        link.receiver.taken()
        link.receiver.connection.receive(frame(Kind.RESPONSE, 1, response()))
        self.assertEqual(resets(link.receiver.taken()), [(1, 1, "tunnel", True)])

    def test_credit_and_resets_of_ended_streams_are_none(self) -> None:
        """They may always have been under way."""
        link = connected()
        stream = link.open()
        link.settle()
        stream.reset(Code.CANCELLED, "gateway")
        for sent in (
            frame(Kind.WINDOW, 1, pack_credit(9)),
            frame(Kind.RESET, 1, Reset(0)),
            frame(Kind.RESET, 1, Reset(0)),
        ):
            link.gateway.connection.receive(sent)
        self.assertEqual((link.gateway.connection.offences, link.gateway.taken()), (0, []))

    def test_late_frames_end_with_the_end(self) -> None:
        """A stream that was cut is remembered until its peer is done with it, and not longer."""
        link = connected()
        stream = link.open()
        link.settle()
        stream.reset(Code.CANCELLED, "gateway")
        gateway = link.gateway.connection
        gateway.receive(frame(Kind.RESPONSE, 1, response(), b"late"))
        gateway.receive(frame(Kind.DATA, 1, None, b"later", end=True))
        self.assertEqual((gateway.offences, gateway._late), (0, {}))
        gateway.receive(frame(Kind.DATA, 1, None, b"too late"))
        self.assertEqual((gateway.offences, link.gateway.taken()), (1, []))

    def test_memory_of_cut_streams_is_bounded(self) -> None:
        """The oldest are forgotten first."""
        link = connected(Limits(remembered_streams=3))
        for _ in range(5):
            stream = link.open()
            frames_of(link.gateway.connection)
            stream.reset(Code.CANCELLED, "gateway")
        gateway = link.gateway.connection
        self.assertEqual(list(gateway._late), [5, 7, 9])
        gateway.receive(frame(Kind.RESPONSE, 5, response()))
        self.assertEqual(gateway.offences, 0)
        gateway.receive(frame(Kind.RESPONSE, 3, response()))
        self.assertEqual(gateway.offences, 1)

    def test_a_cut_stream_whose_peer_was_done_is_not_remembered(self) -> None:
        """Nothing more can come of it."""
        link = connected()
        link.open().send_end()
        link.accepted().reset(Code.APP_FAILED, "app")
        self.assertEqual(link.receiver.connection._late, {})


class DrainTests(SynchronousTestCase):
    """GOAWAY, by either side, while requests are under way."""

    def test_receiver_leaves(self) -> None:
        """What it accepted goes on; what it did not see was not dispatched."""
        link = connected()
        first = link.open()
        theirs = link.accepted()
        crossing = link.open()
        link.transmit(link.gateway)
        queued = link.open()
        link.receiver.connection.leave(Code.DRAINING, 1.5)
        link.settle()
        told = link.gateway.taken()
        self.assertEqual(told[0], GoawayReceived(Goaway(1, 10, 1500)))
        self.assertEqual(resets(told), [(crossing.id, 10, "receiver", False), (queued.id, 10, "receiver", False)])
        self.assertEqual(link.receiver.taken(), [])
        self.assertEqual((link.gateway.connection.room, link.gateway.connection.offences), (0, 0))
        theirs.send_head(response())
        theirs.send_end()
        first.send_end()
        link.settle()
        self.assertEqual([type(event) for event in link.gateway.taken()], [ResponseReceived, StreamEnded])

    def test_request_that_crosses_is_refused(self) -> None:
        """The receiver answers it as well, for a gateway that did not see the GOAWAY yet."""
        link = connected()
        link.receiver.connection.leave()
        link.open()
        link.transmit(link.gateway)
        link.deliver(link.receiver)
        sent = frames_of(link.receiver.connection)
        self.assertEqual([one.kind for one in sent], [Kind.GOAWAY, Kind.RESET])
        self.assertEqual(reset_of(sent[1]), (1, Reset(10, "receiver", "draining", False)))

    def test_gateway_leaves(self) -> None:
        """Requests that wait still go out behind its GOAWAY, and are answered."""
        link = connected()
        stream = link.open()
        stream.send_end()
        link.gateway.connection.leave()
        self.assertRaises(ConnectionClosed, link.open)
        theirs = link.accepted()
        self.assertIs(link.receiver.connection.state, State.LEAVING)
        theirs.send_head(response())
        theirs.send_end()
        link.settle()
        self.assertEqual([type(event) for event in link.gateway.taken()], [ResponseReceived, StreamEnded])

    def test_both_leave(self) -> None:
        """Each says it once, and what runs goes on."""
        link = connected()
        link.open()
        theirs = link.accepted()
        for side in (link.gateway, link.receiver):
            side.connection.leave()
            side.connection.leave()
            side.connection.leave()
        theirs.send_head(response())
        theirs.send_end()
        link.settle()
        self.assertEqual(len([event for event in link.gateway.taken() if isinstance(event, GoawayReceived)]), 1)
        self.assertEqual(link.receiver.connection.streams, {})

    def test_goaway_twice(self) -> None:
        """A second one may lower the promise; a stream that was answered stays dispatched."""
        link = connected()
        answered, waiting = link.open(), link.open()
        link.settle()
        link.gateway.connection.receive(frame(Kind.RESPONSE, answered.id, response()))
        link.gateway.taken()
        for last in (3, 0):
            link.gateway.connection.receive(frame(Kind.GOAWAY, 0, Goaway(last)))
        self.assertEqual(
            resets(link.gateway.taken()), [(answered.id, 10, "receiver", True), (waiting.id, 10, "receiver", False)]
        )

    def test_ids_run_out(self) -> None:
        """The last id opens a stream, and says that a new connection is needed."""
        link = connected()
        link.gateway.connection._last = 2**32 - 5
        stream = link.open()
        self.assertEqual(link.gateway.connection.room, 7)
        last = link.open()
        self.assertEqual((stream.id, last.id, link.gateway.connection.room), (2**32 - 3, 2**32 - 1, 0))
        link.settle()
        self.assertEqual(
            [type(event) for event in link.receiver.taken()], [GoawayReceived, RequestReceived, RequestReceived]
        )


class PingTests(SynchronousTestCase):
    """Proof of life."""

    def test_round_trip(self) -> None:
        """The same eight bytes, both ways."""
        link = connected()
        for side in (link.gateway, link.receiver):
            side.connection.ping(b"\x00\xff345678")
            link.settle()
            self.assertEqual(side.taken(), [PongReceived(b"\x00\xff345678")])

    def test_eight(self) -> None:
        """The peer would not take another length."""
        self.assertRaises(AssertionError, connected().gateway.connection.ping, b"1234567")


class CapTests(SynchronousTestCase):
    """Limits of the process hold for every frame."""

    def test_frame(self) -> None:
        """A frame over the cap is not looked at."""
        link = connected(
            Limits(frame=512 * KIB), gateway=hello(max_frame=512 * KIB), receiver=hello(max_frame=512 * KIB)
        )
        large = frame(Kind.DATA, 1, None, bytes(512 * KIB))
        self.assertRaises(FrameTooLarge, link.gateway.connection.receive, large)

    def test_fields(self) -> None:
        """So is one with too many fields."""
        link = connected(Limits(frame_fields=1))
        self.assertRaises(FrameTooLarge, link.receiver.connection.receive, frame(Kind.REQUEST, 1, request(), b"x"))


_KINDS = st.sampled_from([kind for kind in Kind if kind is not Kind.HELLO])
_FITTING: dict[Kind, st.SearchStrategy[bytes | None]] = {
    Kind.REQUEST: st.sampled_from([heads.encode(request()), heads.encode(request("POST", [("a", "b")])), b"{}"]),
    Kind.RESPONSE: st.sampled_from([heads.encode(response(status)) for status in (103, 200, 200, 404)]),
    Kind.DATA: st.sampled_from([None, None, None, heads.encode(Trailers([("a", "b")])), b"{}"]),
    Kind.WINDOW: st.integers(1, 2**20).map(pack_credit) | st.just(pack_credit(2**31 - 1)),
    Kind.RESET: st.sampled_from([heads.encode(Reset(code, "x", "y", code > 3)) for code in (0, 5, 6, 99)]),
    Kind.GOAWAY: st.sampled_from([heads.encode(Goaway(last)) for last in (0, 3, 2**32 - 1)]),
    Kind.PING: st.binary(min_size=8, max_size=8),
    Kind.PONG: st.binary(min_size=8, max_size=8),
    Kind.MESSAGE: st.binary(min_size=1, max_size=1),
}


@st.composite
def _anything(draw: st.DrawFn) -> bytes:
    """A frame that is sound on the wire, mostly with a sensible value, on any of a few streams."""
    kind = draw(_KINDS)
    meta = draw(_FITTING[kind] if draw(st.integers(0, 9)) else st.binary(max_size=12))
    bodied = kind in (Kind.REQUEST, Kind.RESPONSE, Kind.DATA, Kind.MESSAGE)
    body = draw(st.sampled_from([b"", b"x", bytes(1000)])) if bodied else b""
    numbers = {Kind.GOAWAY: st.just(0), Kind.PING: st.just(0), Kind.PONG: st.just(0), Kind.WINDOW: st.integers(0, 7)}
    number = draw(numbers.get(kind, st.integers(1, 9)))
    return v2.encode(kind, number, bodied and draw(st.booleans()), meta, body)


class HostileTests(SynchronousTestCase):
    """Whatever a peer sends, only what is meant for such a case comes of it."""

    def drive(self, role: Role, sent: list[bytes], *, honest: Callable[[Connection], object]) -> None:
        """Feed a connection, act as its user now and then, and watch its events."""
        connection = Connection(role, hello())
        connection.receive(frame(Kind.HELLO, 0, hello()))
        over: set[int] = set()
        try:
            for message in sent:
                honest(connection)
                connection.receive(message)
                connection.invariants()
                self.watch(connection.take_events(), over)
        except ConnectionFault:
            pass
        self.watch(connection.close(Code.PROTOCOL), over)
        connection.invariants()

    def watch(self, told: list[Event], over: set[int]) -> None:
        """No event of a stream follows its last one."""
        for event in told:
            stream = getattr(event, "stream", None)
            if stream is not None:
                self.assertNotIn(stream.id, over)
                if isinstance(event, StreamReset | StreamEnded):
                    over.add(stream.id)

    @PROPERTY
    @given(st.lists(_anything(), max_size=40))
    def test_receiver(self, sent: list[bytes]) -> None:
        """A gateway that sends anything, to a receiver that answers what it gets."""

        def honest(connection: Connection) -> None:
            for stream in connection.streams.values():
                if stream.sending is Half.HEAD:
                    stream.send_head(response())
                    stream.send_data(b"answer")
                    if stream.id % 4 == 1:
                        stream.send_end()
            frames_of(connection)

        self.drive(Role.RECEIVER, sent, honest=honest)

    @PROPERTY
    @given(st.lists(_anything(), max_size=40))
    def test_gateway(self, sent: list[bytes]) -> None:
        """A receiver that sends anything, to a gateway that asks and takes."""

        def honest(connection: Connection) -> None:
            if connection.room > 0:
                connection.open(request(), None).send_end()
            for stream in list(connection.streams.values())[::2]:
                stream.consume(stream.inbox.held)
            for _ in range(2):
                connection.next_frame()

        self.drive(Role.GATEWAY, sent, honest=honest)


class BookTests(SynchronousTestCase):
    """Events hold the stream of the side that is told."""

    def test_owner(self) -> None:
        """What was hung there at the start is found in each event."""
        link = connected()
        stream: Stream = link.open(owner="mine")
        link.accepted().reset(Code.APP_FAILED, "app")
        link.settle()
        [event] = link.gateway.taken()
        assert isinstance(event, StreamReset)
        self.assertEqual((event.stream, event.stream.owner), (stream, "mine"))

    def test_body_is_bytes(self) -> None:
        """Consumers get what they may keep."""
        link = connected()
        link.receiver.connection.receive(v2.encode(Kind.REQUEST, 1, False, heads.encode(request()), b"x"))
        [event] = link.receiver.taken()
        assert isinstance(event, RequestReceived)
        self.assertIs(type(event.body), bytes)


class SharedCreditTests(SynchronousTestCase):
    """The credit of a connection where some consumers stand still."""

    def test_spent_by_others(self) -> None:
        """What was consumed is granted when the peer has spent the rest, though nobody consumes any more."""
        own = hello(60, 100, 3)
        link = connected(gateway=own, receiver=own)
        answers = []
        for _ in range(3):
            link.open().send_end()
            answers.append(link.accepted())
        quick, stalled, third = answers
        for stream, size in ((quick, 40), (stalled, 60)):
            stream.send_head(response())
            stream.send_data(bytes(size))
            link.settle()
            (event,) = [one for one in link.gateway.taken() if isinstance(one, ResponseReceived)]
            if stream is quick:
                event.stream.consume(40)  # less than the peer may still send: it is not worth a frame yet
                link.settle()
        third.send_head(response())
        third.send_data(b"x")
        link.settle()
        (event,) = [one for one in link.gateway.taken() if isinstance(one, ResponseReceived)]
        self.assertEqual(event.body, b"x")
