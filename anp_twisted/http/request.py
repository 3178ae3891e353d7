"""
One request of a caller together with its answer, as the features see it.

A request is handed over as soon as its head is complete. What comes later, its
body and the caller's leaving, goes to the L{RequestConsumer} attached to it;
what is answered goes back through the methods of L{PublicRequest}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Protocol

from twisted.internet.interfaces import IProtocol

from anp_twisted.auth.identity import Identity
from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import Header
from anp_twisted.http.answer import CONTINUE, Asked, Framing, answer_head, informational_head
from anp_twisted.http.head import RequestHead


class RequestConsumer(Protocol):
    """
    Who takes what a caller sends after the head.

    Every method may be called from inside a method of the L{PublicRequest}, so
    whoever implements it changes its own state before it calls the request.
    None is called after C{finish}, C{abort} or C{upgrade_to}.
    """

    def body_received(self, data: bytes) -> None:
        """
        A piece of the body came, chunk framing removed; owned by the consumer.
        """

    def body_ended(self, trailers: list[Header]) -> None:
        """
        The body is complete. Called for a request without a body as well, once
        the callback that got the request has returned.
        """

    def caller_lost(self) -> None:
        """
        The caller is gone, or was too slow or malformed: nothing can be sent any more.
        """

    def caller_paused(self) -> None:
        """
        The caller takes less than it is sent; what is written now is held in memory.
        """

    def caller_resumed(self) -> None:
        """
        Everything held was taken; write on.
        """


class Answering(Protocol):
    """
    What a request needs of its connection.
    """

    @property
    def date(self) -> bytes:
        """
        The value of the C{Date} field now.
        """

    @property
    def certificate(self) -> str:
        """
        The name in the caller's certificate, if TLS has verified one, else nothing.
        """

    @property
    def staying(self) -> bool:
        """
        C{False} once the connection shall end after the current answer.
        """

    def send(self, data: bytes) -> None:
        """
        Write to the caller.
        """

    def send_last(self, data: bytes) -> None:
        """
        Write what completes an answer to the caller.
        """

    def hold_body(self, held: bool) -> None:
        """
        Stop or go on reading the body.
        """

    def start_body_clock(self) -> None:
        """
        The caller has been told to send its body: from now on it may not dawdle.
        """

    def answered(self, keep_alive: bool) -> None:
        """
        The answer is complete.
        """

    def cut(self) -> None:
        """
        End the connection at once, unsent bytes dropped.
        """

    def end_short(self) -> None:
        """
        End the connection behind what was written, since the framing shows that
        it is not all.
        """

    def hand_over(self, protocol: IProtocol, raw_head: bytes) -> None:
        """
        Give the transport away.
        """


class Answer(IntEnum):
    """How far the answer to a request has come."""

    WAITING = 0
    SENDING = 1
    ENDED = 2
    LOST = 3


class Act(IntEnum):
    """What a feature may do about an answer."""

    INTERIM = 0
    HEAD = 1
    BODY = 2
    END = 3
    UPGRADE = 4
    LOSE = 5


_AFTER = {
    (Answer.WAITING, Act.INTERIM): Answer.WAITING,
    (Answer.WAITING, Act.HEAD): Answer.SENDING,
    (Answer.WAITING, Act.UPGRADE): Answer.ENDED,
    (Answer.SENDING, Act.BODY): Answer.SENDING,
    (Answer.SENDING, Act.END): Answer.ENDED,
    (Answer.WAITING, Act.LOSE): Answer.LOST,
    (Answer.SENDING, Act.LOSE): Answer.LOST,
    (Answer.ENDED, Act.LOSE): Answer.ENDED,
}
"""
What is not here raises L{InvalidMessage}, but for a L{Answer.LOST} answer:
there, everything is ignored, since a feature may not know yet.
"""


class PublicRequest:
    """
    A request and the way back to its caller.

    @ivar method: as sent, one of L{head.METHODS}.
    @ivar target: origin-form or C{*}, byte for byte; an absolute-form one was reduced.
    @ivar version: C{b"1.1"} or C{b"1.0"}.
    @ivar headers: order, case and duplicates as received.
    @ivar host: whom the caller meant.
    @ivar client: address and port of the caller.
    @ivar scheme: C{b"http"} or C{b"https"}.
    @ivar received: when the head was complete, in seconds of the reactor's clock.
    @ivar content_length: the declared length of the body.
    @ivar has_body: a body follows.
    @ivar upgrade: the lower-case value of C{Upgrade} if the connection may be
        upgraded, else C{b""}.
    @ivar status: the status of the answer, 0 until its head was sent.
    @ivar sent: bytes of the answer's body that were written.
    @ivar body_bytes: bytes of the request's body that were received.
    @ivar consumer: who was attached, until the answer has ended: it refers to the request
        as well, and two that do only the garbage collector would find.
    @ivar identity: who the caller has proved to be, C{None} if it has not.
    @ivar shown_id: what the caller finds in C{X-Request-ID}, if anything.
    @ivar amend: makes the fields of the answer's head out of those it is given, if
        there is anything to change.
    """

    __slots__ = (
        "_answer",
        "_channel",
        "_expects_continue",
        "_framing",
        "_keep_alive",
        "_raw_head",
        "amend",
        "body_bytes",
        "client",
        "consumer",
        "content_length",
        "has_body",
        "headers",
        "host",
        "identity",
        "method",
        "received",
        "scheme",
        "sent",
        "shown_id",
        "status",
        "target",
        "upgrade",
        "version",
    )

    def __init__(
        self, channel: Answering, head: RequestHead, *, client: tuple[str, int], scheme: bytes, received: float
    ) -> None:
        (
            self.method,
            self.target,
            self.version,
            self.headers,
            self.host,
            self.content_length,
            self.has_body,
            self._expects_continue,
            self.upgrade,
            self._keep_alive,
            self._raw_head,
        ) = head
        self.client = client
        self.scheme = scheme
        self.received = received
        self.status = 0
        self.sent = 0
        self.body_bytes = 0
        self.consumer: RequestConsumer | None = None
        self.shown_id = b""
        self.identity: Identity | None = None
        self.amend: Callable[[list[Header]], list[Header]] | None = None
        self._channel = channel
        self._answer = Answer.WAITING
        self._framing: Framing | None = None

    # --- the request -----------------------------------------------------

    @property
    def answer(self) -> Answer:
        """
        How far the answer has come.
        """
        return self._answer

    @property
    def certificate(self) -> str:
        """
        The name in the caller's certificate, if TLS has verified one, else nothing.
        """
        return self._channel.certificate

    @property
    def awaits_continue(self) -> bool:
        """
        The caller holds its body back until it is told to go on.
        """
        return self._expects_continue

    def attach(self, consumer: RequestConsumer) -> None:
        """
        Say who takes the body and the loss of the caller.

        Only inside the callback that got the request; nothing is delivered before
        that has returned. A request answered inside the callback needs no consumer.
        """
        self.consumer = consumer

    def pause_body(self) -> None:
        """
        Read no more of the body. What has been read already is still delivered:
        at most one read of the socket.
        """
        if self._answer < Answer.ENDED:
            self._channel.hold_body(True)

    def resume_body(self) -> None:
        """
        Read on.
        """
        if self._answer < Answer.ENDED:
            self._channel.hold_body(False)

    # --- the answer ------------------------------------------------------

    def send_continue(self) -> None:
        """
        Tell a caller who waits with the body to send it (RFC 9110, 10.1.1); to
        any other this does nothing.
        """
        if self._expects_continue and self._answer is Answer.WAITING:
            self._expects_continue = False
            self._channel.send(CONTINUE)
            self._channel.start_body_clock()

    def send_informational(self, status: int, headers: list[Header]) -> None:
        """
        Send an interim response; HTTP/1.0 callers get none, since they know none.

        @raise InvalidMessage: for a status that is none of 100 to 199, for 101, for a
            malformed field, and after L{send_head}.
        """
        if not self._go(Act.INTERIM):
            return
        data = informational_head(status, headers)
        if self.version == b"1.1":
            if status == 100:
                self._expects_continue = False
            self._channel.send(data)

    def send_head(self, status: int, headers: list[Header]) -> None:
        """
        Send the head of the answer.

        C{Date} is added if it is absent; fields of the connection are this side's own.

        @raise InvalidMessage: for a bad status, name or value, for contradicting
            lengths, or the second time. Nothing was sent then, and another head
            may be.
        """
        made = self._make_head(status, headers)
        if made is not None:
            self._begin(status, made[1])
            self._channel.send(made[0])

    def respond(
        self, status: int, headers: list[Header], *, body: bytes = b"", trailers: Sequence[Header] = ()
    ) -> None:
        """
        Send a whole answer at once, which costs less than its parts.

        @raise InvalidMessage: as L{send_head}, L{write} and L{finish} do. Nothing was
            sent then, and another answer may be.
        """
        made = self._make_head(status, headers)
        if made is None:
            return
        data, framing = made
        piece = framing.piece(body)
        ending = framing.end(trailers)
        self._begin(status, framing)
        if piece:
            self.sent = len(body)
        self._answer = Answer.ENDED
        self.consumer = None
        if ending is None:
            self._channel.cut()
            return
        self._channel.send_last(data + piece + ending)
        self._channel.answered(self._keep_alive)

    def amended(self, headers: list[Header]) -> list[Header]:
        """
        Make the fields of an answer whose head somebody else writes, as after L{upgrade_to}.
        """
        if self.amend is not None:
            headers = self.amend(headers)
        if self.shown_id:
            headers = [field for field in headers if field[0].lower() != b"x-request-id"]
            headers.append((b"X-Request-ID", self.shown_id))
        return headers

    def _make_head(self, status: int, headers: list[Header]) -> tuple[bytes, Framing] | None:
        """
        @return: the head to be sent and how its body goes on, C{None} if the caller is lost.
        """
        if self._answer is not Answer.WAITING:
            self._go(Act.HEAD)
            return None
        channel = self._channel
        keep_alive = self._keep_alive and channel.staying and not self._expects_continue
        asked = Asked(self.method == b"HEAD", self.version == b"1.1", keep_alive, self.shown_id)
        if self.amend is not None:
            headers = self.amend(headers)
        return answer_head(status, headers, asked=asked, date=channel.date)

    def _begin(self, status: int, framing: Framing) -> None:
        """
        The head will be sent.
        """
        self._answer = Answer.SENDING
        self.status = status
        self._framing = framing
        self._keep_alive = framing.keep_alive

    def write(self, data: bytes) -> None:
        """
        Send a piece of the body. What the answer to a HEAD has no room for is swallowed.

        @raise InvalidMessage: if the body gets longer than its Content-Length, if a
            204 or 304 gets one at all, and before L{send_head}. Nothing of the piece was sent.
        """
        if not self._go(Act.BODY):
            return
        assert self._framing is not None
        piece = self._framing.piece(data)
        if piece:
            self.sent += len(data)
            self._channel.send(piece)

    def finish(self, trailers: Sequence[Header] = ()) -> None:
        """
        The answer is complete. If less was written than its Content-Length said,
        the connection is cut.

        @param trailers: sent if the body is chunked, else dropped.
        @raise InvalidMessage: before L{send_head}, twice, or for a malformed trailer.
        """
        if self._answer is Answer.LOST:
            return
        ending = self._framing.end(trailers) if self._framing is not None else b""
        self._go(Act.END)
        self.consumer = None
        if ending is None:
            self._channel.end_short()
            return
        if ending:
            self._channel.send_last(ending)
        self._channel.answered(self._keep_alive)

    def abort(self) -> None:
        """
        End the connection so that the caller cannot take what it got for complete.

        What was written before is still delivered where the missing rest shows by
        itself. A body that only the end of the connection delimits is cut, since a
        reset is all that tells it from a complete one.
        """
        if self._answer < Answer.ENDED:
            framing = self._framing
            self._go(Act.LOSE)
            self.consumer = None
            if framing is not None and framing.unfinished:
                self._channel.end_short()
            else:
                self._channel.cut()

    def upgrade_to(self, protocol: IProtocol, *, replay: bool = True) -> None:
        """
        Hand the connection to another protocol, which gets the head of this
        request as it was received and every byte after it.

        Only for a request with L{upgrade} and without a body.

        @param replay: whether it gets the head; one that writes the answer to it
            without having read it does not.

        @raise InvalidMessage: for any other, or after L{send_head}.
        """
        if not self.upgrade or self.has_body:
            raise InvalidMessage("the caller did not ask for an upgrade")
        if self._go(Act.UPGRADE):
            self.status = 101
            self._channel.hand_over(protocol, self._raw_head if replay else b"")

    # --- called by the connection ----------------------------------------

    def receive(self, data: bytes) -> None:
        """
        Pass on a piece of the body.
        """
        self._expects_continue = False
        self.body_bytes += len(data)
        if self.consumer is not None and self._answer < Answer.ENDED:
            self.consumer.body_received(data)

    def receive_end(self, trailers: list[Header]) -> None:
        """
        Pass on the end of the body.
        """
        if self.consumer is not None and self._answer < Answer.ENDED:
            self.consumer.body_ended(trailers)

    def lose(self) -> None:
        """
        The caller is lost; say so once.
        """
        if self._answer < Answer.ENDED:
            self._go(Act.LOSE)
            consumer, self.consumer = self.consumer, None
            if consumer is not None:
                consumer.caller_lost()

    def _go(self, act: Act) -> bool:
        """
        Take a step of the answer.

        @return: whether there is still a caller to send anything to.
        @raise InvalidMessage: if there is no such step.
        """
        if self._answer is Answer.LOST:
            return False
        after = _AFTER.get((self._answer, act))
        if after is None:
            raise InvalidMessage(f"{act.name} cannot follow {self._answer.name}")
        self._answer = after
        return True
