"""
Bytes appended to files, safe on disk before anybody hears of it.

Everything that is to be written in one turn, and whatever comes while the disk is
busy, is one batch: each file is written and synced once, in a thread, one batch
after the other. So a slow disk makes batches larger and the reactor no slower,
and of one file there is never more than one writer.

A batch that fails leaves its file as it was before; what waits for the same file
behind it fails too, since it was made for a file that has the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import ANPError

_NEW = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class WriteFailed(ANPError):
    """Something is not on disk; the log says why."""


class OffThread(Protocol):
    """Runs a function where it may block."""

    def __call__(self, work: Callable[[], Any], /) -> Deferred[Any]:
        """
        @return: fires in the reactor's thread with what C{work} returned or raised.
        """


class _Entry:
    """Something to be done, and who waits for it."""

    __slots__ = ("data", "done", "path", "work")

    def __init__(self, path: str, data: bytes, work: Callable[[], object] | None) -> None:
        self.path = path
        self.data = data
        self.work = work
        self.done: Deferred[None] = Deferred()


class Journal:
    """
    The one writer of a folder's files.

    @ivar waiting: bytes that are not on disk yet.
    """

    log = Logger()

    def __init__(self, off: OffThread) -> None:
        """
        @param off: runs a batch; it is never asked for two at a time.
        """
        self.waiting = 0
        self._off = off
        self._queue: list[_Entry] = []
        self._busy = False
        self._idle: list[Deferred[None]] = []

    def append(self, path: str, data: bytes) -> Deferred[None]:
        """
        Write behind the end of a file, which is made if there is none.

        @param data: whole records.
        @return: fires when they would survive a loss of power; fails with L{WriteFailed} if nothing of them is there.
        """
        return self._add(_Entry(path, data, None))

    def run(self, path: str, work: Callable[[], object]) -> Deferred[None]:
        """
        Do something else with a file, in its turn among what is appended.

        @param work: called in the thread; an C{OSError} of it is a failure.
        """
        return self._add(_Entry(path, b"", work))

    def drained(self) -> Deferred[None]:
        """
        @return: fires when nothing waits any more; it never fails.
        """
        if not self._busy:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def _add(self, entry: _Entry) -> Deferred[None]:
        self.waiting += len(entry.data)
        self._queue.append(entry)
        if not self._busy:
            self._busy = True
            self._next()
        return entry.done

    def _next(self) -> None:
        """Begin the next batch."""
        batch, self._queue = self._queue, []
        ending = self._off(lambda: commit([(entry.path, entry.data, entry.work) for entry in batch]))
        ending.addCallbacks(
            self._written, lambda failure: {entry.path: failure for entry in batch}, callbackArgs=(batch,)
        )
        ending.addCallback(self._tell, batch)
        # boundary: what is told of a batch must not hold up the next one.
        ending.addErrback(lambda failure: self.log.failure("a write was told to somebody who failed", failure))
        ending.addCallback(lambda ignored: self._go_on())

    def _written(self, errors: dict[str, OSError], batch: list[_Entry]) -> dict[str, Failure]:
        """Say in the log what could not be written."""
        for path, error in errors.items():
            self.log.error("cannot write {path}: {reason}", path=path, reason=error.strerror or type(error).__name__)
        return {path: Failure(WriteFailed("it could not be written")) for path in errors}

    def _tell(self, failures: dict[str, Failure], batch: list[_Entry]) -> None:
        """Tell everybody of a batch, and those whose files failed before they are tried."""
        if failures:
            poisoned = [entry for entry in self._queue if entry.path in failures]
            self._queue = [entry for entry in self._queue if entry.path not in failures]
            batch = batch + poisoned
        for entry in batch:
            self.waiting -= len(entry.data)
            failure = failures.get(entry.path)
            if failure is None:
                entry.done.callback(None)
            else:
                entry.done.errback(failure)

    def _go_on(self) -> None:
        """Begin what has come meanwhile."""
        if self._queue:
            self._next()
            return
        self._busy = False
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)


def commit(batch: list[tuple[str, bytes, Callable[[], object] | None]]) -> dict[str, OSError]:
    """
    Write a batch; called in a thread.

    @param batch: paths with what is appended to them, or with something else to be done.
    @return: what failed, by path; nothing of such a path was written.
    """
    failed: dict[str, OSError] = {}
    steps: list[tuple[str, list[bytes], Callable[[], object] | None]] = []
    open_step: dict[str, list[bytes]] = {}
    for path, data, work in batch:
        if work is not None:
            open_step.pop(path, None)
            steps.append((path, [], work))
        elif path in open_step:
            open_step[path].append(data)
        else:
            open_step[path] = [data]
            steps.append((path, open_step[path], None))
    for path, pieces, work in steps:
        if path in failed:
            continue
        try:
            if work is not None:
                work()
            else:
                _append(path, b"".join(pieces))
        except OSError as error:
            failed[path] = error
    return failed


def _append(path: str, data: bytes) -> None:
    """Write behind the end of a file and sync it, or leave it as it was."""
    made = not os.path.exists(path)
    descriptor = os.open(path, _NEW, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)
    if made:
        sync_folder(os.path.dirname(path))


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sync_folder(path: str) -> None:
    """Make sure that the names in a folder survive a loss of power."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
