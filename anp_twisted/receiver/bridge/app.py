"""All of the application that runs: its lifespan, and its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

from twisted.internet.defer import Deferred, succeed

from anp_twisted.errors import Code
from anp_twisted.lifespan import Mode
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App, HttpExchange, http_scope
from anp_twisted.receiver.bridge.call import Call, Counts, Waker
from anp_twisted.receiver.bridge.http import HttpCall
from anp_twisted.receiver.bridge.lifespan import LifespanCall
from anp_twisted.receiver.bridge.websocket import WebSocketCall
from anp_twisted.receiver.websocket import WebSocketExchange, websocket_scope
from anp_twisted.session.events import RequestReceived
from anp_twisted.tasks import translated


class AppBridge:
    """
    The application and everything that runs of it.

    @ivar loop: the loop of the reactor.
    @ivar limits: the caps.
    @ivar counts: what happened to its calls.
    """

    def __init__(
        self,
        app: App,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        root_path: str = "",
        lifespan: Mode = Mode.AUTO,
    ) -> None:
        """
        @param lifespan: whether the application has to take part in it.
        @param root_path: where the application is mounted, as ASGI means it.
        """
        self.loop = loop
        self.limits = limits
        self.counts = Counts()
        self._app = app
        self._root_path = root_path
        self._lifespan = LifespanCall(app, loop, lifespan)
        self._calls: set[Call] = set()
        self._idle: list[Deferred[None]] = []
        self._work: set[asyncio.Task[None]] = set()
        # Each call starts from what was set when the application was imported, and sees nothing of other calls.
        self._context = copy_context()

    @property
    def in_flight(self) -> int:
        """How many calls run."""
        return len(self._calls)

    def startup(self) -> Deferred[None]:
        """
        Start the application.

        @return: fires when it has started or takes no part in that; fails with
            L{AppStartError}.
        """
        self._lifespan = LifespanCall(self._app, self.loop, self._lifespan.lifespan.mode)
        return self._deferred(self._lifespan.start(self.limits.startup))

    def shutdown(self, most: float) -> Deferred[None]:
        """
        Stop the application; every call should have ended before.

        @param most: seconds it may take.
        @return: fires when it has stopped, or its time is over; it never fails.
        """
        return self._deferred(self._lifespan.stop(most))

    def request_received(self, link: Waker, event: RequestReceived) -> None:
        """Call the application for a request."""
        stream, head = event.stream, event.head
        if len(self._calls) >= self.limits.calls:
            stream.reset(Code.REFUSED, "receiver", "busy", dispatched=False)
            link.wake()
            return
        try:
            call, scope = self._websocket_call(link, event) if head.protocol else self._http_call(link, event)
        except UnicodeEncodeError:
            stream.reset(Code.PROTOCOL, "receiver", "malformed head")
            link.wake()
            return
        stream.owner = call
        self._calls.add(call)
        self.counts.called += 1
        call.start(self._app, scope, self._context.copy())

    def _http_call(self, link: Waker, event: RequestReceived) -> tuple[Call, dict[str, Any]]:
        """Prepare a call for a request."""
        with_body = not event.ended or bool(event.body)
        scope = http_scope(event.head, self._lifespan.lifespan.state, self._root_path, with_body=with_body)
        exchange = HttpExchange(scope, self.limits.body_pieces)
        exchange.feed(event.body, event.ended)
        return HttpCall(self, link, event.stream, exchange, event.head.id), scope

    def _websocket_call(self, link: Waker, event: RequestReceived) -> tuple[Call, dict[str, Any]]:
        """Prepare a call for a WebSocket."""
        scope = websocket_scope(event.head, self._lifespan.lifespan.state, self._root_path)
        exchange = WebSocketExchange(scope, self.limits.websocket_message)
        return WebSocketCall(self, link, event.stream, exchange, event.head.id), scope

    def drain(self) -> Deferred[None]:
        """
        Wait for the calls that run.

        @return: fires when none runs any more; it never fails.
        """
        if not self._calls:
            return succeed(None)
        waiting: Deferred[None] = Deferred(lambda cancelled: self._idle.remove(cancelled))
        self._idle.append(waiting)
        return waiting

    def farewell(self) -> None:
        """End the WebSockets that are open, since the process is about to stop."""
        for call in list(self._calls):
            call.farewell()

    def abort(self) -> None:
        """End every call now."""
        for call in list(self._calls):
            call.abort()

    def forget(self, call: Call) -> None:
        """Let a call go that is over; calls tell this themselves."""
        self._calls.discard(call)
        if not self._calls:
            idle, self._idle = self._idle, []
            for waiting in idle:
                waiting.callback(None)

    def left_after(self, seconds: float) -> None:
        """Note how long a call went on after its caller left."""
        self.counts.longest_leave = max(self.counts.longest_leave, seconds)

    def _deferred(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Run a coroutine; cancelling the Deferred cancels it."""
        task = self.loop.create_task(work)
        self._work.add(task)  # the loop itself keeps no reference
        task.add_done_callback(self._work.discard)
        return Deferred.fromFuture(task).addErrback(translated)
