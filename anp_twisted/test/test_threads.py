"""Rules of L{anp_twisted.threads}."""

from __future__ import annotations

import queue
from collections.abc import Callable
from threading import current_thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.threads import OwnThreads


class Mailbox:
    """As much of a reactor as threads need: what they hand over waits until the test takes it."""

    def __init__(self) -> None:
        self._calls: queue.Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.Queue()

    def callFromThread(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Keep a call."""
        self._calls.put((function, arguments))

    def take(self) -> None:
        """Wait for one call and make it."""
        function, arguments = self._calls.get(timeout=20)
        function(*arguments)


class ThreadTests(SynchronousTestCase):
    """What blocks runs elsewhere."""

    def setUp(self) -> None:
        """Make threads that end with the test."""
        self.mailbox = Mailbox()
        self.threads = OwnThreads(self.mailbox, "test-threads", 1)
        self.addCleanup(self.threads.stop)

    def test_result(self) -> None:
        """The result comes back, or the failure, and the thread keeps no process from ending."""
        done = self.threads.run(lambda: (current_thread().daemon, "test-threads" in current_thread().name))
        self.mailbox.take()
        self.assertEqual(self.successResultOf(done), (True, True))
        failed: Deferred[object] = self.threads.run(lambda: 1 / 0)
        self.mailbox.take()
        self.failureResultOf(failed, ZeroDivisionError)

    def test_unused(self) -> None:
        """Without a use there is no thread, and nothing to stop."""
        self.threads.stop()
        self.assertFalse(self.threads._pool.started)
