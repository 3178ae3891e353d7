"""
Tests for L{anp_twisted.session.stream}: what one side may send on a stream.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import Code, InvalidMessage, StreamClosed
from anp_twisted.limits import DEFAULT_LIMITS, KIB, Limits
from anp_twisted.session.events import (
    AcceptReceived,
    DataReceived,
    InformationalReceived,
    MessageReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    StreamWritable,
)
from anp_twisted.session.stream import ADVANCE, Half, Part, Phase, encode_head
from anp_twisted.test.sessions import WINDOW, Side, connected, frames_of, request, response, websocket
from anp_twisted.wire import v2
from anp_twisted.wire.heads import Reset, Trailers


class TableTests(SynchronousTestCase):
    """Each direction is a line without branches."""

    def test_done_is_the_end(self) -> None:
        """Nothing follows the end, nothing leads back, and each half can be left."""
        order = list(Half)
        for (half, _), following in ADVANCE.items():
            self.assertIsNot(half, Half.DONE)
            self.assertGreaterEqual(order.index(following), order.index(half))
        self.assertEqual({half for half, _ in ADVANCE}, {Half.HEAD, Half.OFFER, Half.BODY, Half.MESSAGES})

    def test_only_the_table_may_be_sent(self) -> None:
        """In each half, each part that the table does not have raises, and leaves no trace."""
        for half in Half:
            for part in Part:
                link = connected()
                link.open()
                stream = link.accepted()
                stream.sending = half
                act = {
                    Part.INFORMATIONAL: lambda stream=stream: stream.send_informational(response(103)),
                    Part.HEAD: lambda stream=stream: stream.send_head(response()),
                    Part.ACCEPT: lambda stream=stream: stream.send_accept(response(101)),
                    Part.DATA: lambda stream=stream: stream.send_data(b"x"),
                    Part.MESSAGE: lambda stream=stream: stream.send_message(v2.TEXT, b"x"),
                    Part.END: lambda stream=stream: stream.send_end(),
                }[part]
                if (half, part) in ADVANCE:
                    act()
                    self.assertIs(stream.sending, ADVANCE[half, part])
                else:
                    self.assertRaises(StreamClosed, act)
                    self.assertEqual((stream.sending, len(stream.outbox), stream.backlog), (half, 0, 0))


class SendTests(SynchronousTestCase):
    """What is put into a stream comes out on the other side."""

    def test_boundaries_are_kept(self) -> None:
        """Each call is a frame, the first joins the head, and the end joins the last."""
        link = connected()
        link.open()
        stream = link.accepted()
        stream.send_head(response())
        for piece in (b"one", b"", b"two"):
            self.assertFalse(stream.send_data(piece))
        stream.send_end()
        link.settle()
        ours = link.gateway.taken()
        self.assertEqual(
            [event.body for event in ours if isinstance(event, ResponseReceived | DataReceived)], [b"one", b"two"]
        )
        assert isinstance(ours[1], DataReceived)
        self.assertEqual((ours[1].ended, ours[1].trailers), (True, []))

    def test_trailers(self) -> None:
        """They ride on the end, on a frame of DATA even where there is no body."""
        link = connected()
        link.open()
        stream = link.accepted()
        stream.send_head(response())
        stream.send_end([("Digest", "x"), ("Digest", "y")])
        frames = frames_of(link.receiver.connection)
        self.assertEqual([(frame.kind, frame.end) for frame in frames[:2]], [(2, False), (3, True)])
        self.assertEqual(frames[1].meta, b'{"headers":[["Digest","x"],["Digest","y"]]}')

    def test_large_pieces_are_cut(self) -> None:
        """A piece over the cap comes as several frames, in order and whole."""
        link = connected()
        stream = link.open()
        data = bytes(range(256)) * 600
        stream.send_data(data)
        stream.send_end()
        first = frames_of(link.gateway.connection)
        self.assertTrue(all(len(frame.body) <= DEFAULT_LIMITS.data for frame in first))
        self.assertEqual(b"".join(bytes(frame.body) for frame in first), data[:WINDOW])

    def test_back_pressure(self) -> None:
        """Above the cap the producer is asked to pause; at half of it, it may go on, and is told once."""
        link = connected(gateway=None)
        stream = link.open()
        link.settle()
        cap = DEFAULT_LIMITS.stream_backlog
        self.assertFalse(stream.send_data(bytes(cap)))
        self.assertTrue(stream.send_data(b"x"))
        self.assertTrue(stream.send_data(b""))
        link.gateway.taken()
        link.settle()
        self.assertEqual(link.gateway.taken(), [StreamWritable(stream)])
        self.assertFalse(stream.pausing)

    def test_head_over_a_cap(self) -> None:
        """Too many fields, or too many bytes, are a mistake of the caller and not of the link."""
        link = connected()
        link.open()
        stream = link.accepted()
        for headers in ([("a", "b")] * 129, [("a", "b" * 65536)]):
            self.assertRaises(InvalidMessage, stream.send_head, response(200, headers))
            self.assertRaises(InvalidMessage, stream.send_informational, response(103, headers))
            self.assertRaises(InvalidMessage, encode_head, Trailers(headers), DEFAULT_LIMITS)
            self.assertRaises(InvalidMessage, link.open, request(headers=headers))
        stream.send_head(response(200, [("a", "b")] * 128))
        self.assertEqual(link.gateway.connection.room, 7)

    def test_too_many_informational_heads(self) -> None:
        """They need no credit, so their number has a cap."""
        link = connected(Limits(informational=3))
        link.open()
        stream = link.accepted()
        for _ in range(3):
            stream.send_informational(response(103))
        self.assertRaises(InvalidMessage, stream.send_informational, response(103))
        stream.send_head(response())
        link.settle()
        self.assertEqual(len(link.gateway.taken()), 4)


class ResetTests(SynchronousTestCase):
    """The end before its time, by this side."""

    def test_queued_leaves_no_frame(self) -> None:
        """A request that was never sent is dropped, and its slot is free."""
        link = connected()
        stream = link.open()
        stream.send_data(b"body")
        stream.reset(Code.CANCELLED, "gateway")
        self.assertEqual((stream.phase, link.gateway.connection.room), (Phase.CUT, 8))
        self.assertEqual(frames_of(link.gateway.connection), [])
        link.gateway.connection.invariants()

    def test_what_waits_is_dropped(self) -> None:
        """RESET does not wait behind a body; nothing of the stream follows it."""
        link = connected()
        stream = link.open()
        link.settle()
        stream.send_data(bytes(WINDOW * 2))
        stream.reset(Code.CANCELLED, "gateway", "gone")
        [frame] = frames_of(link.gateway.connection)
        self.assertEqual((frame.kind, frame.meta), (0x12, b'{"code":6,"source":"gateway","text":"gone"}'))

    def test_no_event_for_the_one_who_resets(self) -> None:
        """The other side hears of it; this side knows."""
        link = connected()
        link.open()
        stream = link.accepted()
        stream.reset(Code.APP_FAILED, "app", "x", dispatched=False)
        link.settle()
        self.assertEqual(link.receiver.taken(), [])
        [event] = link.gateway.taken()
        assert isinstance(event, StreamReset)
        self.assertEqual(event.reset, Reset(8, "app", "x", False))

    def test_afterwards(self) -> None:
        """A stream that is gone takes nothing, and to reset or consume it again does nothing."""
        link = connected()
        stream = link.open()
        stream.reset(Code.CANCELLED, "gateway")
        for act in (lambda: stream.send_data(b"x"), stream.send_end):
            self.assertRaises(StreamClosed, act)
        stream.reset(Code.INTERNAL, "gateway")
        stream.consume(100)
        self.assertEqual(frames_of(link.gateway.connection), [])

    def test_long_text(self) -> None:
        """A text that the peer would refuse is cut, since it would cost the link."""
        link = connected()
        stream = link.open()
        link.settle()
        stream.reset(Code.CANCELLED, "gateway", "\x00" * 5000)
        link.settle()
        event = link.receiver.taken()[-1]
        assert isinstance(event, StreamReset)
        self.assertEqual(len(event.reset.text), 1024)

    def test_gives_back_what_an_ended_stream_holds(self) -> None:
        """A consumer that leaves after the end need not count."""
        link = connected()
        stream = link.open()
        stream.send_end()
        theirs = link.accepted()
        theirs.send_head(response())
        theirs.send_data(bytes(10 * KIB))
        theirs.send_end()
        link.settle()
        self.assertEqual((stream.phase, stream.inbox.held, link.gateway.connection.room), (Phase.ENDED, 10 * KIB, 7))
        stream.reset(Code.NO_ERROR, "gateway")
        self.assertEqual((stream.inbox.held, link.gateway.connection.room), (0, 8))
        stream.consume(10 * KIB)
        link.gateway.connection.invariants()


class WebSocketTests(SynchronousTestCase):
    """A stream that was asked to be one."""

    def setUp(self) -> None:
        """Ask for it."""
        self.link = connected()
        self.asked = self.link.open(websocket())
        self.answered = self.link.accepted()

    def accept(self) -> None:
        """Let it be one."""
        self.answered.send_accept(response(101))
        self.link.settle()
        [event] = self.link.gateway.taken()
        self.assertIsInstance(event, AcceptReceived)

    def heard(self, side: Side) -> list[tuple[int, bytes, bool]]:
        """The messages and parts that a side was told."""
        self.link.settle()
        return [(event.kind, event.body, event.last) for event in side.taken() if isinstance(event, MessageReceived)]

    def test_before_it_is_accepted(self) -> None:
        """Nothing goes towards the application, neither body nor end nor message."""
        self.assertEqual((self.asked.sending, self.answered.sending), (Half.WAIT, Half.OFFER))
        for act in (
            lambda: self.asked.send_data(b"x"),
            self.asked.send_end,
            lambda: self.asked.send_message(v2.TEXT, b"x"),
            lambda: self.asked.send_close(b""),
            lambda: self.asked.send_accept(response(101)),
            lambda: self.answered.send_message(v2.TEXT, b"x"),
        ):
            self.assertRaises(StreamClosed, act)

    def test_both_ways(self) -> None:
        """Messages keep their boundaries and kinds, empty ones too; a close ends its direction."""
        self.accept()
        said = [(v2.TEXT, b"one", True), (v2.BINARY, b"", True), (v2.TEXT, "\u00e9".encode(), True)]
        for sender, other in ((self.asked, self.link.receiver), (self.answered, self.link.gateway)):
            for kind, data, last in said:
                sender.send_message(kind, data, last)
            self.assertEqual(self.heard(other), said)
        self.asked.send_close(b"\x03\xe8bye")
        self.assertEqual(self.heard(self.link.receiver), [(v2.CLOSE, b"\x03\xe8bye", True)])
        self.assertRaises(StreamClosed, self.asked.send_message, v2.TEXT, b"x")
        self.answered.send_message(v2.TEXT, b"still")
        self.answered.send_close(b"")
        self.assertEqual(self.heard(self.link.gateway), [(v2.TEXT, b"still", True), (v2.CLOSE, b"", True)])
        self.assertEqual((self.asked.phase, self.answered.phase), (Phase.ENDED, Phase.ENDED))

    def test_close_of_the_application(self) -> None:
        """What was queued before it arrives; then the stream is let go, whatever the caller still says."""
        self.accept()
        self.answered.send_message(v2.TEXT, b"last")
        self.answered.send_close(b"\x03\xe8")
        self.link.settle()
        kinds = [type(event) for event in self.link.gateway.taken()]
        self.assertEqual(kinds, [MessageReceived, MessageReceived, StreamReset])
        self.assertEqual([type(event) for event in self.link.receiver.taken()], [StreamEnded])

    def test_parts(self) -> None:
        """A large message comes in parts of one kind, of which only the last says so."""
        self.accept()
        data = bytes(range(256)) * 800
        self.answered.send_message(v2.BINARY, data)
        got: list[MessageReceived] = []
        while not got or not got[-1].last:
            self.link.settle()
            for event in self.link.gateway.taken():
                if isinstance(event, MessageReceived):
                    got.append(event)
                    self.asked.consume(event.cost)
        self.assertEqual(b"".join(part.body for part in got), data)
        self.assertGreater(len(got), 3)
        self.assertEqual({part.kind for part in got}, {v2.BINARY})
        self.assertEqual([part.last for part in got], [False] * (len(got) - 1) + [True])

    def test_parts_of_the_sender(self) -> None:
        """A message may be sent as it comes; a part of nothing is none."""
        self.accept()
        for data, last in ((b"a", False), (b"", False), (b"b", False), (b"", True)):
            self.asked.send_message(v2.TEXT, data, last)
        expected = [(v2.TEXT, b"a", False), (v2.TEXT, b"b", False), (v2.TEXT, b"", True)]
        self.assertEqual(self.heard(self.link.receiver), expected)

    def test_empty_messages_are_not_free(self) -> None:
        """An application that reads nothing gets no more of them than its window has room for."""
        self.accept()
        for _ in range(10_000):
            self.asked.send_message(v2.TEXT, b"")
        self.assertTrue(self.asked.pausing)
        got = len(self.heard(self.link.receiver))
        self.assertEqual(got, WINDOW // v2.MESSAGE_COST)
        self.answered.consume(WINDOW)
        self.assertEqual(len(self.heard(self.link.receiver)), got)

    def test_close_needs_no_credit(self) -> None:
        """It arrives although nothing else can."""
        self.accept()
        self.asked.send_message(v2.BINARY, bytes(WINDOW - v2.MESSAGE_COST))
        self.asked.send_close(b"\x03\xe8" + b"r" * 123)
        self.assertEqual(self.heard(self.link.receiver)[-1], (v2.CLOSE, b"\x03\xe8" + b"r" * 123, True))
        self.assertEqual(self.asked.window.credit, 0)

    def test_denial(self) -> None:
        """An ordinary answer, early heads included, ends the stream as every answer does."""
        self.answered.send_informational(response(103))
        self.answered.send_head(response(403))
        self.answered.send_data(b"no")
        self.answered.send_end()
        self.link.settle()
        kinds = [type(event) for event in self.link.gateway.taken()]
        self.assertEqual(kinds, [InformationalReceived, ResponseReceived, StreamReset])
        self.assertFalse(self.link.receiver.connection.streams)
