"""Rules of L{anp_twisted.session.v1stream}."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import Code, InvalidMessage, StreamClosed
from anp_twisted.limits import Limits
from anp_twisted.session import events
from anp_twisted.session.connection import Role
from anp_twisted.session.v1stream import StreamV1
from anp_twisted.test.sessions import request, response
from anp_twisted.test.v1lab import LIMITS, SideV1, asking
from anp_twisted.wire import v1
from anp_twisted.wire.heads import Pairs
from anp_twisted.wire.v1 import Chunk

PART = LIMITS.v1_part


class RequestTests(SynchronousTestCase):
    """What a gateway sends."""

    def setUp(self) -> None:
        """No request yet."""
        self.side = SideV1(Role.GATEWAY)

    def test_one_frame(self) -> None:
        """A request waits until it is whole, then it is one frame, with the length that the caller did not tell."""
        stream = self.side.connection.open(request("POST"), None)
        stream.send_data(b"he")
        self.assertEqual(self.side.sent(), [])
        stream.send_data(b"llo")
        stream.send_end()
        (frame,) = self.side.sent()
        self.assertEqual((frame.kind, frame.body, frame.chunk), (v1.Kind.REQUEST, b"hello", None))
        self.assertEqual(json.loads(frame.meta or b"")["headers"], {"Content-Length": "5"})

    def test_without_body(self) -> None:
        """A request without body has no length, and no field for a body."""
        self.side.ask()
        (frame,) = self.side.sent()
        self.assertEqual((frame.body, json.loads(frame.meta or b"")["headers"]), (b"", {}))

    def test_too_large(self) -> None:
        """What does not fit into one frame is not sent at all, and may be asked of another receiver."""
        stream = self.side.connection.open(request("POST"), None)
        for _ in range(3):
            stream.send_data(bytes(PART))
        stream.send_end()
        self.assertEqual(self.side.sent(), [])
        (told,) = self.side.taken()
        assert isinstance(told, events.StreamReset)
        self.assertEqual(
            (told.reset.code, told.reset.source, told.reset.dispatched), (Code.TOO_LARGE, "receiver", False)
        )
        self.assertEqual(stream.backlog, 0)

    def test_just_too_large(self) -> None:
        """The head counts too."""
        self.side.ask(request("POST", [("X", "y" * 300)]), bytes(PART - 500))
        self.assertEqual(self.side.sent(), [])
        self.side.taken()
        self.side.ask(request("POST"), bytes(PART - 500))
        (frame,) = self.side.sent()
        self.assertLessEqual(len(v1.encode(frame)), PART)

    def test_told_too_large(self) -> None:
        """A length that the caller told is judged before a byte of the body came."""
        self.side.connection.open(request("POST", [("content-length", str(PART + 1))]), None)
        self.assertEqual(self.side.sent(), [])
        self.assertEqual(len(self.side.taken()), 1)

    def test_chunks_where_allowed(self) -> None:
        """With several frames allowed, each fits and says how many there are."""
        side = SideV1(Role.GATEWAY, Limits(v1_part=PART, v1_request_chunks=3))
        side.ask(request("POST"), bytes(range(250)) * 16)
        frames = side.sent()
        self.assertEqual([frame.chunk for frame in frames], [Chunk(0, 3), Chunk(1, 3), Chunk(2, 3, True)])
        self.assertEqual([frame.meta is not None for frame in frames], [True, False, False])
        self.assertEqual(b"".join(frame.body for frame in frames), bytes(range(250)) * 16)
        self.assertTrue(all(len(v1.encode(frame)) <= PART for frame in frames))

    def test_head_too_large(self) -> None:
        """A head over a cap is a mistake of who opens."""
        many: Pairs = [("X", "y")] * 200
        self.assertRaises(InvalidMessage, self.side.connection.open, request("GET", many), None)
        self.assertEqual(self.side.connection.streams, {})

    def test_losses(self) -> None:
        """What the mappings cannot say is counted, and so are trailers."""
        stream = self.side.connection.open(request("GET", [("Set-Cookie", "a"), ("Set-Cookie", "b")]), None)
        stream.send_end([("T", "1")])
        self.side.sent()
        self.assertEqual(self.side.connection.losses, 2)


class AnswerTests(SynchronousTestCase):
    """What a receiver sends."""

    def setUp(self) -> None:
        """A request waits."""
        self.side = SideV1(Role.RECEIVER)
        self.side.sent()
        self.stream: StreamV1 = self.side.asked(asking("r"))

    def head(self, length: int | None) -> None:
        """Begin the answer."""
        self.stream.send_head(response(200, [] if length is None else [("Content-Length", str(length))]))

    def test_long_of_known_length(self) -> None:
        """It goes out part by part while it is made; its producer waits when it is too quick."""
        self.head(3 * PART)
        self.assertEqual(self.side.sent(), [])
        self.assertFalse(self.stream.send_data(bytes(PART)))
        (first,) = self.side.sent()
        self.assertEqual(first.chunk, Chunk(0, 4))
        self.assertTrue(self.stream.send_data(bytes(2 * PART)))
        self.assertEqual([frame.chunk for frame in self.side.sent()], [Chunk(1, 4), Chunk(2, 4)])
        self.assertEqual(self.side.taken(), [events.StreamWritable(self.stream)])
        self.stream.send_end()
        self.assertEqual([frame.chunk for frame in self.side.sent()], [Chunk(3, 4, True)])
        self.assertEqual(self.side.taken(), [events.StreamEnded(self.stream)])

    def test_long_of_unknown_length(self) -> None:
        """It is held until its end, since each chunk says how many there are; its producer must not wait for that."""
        self.head(None)
        for _ in range(4):
            self.assertFalse(self.stream.send_data(bytes(PART)))
        self.assertEqual(self.side.sent(), [])
        self.stream.send_end()
        self.assertEqual([frame.chunk and frame.chunk.total for frame in self.side.sent()], [5] * 5)

    def test_endless(self) -> None:
        """What is too long to be held fails, and no memory is kept."""
        self.head(None)
        for _ in range(5):
            self.stream.send_data(bytes(PART))
        self.assertEqual(self.stream.backlog, 0)
        (error,) = self.side.sent()
        self.assertEqual((error.kind, error.request_id), (v1.Kind.ERROR, "r"))
        (told,) = self.side.taken()
        assert isinstance(told, events.StreamReset)
        self.assertEqual(told.reset.code, Code.TOO_LARGE)
        self.assertRaises(StreamClosed, self.stream.send_data, b"x")

    def test_not_as_long_as_told(self) -> None:
        """An answer that is shorter or longer than it said never looks complete."""
        for given in (2 * PART, 4 * PART):
            side = SideV1(Role.RECEIVER)
            side.sent()
            stream = side.asked(asking("r"))
            stream.send_head(response(200, [("Content-Length", str(3 * PART))]))
            frames = []
            for _ in range(given // PART):
                stream.send_data(bytes(PART))
                frames += side.sent()
                if not stream.alive:
                    break
            else:
                stream.send_end()
                frames += side.sent()
            self.assertFalse(any(frame.chunk and frame.chunk.final for frame in frames))
            self.assertEqual(frames[-1].kind, v1.Kind.ERROR)

    def test_much_shorter(self) -> None:
        """No chunk without content stands for what is missing."""
        self.head(1000 * PART)
        self.stream.send_data(bytes(PART))
        self.stream.send_end()
        self.assertEqual([frame.kind for frame in self.side.sent()], [v1.Kind.ERROR])

    def test_no_body(self) -> None:
        """An answer to HEAD tells a length and has no body."""
        self.head(5 * PART)
        self.stream.send_end()
        (frame,) = self.side.sent()
        self.assertEqual((frame.chunk, frame.body), (None, b""))

    def test_one_head(self) -> None:
        """Heads below 200 are dropped."""
        self.stream.send_informational(response(100))
        self.head(None)
        self.stream.send_end()
        self.assertEqual(len(self.side.sent()), 1)
        self.assertRaises(StreamClosed, self.stream.send_end)

    def test_turns(self) -> None:
        """A long answer does not keep a short one waiting."""
        other = self.side.asked(asking("q"))
        self.head(None)
        self.stream.send_data(bytes(4 * PART))
        self.stream.send_end()
        self.side.connection.next_frame()
        other.send_head(response())
        other.send_end()
        self.assertEqual([frame.request_id for frame in self.side.sent()][:2], ["r", "q"])

    def test_forgotten(self) -> None:
        """A stream that is cut leaves its place."""
        self.head(None)
        self.stream.send_end()
        self.stream.reset(Code.NO_ERROR, "app")
        self.assertEqual(self.side.sent(), [])
        self.assertTrue(self.side.connection.outbound.idle)
