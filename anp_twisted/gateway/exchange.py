"""
One public request and its answer, tied to one stream of one receiver.

An exchange is the only owner of three things and gives each back on every way
out: the place in the table of exchanges, the room it took of a receiver, and the
stream. What is wrong before the head of the answer becomes a problem document;
after it the caller's connection is cut, so that nothing looks complete.

Credit goes back to the receiver when the caller's socket took the bytes: what is
written while the socket is full counts as held until it has drained.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from twisted.logger import Logger

from anp_twisted.errors import Code, ConnectionClosed, InvalidMessage
from anp_twisted.gateway.admission import Permit
from anp_twisted.gateway.balancer import Pool
from anp_twisted.gateway.callers import CLAIMS
from anp_twisted.gateway.receivers import Receiver
from anp_twisted.headers import HOP_BY_HOP, Header, from_text, get_all, strip_hop_by_hop, tokens
from anp_twisted.http.request import PublicRequest
from anp_twisted.paths import below
from anp_twisted.problems import Source
from anp_twisted.session import events
from anp_twisted.session.connection import State
from anp_twisted.session.stream import Stream
from anp_twisted.wire.heads import Pairs, RequestHead, Reset

if TYPE_CHECKING:
    from anp_twisted.gateway.exchanges import Exchanges

#: Request bytes kept until the answer begins, in case another receiver must be asked.
_MOST_KEPT = 64 * 1024


#: Methods of which two are no more than one (RFC 9110, 9.2.2).
_IDEMPOTENT = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"TRACE"})

#: Fields that are for the gateway.
_KEPT_HERE = HOP_BY_HOP | CLAIMS

#: Bytes a second below which a request body is waited for rather than worked on.
_LEAST_RATE = 1024


class Step(Enum):
    """
    How far an exchange is.

    C{PARKED}: no receiver has room. C{ASKED}: a stream is open, no head came.
    C{ANSWERING}: the caller has the head. C{OPEN}: it is a WebSocket that was
    accepted. C{DONE}: everything was given back.
    """

    PARKED = auto()
    ASKED = auto()
    ANSWERING = auto()
    OPEN = auto()
    DONE = auto()


#: What a stream that ends before the head of its answer means for the caller.
_REASONS: dict[int, tuple[int, Source, str]] = {
    Code.APP_FAILED: (500, "app", "the application failed"),
    Code.TIMEOUT: (504, "receiver", "the receiver did not answer in time"),
    Code.REFUSED: (503, "receiver", "the receiver is busy"),
    Code.DRAINING: (503, "receiver", "the receiver is stopping"),
    Code.TOO_LARGE: (413, "receiver", "the request is too large for the receiver"),
    Code.UNREACHABLE: (502, "receiver", "the receiver cannot reach its application"),
}
_LOST: tuple[int, Source, str] = (502, "tunnel", "the receiver was lost")


def for_the_receiver(headers: list[Header]) -> Pairs:
    """Keep the fields of a request that go through the tunnel."""
    if not _KEPT_HERE.isdisjoint([name.lower() for name, _ in headers]):
        headers = [field for field in strip_hop_by_hop(headers) if field[0].lower() not in CLAIMS]
    return [(str(name, "latin-1"), str(value, "latin-1")) for name, value in headers]


class Exchange:
    """
    The machine that ties them.

    @ivar id: the request id.
    @ivar request: the caller's side.
    @ivar step: how far it is.
    @ivar receiver: who answers, once one was found.
    @ivar touched: when something last moved, in seconds of the clock.
    """

    __slots__ = (
        "_asked",
        "_ending",
        "_held",
        "_kept",
        "_paused",
        "_permit",
        "_pool",
        "_since",
        "_stream",
        "_table",
        "_unread",
        "id",
        "receiver",
        "request",
        "source",
        "step",
        "touched",
    )

    log = Logger()

    def __init__(
        self, table: Exchanges, request: PublicRequest, pool: Pool, number: str, permit: Permit | None = None
    ) -> None:
        """
        @param permit: what the request uses of its route, given back at the end.
        """
        self.id = number
        self.request = request
        self.step = Step.PARKED
        self.receiver: Receiver | None = None
        self.source: str = "app"
        self.touched = request.received
        self._table = table
        self._pool = pool
        self._permit = permit
        self._stream: Stream | None = None
        self._asked = 0  # receivers that the request was sent to
        self._held: list[bytes] = []  # pieces of the request in order
        self._ending: Pairs | None = None  # its trailers, once it has ended
        self._kept = 0  # bytes in it; more than _MOST_KEPT: the pieces are gone
        self._paused = False  # the caller's socket is full
        self._unread = 0  # bytes written while it was
        self._since = request.received  # from when on its body was read

    # --- finding a receiver ---------------------------------------------

    def start(self) -> None:
        """Ask a receiver, or wait for one."""
        self._table.add(self)
        if self._permit is not None:
            self._permit.begin()
        self.request.attach(self)
        self._find()

    def _find(self, avoid: Receiver | None = None) -> None:
        """Ask the receiver with the least in flight, or wait for one."""
        receivers = self._table.receivers
        receiver = receivers.choose(self._pool, avoid)
        if receiver is None and self._table.make_room(self._pool):
            receiver = receivers.choose(self._pool, avoid)
        if receiver is not None:
            self.dispatch(receiver)
        elif receivers.park(self._pool, self):
            self.step = Step.PARKED
            self.request.pause_body()
        else:
            self.step = Step.ASKED  # it is not among those that wait
            self.fail(503, "gateway", "too many requests wait for a receiver", retry_after=1)

    def dispatch(self, receiver: Receiver) -> None:
        """Send the request to a receiver, whose room is already counted."""
        parked, self.step = self.step is Step.PARKED, Step.ASKED
        self.receiver = receiver
        try:
            stream = receiver.link.connection.open(self._head(), self)
        except (ConnectionClosed, InvalidMessage) as error:
            self._undispatchable(receiver, error)
            return
        self._stream = stream
        self._asked += 1
        for piece in self._held:
            stream.send_data(piece)
        if self._ending is not None:
            stream.send_end(self._ending)
        receiver.link.wake()
        if receiver.link.connection.state is not State.OPEN:
            self._table.receivers.retire(receiver)  # this was the last stream it can have
        if parked:
            self._since = self._table.clock.seconds()
            if not stream.pausing:
                self.request.resume_body()

    def move(self, pool: Pool) -> None:
        """Wait in another pool, or go on if a receiver of it has room."""
        self._table.receivers.unpark(self._pool, self)
        self._pool = pool
        self._find()

    @property
    def in_lobby(self) -> bool:
        """Whether it waits for a receiver that may be on its way back, and nobody serves its path yet."""
        return self._pool is self._table.receivers.lobby

    def _undispatchable(self, receiver: Receiver, error: ConnectionClosed | InvalidMessage) -> None:
        """See to a request that could not even be queued."""
        if isinstance(error, InvalidMessage):
            self.fail(431, "gateway", "the request head is too large for the tunnel")
            return
        self._table.receivers.retire(receiver)
        self._let_go()
        self._find()

    def _head(self) -> RequestHead:
        """Describe the request for the receiver."""
        request, who, target = self.request, self.request.identity, self.request.target
        fields = for_the_receiver(request.headers)
        if self._permit is not None and self._permit.stripped:
            fields.append(("X-Forwarded-Prefix", self._permit.stripped.decode("ascii")))
            target = below(target, self._permit.stripped)
        if self._table.forwards_ids:
            fields.append(("X-Request-ID", self.id))
        return RequestHead(
            str(request.method, "latin-1"),
            str(target, "latin-1"),
            fields,
            str(request.scheme, "latin-1"),
            str(request.version, "latin-1"),
            request.client,
            self.id,
            self._table.left_of_total(self),
            identity=None if who is None else (who.kind.value, who.name),
        )

    # --- the caller -----------------------------------------------------

    def body_received(self, data: bytes) -> None:
        """Pass a piece of the request on; it is kept while another receiver may have to be asked."""
        if self.step is Step.DONE:
            return
        self.touched = self._table.clock.seconds()
        if self._permit is not None and self.request.body_bytes > self._permit.body:
            self._too_large()
            return
        self._keep(data)
        stream = self._stream
        if stream is not None and stream.alive and self._send(stream, data):
            self.request.pause_body()

    def body_ended(self, trailers: list[Header]) -> None:
        """Pass the end of the request on."""
        if self.step is Step.DONE:
            return
        self._ending = [(str(name, "latin-1"), str(value, "latin-1")) for name, value in trailers]
        stream, receiver = self._stream, self.receiver
        if stream is None or receiver is None or not stream.alive:
            return
        stream.send_end(self._ending)
        receiver.link.wake()

    def _too_large(self) -> None:
        """Refuse a body of untold length that got larger than it may be."""
        if self._stream is not None:
            self._stream.reset(Code.CANCELLED, "gateway", "the request body is too large", dispatched=True)
        self.fail(413, "gateway", "the request body is too large")

    def _keep(self, data: bytes) -> None:
        """Remember a piece while all of them are small."""
        self._kept += len(data)
        if self._kept <= _MOST_KEPT or self.step is Step.PARKED:
            self._held.append(data)
        else:
            self._held.clear()

    def _send(self, stream: Stream, data: bytes) -> bool:
        """Queue a piece on the stream; tell whether the caller should pause."""
        assert self.receiver is not None
        pause = stream.send_data(data)
        self.receiver.link.wake()
        return pause

    def caller_lost(self) -> None:
        """Stop the application, since nobody waits for the answer."""
        if self.step is Step.DONE:
            return
        self.source = "caller"
        if self._stream is not None:
            self._stream.reset(Code.CANCELLED, "gateway", "the caller left", dispatched=True)
        self._end()

    def caller_paused(self) -> None:
        """Give no credit for what is written from now on."""
        self._paused = True

    def caller_resumed(self) -> None:
        """Give credit for what the caller has taken meanwhile."""
        self._paused = False
        self.touched = self._table.clock.seconds()
        unread, self._unread = self._unread, 0
        if unread and self._stream is not None and self.receiver is not None:
            self._stream.consume(unread)
            self.receiver.link.wake()

    @property
    def pool(self) -> Pool:
        """Whose receivers may answer."""
        return self._pool

    @property
    def caller_is_slow(self) -> bool:
        """Whether the answer waits for the caller, so that only the caller's own time runs."""
        return self._paused

    def held_up(self, now: float) -> float:
        """
        @return: for how many seconds only the caller has been waited for, 0 if it is somebody else.
        """
        if self._paused:
            return now - self.touched
        request, stream = self.request, self._stream
        if self._ending is not None or request.awaits_continue or stream is None or stream.pausing:
            return 0.0
        seconds = now - self._since
        return seconds if request.body_bytes < seconds * _LEAST_RATE else 0.0

    # --- the stream -----------------------------------------------------

    def stream_event(self, event: events.Event) -> None:
        """Go on with what the receiver sent."""
        if self.step is Step.DONE:
            return
        self.touched = self._table.clock.seconds()
        match event:
            case events.ResponseReceived(head=head, body=body, ended=ended):
                self._answer(head.status, head.headers, body, ended)
            case events.DataReceived(body=body, ended=ended, trailers=trailers):
                self._write(body, ended, trailers)
            case events.StreamReset(reset=reset):
                self._reset(reset)
            case events.StreamWritable():
                self.request.resume_body()
            case events.InformationalReceived(head=head):
                self._inform(head.status, head.headers)

    def _inform(self, status: int, pairs: Pairs) -> None:
        """Pass a head below 200 on; 100 is the receiver's word that it reads the body."""
        self._keep_nothing()
        if status == 100:
            self.request.send_continue()
        else:
            try:
                self.request.send_informational(status, strip_hop_by_hop(from_text(pairs)))
            except (InvalidMessage, UnicodeEncodeError):
                self._bad_answer()

    def _answer(self, status: int, pairs: Pairs, body: bytes, ended: bool) -> None:
        """Begin the answer, or send all of it; it is checked before a byte of it is written."""
        try:
            fields = from_text(pairs)
            if ended:
                self._unread += len(body)
                self.request.respond(status, fields, body=body)
                self._end()
                return
            self.request.send_head(status, fields)
        except (InvalidMessage, UnicodeEncodeError):
            self._bad_answer()
            return
        self.step = Step.ANSWERING
        self._keep_nothing()
        self._write(body, False, [])

    def _write(self, body: bytes, ended: bool, trailers: Pairs) -> None:
        """Pass a piece of the answer on, and its end."""
        try:
            if body:
                self.request.write(body)
                self._wrote(len(body))
            if ended and self.step is Step.ANSWERING:
                self.request.finish(from_text(trailers) if trailers and self._takes_trailers else [])
                self._end()
        except (InvalidMessage, UnicodeEncodeError):
            self._bad_answer()

    @property
    def _takes_trailers(self) -> bool:
        """Whether the caller said that it knows trailers (RFC 9110, 10.1.4)."""
        return b"trailers" in tokens(get_all(self.request.headers, b"te"))

    def _wrote(self, size: int) -> None:
        """Give credit for what the caller's socket took; writing may have ended the exchange."""
        if self._paused:
            self._unread += size
        elif self._stream is not None and self.receiver is not None:
            self._stream.consume(size)
            self.receiver.link.wake()

    def _bad_answer(self) -> None:
        """Refuse an answer that is not HTTP; the application sees the caller leave."""
        self._table.malformed += 1
        self.log.warn("{id}: the answer of {name} is not HTTP", id=self.id, name=self.receiver_name)
        if self._stream is not None:
            self._stream.reset(Code.PROTOCOL, "gateway", "the answer is not HTTP")
        self.fail(502, "app", "the application's answer is not HTTP")

    def _reset(self, reset: Reset) -> None:
        """End with the stream, unless another receiver can be asked."""
        receiver = self.receiver
        assert receiver is not None, "a stream without receiver"
        lost = receiver.link.connection.state is State.CLOSED
        if lost:
            # It learns of its end behind its streams; nothing of what follows may go over it.
            self._table.receivers.withdraw(receiver)
        if self._repeatable and (not reset.dispatched or (lost and self._harmless)):
            self._table.repeated += 1
            self.log.info("{id}: asked again, since {name} did not answer it", id=self.id, name=receiver.name)
            self._let_go()
            self._find(receiver)
            return
        reason = _LOST if reset.source == "tunnel" else _REASONS.get(reset.code, _LOST)
        self.fail(*reason, retry_after=1 if reason[0] == 503 else None)

    @property
    def _repeatable(self) -> bool:
        """Whether all of the request that came so far is still here, nothing was answered, and there is patience."""
        return self._kept <= _MOST_KEPT and self._asked < self._table.most_asked

    @property
    def _harmless(self) -> bool:
        """
        Whether a receiver may get the request that another one may have acted on.

        Without another receiver it is no use to wait for the lost one: whatever
        comes back, the caller learns more from an answer at once.
        """
        return self.request.method in _IDEMPOTENT and not self.request.upgrade and self._pool.size > 0

    def _keep_nothing(self) -> None:
        """Forget the request: something was answered, so it cannot be asked again."""
        self._held.clear()
        self._kept = _MOST_KEPT + 1

    # --- the end --------------------------------------------------------

    def fail(self, status: int, source: Source, title: str, *, retry_after: float | None = None) -> None:
        """Tell the caller what is wrong, or cut an answer that has begun."""
        self.source = source
        if self.request.status:
            self.request.abort()
        else:
            self._table.answer_problem(self.request, self.id, (status, source, title), retry_after)
        self._end()

    def expire(self, status: int, source: Source, title: str) -> None:
        """End an exchange whose time is over."""
        if self._stream is not None:
            self._stream.reset(Code.TIMEOUT, "gateway", title)
        self.fail(status, source, title, retry_after=1 if status == 503 else None)

    def _end(self) -> None:
        """Give everything back."""
        if self.step is Step.DONE:
            return
        parked, self.step = self.step is Step.PARKED, Step.DONE
        self._held.clear()
        if self._permit is not None:
            self._permit.end()
        if parked:
            self._table.receivers.unpark(self._pool, self)
        self._table.remove(self)
        self._let_go()

    def _let_go(self) -> None:
        """Give the stream and the room of the receiver back."""
        stream, self._stream = self._stream, None
        receiver, self.receiver = self.receiver, None
        if receiver is None:
            return
        if stream is not None:
            stream.consume(self._unread)
            stream.reset(Code.NO_ERROR, "gateway", "answered")
            self._unread = 0
            receiver.link.wake()
        self._table.receivers.release(receiver)

    def farewell(self) -> None:
        """End a WebSocket, since the gateway stops; a request ends by itself."""

    def look(self, now: float) -> None:
        """See whether a WebSocket lives; called every second while it is C{Step.OPEN}."""

    @property
    def receiver_name(self) -> str:
        """The receiver, for logs."""
        return "" if self.receiver is None else self.receiver.name
