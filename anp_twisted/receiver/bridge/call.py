"""
One call of the application, whatever it is for: its task, its caller's leaving, and its end.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import BackendFault, Code, InvalidMessage
from anp_twisted.receiver.asgi import App, Message, Receive, Send
from anp_twisted.receiver.websocket import CallerGone
from anp_twisted.session.events import Event
from anp_twisted.session.stream import Stream
from anp_twisted.tasks import Bell

if TYPE_CHECKING:
    from anp_twisted.receiver.bridge.app import AppBridge

_log = Logger()

PATIENCE: Final = 1.0
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


async def run(app: App, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Call the application; what it raises is for whoever looks at the task."""
    try:
        await app(scope, receive, send)
    except (SystemExit, KeyboardInterrupt) as error:
        # Left alone, asyncio would hand it to the reactor and end the process for everyone.
        raise InvalidMessage("the application tried to end the process") from error


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
        "_task",
        "_writable",
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
        self._task: asyncio.Task[None] | None = None  # until it has ended

    def start(self, app: App, scope: dict[str, Any], context: Context) -> None:
        """Call the application in a task of its own."""
        self._task = task = self._bridge.loop.create_task(run(app, scope, self.receive, self.send), context=context)
        task.add_done_callback(self._ended)

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
        if complete or self._task is None or self._task.done() or self._grace is not None:
            return
        loop = self._bridge.loop
        self._left_at = loop.time()
        self._bridge.counts.left += 1
        self._grace = loop.call_later(self._bridge.limits.cancel_grace, self._expire)

    def _expire(self) -> None:
        """Cancel an application that did not end; one that ignores it is cancelled again later."""
        bridge, task = self._bridge, self._task
        assert task is not None, "its timer outlived the call"
        if not task.cancelling():
            bridge.counts.cancelled += 1
            _log.info("{id}: the application goes on after its caller left; it is cancelled", id=self._id)
        task.cancel()
        self._grace = bridge.loop.call_later(max(bridge.limits.cancel_grace, PATIENCE), self._expire)

    # --- the end --------------------------------------------------------

    def farewell(self) -> None:
        """The process is about to stop; a request ends by itself."""

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
        self._task = None
        if self._finish(error) or error is not None:
            self._bridge.counts.failed += 1
        self._part()
        self._bridge.forget(self)

    def _cancel(self) -> None:
        """End the application's part."""
        if self._task is not None:
            self._task.cancel()

    def _part(self) -> None:
        """
        Leave the stream, once both have ended.

        They refer to each other, as call and task do: what does is freed only by the
        garbage collector, and that takes a tenth of the time of a small request.
        """
        if self._task is None and not self._stream.alive:
            self._stream.owner = None

    def _fail(self, error: BaseException | None, missing: str) -> None:
        """Cut an answer that will never be complete; before its head the caller gets a 500."""
        if error is None:
            _log.error("{id}: the application returned without {missing} its answer", id=self._id, missing=missing)
        if isinstance(error, BackendFault):
            self._stream.reset(error.code, "receiver", "what requests are passed to failed")
        else:
            self._stream.reset(Code.APP_FAILED, "app", "the application failed")
        self._link.wake()
