"""
Coroutines of features on the loop under the reactor.

A feature that runs somebody else's coroutines (an agent, a channel) starts them
here and never touches asyncio itself: tasks have an owner that keeps them alive,
what they wait for are Deferreds made into futures, and what waits for them gets a
Deferred. Time is the reactor's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from anp_twisted.errors import InvalidMessage

T = TypeVar("T")

Task = asyncio.Task[None]
"""What L{Tasks.start} returns: it can be cancelled."""


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


class Tasks:
    """
    The owner of the tasks of a feature.

    @ivar clock: the reactor's time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: IReactorTime) -> None:
        """
        @param loop: the one the reactor runs on.
        """
        self.clock = clock
        self._loop = loop
        # The loop itself keeps only weak references to tasks.
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def running(self) -> int:
        """How many tasks have not ended."""
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, None], ended: Callable[[BaseException | None], None]) -> Task:
        """
        Run a coroutine, from a later turn of the loop on.

        @param ended: called once it is over, with what it raised; C{None} if it returned or was cancelled.
        """
        task = self._begin(work)
        task.add_done_callback(lambda done: ended(None if done.cancelled() else done.exception()))
        return task

    def deferred(self, work: Coroutine[Any, Any, T]) -> Deferred[T]:
        """
        Run a coroutine for somebody who waits for a Deferred.

        @return: fires with what the coroutine returns or raises; cancelling it cancels the coroutine.
        """
        return Deferred.fromFuture(self._begin(work)).addErrback(translated)

    def when(self, deferred: Deferred[T]) -> Awaitable[T]:
        """
        Make something that a coroutine can await of a Deferred, which it takes over.

        Cancelling the coroutine cancels the Deferred.
        """
        return deferred.asFuture(self._loop)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait for some time of the reactor's clock."""
        return self.when(deferLater(self.clock, seconds, lambda: None))

    async def turn(self) -> None:
        """Let everything else on the loop have its turn."""
        await asyncio.sleep(0)

    def bell(self) -> Bell:
        """Make a bell for the coroutines of this owner."""
        return Bell(self._loop)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._loop.create_task(_contained(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        # One that was cancelled before its first step has not touched it, and Python would warn of that.
        task.add_done_callback(lambda _: work.close())
        return task


async def _contained(work: Coroutine[Any, Any, T]) -> T:
    """Let a coroutine end only itself."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        # Left alone, asyncio would hand it to the reactor and end the process for everyone.
        raise InvalidMessage("a program tried to end the process it was called in") from error


def translated(reason: Failure) -> NoReturn:
    """Let a cancelled task fail as a cancelled Deferred does."""
    if reason.check(asyncio.CancelledError):
        raise CancelledError
    reason.raiseException()
