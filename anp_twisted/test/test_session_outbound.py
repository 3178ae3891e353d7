"""
Tests for L{anp_twisted.session.outbound}: whose turn it is to send.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import Code
from anp_twisted.limits import KIB, Limits
from anp_twisted.session.stream import Place, Stream
from anp_twisted.test.sessions import WINDOW, Link, connected, frames_of, hello, request, response
from anp_twisted.wire import v2
from anp_twisted.wire.v2 import Kind


def opened(link: Link, count: int) -> list[Stream]:
    """Streams whose requests have arrived."""
    streams = [link.open() for _ in range(count)]
    link.settle()
    link.gateway.taken()
    link.receiver.taken()
    return streams


class OrderTests(SynchronousTestCase):
    """Control before data, and streams in turns."""

    def test_control_overtakes_data(self) -> None:
        """A PING waits for no body, however much of it was queued before."""
        link = connected()
        [stream] = opened(link, 1)
        stream.send_data(bytes(WINDOW))
        link.gateway.connection.ping(b"12345678")
        self.assertEqual([frame.kind for frame in frames_of(link.gateway.connection)], [Kind.PING, Kind.DATA])

    def test_round_robin(self) -> None:
        """Of several streams with much to send, each gets every third frame."""
        link = connected()
        streams = opened(link, 3)
        for stream in streams:
            for _ in range(4):
                stream.send_data(b"x" * 100)
        self.assertEqual([frame.stream for frame in frames_of(link.gateway.connection)], [1, 3, 5] * 4)

    def test_a_newcomer_waits_one_round(self) -> None:
        """A small request behind large bodies is sent after one frame of each."""
        link = connected(Limits(data=1 * KIB))
        streams = opened(link, 3)
        for stream in streams:
            stream.send_data(bytes(WINDOW))
        newcomer = link.open()
        newcomer.send_end()
        order = [frame.stream for frame in frames_of(link.gateway.connection)]
        self.assertEqual(order.index(newcomer.id), 3)

    def test_requests_go_out_in_the_order_of_their_ids(self) -> None:
        """The peer takes a lower id for a reuse, so order is no matter of luck."""
        link = connected()
        streams = [link.open() for _ in range(8)]
        streams[2].reset(Code.CANCELLED, "gateway")
        for stream in reversed(streams):
            if stream.alive:
                stream.send_data(b"x")
        first = [frame.stream for frame in frames_of(link.gateway.connection) if frame.kind == Kind.REQUEST]
        self.assertEqual(first, [1, 3, 7, 9, 11, 13, 15])


class CreditTests(SynchronousTestCase):
    """Nobody sends what the peer did not allow."""

    def test_stream_without_credit_leaves_the_round(self) -> None:
        """Another one goes on; credit brings it back."""
        link = connected()
        one, two = opened(link, 2)
        one.send_data(bytes(WINDOW + 5))
        two.send_data(b"x" * 10)
        sent = frames_of(link.gateway.connection)
        self.assertEqual([(frame.stream, len(frame.body)) for frame in sent], [(1, WINDOW), (3, 10)])
        self.assertIs(one.place, Place.IDLE)
        link.gateway.connection.receive(v2.encode(Kind.WINDOW, 1, False, v2.pack_credit(3)))
        self.assertEqual([len(frame.body) for frame in frames_of(link.gateway.connection)], [3])

    def test_connection_without_credit(self) -> None:
        """Bodies wait for it, in their order; heads and ends do not."""
        link = connected(receiver=hello(connection_window=10))
        one, two, three = opened(link, 3)
        for stream in (one, two):
            stream.send_data(b"x" * 10)
        three.send_end()
        four = link.open()
        sent = [(frame.stream, len(frame.body), frame.end) for frame in frames_of(link.gateway.connection)]
        self.assertEqual(sent, [(1, 10, False), (5, 0, True), (four.id, 0, False)])
        self.assertIs(two.place, Place.STARVED)
        self.assertTrue(link.gateway.connection.outbound.idle)
        link.gateway.connection.receive(v2.encode(Kind.WINDOW, 0, False, v2.pack_credit(10)))
        self.assertEqual([frame.stream for frame in frames_of(link.gateway.connection)], [3])

    def test_head_goes_without_credit(self) -> None:
        """The body that was queued with it follows when there is some."""
        link = connected(receiver=hello(connection_window=1))
        streams = [link.open() for _ in range(2)]
        for stream in streams:
            stream.send_data(b"x")
        sent = frames_of(link.gateway.connection)
        self.assertEqual(
            [(frame.kind, bytes(frame.body)) for frame in sent], [(Kind.REQUEST, b"x"), (Kind.REQUEST, b"")]
        )

    def test_no_empty_frame(self) -> None:
        """With credit for half a piece, half is sent, and never a frame of nothing."""
        link = connected(receiver=hello(window=5))
        [stream] = opened(link, 1)
        for size in (3, 4):
            stream.send_data(b"x" * size)
        stream.send_end()
        self.assertEqual([len(frame.body) for frame in frames_of(link.gateway.connection)], [3, 2])
        link.gateway.connection.receive(v2.encode(Kind.WINDOW, 1, False, v2.pack_credit(9)))
        self.assertEqual([(len(frame.body), frame.end) for frame in frames_of(link.gateway.connection)], [(2, True)])


class SizeTests(SynchronousTestCase):
    """No frame is larger than the peer takes."""

    def test_smallest_frame_a_peer_may_ask_for(self) -> None:
        """The largest head with as much body as there may be, and the largest trailers too."""
        limits = Limits(data=1024 * KIB, stream_backlog=4096 * KIB)
        large = hello(window=2**30, connection_window=2**30, max_frame=256 * KIB)
        link = connected(limits, receiver=large)
        fields = [("a" * 500, "b" * 200)] * 90
        stream = link.open(request(headers=fields))
        stream.send_data(bytes(2**20))
        stream.send_end(fields)
        sizes = [len(message) for message in iter(link.gateway.connection.next_frame, None)]
        self.assertGreater(len(sizes), 4)
        self.assertLessEqual(max(sizes), 256 * KIB)

    def test_own_cap(self) -> None:
        """A peer that takes huge frames gets ours all the same."""
        link = connected(receiver=hello(window=2**30, connection_window=2**30, max_frame=2**20))
        stream = link.open()
        stream.send_data(bytes(300 * KIB))
        self.assertEqual(max(len(frame.body) for frame in frames_of(link.gateway.connection)), 64 * KIB)


class ForgetTests(SynchronousTestCase):
    """A stream that is cut leaves the round at once."""

    def test_while_the_link_is_stalled(self) -> None:
        """Streams that come and go on a link that sends nothing leave nothing behind."""
        link = connected()
        for _ in range(100):
            link.open().reset(Code.CANCELLED, "gateway")
            link.gateway.connection.invariants()
        self.assertTrue(link.gateway.connection.outbound.idle)

    def test_while_the_connection_has_no_credit(self) -> None:
        """Streams that wait for credit of the connection, and are cut, wait no more."""
        link = connected(receiver=hello(connection_window=1))
        for _ in range(20):
            stream = link.open()
            stream.send_data(b"xx")
            link.settle()
            self.assertIs(stream.place, Place.STARVED if stream.id > 1 else stream.place)
            stream.reset(Code.CANCELLED, "gateway")
            link.settle()
        self.assertEqual(link.gateway.connection.room, 8)
        link.gateway.connection.invariants()

    def test_others_keep_their_turn(self) -> None:
        """The order of those that stay is as it was."""
        link = connected()
        streams = opened(link, 4)
        for stream in streams:
            stream.send_data(b"x")
        streams[1].reset(Code.CANCELLED, "gateway")
        self.assertEqual([frame.stream for frame in frames_of(link.gateway.connection)], [3, 1, 5, 7])

    def test_close(self) -> None:
        """When the link is lost, streams in any place end, and nothing is sent."""
        link = connected(receiver=hello(connection_window=1))
        ready, starved, idle = opened(link, 3)
        for stream in (starved, ready):
            stream.send_data(b"xx")
        link.settle()
        ready.send_end()
        link.open()
        ended = link.gateway.connection.close(Code.UNREACHABLE)
        self.assertEqual(len(ended), 4)
        self.assertEqual({stream.place for stream in (ready, starved, idle)}, {Place.IDLE})
        link.gateway.connection.invariants()
        self.assertIsNone(link.gateway.connection.next_frame())


class BacklogTests(SynchronousTestCase):
    """Control frames that a peer does not read."""

    def test_ping_flood(self) -> None:
        """As many answers as the cap may wait; the next frame of the peer ends the connection."""
        link = connected(Limits(control_backlog=50))
        gateway = link.gateway.connection
        ping = v2.encode(Kind.PING, 0, False, b"12345678")
        for _ in range(50):
            gateway.receive(ping)
        with self.assertRaisesRegex(Exception, "more than it reads"):
            gateway.receive(ping)
        self.assertEqual(len(frames_of(gateway)), 50)

    def test_own_frames_never_fail(self) -> None:
        """An application that resets, consumes or leaves does not pay for its peer."""
        link = connected(Limits(control_backlog=1))
        link.open()
        stream = link.accepted()
        link.gateway.connection.ping(b"12345678")
        link.transmit(link.gateway)
        link.deliver(link.receiver)
        self.assertTrue(link.receiver.connection.outbound.overdue)
        stream.send_head(response())
        stream.reset(Code.INTERNAL, "app")
        link.receiver.connection.leave()
        self.assertEqual(
            [frame.kind for frame in frames_of(link.receiver.connection)], [Kind.PONG, Kind.RESET, Kind.GOAWAY]
        )
