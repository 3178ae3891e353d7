"""Tests of L{anp_twisted.receiver.target_reply}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import BackendFault
from anp_twisted.limits import Limits
from anp_twisted.receiver.target_reply import Part, Reply, ReplyEnd, ReplyEvent, ReplyHead

LIMITS = Limits(target_head=200, headers=4, informational=2)
COUNTED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 5\r\nx-a: 2\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nX-Sum: 1\r\nHost: no\r\n\r\n"
)


def joined(events: list[ReplyEvent]) -> list[ReplyEvent]:
    """The events with the pieces of the body in one."""
    body = b"".join(event for event in events if isinstance(event, bytes))
    return [*(event for event in events if isinstance(event, ReplyHead)), body, *events[-1:]]


class ReplyTests(SynchronousTestCase):
    """From bytes to events."""

    def events(self, data: bytes, method: str = "GET") -> list[ReplyEvent]:
        return Reply(method, LIMITS).feed(data)

    def refused(self, data: bytes, method: str = "GET") -> str:
        return str(self.assertRaises(BackendFault, self.events, data, method))

    def test_counted(self) -> None:
        """Fields keep case, order and repetitions."""
        head = ReplyHead(200, [(b"X-A", b"1"), (b"Content-Length", b"5"), (b"x-a", b"2")], False)
        self.assertEqual(self.events(COUNTED), [head, b"hello", ReplyEnd([])])

    def test_chunked(self) -> None:
        """Chunk framing is taken off; trailers that may be are kept."""
        self.assertEqual(self.events(CHUNKED), [ReplyHead(200, [], True), b"hello", ReplyEnd([(b"X-Sum", b"1")])])

    def test_until_close(self) -> None:
        """Without either, the end of the connection is the end, if it came in good order."""
        for cleanly in (True, False):
            reply = Reply("GET", LIMITS)
            self.assertEqual(reply.feed(b"HTTP/1.0 200 OK\r\n\r\nab"), [ReplyHead(200, [], False), b"ab"])
            if cleanly:
                self.assertEqual(reply.closed(True), [ReplyEnd([])])
            else:
                self.assertRaises(BackendFault, reply.closed, False)
            self.assertFalse(reply.reusable)

    def test_no_body(self) -> None:
        """HEAD, 204 and 304 have none, whatever the head says."""
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):
            data = b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status
            self.assertEqual(self.events(data, method)[1:], [ReplyEnd([])])
        self.assertEqual(self.events(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")[1:], [ReplyEnd([])])

    def test_before_the_answer(self) -> None:
        """Heads below 200 come first, but not without end, and never 101."""
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        events = self.events(b"HTTP/1.1 100 Continue\r\n\r\n" + hint + COUNTED)
        self.assertEqual([event.status for event in events if isinstance(event, ReplyHead)], [100, 103, 200])
        self.assertIn("too many heads", self.refused(hint * 3))
        self.assertIn("switched", self.refused(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"))

    def test_connection_fields(self) -> None:
        """What concerns the connection is left out."""
        data = b"HTTP/1.1 204 X\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-B: 2\r\n\r\n"
        self.assertEqual(self.events(data)[0], ReplyHead(204, [(b"X-B", b"2")], False))

    def test_reusable(self) -> None:
        """A connection goes on unless the server says otherwise, or says more than it was asked."""
        cases = {
            COUNTED: True,
            CHUNKED: True,
            COUNTED + b"x": False,
            COUNTED.replace(b"X-A: 1", b"Connection: close"): False,
            COUNTED.replace(b"1.1", b"1.0"): False,
        }
        for data, expected in cases.items():
            reply = Reply("GET", LIMITS)
            reply.feed(data)
            self.assertEqual((reply.part, reply.reusable), (Part.DONE, expected), data)

    def test_refused(self) -> None:
        """What two readers could read in two ways, or what is no HTTP, is not passed on."""
        ok = b"HTTP/1.1 200 OK\r\n"
        for data in (
            b"SSH-2.0-OpenSSH\r\n\r\n",
            b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 99 X\r\n\r\n",
            b"HTTP/1.1 200 OK\nA: 1\n\n",
            ok + b"A : 1\r\n\r\n",
            ok + b"A: \x01\r\n\r\n",
            ok + b"A: 1\r\n 2\r\n\r\n",
            ok + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
            ok + b"Content-Length: +1\r\n\r\n",
            ok + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ok + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            ok + b"Transfer-Encoding: identity\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            ok + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
            ok + b"A: 1\r\n" * 5 + b"\r\n",
            ok + b"A: " + b"x" * 200 + b"\r\n\r\n",
            ok + b"A: " + b"x" * 200,
        ):
            self.refused(data)

    def test_premature(self) -> None:
        """An end within the answer is none, wherever it comes."""
        for data in (COUNTED, CHUNKED):
            for size in range(len(data)):
                reply = Reply("GET", LIMITS)
                reply.feed(data[:size])
                self.assertRaises(BackendFault, reply.closed, True)
            reply = Reply("GET", LIMITS)
            reply.feed(data)
            self.assertEqual(reply.closed(True), [])

    @given(st.sampled_from([COUNTED, CHUNKED, b"HTTP/1.1 100 C\r\n\r\n" + CHUNKED]), st.data())
    def test_any_pieces(self, data: bytes, draw: st.DataObject) -> None:
        """However the bytes are cut, the events say the same."""
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
        reply = Reply("GET", LIMITS)
        events: list[ReplyEvent] = []
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            events += reply.feed(data[start:stop])
        self.assertEqual(joined(events), joined(self.events(data)))
        self.assertTrue(reply.reusable)
