"""
Passes one WebSocket on to a HTTP server, message by message.

Pings stay on the connection they came on. What a slow side has not taken stops
the other one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from anp_twisted.errors import ANPError, BackendTimeout
from anp_twisted.headers import Header
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.target_exchange import CallerLeft
from anp_twisted.receiver.target_pool import TargetPool
from anp_twisted.receiver.target_reply import ReplyEnd, ReplyHead
from anp_twisted.receiver.target_request import fields_for, head_of, raw_target
from anp_twisted.receiver.target_socket import NO_CODE, Arrived, Closed, Opened, Order, SocketEvent, TargetSocket
from anp_twisted.targets import Target
from anp_twisted.tasks import Bell

NORMAL: Final = 1000
ABNORMAL: Final = 1006

_DENIAL: Final = "websocket.http.response"
_NOT_PASSED: Final = frozenset({b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"})
"""Our handshake has a key of its own and no extension: compression is a matter of each leg."""


def handshake_of(scope: Mapping[str, Any], target: Target, *, keep_host: bool) -> tuple[bytes, list[Header]]:
    """
    Describe the request for a WebSocket.

    @return: the request target and the fields, without the key.
    @raise OutsideBase: if nothing below the target may be asked for so.
    """
    fields = [field for field in fields_for(scope, target, keep_host=keep_host) if field[0] not in _NOT_PASSED]
    own = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")]
    return target.join(raw_target(scope)), [*fields, *own]


class Conversation:
    """One WebSocket to the server, as coroutines see it."""

    def __init__(self, loop: Any, limits: Limits) -> None:
        """
        @param loop: the asyncio loop.
        """
        self._limits = limits
        self._bell = Bell(loop)
        self._events: deque[SocketEvent] = deque()
        self._held = 0
        self._failure: ANPError | None = None
        self.socket: TargetSocket | None = None

    # --- from the socket --------------------------------------------------------

    def connected(self, socket: TargetSocket) -> None:
        """Take the socket, unless nobody wants it any more."""
        if self._failure is None:
            self.socket = socket
        else:
            socket.cut()

    def happened(self, event: SocketEvent) -> None:
        """Keep what came; when much waits, the server waits too."""
        self._held += _size(event)
        self._events.append(event)
        if self._held > self._limits.stream_backlog and self.socket is not None:
            self.socket.listen(False)
        self._bell.ring()

    def lost(self, error: ANPError) -> None:
        """Let whoever waits know; the first reason counts."""
        if self._failure is None:
            self._failure = error
        self._bell.ring()

    def writable(self) -> None:
        """Let L{send} go on."""
        self._bell.ring()

    # --- for the coroutines -------------------------------------------------------

    async def next_event(self) -> SocketEvent:
        """
        Wait for what comes next.

        @raise BackendFault: if there will be nothing.
        @raise CallerLeft: if nobody wants it.
        """
        while not self._events:
            if self._failure is not None:
                raise self._failure
            await self._bell.wait()
        event = self._events.popleft()
        self._held -= _size(event)
        if self._held <= self._limits.stream_backlog // 2 and self.socket is not None:
            self.socket.listen(True)
        return event

    async def send(self, data: bytes, *, text: bool) -> None:
        """Send a message; returns when there is room for more, or no use in it."""
        socket = self.socket
        if socket is None or self._failure is not None or socket.state != socket.STATE_OPEN:
            return
        socket.say(data, text=text)
        while socket.full and self._failure is None:
            await self._bell.wait()

    def caller_closed(self, code: int, reason: str) -> None:
        """Close towards the server as the caller did towards us."""
        socket, self.socket = self.socket, None
        if socket is not None and code != ABNORMAL and socket.state == socket.STATE_OPEN:
            socket.close(code, reason)
        elif socket is not None:
            socket.cut()
        self.lost(CallerLeft())

    def leave(self) -> None:
        """The server has said everything."""
        socket, self.socket = self.socket, None
        if socket is not None:
            socket.leave()

    def end(self) -> None:
        """Leave nothing open; a WebSocket that the server closes ends by itself."""
        self.lost(CallerLeft())
        socket, self.socket = self.socket, None
        if socket is not None and socket.state != socket.STATE_CLOSING:
            socket.cut()


def _size(event: SocketEvent) -> int:
    """What keeping an event costs."""
    if isinstance(event, Arrived):
        return len(event.data)
    return len(event) if isinstance(event, bytes) else 0


class WebSocketPass:
    """Passes WebSockets on."""

    def __init__(
        self, target: Target, pool: TargetPool, *, loop: Any, clock: IReactorTime, limits: Limits, keep_host: bool
    ) -> None:
        self._target = target
        self._pool = pool
        self._loop = loop
        self._clock = clock
        self._limits = limits
        self._keep_host = keep_host

    async def serve(self, scope: Message, receive: Receive, send: Send) -> None:
        """
        Serve one WebSocket.

        @raise OutsideBase: if nothing below the target may be asked for so.
        @raise BackendFault: if the server fails.
        """
        target, fields = handshake_of(scope, self._target, keep_host=self._keep_host)
        await receive()  # websocket.connect
        conversation = Conversation(self._loop, self._limits)
        order = Order(
            lambda key: head_of("GET", target, [*fields, (b"sec-websocket-key", key)]),
            list(scope.get("subprotocols", ())),
            conversation,
            self._pool.release,
            self._clock,
            self._limits,
        )
        pump = self._loop.create_task(self._pump(conversation, receive))
        pump.add_done_callback(lambda task: None if task.cancelled() else task.exception())
        try:
            await self._pool.connect(order.factory())
            await self._answer(conversation, send, _DENIAL in scope.get("extensions", {}))
        except CallerLeft:
            return
        finally:
            pump.cancel()
            conversation.end()

    async def _pump(self, conversation: Conversation, receive: Receive) -> None:
        """Pass on what the caller says."""
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            if text is not None:
                await conversation.send(text.encode("utf-8"), text=True)
            else:
                await conversation.send(message["bytes"], text=False)
        conversation.caller_closed(message.get("code") or NO_CODE, message.get("reason") or "")

    async def _answer(self, conversation: Conversation, send: Send, may_deny: bool) -> None:
        """Pass on what the server says, until it has nothing more to say."""
        alarm = self._loop.call_later(self._limits.target_silence or 1e9, conversation.lost, _SLOW)
        first = await conversation.next_event()
        alarm.cancel()
        if not isinstance(first, Opened):
            await self._deny(first, conversation, send, may_deny)
            return
        await send({"type": "websocket.accept", "subprotocol": first.subprotocol, "headers": first.headers})
        while isinstance(event := await conversation.next_event(), Arrived):
            if event.text:
                await send({"type": "websocket.send", "text": event.data.decode("utf-8")})
            else:
                await send({"type": "websocket.send", "bytes": event.data})
        assert isinstance(event, Closed), "what comes on an open WebSocket is a message or the end"
        await send({"type": "websocket.close", "code": _sendable(event.code), "reason": event.reason})

    async def _deny(self, event: SocketEvent, conversation: Conversation, send: Send, may_deny: bool) -> None:
        """Pass on an answer that is no WebSocket."""
        if not may_deny:
            await send({"type": "websocket.close"})
            return
        while not isinstance(event, ReplyEnd):
            if isinstance(event, ReplyHead) and event.status >= 200:
                await send({"type": f"{_DENIAL}.start", "status": event.status, "headers": event.headers})
            elif isinstance(event, bytes):
                await send({"type": f"{_DENIAL}.body", "body": event, "more_body": True})
            event = await conversation.next_event()
        conversation.leave()
        await send({"type": f"{_DENIAL}.body", "body": b""})


_SLOW: Final = BackendTimeout("it does not answer the request for a WebSocket")


def _sendable(code: int) -> int:
    """ASGI has no close without a code."""
    return NORMAL if code == NO_CODE else code
