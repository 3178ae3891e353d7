"""Rules of L{anp_twisted.session.v1}."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import Code, ConnectionClosed, ConnectionFault, UnexpectedFrame
from anp_twisted.limits import Limits
from anp_twisted.session import events
from anp_twisted.session.connection import Role, State
from anp_twisted.session.speech import WebSocketPing
from anp_twisted.session.stream import Phase
from anp_twisted.session.v1stream import StreamV1
from anp_twisted.test.frames import PROPERTY, V1_FRAMES
from anp_twisted.test.sessions import request, response
from anp_twisted.test.v1lab import LIMITS, REPLY, SideV1, asking, reply
from anp_twisted.wire import v1
from anp_twisted.wire.heads import ResponseHead
from anp_twisted.wire.v1 import Chunk

FLAT = ResponseHead(200, [])


def codes(told: list[events.Event]) -> list[int]:
    """The codes of the resets among events, all of which are resets."""
    return [event.reset.code for event in told if isinstance(event, events.StreamReset)] if told else []


class GatewayTests(SynchronousTestCase):
    """The side that asks."""

    def setUp(self) -> None:
        """No request yet."""
        self.side = SideV1(Role.GATEWAY)

    def running(self, count: int = 1) -> list[StreamV1]:
        """Requests that were sent."""
        streams = [self.side.ask() for _ in range(count)]
        self.side.sent()
        return streams

    def test_open_at_once(self) -> None:
        """There is no HELLO to wait for, and nothing is said before a request."""
        told = self.side.connection.take_events()
        self.assertEqual([type(event) for event in told], [events.HelloReceived])
        self.assertIs(self.side.connection.state, State.OPEN)
        self.assertEqual(self.side.sent(), [])

    def test_whole(self) -> None:
        """A whole answer is one event and the end; its slot is free."""
        (stream,) = self.running()
        told = self.side.hear(reply(stream, b"hello"))
        self.assertEqual(told, [events.ResponseReceived(stream, FLAT, b"hello", True), events.StreamEnded(stream)])
        self.assertEqual(self.side.connection.streams, {})
        stream.consume(5)
        self.side.connection.invariants()

    def test_chunks(self) -> None:
        """An answer in chunks is told as it comes."""
        (stream,) = self.running()
        told = self.side.hear(reply(stream, b"he", Chunk(0, 3)))
        self.assertEqual(told, [events.ResponseReceived(stream, FLAT, b"he", False)])
        told = self.side.hear(reply(stream, b"l", Chunk(1, 3), None))
        self.assertEqual(told, [events.DataReceived(stream, b"l", False, [])])
        told = self.side.hear(reply(stream, b"lo", Chunk(2, 3, True), None))
        self.assertEqual(told, [events.DataReceived(stream, b"lo", True, []), events.StreamEnded(stream)])

    def test_meta_late(self) -> None:
        """Nothing is told before the metadata is there."""
        (stream,) = self.running()
        self.assertEqual(self.side.hear(reply(stream, b"he", Chunk(0, 2), None)), [])
        told = self.side.hear(reply(stream, b"llo", Chunk(1, 2)))
        self.assertEqual(told[0], events.ResponseReceived(stream, FLAT, b"hello", True))

    def test_broken_answers(self) -> None:
        """A malformed answer costs its request, and is counted."""
        for frame in (
            lambda stream: reply(stream, meta=None),
            lambda stream: reply(stream, meta=b'{"status":"ok"}'),
            lambda stream: reply(stream, b"", Chunk(1, 2)),
            lambda stream: reply(stream, b"", Chunk(0, 0)),
        ):
            side = SideV1(Role.GATEWAY)
            stream = side.ask()
            side.sent()
            self.assertEqual(codes(side.hear(frame(stream))), [Code.PROTOCOL])
            self.assertEqual((side.connection.offences, side.connection.streams), (1, {}))

    def test_whole_amid_chunks(self) -> None:
        """A whole answer behind a part of one fails the request."""
        (stream,) = self.running()
        self.side.hear(reply(stream, b"x", Chunk(0, 2)))
        self.assertEqual(codes(self.side.hear(reply(stream))), [Code.PROTOCOL])

    def test_hijack(self) -> None:
        """Who answers what was not asked, or twice, changes nothing for others and is cut off at the third time."""
        first, second = self.running(2)
        self.assertEqual(self.side.hear(v1.Frame(v1.Kind.RESPONSE, "someone-else", REPLY, b"x")), [])
        self.side.hear(reply(first))
        self.assertEqual(self.side.hear(reply(first)), [])
        self.assertEqual(self.side.connection.offences, 2)
        self.assertRaises(UnexpectedFrame, self.side.hear, reply(first))
        self.assertIs(second.phase, Phase.OPEN)

    def test_before_it_was_sent(self) -> None:
        """A request that is still here cannot be answered."""
        stream = self.side.ask()
        self.assertEqual(self.side.hear(reply(stream)), [])
        self.assertEqual(self.side.connection.offences, 1)

    def test_late(self) -> None:
        """The answer to a request whose caller left is dropped in silence."""
        (stream,) = self.running()
        stream.reset(Code.CANCELLED, "gateway")
        self.assertEqual(self.side.sent(), [])
        self.assertEqual(self.side.hear(reply(stream), reply(stream, b"", Chunk(0, 2))), [])
        self.assertEqual(self.side.connection.offences, 0)

    def test_error(self) -> None:
        """An ERROR ends its request; one without id the only one there is."""
        first, second = self.running(2)
        self.assertEqual(self.side.hear(v1.Frame(v1.Kind.ERROR, "", None, b"what?")), [])
        told = self.side.hear(v1.Frame(v1.Kind.ERROR, first.request_id, None, b"<script>"))
        self.assertEqual(codes(told), [Code.UNREACHABLE])
        assert isinstance(told[0], events.StreamReset)
        self.assertEqual((told[0].reset.source, told[0].reset.text), ("receiver", ""))
        self.assertEqual(codes(self.side.hear(v1.Frame(v1.Kind.ERROR, ""))), [Code.UNREACHABLE])
        self.assertIs(second.phase, Phase.CUT)

    def test_garbage(self) -> None:
        """What is no frame is the answer to the only request there is, and the third ends the link."""
        first, second = self.running(2)
        self.side.connection.receive(b"nonsense")
        self.assertEqual(self.side.taken(), [])
        self.side.hear(reply(first))
        self.side.connection.receive(b"")
        self.assertEqual(codes(self.side.taken()), [Code.PROTOCOL])
        self.assertIs(second.phase, Phase.CUT)
        self.assertRaises(ConnectionFault, self.side.connection.receive, b"ANPX")

    def test_wrong_side(self) -> None:
        """A receiver asks nothing."""
        self.assertEqual(self.side.hear(asking()), [])
        self.assertEqual(self.side.connection.offences, 1)

    def test_too_much(self) -> None:
        """What a consumer does not take is bounded for a request, and for all of them."""
        (stream,) = self.running()
        self.side.hear(reply(stream, bytes(6000), Chunk(0)))
        self.assertEqual(codes(self.side.hear(reply(stream, bytes(6000), Chunk(1), None))), [Code.FLOW_CONTROL])
        self.assertEqual(self.side.connection.offences, 0)
        one, two = self.running(2)
        self.side.hear(reply(one, bytes(9000), Chunk(0)))
        self.assertEqual(codes(self.side.hear(reply(two, bytes(9000)))), [Code.FLOW_CONTROL])

    def test_taken(self) -> None:
        """What was taken makes room, also behind the end."""
        for _ in range(5):
            (stream,) = self.running()
            self.side.hear(reply(stream, bytes(9000), Chunk(0)))
            stream.consume(9000)
            self.side.hear(reply(stream, bytes(9000), Chunk(1, None, True), None))
            stream.consume(9000)
            self.side.connection.invariants()

    def test_assemblies(self) -> None:
        """Only so many messages may have begun."""
        streams = self.running(4)
        for stream in streams[:3]:
            self.assertEqual(len(self.side.hear(reply(stream, b"x", Chunk(0)))), 1)
        self.assertEqual(codes(self.side.hear(reply(streams[3], b"x", Chunk(0)))), [Code.PROTOCOL])

    def test_stopped_growing(self) -> None:
        """A message that does not end is given up in time, and one that grows is not."""
        slow, lively = self.running(2)
        self.side.hear(reply(slow, b"x", Chunk(0)), reply(lively, b"x", Chunk(0)), now=100.0)
        self.assertEqual(self.side.connection.tick(110.0), 20.0)
        self.side.hear(reply(lively, b"x", Chunk(1), None), now=120.0)
        self.assertEqual(self.side.connection.tick(130.0), 20.0)
        self.assertEqual(codes(self.side.taken()), [Code.TIMEOUT])
        self.assertEqual(list(self.side.connection.streams.values()), [lively])

    def test_chunk_flood(self) -> None:
        """Empty chunks have an end."""
        side = SideV1(Role.GATEWAY, Limits(v1_chunks=50))
        stream = side.ask()
        side.sent()
        told: list[events.Event] = []
        for index in range(51):
            told += side.hear(reply(stream, b"", Chunk(index), REPLY if not index else None))
        self.assertEqual(codes(told[-1:]), [Code.PROTOCOL])

    def test_room(self) -> None:
        """There is an end to open streams; on a connection that leaves or is closed there are none."""
        self.assertEqual(self.side.connection.room, LIMITS.streams)
        self.running(LIMITS.streams)
        self.assertRaises(ConnectionClosed, self.side.ask)
        self.side.connection.leave()
        self.assertEqual((self.side.connection.room, self.side.connection.state), (0, State.LEAVING))

    def test_close(self) -> None:
        """The end of the link is the end of every request; one that was not sent may be asked elsewhere."""
        (sent,) = self.running()
        unsent = self.side.ask()
        told = self.side.connection.close(Code.UNREACHABLE)
        resets = {event.stream.id: event.reset.dispatched for event in told if isinstance(event, events.StreamReset)}
        self.assertEqual(resets, {sent.id: True, unsent.id: False})
        self.side.connection.receive(v1.encode(reply(sent)))
        self.assertEqual((self.side.taken(), self.side.sent()), ([], []))

    def test_excused(self) -> None:
        """The silence of a receiver that works means nothing."""
        self.assertFalse(self.side.connection.excused)
        (stream,) = self.running()
        self.assertTrue(self.side.connection.excused)
        self.side.hear(reply(stream))
        self.assertFalse(self.side.connection.excused)

    def test_ping(self) -> None:
        """It asks with a PING of the WebSocket, and answers JSON pings."""
        self.side.connection.ping(b"12345678")
        self.assertEqual(self.side.connection.next_frame(), WebSocketPing(b"12345678"))
        self.side.connection.receive_text('{"type":"ping","timestamp":1.5}')
        self.assertEqual(self.side.connection.next_frame(), '{"type":"pong","timestamp":1.5}')

    def test_flood(self) -> None:
        """Who makes us answer without reading is cut off."""
        with self.assertRaises(UnexpectedFrame):
            for _ in range(LIMITS.control_backlog + 1):
                self.side.connection.receive_text('{"type":"ping"}')

    @given(st.sampled_from(V1_FRAMES), st.data())
    @PROPERTY
    def test_damage(self, frame: v1.Frame, data: st.DataObject) -> None:
        """Whatever comes, nothing but a fault of the connection is raised, and the books stay right."""
        side = SideV1(Role.GATEWAY)
        stream = side.ask()
        side.sent()
        whole = bytearray(v1.encode(v1.Frame(frame.kind, stream.request_id, frame.meta, frame.body, frame.chunk)))
        bit = data.draw(st.integers(0, len(whole) * 8 - 1))
        whole[bit // 8] ^= 1 << bit % 8
        side.connection.receive(bytes(whole))
        self.assertEqual(side.connection.offences, 1)
        self.assertEqual(codes(side.taken()), [Code.PROTOCOL])


class ReceiverTests(SynchronousTestCase):
    """The side that answers."""

    def setUp(self) -> None:
        """Connected."""
        self.side = SideV1(Role.RECEIVER)
        self.side.sent()

    def errors(self) -> list[tuple[str, bytes]]:
        """The ERROR frames that would be sent."""
        return [(frame.request_id, frame.body) for frame in self.side.sent() if frame.kind == v1.Kind.ERROR]

    def test_ready(self) -> None:
        """It says once that it is there, and pings from then on."""
        self.assertEqual([json.loads(text)["type"] for text in self.side.texts], ["connection_ready"])
        self.assertEqual(self.side.connection.tick(100.0), 10.0)
        self.assertEqual(self.side.connection.tick(104.0), 6.0)
        self.assertEqual(self.side.connection.tick(110.0), 10.0)
        self.side.sent()
        self.assertEqual(
            [json.loads(text) for text in self.side.texts[1:]],
            [{"type": "ping", "timestamp": 1000.0}, {"type": "ping", "timestamp": 1010.0}],
        )

    def test_whole(self) -> None:
        """A request and its answer are a frame each; the id comes back as it was."""
        stream = self.side.asked(asking("R-7", b"body"))
        stream.send_head(response(201, [("A", "b")]))
        stream.send_data(b"hel")
        stream.send_data(b"lo")
        stream.send_end()
        (frame,) = self.side.sent()
        self.assertEqual((frame.kind, frame.request_id, frame.body, frame.chunk), (2, "R-7", b"hello", None))
        meta = json.loads(frame.meta or b"")
        self.assertEqual((meta["status"], meta["reason"], meta["headers"]), (201, "Created", {"A": "b"}))
        self.assertEqual(self.side.taken(), [events.StreamEnded(stream)])
        self.assertEqual(self.side.connection.streams, {})

    def test_chunks(self) -> None:
        """A request in chunks is told as it comes."""
        stream = self.side.asked(asking("r", b"he", Chunk(0, 2)))
        told = self.side.hear(asking("r", b"llo", Chunk(1, 2, True)))
        self.assertEqual(told, [events.DataReceived(stream, b"llo", True, [])])

    def test_early_answer(self) -> None:
        """What still comes of a request that was answered is dropped in silence."""
        stream = self.side.asked(asking("r", b"he", Chunk(0, 3)))
        stream.send_head(response())
        stream.send_end()
        self.side.sent()
        self.assertEqual(self.side.taken(), [events.StreamEnded(stream)])
        self.assertEqual(self.side.hear(asking("r", b"l", Chunk(1, 3)), asking("r", b"o", Chunk(2, 3))), [])
        self.assertEqual((self.side.connection.offences, self.errors()), (0, []))

    def test_malformed(self) -> None:
        """A request that is none is answered with an ERROR and counted."""
        self.assertEqual(self.side.hear(asking("a", meta=b"{}"), asking("b", meta=None)), [])
        self.assertEqual(self.errors(), [("a", b"malformed request"), ("b", b"malformed request")])
        self.assertRaises(UnexpectedFrame, self.side.hear, asking("c", b"", Chunk(1, 2)))

    def test_twice(self) -> None:
        """A second request of the same id fails the first."""
        self.side.asked(asking("r"))
        self.assertEqual(codes(self.side.hear(asking("r"))), [Code.PROTOCOL])
        self.assertEqual([name for name, _ in self.errors()], ["r"])
        self.side.asked(asking("r"))

    def test_busy(self) -> None:
        """There is an end to requests at once."""
        for number in range(8):
            self.side.asked(asking(f"r{number}"))
        self.assertEqual(
            self.side.hear(asking("more"), asking("other", b"", Chunk(0, 2)), asking("other", b"", Chunk(1, 2))), []
        )
        self.assertEqual(self.errors(), [("more", b"busy"), ("other", b"busy")])
        self.assertEqual(self.side.connection.offences, 0)

    def test_assemblies(self) -> None:
        """Only so many requests may have begun; the next is refused."""
        for number in range(3):
            self.side.asked(asking(f"r{number}", b"", Chunk(0)))
        told = self.side.hear(asking("r3", b"", Chunk(0)))
        self.assertEqual((codes(told), self.errors()), ([Code.PROTOCOL], [("r3", b"the peer broke the protocol")]))

    def test_failure(self) -> None:
        """A failure of the application becomes an ERROR with a text of ours; what nobody needs becomes nothing."""
        self.side.asked(asking("r")).reset(Code.APP_FAILED, "app", "the application failed")
        self.side.asked(asking("q")).reset(Code.NO_ERROR, "app")
        self.assertEqual(self.errors(), [("r", b"the application failed")])

    def test_slow_application(self) -> None:
        """A request that comes faster than it is read is given up, and the gateway hears of it."""
        self.side.asked(asking("r", bytes(9000), Chunk(0)))
        told = self.side.hear(asking("r", bytes(9000), Chunk(1)))
        self.assertEqual(codes(told), [Code.FLOW_CONTROL])
        self.assertEqual([name for name, _ in self.errors()], ["r"])

    def test_cancelled(self) -> None:
        """A gateway that gives a request up is a caller that left."""
        self.side.asked(asking("r"))
        self.assertEqual(codes(self.side.hear(v1.Frame(v1.Kind.ERROR, "r"))), [Code.CANCELLED])

    def test_leaving(self) -> None:
        """A gateway cannot be told, so what it still sends is taken."""
        self.side.connection.leave()
        self.side.asked(asking("r"))

    def test_garbage(self) -> None:
        """It is counted."""
        self.side.asked(asking("r"))
        self.side.connection.receive(b"x")
        self.side.connection.receive(b"x")
        self.assertEqual(self.side.taken(), [])
        self.assertRaises(ConnectionFault, self.side.connection.receive, b"x")


class PairTests(SynchronousTestCase):
    """Both sides of this project, reached over version 1."""

    @given(st.binary(max_size=5000), st.binary(max_size=8000), st.booleans())
    @PROPERTY
    def test_round(self, body: bytes, answer: bytes, told: bool) -> None:
        """Whatever goes in comes out, in one frame or in chunks, and nothing is left."""
        limits = Limits(v1_part=2000, v1_request_chunks=4, v1_answer=9000)
        gateway, receiver = SideV1(Role.GATEWAY, limits), SideV1(Role.RECEIVER, limits)
        receiver.sent()
        stream = gateway.ask(request("POST", [("X", "1"), ("X", "2")]), body)
        frames = gateway.sent()
        events_in = [event for frame in frames for event in receiver.hear(frame)]
        first = events_in[0]
        assert isinstance(first, events.RequestReceived)
        self.assertEqual(first.head.headers[:2], [("X", "1"), ("X", "2")])
        self.assertEqual(b"".join(event.body for event in events_in), body)  # type: ignore[union-attr]
        first.stream.send_head(response(200, [("Content-Length", str(len(answer)))] if told else []))
        for start in range(0, len(answer), 700):
            first.stream.send_data(answer[start : start + 700])
        first.stream.send_end()
        out = [event for frame in receiver.sent() for event in gateway.hear(frame)]
        self.assertEqual(b"".join(event.body for event in out[:-1]), answer)  # type: ignore[union-attr]
        self.assertEqual(out[-1], events.StreamEnded(stream))
        for side in (gateway, receiver):
            side.connection.invariants()
            self.assertEqual((side.connection.streams, side.connection.offences), ({}, 0))
