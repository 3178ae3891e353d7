"""
Two connections back to back, driven by hypothesis in any order it can think of.

Every rule moves one thing: a frame onto the wire, a frame off it, or one act of
a user. What each side was told is compared with what the other side did, byte
for byte, and the books of both are compared with what is on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import Code
from anp_twisted.limits import Limits
from anp_twisted.session import events
from anp_twisted.session.connection import State
from anp_twisted.session.stream import Half, Part, Phase, Stream
from anp_twisted.test.sessions import Link, Side, hello, request, response, websocket
from anp_twisted.wire import v2
from anp_twisted.wire.heads import Pairs, ResponseHead
from anp_twisted.wire.v2 import Frame, Kind

STREAMS = 3
#: The smallest that carries messages: below it, half a window can wait to be granted while the other half is too
#: little for a message, which costs 32 and has a byte.
WINDOW = 64
LIMITS = Limits(data=16, stream_backlog=32, connection_window=1, stream_window=WINDOW, informational=4)
CREDIT = LIMITS.connection_credit(STREAMS)

pieces = st.binary(min_size=1, max_size=60)
picks = st.integers(0, 20)
sides = st.booleans()
trailing = st.sampled_from([None, [("T", "1")]])


@dataclass
class Said:
    """What one side said on a stream, or heard."""

    heads: list[int] = field(default_factory=list)
    body: bytes = b""
    ended: bool = False
    trailers: Pairs = field(default_factory=list)
    joining: bool = False

    def part(self, kind: int, data: bytes, last: bool) -> None:
        """A part of a message: what was cut elsewhere comes to the same."""
        self.body += (b"" if self.joining else b"[%d:" % kind) + data + (b"]" if last else b"")
        self.joining = not last

    def begins(self, other: Said) -> bool:
        """Whether all of this is the beginning of what the other one said."""
        same = self.heads == other.heads[: len(self.heads)] and other.body.startswith(self.body)
        return same and (not self.ended or self.all_of(other))

    def all_of(self, other: Said) -> bool:
        """Whether this is all of what the other one said."""
        return (self.heads, self.body, self.ended, self.trailers) == (
            other.heads,
            other.body,
            other.ended,
            other.trailers,
        )


@dataclass
class End:
    """One end of a talk: its stream, what was said and heard there, and what its user holds."""

    stream: Stream
    said: Said = field(default_factory=Said)
    heard: Said = field(default_factory=Said)
    held: int = 0
    over: bool = False
    paused: bool = False


@dataclass
class Talk:
    """One request and its answer, as the model knows them."""

    asker: End
    answerer: End | None = None
    undispatched: bool = False  # the answerer promised so


def bodies(frames: list[Frame], stream: int | None = None) -> int:
    """Credit that frames take, of one stream or of all."""
    return sum(v2.cost(frame) for frame in frames if stream is None or frame.stream == stream)


def grants(frames: list[Frame], stream: int) -> int:
    """Credit in frames."""
    return sum(
        v2.unpack_credit(frame.meta or b"") for frame in frames if frame.kind == Kind.WINDOW and frame.stream == stream
    )


_MAY_SEND = {
    Part.INFORMATIONAL: {Half.HEAD, Half.OFFER},
    Part.HEAD: {Half.HEAD, Half.OFFER},
    Part.ACCEPT: {Half.OFFER},
    Part.DATA: {Half.BODY},
    Part.MESSAGE: {Half.MESSAGES},
    Part.END: {Half.BODY},
}


class LinkMachine(RuleBasedStateMachine):
    """The rules and the model."""

    def __init__(self) -> None:
        super().__init__()
        own = hello(WINDOW, CREDIT, STREAMS)
        self.link = Link(LIMITS, gateway=own, receiver=own)
        self.talks: dict[int, Talk] = {}
        self.lost = False
        self.pings = 0
        self.kinds: dict[int, int] = {}

    # --- what the model knows --------------------------------------------

    def side(self, at_gateway: bool) -> Side:
        """One of the two."""
        return self.link.gateway if at_gateway else self.link.receiver

    def ends(self, at_gateway: bool) -> list[End]:
        """The ends of all talks on one side."""
        talks = self.talks.values()
        return [talk.asker for talk in talks] if at_gateway else [talk.answerer for talk in talks if talk.answerer]

    def sender(self, at_gateway: bool, pick: int, part: Part) -> End | None:
        """An end that may send a part now."""
        able = [end for end in self.ends(at_gateway) if end.stream.alive and end.stream.sending in _MAY_SEND[part]]
        return able[pick % len(able)] if able else None

    # --- what the sides were told -----------------------------------------

    def collect(self) -> None:
        """Compare what happened with the model."""
        for at_gateway in (True, False):
            for event in self.side(at_gateway).taken():
                self.told(at_gateway, event)

    def told(self, at_gateway: bool, event: events.Event) -> None:
        """Take one event."""
        if isinstance(event, events.PongReceived):
            assert event.opaque == b"12345678"
            self.pings -= 1
        if isinstance(event, events.HelloReceived | events.GoawayReceived | events.PongReceived):
            return
        talk = self.talks[event.stream.id]
        if isinstance(event, events.RequestReceived):
            assert not at_gateway and talk.answerer is None and not talk.undispatched
            talk.answerer = End(event.stream)
        end = talk.asker if at_gateway else talk.answerer
        assert end is not None and end.stream is event.stream, "an event of another stream"
        assert not end.over, "an event after the end"
        self.happened(talk, end, event)
        other = talk.answerer if at_gateway else talk.asker
        assert end.heard.begins(other.said if other else Said()), "heard what was never said"

    def happened(self, talk: Talk, end: End, event: events.Event) -> None:
        """Note one event of a stream."""
        match event:
            case events.RequestReceived(body=body, ended=ended):
                self.heard(end, body, ended, [])
            case events.InformationalReceived(head=head):
                end.heard.heads.append(head.status)
            case events.ResponseReceived(head=head, body=body, ended=ended):
                end.heard.heads.append(head.status)
                self.heard(end, body, ended, [])
            case events.AcceptReceived(head=head):
                end.heard.heads.append(head.status)
            case events.MessageReceived(kind=kind, body=body, last=last, cost=cost):
                self.listened(end, kind, body, last, cost)
            case events.DataReceived(body=body, ended=ended, trailers=trailers):
                assert body or ended, "news of nothing"
                self.heard(end, body, ended, trailers)
            case events.StreamWritable():
                assert end.paused, "released without having been paused"
                end.paused = False
            case events.StreamReset(reset=reset):
                end.over, end.paused, end.held = True, False, 0
                assert reset.code != Code.REFUSED, "the two sides count slots differently"
                assert reset.dispatched or talk.answerer is None or talk.undispatched, "it was dispatched"
            case events.StreamEnded():
                end.over = True
                assert end.said.ended and not end.paused

    def heard(self, end: End, body: bytes, ended: bool, trailers: Pairs) -> None:
        """Note a part of a body, and its end."""
        assert not end.heard.ended, "more after the end"
        end.heard.body += body
        end.heard.ended, end.heard.trailers = ended, trailers
        end.held += len(body)

    def listened(self, end: End, kind: int, body: bytes, last: bool, cost: int) -> None:
        """Note a part of a message, or a close, which may cut one short."""
        assert not end.heard.ended, "more after the end"
        end.held += cost
        if kind == v2.CLOSE:
            end.heard.ended, end.heard.joining = True, False
        assert body or last
        end.heard.part(kind, body, last)

    # --- the wire -----------------------------------------------------------

    @rule(at_gateway=sides)
    def transmit(self, at_gateway: bool) -> None:
        """One frame goes onto the wire; control goes first."""
        side = self.side(at_gateway)
        control = bool(side.connection.outbound._control)
        wire = self.link.other(side).wire
        if self.link.transmit(side):
            kind = v2.decode(wire[-1], LIMITS.frame).kind
            assert (0x10 <= kind < 0x20) == control, "control waited behind data"
        self.collect()

    @rule(at_gateway=sides)
    def deliver(self, at_gateway: bool) -> None:
        """One frame arrives."""
        self.link.deliver(self.side(at_gateway))
        self.collect()

    @rule(at_gateway=sides, count=st.integers(2, 12))
    def burst(self, at_gateway: bool, count: int) -> None:
        """Several frames go one way at once."""
        for _ in range(count):
            self.transmit(at_gateway)
            self.deliver(not at_gateway)

    @initialize(far=st.sampled_from([False, False, False, True]))
    def meet(self, far: bool) -> None:
        """Mostly the sides know each other before anything else happens."""
        if not far:
            self.link.settle()
            self.collect()

    @precondition(lambda self: self.talks)
    @rule()
    def settle(self) -> None:
        """Everything arrives."""
        self.link.settle()
        self.collect()

    # --- the users ------------------------------------------------------------

    @precondition(lambda self: self.link.gateway.connection.room > 0)
    @rule(requests=st.lists(st.tuples(st.none() | pieces, st.booleans()), min_size=1, max_size=3), sockets=sides)
    def open(self, requests: list[tuple[bytes | None, bool]], sockets: bool) -> None:
        """Requests, each with its first bytes or all of it, or for WebSockets."""
        for data, end in requests[: self.link.gateway.connection.room]:
            if sockets:
                stream = self.link.open(websocket())
                self.talks[stream.id] = Talk(End(stream))
                continue
            stream = self.link.open(request("POST"))
            talk = self.talks[stream.id] = Talk(End(stream))
            if data:
                self.write(talk.asker, data)
            if end:
                self.finish(talk.asker, None)

    @precondition(lambda self: self.link.gateway.connection.streams)
    @rule(at_gateway=sides, pick=picks, data=pieces)
    def send(self, at_gateway: bool, pick: int, data: bytes) -> None:
        """Body bytes, in either direction; a producer that was told to pause may go on all the same."""
        end = self.sender(at_gateway, pick, Part.DATA)
        if end is not None:
            self.write(end, data)

    @precondition(lambda self: self.link.gateway.connection.streams)
    @rule(at_gateway=sides, pick=picks, trailers=trailing)
    def end(self, at_gateway: bool, pick: int, trailers: Pairs | None) -> None:
        """The end of a body."""
        end = self.sender(at_gateway, pick, Part.END)
        if end is not None:
            self.finish(end, trailers)

    @precondition(lambda self: self.link.receiver.connection.streams)
    @rule(pick=picks, data=st.none() | pieces, trailers=trailing)
    def answer(self, pick: int, data: bytes | None, trailers: Pairs | None) -> None:
        """A whole answer at once."""
        end = self.sender(False, pick, Part.HEAD)
        if end is None:
            return
        end.stream.send_head(response())
        end.said.heads.append(200)
        if data:
            self.write(end, data)
        self.finish(end, trailers)

    @precondition(lambda self: self.link.receiver.connection.streams)
    @rule(pick=picks, status=st.sampled_from([103, 200, 200]))
    def head(self, pick: int, status: int) -> None:
        """A head of an answer, final or not."""
        end = self.sender(False, pick, Part.HEAD)
        if end is None or len(end.said.heads) >= LIMITS.informational:
            return
        send = end.stream.send_informational if status < 200 else end.stream.send_head
        send(ResponseHead(status, response().headers))
        end.said.heads.append(status)

    @precondition(lambda self: self.link.receiver.connection.streams)
    @rule(pick=picks)
    def accept(self, pick: int) -> None:
        """A WebSocket is accepted."""
        end = self.sender(False, pick, Part.ACCEPT)
        if end is not None:
            end.stream.send_accept(response(101))
            end.said.heads.append(101)

    @precondition(lambda self: any(end.stream.sending is Half.MESSAGES for end in self.ends(False)))
    @rule(at_gateway=sides, pick=picks, data=st.binary(max_size=60), text=sides, last=st.sampled_from([True, False]))
    def say(self, at_gateway: bool, pick: int, data: bytes, text: bool, last: bool) -> None:
        """A message, or a part of one, in either direction."""
        end = self.sender(at_gateway, pick, Part.MESSAGE)
        if end is None:
            return
        kind = self.kinds.setdefault(id(end), v2.TEXT if text else v2.BINARY)
        if data or last:
            end.said.part(kind, data, last)
        if last:
            del self.kinds[id(end)]
        end.paused = end.stream.send_message(kind, data, last)

    @precondition(lambda self: any(end.stream.sending is Half.MESSAGES for end in self.ends(False)))
    @rule(at_gateway=sides, pick=picks, body=st.sampled_from([b"", b"\x03\xe8", b"\x03\xe9" + b"r" * 123]))
    def hang_up(self, at_gateway: bool, pick: int, body: bytes) -> None:
        """One side closes."""
        end = self.sender(at_gateway, pick, Part.MESSAGE)
        if end is not None:
            self.close_one(end, body)

    def close_one(self, end: End, body: bytes) -> None:
        """Close, in the middle of a message as well."""
        end.said.joining = False
        end.said.part(v2.CLOSE, body, True)
        end.said.ended = True
        end.stream.send_close(body)

    @precondition(lambda self: self.link.gateway.connection.streams)
    @rule(at_gateway=sides, pick=picks, dispatched=st.booleans(), sure=st.integers(0, 3))
    def reset(self, at_gateway: bool, pick: int, dispatched: bool, sure: int) -> None:
        """One side gives a stream up, now and then."""
        alive = [end for end in self.ends(at_gateway) if end.stream.alive]
        if not alive or sure:
            return
        end = alive[pick % len(alive)]
        if not at_gateway and not dispatched:
            self.talks[end.stream.id].undispatched = True
        end.stream.reset(Code.CANCELLED, "app", dispatched=dispatched)
        end.over, end.paused, end.held = True, False, 0

    @precondition(lambda self: any(end.held for at_gateway in (True, False) for end in self.ends(at_gateway)))
    @rule(at_gateway=sides, pick=picks, part=st.integers(1, 100))
    def consume(self, at_gateway: bool, pick: int, part: int) -> None:
        """A user takes a part of what it holds, even of a stream that has ended."""
        holding = [end for end in self.ends(at_gateway) if end.held]
        if not holding:
            return
        end = holding[pick % len(holding)]
        size = max(1, end.held * part // 100)
        end.stream.consume(size)
        end.held -= size

    @precondition(lambda self: self.pings < 2)
    @rule(at_gateway=sides)
    def ping(self, at_gateway: bool) -> None:
        """A proof of life is asked for."""
        self.pings += not self.lost
        self.side(at_gateway).connection.ping(b"12345678")

    @precondition(lambda self: len(self.talks) > 3)
    @rule(at_gateway=sides)
    def leave(self, at_gateway: bool) -> None:
        """One side begins to drain."""
        self.side(at_gateway).connection.leave()

    @precondition(lambda self: len(self.talks) > 4)
    @rule(at_gateway=sides)
    def lose(self, at_gateway: bool) -> None:
        """The link is lost, for one side before the other."""
        self.lost, self.pings = True, 0
        side = self.side(at_gateway)
        side.events += side.connection.close(Code.UNREACHABLE)
        side.wire.clear()
        self.collect()
        assert all(end.over for end in self.ends(at_gateway))

    def write(self, end: End, data: bytes) -> None:
        """Send body bytes."""
        end.paused = end.stream.send_data(data)
        end.said.body += data
        assert end.paused == (end.stream.backlog > LIMITS.stream_backlog or end.stream.pausing)

    def finish(self, end: End, trailers: Pairs | None) -> None:
        """Send the end."""
        end.stream.send_end(trailers)
        end.said.ended, end.said.trailers = True, trailers or []

    # --- what always holds ------------------------------------------------------

    @invariant()
    def books(self) -> None:
        """Each machine agrees with itself, and honest peers commit no offence."""
        for side in (self.link.gateway, self.link.receiver):
            side.connection.invariants()
            assert side.connection.offences == 0
        connection = self.link.gateway.connection
        if connection.state is State.OPEN:
            assert connection.room + len(connection.streams) + len(connection._unread) == STREAMS

    @invariant()
    def credit(self) -> None:
        """What one side may send, plus what is under way, is what the other expects."""
        for sender, receiver in ((self.link.gateway, self.link.receiver), (self.link.receiver, self.link.gateway)):
            if self.lost or sender.connection.peer is None:
                continue
            going = [v2.decode(message, LIMITS.frame) for message in receiver.wire]
            coming = [
                v2.decode(message, LIMITS.frame) for message in (*sender.wire, *receiver.connection.outbound._control)
            ]
            spent = sender.connection.outbound.window.credit + bodies(going) + grants(coming, 0)
            assert spent == receiver.connection._inbox.expected, "credit of the connection was lost or made"
            for number, stream in sender.connection.streams.items():
                theirs = receiver.connection.streams.get(number)
                if theirs is not None:
                    expected = stream.window.credit + bodies(going, number) + grants(coming, number)
                    assert expected == theirs.inbox.expected or theirs.receiving is Half.DONE

    @invariant()
    def user(self) -> None:
        """What users hold is what the machine says they hold, unless nobody will ever take it."""
        for at_gateway in (True, False):
            for end in self.ends(at_gateway):
                if end.stream.alive or (at_gateway and end.stream.phase is Phase.ENDED):
                    assert end.held == end.stream.inbox.held
                else:
                    assert end.stream.inbox.held == 0

    # --- the end --------------------------------------------------------------------

    def teardown(self) -> None:
        """Whatever happened, all that is left can be finished, and nothing remains."""
        if not self.lost:
            self.finish_all()
            for talk in self.talks.values():
                self.whole(talk)
            assert self.pings == 0
        for side in (self.link.gateway, self.link.receiver):
            side.connection.close(Code.NO_ERROR)
            assert side.connection.next_frame() is None

    def finish_all(self) -> None:
        """End every stream and consume everything."""
        # A window takes half a message at a time, so a long queue takes many rounds.
        for _ in range(1000):
            self.link.settle()
            self.collect()
            ends = [*self.ends(True), *self.ends(False)]
            if not any(end.stream.alive or end.held for end in ends):
                break
            for end in ends:
                self.finish_one(end)
        self.link.settle()
        for side in (self.link.gateway, self.link.receiver):
            connection = side.connection
            assert not connection.streams and not connection._unread, "a stream never ended"
            assert connection._inbox.held == 0, "bytes of the connection were lost"
            assert connection.outbound.idle

    def finish_one(self, end: End) -> None:
        """Bring one end nearer to its end."""
        if end.stream.alive:
            if end.stream.sending is Half.MESSAGES:
                self.close_one(end, b"")
            if end.stream.sending in (Half.HEAD, Half.OFFER):
                end.stream.send_head(response())
                end.said.heads.append(200)
            if end.stream.sending is Half.BODY:
                self.finish(end, None)
        if end.held:
            end.stream.consume(end.held)
            end.held = 0

    def whole(self, talk: Talk) -> None:
        """A talk that was not cut was heard as it was said; an answer that ended was heard in any case."""
        asker, answerer = talk.asker, talk.answerer
        assert asker.over and (answerer is None or answerer.over)
        if asker.stream.phase is Phase.ENDED:
            assert answerer is not None and asker.heard.all_of(answerer.said)
            assert answerer.stream.phase is Phase.CUT or answerer.heard.all_of(asker.said)


class StatefulTests(SynchronousTestCase):
    """The machine above, run."""

    def test_interleavings(self) -> None:
        """No order of events breaks a rule."""
        run_state_machine_as_test(
            LinkMachine,
            settings=settings(max_examples=100, stateful_step_count=80, deadline=None, database=None),
        )
