"""
Runs the application: one asyncio task for each request, and one for its lifespan.

This is the only module in which Twisted and asyncio meet. What the session tells
of a stream arrives here as plain calls; what the application awaits are futures
that those calls resolve. A future is made only when there is something to wait
for, so that a small request costs one task and nothing else. Towards the rest of
the receiver everything is a Deferred.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import AppStartError, Code, InvalidMessage
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App, HttpExchange, Incoming, Message, Outgoing, Receive, Send, http_scope
from anp_twisted.receiver.lifespan import Lifespan, Phase
from anp_twisted.session.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, StreamWritable
from anp_twisted.session.stream import Stream
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


class Bell:
    """Coroutines wait at it for the next ring; one that is cancelled leaves nothing behind."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Return after the next ring; what was waited for has to be looked at again then."""
        future = self._loop.create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def ring(self) -> None:
        """Let everyone who waits go on, in a later turn of the loop."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


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
        "_exchange",
        "_grace",
        "_id",
        "_left_at",
        "_link",
        "_stream",
        "_writable",
        "task",
    )

    def __init__(self, bridge: AppBridge, link: Waker, stream: Stream, exchange: HttpExchange, number: str) -> None:
        """
        @param number: the request id, for the log.
        """
        self._bridge = bridge
        self._link = link
        self._stream = stream
        self._exchange = exchange
        self._id = number
        self._arrived: Bell | None = None  # rings when receive() has something new to say
        self._writable: Bell | None = None  # rings when send() may go on
        self._grace: asyncio.TimerHandle | None = None
        self._left_at = 0.0
        self.task: asyncio.Task[None]

    def start(self, app: App, context: Context) -> None:
        """Call the application in a task of its own."""
        work = _call(app, self._exchange.scope, self.receive, self.send)
        self.task = self._bridge.loop.create_task(work, context=context)
        self.task.add_done_callback(self._ended)

    async def receive(self) -> Message:
        """Tell the application what came; the peer gets credit for a piece that was taken."""
        exchange = self._exchange
        while (message := exchange.next_message()) is None:
            if exchange.must_ask():
                self._stream.send_informational(_CONTINUE)
                self._link.wake()
            if self._arrived is None:
                self._arrived = Bell(self._bridge.loop)
            await self._arrived.wait()
        body = message.get("body")
        if body:
            self._stream.consume(len(body))
            self._link.wake()
        return message

    async def send(self, message: Message) -> None:
        """Send what the application says; waits while the way to the caller is full."""
        exchange, stream = self._exchange, self._stream
        if exchange.incoming is Incoming.GONE:
            return
        if exchange.outgoing is Outgoing.HEAD:
            stream.send_head(exchange.start(message))
            self._link.wake()
            return
        stream.send_data(exchange.body(message))
        if exchange.outgoing is Outgoing.DONE:
            stream.send_end()
            self._link.wake()
            self._ring()
            return
        self._link.wake()
        while stream.pausing:
            if self._writable is None:
                self._writable = Bell(self._bridge.loop)
            await self._writable.wait()

    def _ring(self) -> None:
        """Let a waiting receive() look again."""
        if self._arrived is not None:
            self._arrived.ring()

    # --- what the session tells -----------------------------------------

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
                self._disconnect()

    def _release(self) -> None:
        """Let a waiting send() go on."""
        if self._writable is not None:
            self._writable.ring()

    def _disconnect(self) -> None:
        """Tell the application that the caller left, and give it some time to end."""
        complete = self._exchange.outgoing is Outgoing.DONE
        self._exchange.disconnect()
        self._ring()
        self._release()
        if complete or self.task.done():
            return  # what an application does after its answer is its own affair
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
        self._stream.reset(Code.DRAINING, "receiver", "the receiver stopped")
        self._link.wake()
        self._exchange.disconnect()
        self.task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """See to a call that is over, by whatever way."""
        if self._grace is not None:
            self._grace.cancel()
            self._bridge.left_after(self._bridge.loop.time() - self._left_at)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.failure("{id}: the application failed", failure=Failure(error), id=self._id)
        if self._exchange.incoming is not Incoming.GONE and self._exchange.outgoing is not Outgoing.DONE:
            self._fail(error)
        elif error is not None:
            self._bridge.counts.failed += 1
        self._bridge.forget(self)

    def _fail(self, error: BaseException | None) -> None:
        """Cut an answer that will never be complete; before its head the caller gets a 500."""
        self._bridge.counts.failed += 1
        if error is None:
            missing = "starting" if self._exchange.outgoing is Outgoing.HEAD else "completing"
            _log.error("{id}: the application returned without {missing} its answer", id=self._id, missing=missing)
        self._exchange.disconnect()
        self._stream.reset(Code.APP_FAILED, "app", "the application failed")
        self._link.wake()


# --- the life of the application -------------------------------------------------


class LifespanCall:
    """
    The one call of the application with a lifespan scope.

    @ivar lifespan: how far it is.
    """

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.lifespan = Lifespan()
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
        if self.lifespan.phase is Phase.STARTING:
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

    def __init__(self, app: App, *, loop: asyncio.AbstractEventLoop, limits: Limits, root_path: str = "") -> None:
        """
        @param root_path: where the application is mounted, as ASGI means it.
        """
        self.loop = loop
        self.limits = limits
        self.counts = Counts()
        self._app = app
        self._root_path = root_path
        self._lifespan = LifespanCall(app, loop)
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
        self._lifespan = LifespanCall(self._app, self.loop)
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
            with_body = not event.ended or bool(event.body)
            scope = http_scope(head, self._lifespan.lifespan.state, self._root_path, with_body=with_body)
        except UnicodeEncodeError:
            stream.reset(Code.PROTOCOL, "receiver", "malformed head")
            link.wake()
            return
        exchange = HttpExchange(scope, self.limits.body_pieces)
        exchange.feed(event.body, event.ended)
        call = stream.owner = Call(self, link, stream, exchange, head.id)
        self._calls.add(call)
        self.counts.called += 1
        call.start(self._app, self._context.copy())

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
