"""
One request and its answer, as one side of a connection sees it.

Each direction is a small table: L{ADVANCE} says what may follow what. A stream
belongs to the connection that opened it and never moves to another one.

C{docs/protocol/anpx.md}, "Streams".
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any, Protocol

from anp_twisted.errors import Code, InvalidMessage, StreamClosed
from anp_twisted.limits import Limits
from anp_twisted.session.windows import ReceiveWindow, SendWindow
from anp_twisted.wire import heads, v2
from anp_twisted.wire.heads import Pairs, RequestHead, Reset, ResponseHead, Trailers
from anp_twisted.wire.tlv import Value


class _Key(Enum):
    """
    An enumeration whose members are looked up in tables for every frame.

    Members are one of a kind, so identity will do; the hash of C{Enum} goes
    through the name, in Python.
    """

    __hash__ = object.__hash__


class Half(_Key):
    """
    How far one direction is.

    A request starts at C{BODY}, since its head opens the stream; an answer
    starts at C{HEAD}. Where a WebSocket is asked for, the request starts at
    C{WAIT} and the answer at C{OFFER}; C{WAIT} lasts until the answer has gone on
    to C{MESSAGES}, and goes there with it.
    """

    HEAD = auto()
    OFFER = auto()
    WAIT = auto()
    BODY = auto()
    MESSAGES = auto()
    DONE = auto()


class Part(_Key):
    """What one direction can carry next; C{ACCEPT} is the head that makes a stream a WebSocket."""

    INFORMATIONAL = auto()
    HEAD = auto()
    ACCEPT = auto()
    DATA = auto()
    MESSAGE = auto()
    END = auto()


#: What each part does to its direction; what is not here is a mistake.
ADVANCE: dict[tuple[Half, Part], Half] = {
    (Half.HEAD, Part.INFORMATIONAL): Half.HEAD,
    (Half.HEAD, Part.HEAD): Half.BODY,
    (Half.OFFER, Part.INFORMATIONAL): Half.OFFER,
    (Half.OFFER, Part.HEAD): Half.BODY,
    (Half.OFFER, Part.ACCEPT): Half.MESSAGES,
    (Half.BODY, Part.DATA): Half.BODY,
    (Half.BODY, Part.END): Half.DONE,
    (Half.MESSAGES, Part.MESSAGE): Half.MESSAGES,
    (Half.MESSAGES, Part.END): Half.DONE,
}

#: Where an answer stands before its head.
_UNANSWERED = frozenset({Half.HEAD, Half.OFFER})


class Phase(_Key):
    """
    The life of a stream.

    C{QUEUED}: opened here, and no frame of it has been sent. C{OPEN}: both sides
    know it. C{ENDED}: both directions are done. C{CUT}: one side reset it, or the
    connection ended.
    """

    QUEUED = auto()
    OPEN = auto()
    ENDED = auto()
    CUT = auto()


#: What may follow each phase.
FOLLOWS: dict[Phase, frozenset[Phase]] = {
    Phase.QUEUED: frozenset({Phase.OPEN, Phase.CUT}),
    Phase.OPEN: frozenset({Phase.ENDED, Phase.CUT}),
    Phase.ENDED: frozenset(),
    Phase.CUT: frozenset(),
}


class Place(_Key):
    """
    Where a stream waits for its turn to send.

    C{IDLE}: it has nothing to send, or no credit of its own. C{READY}: in the
    round. C{STARVED}: it waits for credit of the connection.
    """

    IDLE = auto()
    READY = auto()
    STARVED = auto()


def cost_of(message: Value) -> int:
    """Tell the credit that a MESSAGE takes, its kind before its body; a close takes none."""
    return 0 if message[0] == v2.CLOSE | v2.LAST else v2.MESSAGE_COST + len(message) - 1


def least_of(message: Value) -> int:
    """Tell the credit with which something of a MESSAGE can be sent; a close is sent with none."""
    return min(cost_of(message), v2.MESSAGE_COST + 1)


def encode_head(head: RequestHead | ResponseHead | Trailers, limits: Limits) -> bytes:
    """
    Make the JSON of a head that the peer will take.

    @raise InvalidMessage: for too many fields or too many bytes.
    """
    payload = heads.encode(head)
    if len(payload) > limits.head or len(head.headers) > limits.headers:
        raise InvalidMessage(f"a head of {len(payload)} bytes, {len(head.headers)} fields: too large for the tunnel")
    return payload


class Sending(Protocol):
    """What a stream needs of the side of its connection that sends."""

    @property
    def limits(self) -> Limits:
        """The caps."""

    @property
    def most_data(self) -> int:
        """Body bytes in one frame."""

    def touch(self, stream: Any) -> None:
        """Let a stream take part in the round if it can send something."""


class Keeper(Protocol):
    """What a stream needs of its connection."""

    @property
    def outbound(self) -> Sending:
        """The side that sends."""

    def return_credit(self, stream: Stream, size: int) -> None:
        """Give the peer credit again for bytes the consumer took."""

    def cut(self, stream: Stream, reset: Reset) -> None:
        """End a stream before its time and tell the peer if it knows of it."""


class Stream:
    """
    One request and its answer.

    @ivar id: its number on the connection.
    @ivar owner: whatever the user of the session hangs here; it is not looked at.
    @ivar phase: where in its life it is.
    @ivar alive: whether the connection still keeps it.
    @ivar sending: how far this side is.
    @ivar receiving: how far the peer is.
    @ivar window: credit this side may still use.
    @ivar inbox: credit the peer may still use.
    @ivar outbox: what waits to be sent, in order.
    @ivar backlog: credit that C{outbox} needs.
    @ivar informational: heads below 200 that were sent or received.
    @ivar joining: the kind of the message of which a part was received, 0 between two.
    @ivar pausing: the producer was told to pause and waits for
        L{StreamWritable<anp_twisted.session.events.StreamWritable>}.
    """

    __slots__ = (
        "_keeper",
        "alive",
        "backlog",
        "id",
        "inbox",
        "informational",
        "joining",
        "outbox",
        "owner",
        "pausing",
        "phase",
        "place",
        "receiving",
        "sending",
        "window",
    )

    def __init__(self, keeper: Keeper, number: int, *, window: int, inbox: int) -> None:
        self._keeper = keeper
        self.id = number
        self.owner: Any = None
        self.phase = Phase.QUEUED
        self.alive = True
        self.place = Place.IDLE
        self.sending = Half.HEAD
        self.receiving = Half.HEAD
        self.window = SendWindow(window)
        self.inbox = ReceiveWindow(inbox)
        self.outbox: deque[tuple[Part, Value]] = deque()
        self.backlog = 0
        self.informational = 0
        self.joining = 0
        self.pausing = False

    @property
    def answered(self) -> bool:
        """Whether a head of the peer came, so that an application has the request."""
        return self.receiving not in _UNANSWERED or self.informational > 0

    @property
    def informational_allowed(self) -> bool:
        """Whether L{informational} is within its cap."""
        return self.informational <= self._keeper.outbound.limits.informational

    def enter(self, phase: Phase) -> None:
        """Go on to the next phase; only the connection and its outbound side do that."""
        assert phase in FOLLOWS[self.phase], f"{phase.name} cannot follow {self.phase.name}"
        self.phase = phase
        self.alive = phase is Phase.OPEN

    def open_with(self, head: bytes, websocket: bool) -> None:
        """
        Queue the encoded head of a request; the connection calls it once.

        @param websocket: whether it asks for one.
        """
        self.sending = Half.WAIT if websocket else Half.BODY
        if websocket:
            self.receiving = Half.OFFER
        self.outbox.append((Part.HEAD, head))
        self._keeper.outbound.touch(self)

    def send_informational(self, head: ResponseHead) -> None:
        """
        Queue a head with a status below 200.

        @raise InvalidMessage: for a head over a cap, or one too many.
        @raise StreamClosed: if the final head was sent, or the stream is gone.
        """
        payload = encode_head(head, self._keeper.outbound.limits)
        self.informational += 1
        if not self.informational_allowed:
            raise InvalidMessage("too many heads before the final one")
        self._put(Part.INFORMATIONAL, payload)

    def send_head(self, head: ResponseHead) -> None:
        """
        Queue the final head of an answer.

        @raise InvalidMessage: for a head over a cap.
        @raise StreamClosed: if one was sent, or the stream is gone.
        """
        self._put(Part.HEAD, encode_head(head, self._keeper.outbound.limits))

    def send_data(self, data: bytes) -> bool:
        """
        Queue body bytes; the boundaries of a call are kept as frames up to the cap.

        @return: whether the producer should pause until
            L{StreamWritable<anp_twisted.session.events.StreamWritable>} comes.
        @raise StreamClosed: if this direction is done, or the stream is gone.
        """
        outbound = self._keeper.outbound
        most = outbound.most_data
        if not data:
            return self.pausing
        if len(data) <= most:
            self._put(Part.DATA, data)
        else:
            # Slices of one view: a large piece is copied once, into its frames.
            view = memoryview(data)
            for start in range(0, len(data), most):
                self._put(Part.DATA, view[start : start + most])
        self.backlog += len(data)
        if self.backlog > outbound.limits.stream_backlog:
            self.pausing = True
        return self.pausing

    def send_accept(self, head: ResponseHead) -> None:
        """
        Queue the head that accepts a WebSocket; messages may follow in both directions.

        @param head: its status is 101.
        @raise InvalidMessage: for a head over a cap.
        @raise StreamClosed: if none was asked for, or was answered, or the stream is gone.
        """
        assert head.status == 101, "only 101 accepts a WebSocket"
        self._put(Part.ACCEPT, encode_head(head, self._keeper.outbound.limits))
        self.receiving = Half.MESSAGES

    def send_message(self, kind: int, data: bytes, last: bool = True) -> bool:
        """
        Queue a WebSocket message, or a part of one.

        @param kind: L{v2.TEXT} or L{v2.BINARY}, the same for all parts of a message.
        @param last: whether the message ends with it.
        @return: whether the producer should pause, as L{send_data} does.
        @raise StreamClosed: if this direction is no WebSocket, or closed, or the stream is gone.
        """
        outbound = self._keeper.outbound
        most = outbound.most_data
        if not data and not last:
            return self.pausing
        for start in range(0, len(data) or 1, most):
            part = data[start : start + most]
            ends = last and start + most >= len(data)
            self._put(Part.MESSAGE, bytes((kind | v2.LAST if ends else kind,)) + part)
            self.backlog += v2.MESSAGE_COST + len(part)
        if self.backlog > outbound.limits.stream_backlog:
            self.pausing = True
        return self.pausing

    def send_close(self, body: bytes) -> None:
        """
        Queue the close of a WebSocket, which ends this direction.

        @param body: that of a close frame: nothing, or a code and a reason, 125 bytes at most.
        @raise StreamClosed: as L{send_message} does.
        """
        assert len(body) <= 125 and len(body) != 1, "no body of a close frame"
        self._put(Part.MESSAGE, bytes((v2.CLOSE | v2.LAST,)) + body)
        self._put(Part.END, b"")

    def send_end(self, trailers: Pairs | None = None) -> None:
        """
        Queue the end of this direction.

        @param trailers: fields behind the body.
        @raise InvalidMessage: for trailers over a cap.
        @raise StreamClosed: if it was ended, or the stream is gone.
        """
        self._put(Part.END, encode_head(Trailers(trailers), self._keeper.outbound.limits) if trailers else b"")

    def reset(self, code: Code, source: str, text: str = "", *, dispatched: bool = True) -> None:
        """
        End the stream before its time. If it has ended, what its consumer still
        holds is given back and nothing else happens.

        Whatever waits to be sent is dropped. A stream of which no frame was sent
        leaves no trace at the peer.

        @param source: whose doing it is: gateway, tunnel, receiver or app.
        @param text: a short public text; it is cut to what the peer will take.
        @param dispatched: C{False} promises that no application saw the request.
        """
        if self.alive:
            self._keeper.cut(self, Reset(int(code), source, text[: heads.MOST_TEXT], dispatched))
        else:
            self.consume(self.inbox.held)

    def consume(self, size: int) -> None:
        """
        Say that the application, or the caller's socket, took bytes of the body.

        Nothing happens if the stream was let go with what it held.

        @param size: bytes, never more than were received and not yet consumed.
        """
        if size and (self.alive or self.inbox.held):
            self._keeper.return_credit(self, size)

    def invariants(self) -> None:
        """Assert what holds between any two calls; only tests call it."""
        self.inbox.invariants()
        assert self.window.credit >= 0, "sent beyond the credit"
        waiting = sum(len(payload) for part, payload in self.outbox if part is Part.DATA)
        waiting += sum(cost_of(payload) for part, payload in self.outbox if part is Part.MESSAGE)
        assert self.backlog == waiting, "the backlog and the outbox disagree"
        assert self.alive or not (self.outbox or self.pausing), "a dead stream wants to send"
        assert self.place is not Place.IDLE or not self.outbox or self.starving, "a stream with a turn to take has none"

    @property
    def starving(self) -> bool:
        """Whether what it would send next needs credit of its own, and there is none."""
        return bool(self.outbox) and self.lacks(self.window.credit)

    def lacks(self, credit: int) -> bool:
        """Tell whether C{credit} is too little for what it would send next; there is something."""
        part, payload = self.outbox[0]
        if part is Part.DATA:
            return not credit
        return part is Part.MESSAGE and credit < least_of(payload)

    def _put(self, part: Part, payload: Value) -> None:
        """Queue one part where the table allows it."""
        following = ADVANCE.get((self.sending, part))
        if following is None or not self.alive:
            raise StreamClosed(
                f"no {part.name} can be sent in {self.sending.name} of a stream that is {self.phase.name}"
            )
        self.sending = following
        self.outbox.append((part, payload))
        if self.place is Place.IDLE:
            self._keeper.outbound.touch(self)
