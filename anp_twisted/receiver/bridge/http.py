"""One request, between the machine that speaks ASGI and its stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from anp_twisted.errors import Code
from anp_twisted.receiver.asgi import HttpExchange, Incoming, Message, Outgoing
from anp_twisted.receiver.bridge.call import Call, Waker
from anp_twisted.session.events import DataReceived, Event, StreamEnded, StreamReset, StreamWritable
from anp_twisted.session.stream import Stream
from anp_twisted.wire.heads import ResponseHead

if TYPE_CHECKING:
    from anp_twisted.receiver.bridge.app import AppBridge

_CONTINUE: Final = ResponseHead(100, [])


class HttpCall(Call):
    """A call for one HTTP request."""

    __slots__ = ("_exchange",)

    def __init__(self, bridge: AppBridge, link: Waker, stream: Stream, exchange: HttpExchange, number: str) -> None:
        super().__init__(bridge, link, stream, number)
        self._exchange = exchange

    async def receive(self) -> Message:
        """Tell the application what came; the peer gets credit for a piece that was taken."""
        exchange = self._exchange
        while (message := exchange.next_message()) is None:
            if exchange.must_ask():
                self._stream.send_informational(_CONTINUE)
                self._link.wake()
            await self._news()
        body = message.get("body")
        if body:
            self._stream.consume(len(body))
            self._link.wake()
        return message

    def _say(self, message: Message) -> None:
        """Take what the application says."""
        exchange, stream = self._exchange, self._stream
        if exchange.incoming is Incoming.GONE:
            return
        rare = _RARE.get(message.get("type", ""))
        if rare is not None:
            rare(self, message)
        elif exchange.outgoing is Outgoing.HEAD:
            stream.send_head(exchange.start(message))
        else:
            stream.send_data(exchange.body(message))
            if exchange.outgoing is Outgoing.DONE:
                stream.send_end()
                self._ring()
        self._link.wake()

    def _hint(self, message: Message) -> None:
        """Send links ahead of the answer."""
        head = self._exchange.early_hint(message)
        if head is not None:
            self._stream.send_informational(head)

    def _trail(self, message: Message) -> None:
        """Send the fields behind the body."""
        self._exchange.take_trailers(message)
        if self._exchange.outgoing is Outgoing.DONE:
            self._stream.send_end(self._exchange.trailers)
            self._ring()

    def _debug(self, message: Message) -> None:
        """Ignore what is for test clients."""

    def stream_event(self, event: Event) -> None:
        """Take what happened to the stream."""
        match event:
            case DataReceived(body=body, ended=ended):
                self._exchange.feed(body, ended)
                self._ring()
            case StreamWritable():
                self._release()
            case StreamEnded():
                self._exchange.disconnect()
                self._part()
            case StreamReset():
                complete = self._exchange.outgoing is Outgoing.DONE
                self._exchange.disconnect()
                self._leave(complete)
                self._part()

    def abort(self) -> None:
        """End the call now: the process stops."""
        self._stream.reset(Code.DRAINING, "receiver", "the receiver stopped")
        self._link.wake()
        self._exchange.disconnect()
        self._cancel()

    def _finish(self, error: BaseException | None) -> bool:
        """Cut the stream if the answer is not complete."""
        exchange = self._exchange
        if exchange.incoming is Incoming.GONE or exchange.outgoing is Outgoing.DONE:
            return False
        exchange.disconnect()
        self._fail(error, "starting" if exchange.outgoing is Outgoing.HEAD else "completing")
        return True


_RARE: dict[str, Callable[[HttpCall, Message], None]] = {
    "http.response.early_hint": HttpCall._hint,
    "http.response.trailers": HttpCall._trail,
    "http.response.debug": HttpCall._debug,
}
"""What an application may say of an answer besides its head and its body."""
