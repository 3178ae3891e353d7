"""
One public connection: order, back-pressure, time and closing.

Requests of a connection are taken one after the other: bytes that come behind
the one being answered wait unparsed, so that answers cannot change places and
nothing but bytes has to be bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.errors import InvalidMessage, RequestRefused
from anp_twisted.http.answer import Asked, answer_head
from anp_twisted.http.certificate import peer_name
from anp_twisted.http.intake import BodyPart, Intake
from anp_twisted.http.pace import NEVER, Stall
from anp_twisted.http.request import Answer, PublicRequest
from anp_twisted.http.sockets import PublicTransport, bound_unsent, send_now, unsent
from anp_twisted.problems import problem

if TYPE_CHECKING:
    from anp_twisted.http.channel import PublicFactory

_log = Logger()

_REFUSED = Asked(head_only=False, http11=True, keep_alive=False)
_GATHERED = 4096
"""A piece smaller than this waits for the end of the turn that writes it."""

_TITLES = {
    400: "The request is malformed",
    408: "The request took too long",
    413: "The request body is too large",
    414: "The request target is too long",
    417: "The expectation is not supported",
    421: "The request is for another server",
    429: "There are too many connections from this address",
    431: "The request header is too large",
    500: "The request could not be handled",
    501: "The method or transfer coding is not supported",
    503: "There are too many connections",
    505: "The HTTP version is not supported",
}


class Phase(IntEnum):
    """What a connection is doing."""

    IDLE = 0
    """Between two requests."""
    HEAD = 1
    """A part of a head has come."""
    BODY = 2
    """A request is being answered, and its body is still coming."""
    WHOLE = 3
    """A request is being answered and has come completely."""
    SURPLUS = 4
    """The answer is complete; the rest of the request's body is dropped."""
    CLOSING = 5
    """The last answer is on its way; what still comes is dropped."""
    GONE = 6
    """Lost, cut or handed over."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class PublicConnection(Protocol):
    """
    The protocol of one connection. As a producer it is what the transport pauses
    when a caller takes too little.

    @ivar client: address and port of the caller.
    @ivar deadline: when L{expire} must be called, in seconds of the reactor's clock.
    """

    def __init__(self, factory: PublicFactory, client: tuple[str, int]) -> None:
        """
        @param client: address and port of the caller.
        """
        self._factory = factory
        self._limits = factory.limits
        self._seconds = factory.seconds
        self.client = client
        self._phase = Phase.IDLE
        self._request: PublicRequest | None = None
        self._held = b""
        self._gathered: list[bytes] = []
        self._pumping = False
        self._reading = True
        self._body_held = False
        self._dropped = 0
        self._progress = 0
        self._stall: Stall | None = None
        self._resting_since = 0.0
        self._input_deadline = NEVER
        self.deadline = NEVER

    # --- the connection's life ---------------------------------------------

    def connectionMade(self) -> None:
        """
        Get ready for the first request.
        """
        self._socket = socket = cast(PublicTransport, self.transport)
        self._secure = ISSLTransport.providedBy(socket)
        self._scheme = b"https" if self._secure else b"http"
        self._intake = Intake(self._limits, secure=self._secure)
        self._half_closes = not self._secure and ITCPTransport.providedBy(socket)
        if ITCPTransport.providedBy(socket):
            cast(ITCPTransport, socket).setTcpNoDelay(True)
            bound_unsent(socket, self._limits.unsent)
        socket.registerProducer(self, True)
        # Whoever connects has something to ask; a TLS handshake belongs to that time.
        self._resting_since = now = self._seconds()
        self._set_deadline(now + min(self._limits.head_timeout, self._limits.keep_alive))
        refusal = self._factory.opened(self)
        if refusal:
            self._refuse(refusal)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The caller is gone.
        """
        self._phase = Phase.GONE
        self._set_deadline(NEVER)
        self._held = b""
        self._factory.closed(self)
        self._lose_request()

    def readConnectionLost(self) -> None:
        """
        The caller sends no more. That is how leaving looks, so whoever works for
        it is told; what has been written before is still delivered.
        """
        if self._phase < Phase.CLOSING:
            self._enter_closing()
        self._socket.loseConnection()
        self._lose_request()

    def writeConnectionLost(self) -> None:
        """
        Everything was sent after a half close; the caller's end is awaited.
        """

    def close_if_idle(self, since: float = NEVER) -> None:
        """
        Close unless a request is under way.

        @param since: only if it has been idle from then on, in seconds of the clock.
        """
        if self._phase is Phase.IDLE and self._resting_since <= since:
            self._close()

    def _lose_request(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.lose()

    # --- bytes in ------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """
        Bytes came.
        """
        self._held = self._held + data if self._held else data
        self._pump()

    def _pump(self) -> None:
        """
        Use what is held as far as the phase allows.

        Whatever is called from here may call back, for instance to finish the
        request, which must not start another round inside this one.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._held and _ON_BYTES[self._phase](self):
                pass
        except RequestRefused as refusal:
            self._refuse(refusal.status)
        except Exception:  # noqa: BLE001 boundary: callbacks fail their own request and connection
            _log.failure("public request failed")
            self._fail()
        finally:
            self._pumping = False
        if self._gathered:
            self._flush()
        if self._held or self._body_held or not self._reading:
            self._update_reading()

    def _on_head_bytes(self) -> bool:
        data, self._held = self._held, b""
        head, self._held = self._intake.feed_head(data)
        if head is None:
            if self._phase is Phase.IDLE:
                self._phase = Phase.HEAD
                self._set_deadline(self._seconds() + self._limits.head_timeout)
            return False
        now = self._seconds()
        request = PublicRequest(self, head, client=self.client, scheme=self._scheme, received=now)
        self._request = request
        self._phase = Phase.BODY if head.has_body else Phase.WHOLE
        waits = not head.has_body or head.expects_continue
        self._set_deadline(NEVER if waits else now + self._limits.body_timeout)
        self._factory.on_request(request)
        if request.consumer is None and request.answer < Answer.ENDED:
            raise InvalidMessage("a request was neither attached to nor answered")
        if not head.has_body:
            request.receive_end([])
        return True

    def _on_body_bytes(self) -> bool:
        request = self._request
        assert request is not None
        part = self._take_body()
        if not self._body_held:
            self._note_progress(len(part.data))
        if part.ended:
            self._phase = Phase.WHOLE
            self._body_held = False
            self._set_deadline(NEVER)
        if part.data:
            request.receive(part.data)
        if part.ended:
            request.receive_end(part.trailers)
        return True

    def _note_progress(self, size: int) -> None:
        """
        Give a caller more time for its body, if enough of it has come.
        """
        self._progress += size
        if self._progress >= self._limits.body_progress or self._input_deadline == NEVER:
            self._progress = 0
            self._set_deadline(self._seconds() + self._limits.body_timeout)

    def _on_surplus_bytes(self) -> bool:
        part = self._take_body()
        self._dropped += len(part.data)
        if part.ended:
            self._next()
        elif self._dropped > self._limits.linger_bytes:
            self._close()
        return True

    def _on_late_bytes(self) -> bool:
        self._dropped += len(self._held)
        self._held = b""
        if self._phase is Phase.CLOSING and self._dropped > self._limits.linger_bytes:
            self.cut()
        return False

    def _on_early_bytes(self) -> bool:
        return False

    def _take_body(self) -> BodyPart:
        data, self._held = self._held, b""
        part = self._intake.feed_body(data)
        self._held = part.rest
        return part

    def _update_reading(self) -> None:
        """
        Read from the socket unless somebody is behind.
        """
        reading = not self._body_held and len(self._held) <= self._limits.pipelined
        if reading is not self._reading and self._phase is not Phase.GONE:
            self._reading = reading
            if reading:
                self._socket.resumeProducing()
            else:
                self._socket.pauseProducing()

    # --- what a request asks of its connection ---------------------------------

    @property
    def certificate(self) -> str:
        """
        The name in the caller's certificate, if TLS has verified one, else nothing.
        """
        return peer_name(self._socket) if self._secure else ""

    @property
    def date(self) -> bytes:
        """
        The value of the C{Date} field now.
        """
        return self._factory.date

    @property
    def staying(self) -> bool:
        """
        C{False} once the connection shall end after the current answer.
        """
        return not self._factory.draining

    def send(self, data: bytes) -> None:
        """
        Write to the caller. Small pieces written while received bytes are worked
        on leave together; otherwise the transport itself gathers what is written
        in one turn of the reactor.
        """
        if self._pumping:
            self._gathered.append(data)
            if len(data) > _GATHERED:
                self._flush()
        elif self._phase is not Phase.GONE:
            self._socket.write(data)

    def send_last(self, data: bytes) -> None:
        """
        Write what completes an answer.
        """
        if self._pumping:
            self._gathered.append(data)
        elif self._phase is not Phase.GONE:
            send_now(self._socket, data)

    def _flush(self) -> None:
        data = b"".join(self._gathered)
        self._gathered.clear()
        if self._phase is not Phase.GONE:
            send_now(self._socket, data)

    def hold_body(self, held: bool) -> None:
        """
        Stop or go on reading the body; its clock stands still meanwhile.
        """
        if self._phase is not Phase.BODY or held is self._body_held:
            return
        self._body_held = held
        if held:
            self._set_deadline(NEVER)
        else:
            self.start_body_clock()
        self._update_reading()

    def start_body_clock(self) -> None:
        """
        From now on the caller may not dawdle with its body.
        """
        if self._phase is Phase.BODY and not self._body_held:
            self._set_deadline(self._seconds() + self._limits.body_timeout)

    def answered(self, keep_alive: bool) -> None:
        """
        The answer is complete: go on to the next request, or close.

        With a part of the request's body still to come, that is read and dropped
        for a while: a caller who only reads once it has written everything would
        otherwise lose the answer.
        """
        self._request = None
        self._body_held = False
        if not keep_alive or self._factory.draining:
            self._close()
        elif self._phase is Phase.BODY:
            self._phase = Phase.SURPLUS
            self._dropped = 0
            self._set_deadline(self._seconds() + self._limits.linger)
            self._update_reading()
        else:
            self._next()

    def _next(self) -> None:
        self._phase = Phase.IDLE
        self._resting_since = now = self._seconds()
        self._set_deadline(now + self._limits.keep_alive)
        if self._held:
            self._pump()

    def cut(self) -> None:
        """
        End the connection at once; unsent bytes are dropped, and the caller sees a reset.
        """
        if self._phase is not Phase.GONE:
            self._phase = Phase.GONE
            self._set_deadline(NEVER)
            self._request = None
            self._gathered.clear()
            self._socket.abortConnection()

    def end_short(self) -> None:
        """
        End the connection behind what was written, which shows that it is not all.
        """
        self._request = None
        self._close()

    def hand_over(self, protocol: IProtocol, raw_head: bytes) -> None:
        """
        Make C{protocol} the owner of the transport, as if it had been connected
        from the start of the current request, and forget the connection.
        """
        socket = self._socket
        rest, self._held = self._held, b""
        if self._gathered:
            self._flush()
        self._phase = Phase.GONE
        self._set_deadline(NEVER)
        self._request = None
        self._factory.closed(self)
        socket.unregisterProducer()
        if not self._reading:
            socket.resumeProducing()
        if isinstance(socket, ProtocolWrapper):
            socket.wrappedProtocol = protocol
        else:
            socket.protocol = protocol
        protocol.makeConnection(socket)
        if raw_head or rest:
            protocol.dataReceived(raw_head + rest)

    # --- refusing and closing ----------------------------------------------------

    def _refuse(self, status: int) -> None:
        """
        Answer what is not a request we take, and close. If its answer has begun,
        cutting is all that is left.
        """
        request = self._request
        if self._phase is Phase.SURPLUS:
            self._close()
            return
        if self._phase >= Phase.CLOSING:
            return
        if request is None or request.answer is Answer.WAITING:
            self._send_problem(status)
            self._close()
        else:
            self.cut()
        self._request = None
        if request is not None:
            request.lose()

    def _fail(self) -> None:
        """
        A callback raised: answer 500 if the current request has no answer yet.
        """
        if self._request is not None:
            self._refuse(500)
        elif self._phase is Phase.GONE:
            # It may have been handed over to what raised.
            self._socket.abortConnection()
        else:
            self.cut()

    def _send_problem(self, status: int) -> None:
        request_id = self._factory.on_refused(self.client, status)
        retry_after = 1 if status in (429, 503) else None
        headers, body = problem(status, "gateway", _TITLES[status], request_id, retry_after)
        head, _ = answer_head(status, headers, asked=_REFUSED, date=self.date)
        self.send(head + body)

    def _enter_closing(self) -> None:
        self._phase = Phase.CLOSING
        self._held = b""
        self._body_held = False
        self._dropped = 0
        if self._gathered:
            self._flush()
        self._socket.unregisterProducer()
        self._stall = Stall(unsent(self._socket), self._seconds())
        self._set_deadline(self._seconds() + self._limits.linger)

    def _close(self) -> None:
        """
        End the connection so that the caller surely gets what was written.

        Closing a socket with unread bytes resets it, and a reset may overtake the
        answer. So only our half is closed, and what comes is read and dropped
        until the caller closes or L{Limits.linger} is over. TLS does as much by
        itself: it says goodbye and waits for the caller's.
        """
        if self._phase >= Phase.CLOSING:
            return
        self._enter_closing()
        if self._half_closes:
            self._socket.loseWriteConnection()
        else:
            self._socket.loseConnection()
        self._update_reading()

    # --- time --------------------------------------------------------------------

    def _set_deadline(self, deadline: float) -> None:
        """
        When the caller must have sent something; L{NEVER} if it need not.
        """
        self._input_deadline = deadline
        self.deadline = deadline if self._stall is None else 0.0

    def pauseProducing(self) -> None:
        """
        The transport holds as much as it should: ask for no more.
        """
        if self._stall is None and self._phase < Phase.CLOSING:
            self._stall = Stall(unsent(self._socket), self._seconds())
            self.deadline = 0.0
            if self._request is not None and self._request.consumer is not None:
                self._request.consumer.caller_paused()

    def resumeProducing(self) -> None:
        """
        The caller took everything.
        """
        if self._stall is not None and self._phase < Phase.CLOSING:
            self._stall = None
            self.deadline = self._input_deadline
            if self._request is not None and self._request.consumer is not None:
                self._request.consumer.caller_resumed()

    def stopProducing(self) -> None:
        """
        The transport is going away; L{connectionLost} follows.
        """

    def expire(self, now: float) -> None:
        """
        A deadline has come, or a caller that takes too little is to be looked at.
        """
        if self._stall is not None:
            left = unsent(self._socket)
            if self._stall.lasts(left, now) >= self._limits.write_timeout - self._factory.interval:
                self._lose()
                return
            if self._phase is Phase.CLOSING and left is not None:
                self._input_deadline = now + self._limits.linger
        if now + self._factory.interval > self._input_deadline:
            _ON_TIMEOUT[self._phase](self)

    def _on_silence(self) -> None:
        self._refuse(408)

    def _lose(self) -> None:
        request = self._request
        self.cut()
        if request is not None:
            request.lose()

    def _on_closed_enough(self) -> None:
        """
        The caller had its time to read the last answer.
        """
        if self._half_closes:
            self._socket.loseConnection()
        else:
            self.cut()


_ON_BYTES: dict[Phase, Callable[[PublicConnection], bool]] = {
    Phase.IDLE: PublicConnection._on_head_bytes,
    Phase.HEAD: PublicConnection._on_head_bytes,
    Phase.BODY: PublicConnection._on_body_bytes,
    Phase.WHOLE: PublicConnection._on_early_bytes,
    Phase.SURPLUS: PublicConnection._on_surplus_bytes,
    Phase.CLOSING: PublicConnection._on_late_bytes,
    Phase.GONE: PublicConnection._on_late_bytes,
}
"""What received bytes mean; each tells whether what is left is worth another look."""

_ON_TIMEOUT: dict[Phase, Callable[[PublicConnection], None]] = {
    Phase.IDLE: PublicConnection._close,
    Phase.HEAD: PublicConnection._on_silence,
    Phase.BODY: PublicConnection._on_silence,
    Phase.WHOLE: PublicConnection._lose,
    Phase.SURPLUS: PublicConnection._close,
    Phase.CLOSING: PublicConnection._on_closed_enough,
    Phase.GONE: PublicConnection.cut,
}
"""What it means that the caller's time is over. There is no such time in L{Phase.WHOLE}."""
