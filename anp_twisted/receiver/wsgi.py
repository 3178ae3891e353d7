"""
WSGI applications as ASGI applications: C{--wsgi}, over a2wsgi.

a2wsgi runs each request in a thread of a pool, streams both ways and waits for
the caller where the caller is slow. Three things are added to it here. Bodies are
read through a buffer of the standard library, since its own C{readline(limit)}
ends early, and a body that broke off raises instead of looking complete. What an
application prints as an error goes to the log. And a request whose caller left is
seen to its end: a2wsgi alone leaves the thread waiting for ever.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

from a2wsgi.wsgi import WSGIResponder
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import ANPError
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.refusal import refuse
from anp_twisted.receiver.target_request import raw_target
from anp_twisted.tasks import Bell

_log = Logger()

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_BUFFER: Final = 64 * 1024
"""Bytes of a body that are read ahead."""

_QUEUE: Final = 10
"""Pieces of an answer that wait for the caller before the thread does."""


class CallerGone(ANPError, OSError):
    """The caller left within its request; an application sees it as an error of reading or writing."""


class Body(io.RawIOBase):
    """The body of a request, as a2wsgi reads it from another thread."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, and wait only where there is nothing."""
        data = self._body.read(1)
        rest = min(len(buffer) - 1, len(self._body.buffer))
        data += self._body.read(rest) if data and rest else b""
        buffer[: len(data)] = data
        return len(data)


class Visit:
    """
    One request, as the thread and the coroutines both see it.

    @ivar gone: whether there is no use in going on.
    @ivar failed: why the answer could not be sent.
    """

    def __init__(self, app: WsgiApp, receive: Receive, send: Send, first: Message | None) -> None:
        """
        @param first: the first message, if it was received already.
        """
        self.gone = False
        self.failed: Exception | None = None
        self._app = app
        self._receive = receive
        self._send = send
        self._first = first

    @property
    def whole(self) -> bool:
        """Whether nothing of the request is to come."""
        return self._first is not None and not self._first.get("more_body", False)

    async def watch(self) -> None:
        """Wait for the caller to leave; only for a request that is whole."""
        self.gone = (await self._receive())["type"] == "http.disconnect"

    async def receive(self) -> Message:
        """
        Read a piece of the body.

        @raise CallerGone: a body that broke off must not look complete.
        """
        message, self._first = self._first, None
        if message is None:
            message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            raise CallerGone("the caller left")
        return message

    async def send(self, message: Message) -> None:
        """Send a piece of the answer. It must not raise: a2wsgi would leave the thread waiting for ever."""
        if self.failed is not None:
            return
        try:
            await self._send(message)
        except ANPError as error:
            self.failed = error
            self.gone = True

    def run(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        """Call the application, in the thread."""
        scope = environ["asgi.scope"]
        # From the bytes: a path that is not UTF-8 would not survive as text.
        environ["PATH_INFO"] = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
        environ["RAW_URI"] = raw_target(scope).decode("latin-1")
        environ["wsgi.input"] = io.BufferedReader(Body(environ["wsgi.input"]), _BUFFER)
        environ["wsgi.input_terminated"] = True
        environ["wsgi.errors"] = sys.stderr
        answer = self._app(environ, start_response)
        try:
            for piece in answer:
                if self.gone:
                    raise CallerGone("the caller left")
                yield piece
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()


def _report(task: Any) -> None:
    """See to a request that was left alone."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, CallerGone):
        _log.failure("the application failed after its caller left", failure=Failure(error))


class WsgiBackend:
    """The ASGI application."""

    def __init__(self, app: WsgiApp, *, loop: Any, threads: int) -> None:
        """
        @param loop: the asyncio loop.
        @param threads: how many requests run at once; others wait for one of them.
        """
        self._app = app
        self._loop = loop
        self._threads = ThreadPoolExecutor(threads, "wsgi")
        self._running: set[Any] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """
        Serve one ASGI scope.

        @raise Exception: whatever the application raised.
        """
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await refuse(scope, receive, send, 400, "this application speaks no WebSocket")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """WSGI knows no lifespan; the threads end with it."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        """Call the application for a request, and stay with it, unless this is cancelled."""
        asks_first = any(name == b"expect" for name, _ in scope["headers"])
        visit = Visit(self._app, receive, send, None if asks_first else await receive())
        watch = self._loop.create_task(visit.watch()) if visit.whole else None
        try:
            await self._visited(scope, visit)
        finally:
            visit.gone = True
            if watch is not None:
                watch.cancel()

    async def _visited(self, scope: Message, visit: Visit) -> None:
        """Run a request in a task of its own: when this is cancelled, the thread has to be seen to its end."""
        bell = Bell(self._loop)
        responder = WSGIResponder(cast(Any, visit.run), self._threads, _QUEUE)
        task = self._loop.create_task(responder(cast(Any, scope), cast(Any, visit.receive), cast(Any, visit.send)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: bell.ring())
        try:
            while not task.done():
                await bell.wait()
        finally:
            if not task.done():
                task.add_done_callback(_report)  # nobody else will look at it
        error = task.exception()
        error = visit.failed or error
        if error is not None and not isinstance(error, CallerGone):
            raise error
