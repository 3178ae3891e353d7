"""
A few threads for what blocks, apart from those that others wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Threads(Protocol):
    """Runs what blocks."""

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        """
        @return: fires with what the function returns, or fails with what it raises.
        """

    def stop(self) -> None:
        """Wait for nothing that still runs."""


class OwnThreads:
    """Threads that begin with the first use, and that do not keep a process from ending."""

    def __init__(self, reactor: Any, name: str, most: int) -> None:
        """
        @param name: for whoever looks at the threads of a process.
        @param most: how many run at once; what comes then waits.
        """
        self._reactor = reactor
        self._pool = ThreadPool(0, most, name)
        # One that hangs must not keep the process from ending.
        self._pool.threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        """
        @return: fires with what the function returns, or fails with what it raises.
        """
        if not self._pool.started:
            self._pool.start()
        return deferToThreadPool(self._reactor, self._pool, function)

    def stop(self) -> None:
        """Let the threads end; one that hangs is left behind."""
        if self._pool.started:
            self._pool.adjustPoolsize(0, 0)
