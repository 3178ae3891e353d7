"""Tests for L{anp_twisted.auth.replay}."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.replay import FileMemory, OwnMemory, RedisMemory, redis_client
from anp_twisted.errors import CredentialError, CredentialsRefused

T = TypeVar("T")

MARK, OTHER = b"m" * 32, b"o" * 32


class NoThreads:
    """
    Runs things at once, or when the test says so.

    @ivar held: what waits, if anything does.
    """

    def __init__(self) -> None:
        self.held: list[Callable[[], None]] | None = None
        self.stopped = False
        self.runs = 0

    def run(self, function: Callable[[], T]) -> Deferred[T]:
        """Run it, or hold it."""
        self.runs += 1
        if self.held is None:
            return execute(function)
        done: Deferred[T] = Deferred()

        def go() -> None:
            execute(function).chainDeferred(done)

        self.held.append(go)
        return done

    def release(self) -> None:
        """Run what was held, and go on holding."""
        held, self.held = self.held or [], []
        for one in held:
            one()

    def stop(self) -> None:
        """Take note."""
        self.stopped = True


class OwnMemoryTests(SynchronousTestCase):
    """In memory."""

    def test_once(self) -> None:
        """A proof opens once until it is forgotten, which is when it could not be shown anyway."""
        memory = OwnMemory(10)
        spent = [self.successResultOf(memory.spend(MARK, now, 100.0)) for now in (0.0, 1.0, 99.0, 100.0)]
        self.assertEqual(spent, [True, False, False, True])
        self.assertTrue(self.successResultOf(memory.spend(OTHER, 0.0, 100.0)))
        self.successResultOf(memory.stop())

    def test_full(self) -> None:
        """With no room left nobody gets in, until something is forgotten."""
        memory = OwnMemory(1)
        self.successResultOf(memory.spend(MARK, 0.0, 100.0))
        refused = self.failureResultOf(memory.spend(OTHER, 1.0, 100.0), CredentialsRefused)
        self.assertEqual(refused.value.status, 503)
        self.assertTrue(self.successResultOf(memory.spend(OTHER, 100.0, 200.0)))


class FileMemoryTests(SynchronousTestCase):
    """In a file."""

    def setUp(self) -> None:
        """Open one."""
        self.path = self.mktemp()
        self.threads = NoThreads()
        self.memory = self.open(self.threads)

    def open(self, threads: NoThreads, most: int = 1000) -> FileMemory:
        """Open the file as another process would."""
        memory = FileMemory(threads, self.path, most=most)
        self.addCleanup(memory.stop)
        return memory

    def spend(self, memory: FileMemory, mark: bytes = MARK, now: float = 0.0) -> bool:
        """Spend a proof."""
        return self.successResultOf(memory.spend(mark, now, now + 100.0))

    def test_once(self) -> None:
        """Whoever comes first, of all processes, and after a restart."""
        second = self.open(NoThreads())
        self.assertEqual([self.spend(self.memory), self.spend(second), self.spend(self.memory)], [True, False, False])
        self.successResultOf(self.memory.stop())
        self.assertTrue(self.threads.stopped)
        self.assertFalse(self.spend(self.open(NoThreads())))

    def test_forgotten(self) -> None:
        """What could not be shown any more is not kept."""
        self.spend(self.memory)
        self.spend(self.memory, OTHER, now=100.0)
        rows = sqlite3.connect(self.path).execute("SELECT mark FROM used").fetchall()
        self.assertEqual(rows, [(OTHER,)])
        self.assertTrue(self.spend(self.memory, MARK, now=100.0))

    def test_together(self) -> None:
        """What comes while the disk is busy goes into one transaction, and still counts one by one."""
        self.threads.held = []
        spent = [self.memory.spend(mark, 0.0, 100.0) for mark in (MARK, OTHER, OTHER, MARK)]
        self.threads.release()
        self.threads.release()
        self.assertEqual([self.successResultOf(one) for one in spent], [True, True, False, False])
        self.assertEqual(self.threads.runs, 2)

    def test_full(self) -> None:
        """With no room left nobody gets in."""
        memory = self.open(NoThreads(), most=1)
        self.assertTrue(self.spend(memory))
        self.assertEqual(self.failureResultOf(memory.spend(OTHER, 0.0, 9.0), CredentialsRefused).value.status, 503)
        self.assertTrue(self.spend(memory, OTHER, now=100.0))

    def test_broken(self) -> None:
        """A file that does not work any more lets nobody in, and the next one is tried again."""
        self.memory._connection.execute("DROP TABLE used")
        self.failureResultOf(self.memory.spend(MARK, 0.0, 9.0), CredentialsRefused)
        self.memory._connection.execute("CREATE TABLE used (mark BLOB PRIMARY KEY, until REAL)")
        self.assertTrue(self.spend(self.memory))

    def test_left(self) -> None:
        """Somebody who does not wait any more costs nobody else anything."""
        self.threads.held = []
        first, second = self.memory.spend(MARK, 0.0, 9.0), self.memory.spend(OTHER, 0.0, 9.0)
        second.cancel()
        second.addErrback(lambda _: None)
        self.threads.release()
        self.threads.release()
        self.assertTrue(self.successResultOf(first))

    def test_stop(self) -> None:
        """It is closed behind the last transaction."""
        self.threads.held = []
        self.memory.spend(MARK, 0.0, 9.0)
        stopped = self.memory.stop()
        self.assertNoResult(stopped)
        self.threads.release()
        self.successResultOf(stopped)

    def test_mode(self) -> None:
        """Nobody else can read or write it."""
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_unusable(self) -> None:
        """A place where no file can be is said in one line."""
        for path in ("/nonexistent/replay", os.curdir):
            self.assertRaises(CredentialError, FileMemory, NoThreads(), path, most=1)
        with open(self.path + "x", "wb") as file:
            file.write(b"no database" * 100)
        self.assertRaises(CredentialError, FileMemory, NoThreads(), self.path + "x", most=1)


class Server:
    """Stands where Redis is: one table with times to live."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.known: set[bytes] = set()
        self.down = False
        self.closed = False

    def set(self, key: bytes, value: bytes, *, nx: bool, px: int) -> bool | None:
        """Keep a key that is new."""
        self.said.append((key, value, nx, px))
        if self.down:
            raise ConnectionError("password in here")
        if key in self.known:
            return None
        self.known.add(key)
        return True

    def close(self) -> None:
        """Take note."""
        self.closed = True


class RedisMemoryTests(SynchronousTestCase):
    """In a server; the real one is asked in C{tests/}."""

    def test_once(self) -> None:
        """One command asks and remembers, for as long as needed."""
        server = Server()
        memory = RedisMemory(NoThreads(), server)
        spent = [self.successResultOf(memory.spend(MARK, 0.0, 1.5)) for _ in range(2)]
        self.assertEqual(spent, [True, False])
        self.assertEqual(server.said[0], (b"anp:used:" + MARK, b"1", True, 1501))
        self.successResultOf(memory.stop())
        self.assertTrue(server.closed)

    def test_down(self) -> None:
        """A server that does not answer lets nobody in."""
        server = Server()
        server.down = True
        refused = self.failureResultOf(RedisMemory(NoThreads(), server).spend(MARK, 0.0, 9.0), CredentialsRefused)
        self.assertEqual(refused.value.status, 503)
        self.assertNotIn("password", str(refused.value))

    def test_client(self) -> None:
        """A URL that is none is said in one line; a good one is not connected to yet."""
        self.assertRaises(CredentialError, redis_client, "http://x", 1.0)
        redis_client("redis://127.0.0.1:1/0", 1.0).close()
