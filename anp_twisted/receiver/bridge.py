"""
Runs the application: one asyncio task for each request, and one for its lifespan.

This and L{anp_twisted.tasks} are the only modules in which Twisted and asyncio meet. What the session tells
of a stream arrives here as plain calls; what the application awaits are futures
that those calls resolve. A future is made only when there is something to wait
for, so that a small request costs one task and nothing else. Towards the rest of
the receiver everything is a Deferred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import AppStartError, BackendFault, Code, InvalidMessage
from anp_twisted.lifespan import Lifespan, Mode, Phase
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App, HttpExchange, Incoming, Message, Outgoing, Receive, Send, http_scope
from anp_twisted.receiver.websocket import (
    ABNORMAL,
    INTERNAL,
    NORMAL,
    RESTART,
    TOO_BIG,
    CallerGone,
    Stage,
    WebSocketExchange,
    close_body,
    close_of,
    websocket_scope,
)
from anp_twisted.session.events import (
    DataReceived,
    Event,
    MessageReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    StreamWritable,
)
from anp_twisted.session.stream import Stream
from anp_twisted.tasks import Bell
from anp_twisted.wire import v2
from anp_twisted.wire.heads import ResponseHead

_log = Logger()

_CONTINUE = ResponseHead(100, [])

_MOST_LINES = 60
"""Lines of what an application says when it fails to start or stop."""

_PATIENCE = 1.0
"""Seconds until something that was cancelled is not waited for, or is cancelled again."""


class Waker(Protocol):
    """What is needed of the link that a stream belongs to."""

    def wake(self) -> None:
        """Send what was queued."""


@dataclass(slots=True)
class Counts:
    """
    What happened to the calls of the application.

    @ivar called: calls begun.
    @ivar failed: calls that raised, or returned before their answer was complete.
    @ivar left: calls whose caller left before the answer was complete.
    @ivar cancelled: those among them that did not end within the grace.
    @ivar longest_leave: the longest time from C{http.disconnect} to the end of a call, in seconds.
    """

    called: int = 0
    failed: int = 0
    left: int = 0
    cancelled: int = 0
    longest_leave: float = 0.0


async def _call(app: App, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Call the application; what it raises is for whoever looks at the task."""
    try:
        await app(scope, receive, send)
    except (SystemExit, KeyboardInterrupt) as error:
        # Left alone, asyncio would hand it to the reactor and end the process for everyone.
        raise InvalidMessage("the application tried to end the process") from error


# --- one request ---------------------------------------------------------------


class Call:
    """
    One call of the application; it is the owner of its stream.

    The task and the stream end independently: an application may go on after its
    answer, and a caller may leave before it.
    """

    __slots__ = (
        "_arrived",
        "_bridge",
        "_complained",
        "_grace",
        "_id",
        "_left_at",
        "_link",
        "_stream",
        "_writable",
        "task",
    )

    def __init__(self, bridge: AppBridge, link: Waker, stream: Stream, number: str) -> None:
        """
        @param number: the request id, for the log.
        """
        self._bridge = bridge
        self._link = link
        self._stream = stream
        self._id = number
        self._arrived: Bell | None = None  # rings when receive() has something new to say
        self._writable: Bell | None = None  # rings when send() may go on
        self._grace: asyncio.TimerHandle | None = None
        self._left_at = 0.0
        self._complained: InvalidMessage | None = None  # what was logged already
        self.task: asyncio.Task[None]

    def start(self, app: App, scope: dict[str, Any], context: Context) -> None:
        """Call the application in a task of its own."""
        self.task = self._bridge.loop.create_task(_call(app, scope, self.receive, self.send), context=context)
        self.task.add_done_callback(self._ended)

    async def receive(self) -> Message:
        """Tell the application what came."""
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        """Send what the application says; waits while the way to the caller is full."""
        try:
            self._say(message)
        except InvalidMessage as error:
            self._complained = error
            _log.failure("{id}: the application made a mistake", failure=Failure(error), id=self._id)
            raise
        while self._stream.pausing:
            if self._writable is None:
                self._writable = Bell(self._bridge.loop)
            await self._writable.wait()

    def _say(self, message: Message) -> None:
        """
        Take what the application says.

        @raise InvalidMessage: if it may not say that.
        """
        raise NotImplementedError

    async def _news(self) -> None:
        """Wait until there may be something new to receive."""
        if self._arrived is None:
            self._arrived = Bell(self._bridge.loop)
        await self._arrived.wait()

    def _ring(self) -> None:
        """Let a waiting receive() look again."""
        if self._arrived is not None:
            self._arrived.ring()

    def _release(self) -> None:
        """Let a waiting send() go on."""
        if self._writable is not None:
            self._writable.ring()

    # --- the caller leaves ----------------------------------------------

    def stream_event(self, event: Event) -> None:
        """Take what happened to the stream."""
        raise NotImplementedError

    def _leave(self, complete: bool) -> None:
        """
        Let the application find that the caller left, and give it some time to end.

        @param complete: whether its answer was; what it does after that is its own affair.
        """
        self._ring()
        self._release()
        if complete or self.task.done() or self._grace is not None:
            return
        loop = self._bridge.loop
        self._left_at = loop.time()
        self._bridge.counts.left += 1
        self._grace = loop.call_later(self._bridge.limits.cancel_grace, self._expire)

    def _expire(self) -> None:
        """Cancel an application that did not end; one that ignores it is cancelled again later."""
        bridge = self._bridge
        if not self.task.cancelling():
            bridge.counts.cancelled += 1
            _log.info("{id}: the application goes on after its caller left; it is cancelled", id=self._id)
        self.task.cancel()
        self._grace = bridge.loop.call_later(max(bridge.limits.cancel_grace, _PATIENCE), self._expire)

    # --- the end --------------------------------------------------------

    def abort(self) -> None:
        """End the call now: the process stops."""
        raise NotImplementedError

    def _finish(self, error: BaseException | None) -> bool:
        """
        See to the stream when the application has ended.

        @return: whether the application failed.
        """
        raise NotImplementedError

    def _ended(self, task: asyncio.Task[None]) -> None:
        """See to a call that is over, by whatever way."""
        if self._grace is not None:
            self._grace.cancel()
            self._bridge.left_after(self._bridge.loop.time() - self._left_at)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, CallerGone):
            error = None  # it was told so, and let it end the call
        if isinstance(error, BackendFault):
            _log.warn("{id}: {error}", id=self._id, error=error)
        elif error is not None and error is not self._complained:
            _log.failure("{id}: the application failed", failure=Failure(error), id=self._id)
        if self._finish(error) or error is not None:
            self._bridge.counts.failed += 1
        self._bridge.forget(self)

    def _fail(self, error: BaseException | None, missing: str) -> None:
        """Cut an answer that will never be complete; before its head the caller gets a 500."""
        if error is None:
            _log.error("{id}: the application returned without {missing} its answer", id=self._id, missing=missing)
        if isinstance(error, BackendFault):
            self._stream.reset(error.code, "receiver", "what requests are passed to failed")
        else:
            self._stream.reset(Code.APP_FAILED, "app", "the application failed")
        self._link.wake()


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
            case StreamReset():
                complete = self._exchange.outgoing is Outgoing.DONE
                self._exchange.disconnect()
                self._leave(complete)

    def abort(self) -> None:
        """End the call now: the process stops."""
        self._stream.reset(Code.DRAINING, "receiver", "the receiver stopped")
        self._link.wake()
        self._exchange.disconnect()
        self.task.cancel()

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
            case StreamReset():
                self._closed(ABNORMAL, "")

    def _closed(self, code: int, reason: str) -> None:
        """The caller closed, or is gone; nobody reads what else there is to send."""
        complete = self._exchange.stage is Stage.CLOSED
        self._exchange.disconnect(code, reason)
        self._stream.reset(Code.NO_ERROR, "app", "closed")
        self._link.wake()
        self._leave(complete)

    def _close(self, code: int, reason: str) -> None:
        """Close on behalf of the application."""
        self._stream.send_close(close_body(code, reason))
        self._link.wake()
        self._exchange.disconnect(code, reason)
        self._leave(False)

    def abort(self) -> None:
        """Close, since the process stops; the application gets a moment to hear of it."""
        if self._exchange.stage is Stage.OPEN:
            self._close(RESTART, "the receiver stopped")
            self._bridge.loop.call_later(min(self._bridge.limits.cancel_grace / 2, _PATIENCE), self.task.cancel)
            return
        self._stream.reset(Code.DRAINING, "receiver", "the receiver stopped")
        self._link.wake()
        self._exchange.disconnect()
        self.task.cancel()

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


# --- the life of the application -------------------------------------------------


class LifespanCall:
    """
    The one call of the application with a lifespan scope.

    @ivar lifespan: how far it is.
    """

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop, mode: Mode = Mode.AUTO) -> None:
        self.lifespan = Lifespan(mode)
        self._app = app
        self._loop = loop
        self._bell = Bell(loop)
        self._task: asyncio.Task[None] | None = None

    async def start(self, most: float) -> None:
        """
        Ask the application to start.

        @param most: seconds it may take.
        @raise AppStartError: if it says it cannot, or takes longer.
        """
        if self.lifespan.mode is Mode.OFF:
            return
        work = _call(self._app, self.lifespan.scope, self._receive, self._send)
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._ended)
        if not await self._settle(most):
            raise AppStartError(f"the application did not start within {most:g} s")
        if self.lifespan.phase is Phase.REFUSED:
            self._report("the application could not start:")
            raise AppStartError(f"the application could not start: {_last_line(self.lifespan.complaint)}")

    async def stop(self, most: float) -> None:
        """
        Ask the application to stop, and end its lifespan.

        @param most: seconds it may take.
        """
        self.lifespan.stop()
        self._bell.ring()
        try:
            if not await self._settle(most):
                _log.error("the application did not stop within {most} s", most=most)
            elif self.lifespan.phase is Phase.STOPPED and self.lifespan.complaint:
                self._report("the application failed to stop:")
        finally:
            await self._end()

    def _report(self, what: str) -> None:
        """Log what the application said; frameworks say a whole traceback."""
        for line in [what, *self.lifespan.complaint.splitlines()[-_MOST_LINES:]]:
            _log.error("{line}", line=line)

    async def _end(self) -> None:
        """Leave no task behind."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=_PATIENCE)

    async def _settle(self, most: float) -> bool:
        """Wait until there is nothing to wait for; tell whether that came in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                while not self.lifespan.settled:
                    await self._bell.wait()
        if not self.lifespan.settled:
            await self._end()
            return False
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        """See to a lifespan that is over, by whatever way."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._note(error)
        self.lifespan.returned()
        self._bell.ring()

    def _note(self, error: BaseException) -> None:
        """Log what ended the lifespan, unless the application said so itself."""
        if self.lifespan.phase is Phase.STARTING and self.lifespan.mode is Mode.AUTO:
            _log.info("the application takes no part in the lifespan ({kind})", kind=type(error).__name__)
        elif not self.lifespan.complaint:
            _log.failure("the lifespan of the application failed", failure=Failure(error))

    async def _receive(self) -> Message:
        """Ask the application what it is to do."""
        while (message := self.lifespan.next_message()) is None:
            await self._bell.wait()
        return message

    async def _send(self, message: Message) -> None:
        """Take its answer."""
        self.lifespan.send(message)
        self._bell.ring()


def _translated(reason: Failure) -> NoReturn:
    """Let a cancelled task fail as a cancelled Deferred does."""
    if reason.check(asyncio.CancelledError):
        raise CancelledError
    reason.raiseException()


def _last_line(text: str) -> str:
    """Find the line of a traceback that says what is wrong."""
    return text.strip().splitlines()[-1].strip()


# --- all of it -------------------------------------------------------------------


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
        return Deferred.fromFuture(task).addErrback(_translated)
