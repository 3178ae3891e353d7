"""
An ASGI application that passes everything to a HTTP server: C{--target}.

The server may be written in any language. Requests and answers stream through
while both are on their way; back-pressure goes from the socket of the one to the
socket of the other. Nothing is followed, decompressed or retried, save a request
that may be sent twice on a connection that was closed while it rested.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from anp_twisted.errors import BackendFault, InvalidMessage
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.refusal import refuse
from anp_twisted.receiver.target_exchange import CallerLeft, Stale, TargetExchange
from anp_twisted.receiver.target_pool import TargetPool
from anp_twisted.receiver.target_reply import ReplyEnd, ReplyHead
from anp_twisted.receiver.target_request import IDEMPOTENT, Outline, Upload, outline_of
from anp_twisted.receiver.target_websocket import WebSocketPass
from anp_twisted.targets import OutsideBase, Target

_GONE: Final = "http.disconnect"
_NOT_PASSED_ON: Final = "the target of the request cannot be passed on"


@dataclass(slots=True)
class Asked:
    """
    One request: what to send, and the caller's side of it.

    @ivar first: the first message, unless the caller waits to be asked for it.
    """

    outline: Outline
    receive: Receive
    send: Send
    first: Message | None
    trailers: bool
    hints: bool

    @property
    def whole(self) -> bool:
        """Whether all of the request is here, so that it could be sent twice."""
        return self.first is not None and not self.first.get("more_body", False)


class Pump:
    """
    What goes on beside an answer, in a task of its own: the rest of the request, and the caller that may leave.

    A task costs more than all of a small answer does otherwise, so one that has only
    the caller to watch is made when the answer is not there at once.
    """

    __slots__ = ("_loop", "_task", "_timer", "_work")

    def __init__(self, loop: Any, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = loop
        self._work = work
        self._timer: Any = None
        self._task: Any = None

    def start_in(self, seconds: float) -> None:
        """Start after some time."""
        if seconds:
            self._timer = self._loop.call_later(seconds, self._start)
        else:
            self._start()

    def _start(self) -> None:
        self._task = self._loop.create_task(self._work())
        self._task.add_done_callback(lambda task: None if task.cancelled() else task.exception())

    def end(self) -> None:
        """Nothing more is to be done."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


class HttpTarget:
    """
    The application.

    @ivar target: the server.
    @ivar pool: the connections to it.
    """

    def __init__(self, target: Target, pool: TargetPool, *, loop: Any, limits: Limits, keep_host: bool = True) -> None:
        """
        @param loop: the asyncio loop.
        @param keep_host: send the C{Host} that the caller sent, else the server's own.
        """
        self.target = target
        self.pool = pool
        self._loop = loop
        self._limits = limits
        self._keep_host = keep_host
        self._sockets = WebSocketPass(target, pool, loop=loop, clock=pool.clock, limits=limits, keep_host=keep_host)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """
        Serve one ASGI scope.

        @raise BackendFault: if the server fails.
        """
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case kind:
                raise InvalidMessage(f"a target does not serve the scope {kind!r}")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """There is nothing to start: the server may come later. At the end no connection is left."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass one WebSocket on."""
        try:
            await self._sockets.serve(scope, receive, send)
        except OutsideBase:
            await refuse(scope, receive, send, 400, _NOT_PASSED_ON)
        except BackendFault as error:
            raise type(error)(f"{self.target.url}: {error}") from error

    # --- HTTP -------------------------------------------------------------------

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        try:
            outline = outline_of(scope, self.target, keep_host=self._keep_host)
        except OutsideBase:
            await refuse(scope, receive, send, 400, _NOT_PASSED_ON)
            return
        first = None if outline.asks_first else await receive()
        if first is not None and first["type"] == _GONE:
            return
        extensions = scope.get("extensions", {})
        hints, trailers = "http.response.early_hint" in extensions, "http.response.trailers" in extensions
        try:
            await self._pass(Asked(outline, receive, send, first, trailers, hints))
        except CallerLeft:
            return
        except BackendFault as error:
            raise type(error)(f"{self.target.url}: {error}") from error

    async def _pass(self, asked: Asked) -> None:
        """Send a request, and send it again if a rested connection was no good."""
        repeatable = asked.whole and asked.outline.method in IDEMPOTENT
        try:
            await self._exchange(asked, self._limits.target_rest if repeatable else self._limits.target_trust)
        except Stale:
            if not repeatable:
                raise
            await self._exchange(asked, 0.0)

    async def _exchange(self, asked: Asked, rested: float) -> None:
        """Send a request on one connection and pass the answer on."""
        exchange = TargetExchange(asked.outline.method, self._loop, self._limits)
        connection = await self.pool.take(exchange, rested=rested)
        upload = asked.outline.upload()
        first, data = asked.first, asked.outline.head
        if first is not None:
            data += upload.piece(first.get("body", b""), asked.whole)
            exchange.sent = asked.whole
        try:
            exchange.begin(connection, data)
            pump = Pump(self._loop, lambda: self._pump(exchange, upload, asked))
            pump.start_in(self._limits.target_watch if asked.whole else 0.0)
            try:
                await self._answer(exchange, asked)
            finally:
                pump.end()
        finally:
            exchange.end()

    async def _pump(self, exchange: TargetExchange, upload: Upload, asked: Asked) -> None:
        """Send the rest of a request, then wait for the caller to leave."""
        try:
            if asked.outline.asks_first and not await exchange.may_send_body():
                return
            while (message := await asked.receive())["type"] != _GONE:
                ended = not message.get("more_body", False)
                await exchange.write(upload.piece(message.get("body", b""), ended))
                exchange.sent = ended
            exchange.fail(CallerLeft())
        except InvalidMessage as error:
            exchange.fail(error)

    async def _answer(self, exchange: TargetExchange, asked: Asked) -> None:
        """Pass an answer on, until its end."""
        trailers = False
        while not isinstance(event := await exchange.next_event(), ReplyEnd):
            if isinstance(event, bytes):
                last = not trailers and exchange.ends_here()
                await asked.send({"type": "http.response.body", "body": event, "more_body": not last})
                if last:
                    return
            elif event.status >= 200:
                trailers = event.chunked and asked.trailers
                head = {"type": "http.response.start", "status": event.status, "headers": event.headers}
                await asked.send({**head, "trailers": True} if trailers else head)
            else:
                await self._inform(exchange, event, asked)
        await asked.send({"type": "http.response.body", "body": b""})
        if trailers:
            await asked.send({"type": "http.response.trailers", "headers": event.trailers, "more_trailers": False})

    async def _inform(self, exchange: TargetExchange, head: ReplyHead, asked: Asked) -> None:
        """Take a head below 200: the caller hears of hints, and is asked for its body by whoever reads that."""
        if head.status == 100:
            exchange.continued()
        elif head.status == 103 and asked.hints:
            links = [value for name, value in head.headers if name.lower() == b"link"]
            await asked.send({"type": "http.response.early_hint", "links": links})
