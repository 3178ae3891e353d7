"""
An ASGI application of this process with the chat completions interface: C{asgi:module:app}.

It is called as a server would call it for C{POST /v1/chat/completions}, without a
socket in between. One behind a tunnel has a URL, and is reached with that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from inspect import signature
from typing import Any, Final, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.agents.chat import ReplyHead
from anp_twisted.assistant.agents.pieces import Pieces
from anp_twisted.errors import AppImportError, BackendFault
from anp_twisted.imports import binds, described, imported
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks

_log = Logger()

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[object]]
"""An ASGI 3 application."""

PATH: Final = "/v1/chat/completions"
"""What is asked for."""


class _Call:
    """
    One request of the application.

    @ivar head: of the answer, C{None} before it was sent.
    """

    def __init__(self, tasks: Tasks, limits: Limits, body: bytes) -> None:
        self.head: ReplyHead | None = None
        self.pieces = Pieces(tasks, limits.agent_backlog, self._hold)
        self.bell = tasks.bell()
        self._free = True
        self._gone = False
        self._ended = False
        self._body: bytes | None = body

    @property
    def ended(self) -> bool:
        """
        Whether the application returned or raised.
        """
        return self._ended

    async def receive(self) -> Message:
        """Give the application the request, and then nothing until nobody waits for its answer."""
        body, self._body = self._body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        while not self._gone and not self.pieces.ended:
            await self.bell.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take what it answers; wait while too much is unread."""
        if self._gone or self.pieces.ended:
            return
        if message["type"] == "http.response.start":
            self.head = _head(message)
            self.bell.ring()
        elif message["type"] == "http.response.body":
            self.pieces.put(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self.pieces.end()
                self.bell.ring()
        while not self._free and not self._gone:
            await self.bell.wait()

    def leave(self) -> None:
        """Wait no longer for an answer."""
        self._gone = True
        self.bell.ring()

    def over(self, error: BaseException | None) -> None:
        """The application has ended."""
        self._ended = True
        if error is not None and not self._gone:
            _log.failure("the application of an agent failed", failure=Failure(error))
        self.pieces.end(BackendFault("the application ended before its answer"))
        self.bell.ring()

    def _hold(self, held: bool) -> None:
        self._free = not held
        self.bell.ring()


class Life(Protocol):
    """What is known of the life of an application."""

    @property
    def state(self) -> dict[str, Any]:
        """What it keeps for its requests."""

    async def ready(self) -> None:
        """
        Wait until it has started.

        @raise BackendFault: it could not.
        """


class AppUpstream:
    """Carries requests to an application."""

    def __init__(self, app: App, life: Life, tasks: Tasks, limits: Limits) -> None:
        self._app = app
        self._life = life
        self._tasks = tasks
        self._limits = limits

    async def ask(self, body: bytes) -> AsyncGenerator[ReplyHead | bytes, None]:
        """
        Ask.

        @raise BackendFault: see L{anp_twisted.assistant.agents.chat.Upstream}.
        """
        await self._life.ready()
        call = _Call(self._tasks, self._limits, body)
        task = self._tasks.start(self._called(call, len(body)), call.over)
        try:
            while call.head is None:
                if call.ended:
                    raise BackendFault("the application ended without an answer")
                await call.bell.wait()
            yield call.head
            async for piece in call.pieces.taken():
                yield piece
        finally:
            call.leave()
            if not call.pieces.ended:
                task.cancel()
            while not call.ended:
                await call.bell.wait()

    async def _called(self, call: _Call, length: int) -> None:
        await self._app(_scope(length, self._life.state), call.receive, call.send)


def _scope(length: int, state: dict[str, Any]) -> Message:
    """Make the scope of a request, as a server on this machine would."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % length),
            (b"accept", b"text/event-stream, application/json"),
        ],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
        "state": state.copy(),
        "extensions": {},
    }


def _head(message: Message) -> ReplyHead:
    """Read what is needed of the head."""
    fields = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in message.get("headers", ())}
    kind = fields.get(b"content-type", "").partition(";")[0].strip().lower()
    return ReplyHead(int(message["status"]), kind, fields.get(b"retry-after", ""))


def load_app(name: str, folder: str) -> App:
    """
    Import an application.

    @param name: C{module:attribute} or C{module:factory()}.
    @param folder: where modules are looked for first.
    @raise AppImportError: if that fails, or what is found is no application.
    """
    app: App = imported(name, folder, _checked)
    return app


def _checked(called: str, found: Any) -> Any:
    """Check that something can be called as ASGI wants it."""
    if not callable(found):
        raise AppImportError(f"{called} is {described(found)} and cannot be called")
    try:
        parameters = signature(found)
    except (TypeError, ValueError):
        return found  # written in C: the first call will tell
    if not binds(parameters, ({}, None, None)):
        raise AppImportError(f"{called} cannot be called with scope, receive and send, so it is no ASGI 3 application")
    return found
