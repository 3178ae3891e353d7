"""
One WebSocket of a caller, tied to one stream of one receiver.

Until the application has decided it is an exchange like any other: it waits for a
receiver, it has its time budgets, and what goes wrong is answered as HTTP. When the
application accepts, the connection is handed over. From then on the two legs end
together: a close of one becomes a close of the other, with its code and reason,
and a leg that is lost becomes a close that says so.

C{docs/protocol/anpx.md}, "WebSockets".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anp_twisted.errors import Code, InvalidMessage
from anp_twisted.gateway.admission import Permit
from anp_twisted.gateway.balancer import Pool
from anp_twisted.gateway.exchange import Exchange, Step
from anp_twisted.headers import Header, from_text
from anp_twisted.http.handshake import Handshake, answer
from anp_twisted.http.request import PublicRequest
from anp_twisted.problems import Source
from anp_twisted.session import events
from anp_twisted.transports.caller import ABNORMAL, CallerSocket, CallerSockets
from anp_twisted.wire import v2
from anp_twisted.wire.heads import WEBSOCKET, RequestHead, Reset, ResponseHead

if TYPE_CHECKING:
    from anp_twisted.gateway.exchanges import Exchanges

_GOING_AWAY = 1001
_INTERNAL = 1011
_RESTART = 1012

#: What the caller is told when a stream ends without a close; 1011 for anything else.
_CLOSES: dict[int, int] = {
    Code.DRAINING: _RESTART,
    Code.UNREACHABLE: _RESTART,
    Code.TOO_LARGE: 1009,
    Code.REFUSED: 1013,
}


class WebSocketExchange(Exchange):
    """
    The machine that ties them.

    In C{Step.OPEN} there is a socket, a stream, or both; with the last of them it ends.
    """

    __slots__ = ("_handshake", "_patience", "_served_by", "_socket", "_sockets")

    def __init__(
        self,
        table: Exchanges,
        request: PublicRequest,
        pool: Pool,
        number: str,
        permit: Permit | None = None,
        *,
        handshake: Handshake,
    ) -> None:
        super().__init__(table, request, pool, number, permit)
        self._handshake = handshake
        self._sockets: CallerSockets = table.sockets
        self._socket: CallerSocket | None = None
        self._served_by = ""
        self._patience = 0.0  # until when the receiver may end a stream whose caller is gone

    # --- the request ----------------------------------------------------

    def _head(self) -> RequestHead:
        """
        Describe the request.

        A receiver that knows no WebSockets gets an ordinary one: its application
        will say what it thinks of that.
        """
        head = super()._head()
        assert self.receiver is not None, "a request without receiver"
        peer = self.receiver.link.connection.peer
        self._served_by = self.receiver.name
        if peer is None or WEBSOCKET not in peer.features:
            self._ending = []
            return head
        self._ending = None
        head.protocol = WEBSOCKET
        head.headers = [pair for pair in head.headers if pair[0].lower() != "sec-websocket-extensions"]
        return head

    def body_ended(self, trailers: list[Header]) -> None:
        """There is no body; a WebSocket ends with a close."""

    # --- the stream -----------------------------------------------------

    def stream_event(self, event: events.Event) -> None:
        """Go on with what the receiver sent."""
        match event:
            case events.MessageReceived():
                self._deliver(event)
            case events.AcceptReceived(head=head):
                self._accept(head)
            case events.StreamReset(reset=reset) if self.step is Step.OPEN:
                self._stream_over(reset)
            case events.StreamEnded() if self.step is Step.OPEN:
                self._stream_over(None)
            case events.StreamWritable() if self.step is Step.OPEN:
                if self._socket is not None:
                    self._socket.resume_reading()
            case _:
                super().stream_event(event)

    def _accept(self, head: ResponseHead) -> None:
        """Open the WebSocket of the caller."""
        if self.step is Step.DONE:
            return
        deflate = self._sockets.agree(self._handshake.extensions)
        try:
            fields = self.request.amended(from_text(head.headers))
            opening = answer(self._handshake, fields, b"" if deflate is None else deflate.answer)
        except (InvalidMessage, UnicodeEncodeError):
            self._bad_answer()
            return
        self.step = Step.OPEN
        self._keep_nothing()
        self._socket = self._sockets.make(self, opening, deflate)
        self.request.upgrade_to(self._socket, replay=False)

    def _deliver(self, event: events.MessageReceived) -> None:
        """Pass a message on, or a close."""
        socket = self._socket
        if self.step is not Step.OPEN:
            return
        if event.kind == v2.CLOSE:
            self._let_go()
            if socket is not None:
                socket.close(*_sound(event.body))
            self._maybe_end()
            return
        if socket is not None:
            self.request.sent += len(event.body)
            socket.send_part(event.kind, event.body, event.last)
        if self._paused:
            self._unread += event.cost
        elif self._stream is not None:
            # The link looks by itself whether this made a WINDOW: no need to wake it.
            self._stream.consume(event.cost)

    def _stream_over(self, reset: Reset | None) -> None:
        """The stream is gone; a caller who has not closed is told why."""
        if reset is not None and reset.code != Code.NO_ERROR and self._socket is not None:
            self.source = reset.source
        self._let_go()
        if self._socket is not None:
            code = _INTERNAL if reset is None else _CLOSES.get(reset.code, _INTERNAL)
            lost = reset is not None and reset.source == "tunnel"
            self._socket.close(_RESTART if lost else code)
        self._maybe_end()

    # --- the socket -----------------------------------------------------

    def part_received(self, kind: int, data: bytes, last: bool) -> None:
        """Pass a message on."""
        self.request.body_bytes += len(data)
        stream, receiver = self._stream, self.receiver
        if stream is None or receiver is None or not stream.alive:
            return
        if stream.send_message(kind, data, last) and self._socket is not None:
            self._socket.pause_reading()
        receiver.link.wake()

    def socket_closed(self, code: int, reason: bytes) -> None:
        """Tell the application that the caller closed, or was lost."""
        stream, receiver = self._stream, self.receiver
        if stream is None or receiver is None or not stream.alive:
            return
        if code == ABNORMAL:
            self.source = "caller"
            stream.reset(Code.CANCELLED, "gateway", "the caller was lost")
            self._let_go()
        else:
            stream.send_close(code.to_bytes(2, "big") + reason if code else b"")
            self._patience = self._table.clock.seconds() + self._table.closing
        receiver.link.wake()

    def socket_gone(self) -> None:
        """The connection of the caller is no more."""
        self._socket = None
        self.caller_resumed()
        self._maybe_end()

    # --- time and the end -------------------------------------------------

    def held_up(self, now: float) -> float:
        """@return: 0, since silence is what most WebSockets are made of; a slow one is its socket's business."""
        return 0.0

    def look(self, now: float) -> None:
        """See whether both legs live."""
        if self._socket is not None:
            self._socket.look(now)
        elif self._stream is not None and now >= self._patience:
            self._let_go()
            self._maybe_end()

    def farewell(self) -> None:
        """Close it while others drain: it would last until the end of that."""
        if self.step is Step.OPEN and not self._patience:
            self.expire(0, "gateway", "")

    def expire(self, status: int, source: Source, title: str) -> None:
        """End it, since the gateway stops; at the second time, at once."""
        if self.step is not Step.OPEN:
            super().expire(status, source, title)
            return
        self.source = source
        if self._patience and self._socket is not None:
            self._socket.abort()
        elif self._socket is not None:
            self._patience = self._table.clock.seconds() + self._table.closing
            self._socket.close(_GOING_AWAY)
            if self._stream is not None and self.receiver is not None:
                self._stream.send_close(_GOING_AWAY.to_bytes(2, "big"))
                self.receiver.link.wake()

    def _maybe_end(self) -> None:
        """End when neither leg is left."""
        if self._socket is None and self._stream is None:
            self._end()

    @property
    def receiver_name(self) -> str:
        """Who served it, for logs."""
        return self._served_by


def _sound(body: bytes) -> tuple[int, bytes]:
    """
    Read the close of a receiver.

    @return: code and reason as they can be sent on; 0 for a close without a code.
    """
    code, reason = int.from_bytes(body[:2], "big"), body[2:]
    if not body:
        return 0, b""
    fits = (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    try:
        reason.decode("utf-8")
    except UnicodeDecodeError:
        reason = b""
    return (code, reason) if fits else (_INTERNAL, b"")
