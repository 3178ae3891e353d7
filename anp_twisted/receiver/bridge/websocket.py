"""One WebSocket, between the machine that speaks ASGI and its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anp_twisted.errors import Code
from anp_twisted.receiver.asgi import Message
from anp_twisted.receiver.bridge.call import PATIENCE, Call, Waker
from anp_twisted.receiver.websocket import (
    ABNORMAL,
    INTERNAL,
    NORMAL,
    RESTART,
    TOO_BIG,
    Stage,
    WebSocketExchange,
    close_body,
    close_of,
)
from anp_twisted.session.events import Event, MessageReceived, StreamEnded, StreamReset, StreamWritable
from anp_twisted.session.stream import Stream
from anp_twisted.wire import v2

if TYPE_CHECKING:
    from anp_twisted.receiver.bridge.app import AppBridge


class WebSocketCall(Call):
    """A call for one WebSocket."""

    __slots__ = ("_exchange",)

    def __init__(
        self, bridge: AppBridge, link: Waker, stream: Stream, exchange: WebSocketExchange, number: str
    ) -> None:
        super().__init__(bridge, link, stream, number)
        self._exchange = exchange

    async def receive(self) -> Message:
        """Tell the application what came; the peer gets credit for what was taken, or is waited for."""
        while (message := self._exchange.next_message()) is None:
            self._give_back()
            await self._news()
        self._give_back()
        return message

    def _give_back(self) -> None:
        """Let the caller send as much as was taken."""
        credit = self._exchange.take_credit()
        if credit:
            self._stream.consume(credit)
            self._link.wake()

    def _say(self, message: Message) -> None:
        """Take what the application says."""
        exchange, stream = self._exchange, self._stream
        kind = exchange.check(message)
        if kind == "websocket.send":
            stream.send_message(*exchange.send(message))
        elif kind == "websocket.accept":
            stream.send_accept(exchange.accept(message))
        elif kind == "websocket.http.response.body":
            stream.send_data(exchange.deny_body(message))
        elif exchange.stage is Stage.OPEN:
            stream.send_close(exchange.close(message))
            self._ring()
        else:
            stream.send_head(exchange.deny(message))
        if exchange.stage is Stage.CLOSED and exchange.denial is not None:
            stream.send_end()
            self._ring()
        self._link.wake()

    def stream_event(self, event: Event) -> None:
        """Take what happened to the stream."""
        match event:
            case MessageReceived(kind=v2.CLOSE, body=body):
                self._closed(*close_of(body))
            case MessageReceived(kind=kind, body=body, last=last, cost=cost):
                if not self._exchange.feed(kind, body, last, cost):
                    self._close(TOO_BIG, "message too big")
                self._ring()
            case StreamWritable():
                self._release()
            case StreamEnded():
                self._exchange.disconnect()
                self._part()
            case StreamReset():
                self._closed(ABNORMAL, "")

    def _closed(self, code: int, reason: str) -> None:
        """The caller closed, or is gone; nobody reads what else there is to send."""
        complete = self._exchange.stage is Stage.CLOSED
        self._exchange.disconnect(code, reason)
        self._stream.reset(Code.NO_ERROR, "app", "closed")
        self._link.wake()
        self._leave(complete)
        self._part()

    def _close(self, code: int, reason: str) -> None:
        """Close on behalf of the application."""
        self._stream.send_close(close_body(code, reason))
        self._link.wake()
        self._exchange.disconnect(code, reason)
        self._leave(False)

    def farewell(self) -> None:
        """Close while others drain; the application has as long to end as after any other close."""
        if self._exchange.stage is Stage.OPEN:
            self._close(RESTART, "the receiver stops")

    def abort(self) -> None:
        """Close, since the process stops; the application gets a moment to hear of it."""
        if self._exchange.stage is Stage.OPEN:
            self._close(RESTART, "the receiver stopped")
            self._bridge.loop.call_later(min(self._bridge.limits.cancel_grace / 2, PATIENCE), self._cancel)
            return
        self._stream.reset(Code.DRAINING, "receiver", "the receiver stopped")
        self._link.wake()
        self._exchange.disconnect()
        self._cancel()

    def _finish(self, error: BaseException | None) -> bool:
        """Close a WebSocket that is open, cut an answer that is not complete."""
        stage = self._exchange.stage
        if stage is Stage.OPEN:
            self._stream.send_close(close_body(NORMAL if error is None else INTERNAL, ""))
            self._link.wake()
            self._exchange.disconnect()
        elif stage is Stage.ASKED or stage is Stage.DENYING:
            self._exchange.disconnect()
            self._fail(error, "starting" if stage is Stage.ASKED else "completing")
            return True
        return False
