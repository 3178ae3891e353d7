"""Rules of L{anp_twisted.transports.link}."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from anp_twisted.auth.identity import RECEIVER
from anp_twisted.errors import ANPError, Code, ConnectionClosed, FrameError, LinkLost, LinkSilent
from anp_twisted.limits import Limits
from anp_twisted.session import events
from anp_twisted.session.connection import Connection, Role
from anp_twisted.session.speech import Message
from anp_twisted.test.wires import Owner, StreamLog, Turns, hello
from anp_twisted.transports.link import BURST, Flood, Link, State, Wiring
from anp_twisted.wire import v2
from anp_twisted.wire.heads import RequestHead, ResponseHead

LIMITS = Limits(handshake=10.0, ping_after=10.0, dead_after=25.0, closing=5.0, websocket_controls=3)
HEAD = RequestHead("GET", "/", [])
GONE = LinkLost("gone")


class FakeSocket:
    """
    A socket that keeps what a link does with it.

    @ivar sent: frames that were written and not yet moved.
    @ivar said: closes, failures and aborts.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.said: list[Any] = []
        self.producer: IPushProducer | None = None
        self.on_send: Callable[[], None] = lambda: None

    def send(self, frames: list[Message]) -> None:
        self.sent += frames
        self.on_send()

    def start_producing(self, producer: IPushProducer) -> None:
        self.producer = producer

    def close(self, code: int, reason: str) -> None:
        self.said.append((code, reason))

    def fail(self, code: int, reason: str) -> None:
        self.said.append((code, reason))

    def abort(self) -> None:
        self.said.append("abort")


class Side:
    """One link with its socket and its owner."""

    def __init__(self, role: Role, clock: Clock, turns: Turns) -> None:
        self.socket = FakeSocket()
        self.owner = Owner()
        self.turns = turns
        connection = Connection(role, hello(LIMITS), LIMITS)
        wiring = Wiring(clock, turns.soon, LIMITS, self.owner)
        self.link = Link(self.socket, connection, wiring, identity=RECEIVER, remote="there")

    def open(self) -> None:
        """Open the WebSocket."""
        self.link.socket_made()
        self.link.socket_open()

    def hear(self, frames: list[Any]) -> None:
        """Receive frames."""
        for frame in frames:
            self.link.bytes_received()
            self.link.message_received(frame)


class LinkTestCase(SynchronousTestCase):
    """Two links, each at the other's end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns()
        self.gateway = Side(Role.GATEWAY, self.clock, self.turns)
        self.receiver = Side(Role.RECEIVER, self.clock, self.turns)

    def connect(self) -> None:
        """Open both, as far as the HELLOs."""
        self.gateway.open()
        self.receiver.open()
        self.settle()
        self.assertIs(self.gateway.link.state, State.OPEN)

    def settle(self) -> None:
        """Move frames until there are none."""
        while True:
            self.turns.end()
            up, self.receiver.socket.sent = self.receiver.socket.sent, []
            down, self.gateway.socket.sent = self.gateway.socket.sent, []
            if not up and not down:
                return
            self.gateway.hear(up)
            self.receiver.hear(down)

    def request(self, head: RequestHead = HEAD) -> StreamLog:
        """Open a stream at the gateway."""
        log = StreamLog(self.gateway.link)
        log.stream = self.gateway.link.connection.open(head, log)
        self.gateway.link.wake()
        return log

    def serve(self, link: Link, event: events.RequestReceived) -> None:
        """Take a request at the receiver and say nothing yet."""
        event.stream.owner = self.served = StreamLog(link)
        self.served.stream = event.stream


class LifeTests(LinkTestCase):
    """From the socket to the end."""

    def test_open(self) -> None:
        """A link is told to its owner when both HELLOs are there, not before."""
        self.gateway.open()
        self.turns.end()
        self.assertEqual(len(self.gateway.socket.sent), 1)
        self.assertEqual(self.gateway.owner.log, [])
        self.receiver.open()
        self.settle()
        self.assertEqual(self.gateway.owner.log, ["open"])
        self.assertEqual(self.receiver.owner.log, ["open"])
        verifyObject(IPushProducer, self.gateway.link)
        self.assertIs(self.gateway.socket.producer, self.gateway.link)

    def test_receiverIsOpenLater(self) -> None:
        """A receiver's link is open when the gateway has answered what came behind its HELLO, so it is known there."""
        self.gateway.open()
        self.receiver.open()
        self.turns.end()
        self.receiver.hear(self.gateway.socket.sent)
        self.turns.end()
        self.assertEqual((self.receiver.owner.log, self.receiver.link.state), ([], State.GREETING))
        self.gateway.socket.sent.clear()
        self.gateway.hear(self.receiver.socket.sent)
        self.assertEqual(self.gateway.owner.log, ["open"])
        self.turns.end()
        self.receiver.hear(self.gateway.socket.sent)
        self.assertEqual(self.receiver.owner.log, ["open"])

    def test_wakeBeforeOpen(self) -> None:
        """To be woken too early does no harm, and does not prevent the HELLO."""
        self.gateway.link.socket_made()
        self.gateway.link.wake()
        self.turns.end()
        self.assertEqual(self.gateway.socket.sent, [])
        self.gateway.link.socket_open()
        self.turns.end()
        self.assertEqual(len(self.gateway.socket.sent), 1)

    def test_handshakeIsLate(self) -> None:
        """Without a HELLO the link is cut after 10 s from the socket on, and the owner never hears of it."""
        for open_it in (False, True):
            side = Side(Role.GATEWAY, self.clock, self.turns)
            side.link.socket_made()
            if open_it:
                side.link.socket_open()
            self.clock.advance(9.9)
            side.link.bytes_received()
            self.assertEqual(side.socket.said, [])
            self.clock.advance(0.2)
            self.assertEqual(side.socket.said, ["abort"])
            self.assertIsInstance(side.link.reason, LinkSilent)
            side.link.socket_lost(GONE)
            self.assertEqual(side.owner.log, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost(self) -> None:
        """The socket is lost: each stream hears it once, then the owner once; no timer is left."""
        self.connect()
        self.receiver.owner.on_request = self.serve
        logs = [self.request() for _ in range(3)]
        self.settle()
        order: list[str] = []
        for log in logs:
            log.on_event = lambda event: order.extend(self.gateway.owner.log)
        for side in (self.gateway, self.receiver):
            side.link.socket_lost(GONE)
            side.link.socket_lost(GONE)
            self.assertEqual(side.owner.log.count("lost"), 1)
            self.assertEqual(side.owner.reasons, [GONE])
            self.assertIs(side.link.state, State.LOST)
        self.assertEqual([log.seen for log in logs], [["StreamReset"]] * 3)
        self.assertNotIn("lost", order)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """A close flushes what is queued, tells everybody at once and waits 5 s for the socket."""
        self.connect()
        log = self.request()
        self.gateway.link.close(1001, "bye")
        self.assertEqual(len(self.gateway.socket.sent), 1)
        self.assertEqual(self.gateway.socket.said, [(1001, "bye")])
        self.assertEqual(log.seen, ["StreamReset"])
        self.assertEqual(self.gateway.owner.log, ["open", "lost"])
        self.gateway.link.close(1001, "bye")
        self.assertEqual(len(self.gateway.socket.said), 1)
        self.clock.advance(5.0)
        self.assertEqual(self.gateway.socket.said[1:], ["abort"])
        self.gateway.link.socket_lost(GONE)
        self.assertIsInstance(self.gateway.link.reason, ConnectionClosed)
        self.assertEqual(self.gateway.owner.log, ["open", "lost"])

    def test_abort(self) -> None:
        """An abort tells everybody at once; after it nothing is sent or heard."""
        self.connect()
        log = self.request()
        self.gateway.link.abort(GONE)
        self.assertEqual(self.gateway.socket.said, ["abort"])
        self.assertEqual((log.seen, self.gateway.owner.reasons), (["StreamReset"], [GONE]))
        self.gateway.link.message_received(b"anything")
        self.gateway.link.wake()
        self.turns.end()
        self.assertEqual(self.gateway.socket.sent, [])
        self.gateway.link.socket_lost(ANPError())
        self.gateway.link.abort(ANPError())
        self.assertEqual(self.gateway.owner.reasons, [GONE])

    def test_closedByPeer(self) -> None:
        """A close of the peer is told at once; a socket that stays is cut after 5 s."""
        self.connect()
        self.gateway.link.socket_closing(GONE)
        self.assertEqual(self.gateway.owner.reasons, [GONE])
        self.clock.advance(5.0)
        self.assertEqual(self.gateway.socket.said, ["abort"])

    def test_closeWhileConnecting(self) -> None:
        """Before the WebSocket is open there is nothing to close in good order."""
        self.gateway.link.socket_made()
        self.gateway.link.close(1001, "bye")
        self.assertEqual(self.gateway.socket.said, ["abort"])


class FaultTests(LinkTestCase):
    """What a peer or an owner does wrong."""

    def test_fault(self) -> None:
        """A fault of the session closes the link with its own code and no text of the peer."""
        self.connect()
        log = self.request()
        self.gateway.link.message_received(b"rubbish")
        self.assertEqual(self.gateway.socket.said, [(FrameError.close_code, "protocol")])
        self.assertEqual((log.seen, self.gateway.owner.log), (["StreamReset"], ["open", "lost"]))

    def test_tooLarge(self) -> None:
        """A frame over the cap is 1009."""
        self.connect()
        self.gateway.link.message_received(bytes(LIMITS.frame + 1))
        self.assertEqual(self.gateway.socket.said, [(1009, "too large")])

    def test_flood(self) -> None:
        """WebSocket control frames are counted between two looks at the peer; one too many is 1008."""
        self.connect()
        for _ in range(3):
            for _ in range(3):
                self.gateway.link.control_received()
            self.gateway.link.bytes_received()
            self.clock.advance(10.0)
        self.assertEqual(self.gateway.socket.said, [])
        for _ in range(4):
            self.gateway.link.control_received()
        self.assertEqual(self.gateway.socket.said, [(1008, "protocol")])
        self.assertIsInstance(self.gateway.link.reason, Flood)

    def test_streamOwnerFails(self) -> None:
        """The failure of a stream's owner costs that stream; the peer hears a fixed text, the others go on."""
        self.connect()
        self.receiver.owner.on_request = self.serve
        bad, good = self.request(), self.request()
        self.settle()

        def fail(event: events.Event) -> None:
            raise RuntimeError("a secret")

        bad.on_event = fail
        for stream in list(self.receiver.link.connection.streams.values()):
            stream.send_head(ResponseHead(200, []))
        self.receiver.link.wake()
        self.settle()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(good.seen, ["ResponseReceived"])
        self.assertEqual(list(self.receiver.link.connection.streams), [good.stream.id])
        self.assertIs(self.gateway.link.state, State.OPEN)

    def test_linkOwnerFails(self) -> None:
        """The failure of a link's owner at a request costs the request, at the opening the link."""

        def fail(*_: object) -> None:
            raise RuntimeError("a secret")

        self.connect()
        self.receiver.owner.on_request = fail
        log = self.request()
        self.settle()
        self.assertEqual(log.seen, ["StreamReset"])
        self.gateway = Side(Role.GATEWAY, self.clock, self.turns)
        self.receiver = Side(Role.RECEIVER, self.clock, self.turns)
        self.gateway.owner.on_open = fail
        self.gateway.open()
        self.receiver.open()
        self.settle()
        self.assertEqual(self.gateway.socket.said, [(1011, "internal")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_ownerFailsAtTheEnd(self) -> None:
        """The failure of an owner at the end of a link is logged, and the end is the end."""
        self.connect()
        done = self.gateway.link.leave()

        def fail(link: Link, reason: ANPError) -> None:
            raise RuntimeError("a secret")

        self.patch(self.gateway.owner, "link_lost", fail)
        self.gateway.link.abort(GONE)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertIsNone(self.successResultOf(done))

    def test_socketFails(self) -> None:
        """A socket that cannot write ends the link instead of leaving it half alive."""
        self.connect()

        def fail() -> None:
            raise RuntimeError("a secret")

        self.gateway.socket.on_send = fail
        self.request()
        self.turns.end()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.gateway.socket.said, [(1011, "internal")])

    def test_controlBacklog(self) -> None:
        """A peer that makes us owe more answers than it takes is closed, and not held forever."""
        self.connect()
        self.gateway.link.pauseProducing()
        ping = v2.encode(v2.Kind.PING, 0, False, bytes(8))
        for _ in range(LIMITS.control_backlog + 1):
            self.gateway.link.message_received(ping)
        self.assertEqual(self.gateway.socket.said, [(1002, "protocol")])


class ReentryTests(LinkTestCase):
    """Owners call back while they are called."""

    def test_abortFromStream(self) -> None:
        """An owner that cuts the link: the others' events come in order, and the reset of each is its last."""
        self.connect()
        self.receiver.owner.on_request = self.serve
        logs = [self.request() for _ in range(4)]
        self.settle()
        for log in logs:
            log.stream.send_data(bytes(200_000))
        logs[0].on_event = lambda event: self.gateway.link.abort(GONE)
        logs[2].on_event = lambda event: self.gateway.link.close(1001, "bye")
        self.gateway.link.wake()
        self.settle()
        for log in logs:
            self.assertEqual(log.seen.count("StreamReset"), 1)
            self.assertEqual(log.seen[-1], "StreamReset")
        self.assertEqual(self.gateway.owner.reasons, [GONE])

    def test_abortFromOpen(self) -> None:
        """An owner that does not want a link can cut it when it hears of it."""
        self.gateway.owner.on_open = lambda link: link.abort(GONE)
        self.gateway.open()
        self.receiver.open()
        self.settle()
        self.assertEqual(self.gateway.owner.log, ["open", "lost"])
        self.assertEqual(self.gateway.socket.said, ["abort"])

    def test_openFromEnd(self) -> None:
        """A stream that ends may open the next one from within."""
        self.connect()
        self.receiver.owner.on_request = lambda link, event: self.answer(link, event)
        log = self.request()
        log.stream.send_end()
        follow: list[StreamLog] = []

        def again(event: events.Event) -> None:
            if isinstance(event, events.StreamEnded):
                follow.append(self.request())
                follow[-1].stream.send_end()

        log.on_event = again
        self.settle()
        self.assertEqual(follow[0].seen, ["ResponseReceived", "StreamEnded"])

    def answer(self, link: Link, event: events.RequestReceived) -> None:
        """Answer at once."""
        event.stream.owner = StreamLog(link)
        event.stream.send_head(ResponseHead(204, []))
        event.stream.send_end()
        link.wake()

    def test_unowned(self) -> None:
        """Events of a stream nobody looks after are dropped."""
        self.connect()
        self.receiver.owner.on_request = self.serve
        log = self.request()
        log.stream.owner = None
        self.settle()
        self.served.stream.send_head(ResponseHead(204, []))
        self.receiver.link.wake()
        self.settle()
        self.assertEqual(log.seen, [])


class FlowTests(LinkTestCase):
    """Who writes when."""

    def test_oncePerTurn(self) -> None:
        """Any number of wakes is one write."""
        self.connect()
        for _ in range(5):
            self.request()
        self.assertEqual(len(self.turns.due), 1)
        self.assertEqual(self.gateway.socket.sent, [])

    def test_paused(self) -> None:
        """While the socket is full nothing is taken from the session; then all goes on."""
        self.connect()
        self.gateway.link.pauseProducing()
        self.request()
        self.turns.end()
        self.assertEqual(self.gateway.socket.sent, [])
        self.gateway.link.resumeProducing()
        self.gateway.link.resumeProducing()
        self.turns.end()
        self.assertEqual(len(self.gateway.socket.sent), 1)

    def test_pausedBetween(self) -> None:
        """A pause that comes after the wake holds as well, however often it changes."""
        self.connect()
        self.request()
        self.gateway.link.pauseProducing()
        self.turns.due, due = [], self.turns.due
        self.gateway.link.resumeProducing()
        self.gateway.link.pauseProducing()
        for function in due + self.turns.due:
            function()
        self.assertEqual(self.gateway.socket.sent, [])

    def test_bursts(self) -> None:
        """No more than a burst is written in one turn, and what is left has a turn of its own."""
        self.connect()
        log = self.request()
        log.stream.send_data(bytes(150_000))
        self.turns.due.pop()()
        first = sum(map(len, self.gateway.socket.sent))
        self.assertLess(first, 2 * BURST + 200)
        self.assertEqual(len(self.turns.due), 1)
        self.turns.end()
        self.assertGreater(sum(map(len, self.gateway.socket.sent)), 150_000)

    def test_stopProducing(self) -> None:
        """A transport that is gone is written to no more."""
        self.connect()
        self.gateway.link.stopProducing()
        self.request()
        self.turns.end()
        self.assertEqual(self.gateway.socket.sent, [])

    def test_closeWhilePaused(self) -> None:
        """A close does not push data into a socket that is full."""
        self.connect()
        self.request()
        self.gateway.link.pauseProducing()
        self.gateway.link.close(1001, "bye")
        self.assertEqual(self.gateway.socket.sent, [])
        self.assertEqual(self.gateway.socket.said, [(1001, "bye")])


class LivenessTests(LinkTestCase):
    """A peer that is gone without a word."""

    def test_roundTrip(self) -> None:
        """The round trip is known as soon as the link is open."""
        self.gateway.open()
        self.receiver.open()
        self.turns.end()
        self.gateway.hear(self.receiver.socket.sent)
        self.receiver.hear(self.gateway.socket.sent)
        self.receiver.socket.sent, self.gateway.socket.sent = [], []
        self.turns.end()
        self.assertIsNone(self.gateway.link.rtt)
        self.clock.advance(0.25)
        self.settle()
        self.assertEqual(self.gateway.link.rtt, 0.25)

    def test_idle(self) -> None:
        """Two idle peers keep each other alive with a PING in 10 s, for as long as they like."""
        self.connect()
        for _ in range(100):
            self.clock.advance(5.0)
            self.settle()
        self.assertIs(self.gateway.link.state, State.OPEN)
        self.assertEqual(len(self.clock.getDelayedCalls()), 2)

    def test_dead(self) -> None:
        """A peer of which nothing comes is cut after 25 s, although we could still write to it."""
        self.connect()
        log = self.request()
        self.turns.end()
        for _ in range(24):
            self.clock.advance(1.0)
            self.turns.end()
        self.assertEqual(len(self.gateway.socket.sent), 3)
        self.assertEqual(self.gateway.socket.said, [])
        self.clock.advance(1.0)
        self.assertEqual(self.gateway.socket.said, ["abort"])
        self.assertIsInstance(self.gateway.owner.reasons[0], LinkSilent)
        self.assertEqual(log.seen, ["StreamReset"])

    def test_anyByte(self) -> None:
        """Half a frame is a sign of life."""
        self.connect()
        for _ in range(10):
            self.clock.advance(9.0)
            self.gateway.link.bytes_received()
        self.assertIs(self.gateway.link.state, State.OPEN)

    def test_stuck(self) -> None:
        """A peer that speaks but reads nothing is cut as well, before it costs more than one burst."""
        self.connect()
        self.gateway.link.pauseProducing()
        for _ in range(7):
            self.clock.advance(9.9)
            self.gateway.link.bytes_received()
        self.assertEqual(self.gateway.socket.said, ["abort"])

    def test_notStuck(self) -> None:
        """One that was slow once is not."""
        self.connect()
        self.gateway.link.pauseProducing()
        self.gateway.link.resumeProducing()
        for _ in range(14):
            self.clock.advance(5.0)
            self.settle()
        self.assertIs(self.gateway.link.state, State.OPEN)


class LeaveTests(LinkTestCase):
    """Going in good order."""

    def test_idle(self) -> None:
        """Without streams it takes one round trip."""
        self.connect()
        done = self.receiver.link.leave(2.0)
        self.turns.end()
        self.assertNoResult(done)
        self.settle()
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.gateway.owner.log, ["open", "GoawayReceived"])
        self.assertEqual(self.gateway.link.connection.room, 0)

    def test_streams(self) -> None:
        """Streams that run may end; one that was under way is refused as not dispatched before we are done."""
        self.connect()
        self.receiver.owner.on_request = self.serve
        running = self.request()
        self.settle()
        late = self.request()
        done, again = self.receiver.link.leave(), self.receiver.link.leave()
        self.settle()
        self.assertEqual((running.seen, late.seen), ([], ["StreamReset"]))
        self.assertNoResult(done)
        self.served.stream.send_head(ResponseHead(204, []))
        self.served.stream.send_end()
        running.stream.send_end()
        self.gateway.link.wake()
        self.receiver.link.wake()
        self.settle()
        self.assertIsNone(self.successResultOf(done))
        self.assertIsNone(self.successResultOf(again))
        self.assertEqual(running.seen[-1], "StreamEnded")

    def test_lost(self) -> None:
        """A link that is lost has no streams left either."""
        self.connect()
        done = self.receiver.link.leave()
        self.receiver.link.socket_lost(GONE)
        self.assertIsNone(self.successResultOf(done))
        self.assertIsNone(self.successResultOf(self.receiver.link.leave()))

    def test_resetFromHere(self) -> None:
        """A stream that this side resets counts as ended."""
        self.connect()
        self.receiver.owner.on_request = self.serve
        self.request()
        self.settle()
        done = self.receiver.link.leave()
        self.settle()
        self.assertNoResult(done)
        self.served.stream.reset(Code.CANCELLED, "receiver")
        self.receiver.link.wake()
        self.settle()
        self.assertIsNone(self.successResultOf(done))


class AnyOrderTests(SynchronousTestCase):
    """Every order of inputs."""

    @given(st.lists(st.integers(0, 11), max_size=30))
    def test_anyOrder(self, steps: list[int]) -> None:
        """
        Whatever comes in whatever order: what was opened is lost once, each stream
        ends once, nothing is told after that, and no timer outlives the socket.
        """
        case = LinkTestCase()
        case.setUp()
        case.receiver.owner.on_request = lambda link, event: setattr(event.stream, "owner", StreamLog(link))
        case.gateway.open()
        case.receiver.open()
        link, owner = case.gateway.link, case.gateway.owner
        logs: list[StreamLog] = []
        inputs: list[Callable[[], object]] = [
            case.settle,
            case.turns.end,
            lambda: logs.extend([case.request()] if link.connection.room > 0 else []),
            lambda: [self.feed(log) for log in logs[-1:]],  # type: ignore[func-returns-value]
            link.pauseProducing,
            link.resumeProducing,
            lambda: link.leave(),
            lambda: link.close(1001, ""),
            lambda: link.message_received(b"rubbish"),
            lambda: link.socket_closing(GONE),
            lambda: case.clock.advance(7.0),
            lambda: link.bytes_received(),
        ]
        for step in steps:
            inputs[step]()
        for side in (case.gateway, case.receiver):
            side.link.socket_lost(GONE)
        case.turns.end()
        self.assertEqual(owner.log.count("lost"), owner.log.count("open"))
        for log in logs:
            self.assertEqual([name for name in log.seen if name in ("StreamReset", "StreamEnded")], log.seen[-1:])
        self.assertEqual(case.clock.getDelayedCalls(), [])
        self.assertIs(link.state, State.LOST)

    def feed(self, log: StreamLog) -> None:
        """Send some of the body, where one can be sent."""
        if log.stream.alive:
            log.stream.send_data(bytes(30_000))
            log.link.wake()
