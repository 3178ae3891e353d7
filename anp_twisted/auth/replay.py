"""
The memory of proofs that were used: each of them opens once.

It holds for all processes of a gateway and outlives them. What is remembered is
32 bytes and the time until which the proof could be shown again; then it is
forgotten.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import CredentialError, CredentialsRefused
from anp_twisted.threads import Threads

FILE: Final = "replay.sqlite"
"""Its name in the state folder."""

_BUSY: Final = 5.0
_CREATE: Final = "CREATE TABLE IF NOT EXISTS used (mark BLOB PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID"
_INDEX: Final = "CREATE INDEX IF NOT EXISTS used_until ON used (until)"


class ReplayMemory(Protocol):
    """Remembers what was used."""

    def spend(self, mark: bytes, now: float, until: float) -> Deferred[bool]:
        """
        @param mark: 32 bytes that stand for a proof.
        @param now: seconds since the epoch.
        @param until: when it need not be remembered any more.
        @return: fires with whether this is the first time; fails with
            L{CredentialsRefused<anp_twisted.errors.CredentialsRefused>} if that cannot be told.
        """

    def stop(self) -> Deferred[None]:
        """@return: fires when nothing is left open."""


def unknown(reason: object) -> CredentialsRefused:
    """
    @return: the refusal where a memory does not answer: what may have been used counts as used.
    """
    return CredentialsRefused(
        f"the replay memory does not answer: {reason}", 503, title="the proof cannot be checked now", retry_after=1.0
    )


class OwnMemory:
    """For one process, until it ends: tests, and what need not survive."""

    def __init__(self, most: int) -> None:
        """
        @param most: how many are remembered; with more, nobody gets in.
        """
        self._most = most
        self._until: dict[bytes, float] = {}

    def spend(self, mark: bytes, now: float, until: float) -> Deferred[bool]:
        """See L{ReplayMemory.spend}."""
        known = self._until.get(mark)
        if known is not None and known > now:
            return succeed(False)
        if len(self._until) >= self._most:
            self._until = {old: time for old, time in self._until.items() if time > now}
            if len(self._until) >= self._most:
                return fail(unknown("it is full"))
        self._until[mark] = until
        return succeed(True)

    def stop(self) -> Deferred[None]:
        """See L{ReplayMemory.stop}."""
        return succeed(None)


@dataclass(slots=True)
class Spending:
    """
    One proof on its way into a file.

    @ivar done: fires with whether it was the first time.
    """

    mark: bytes
    now: float
    until: float
    done: Deferred[bool]


class FileMemory:
    """
    A SQLite file that all processes of one machine share.

    What comes while the disk is busy waits, and goes into the next transaction
    together: so a thousand proofs cost a few writes to the disk, not a thousand.
    """

    log = Logger()

    def __init__(self, threads: Threads, path: str, *, most: int) -> None:
        """
        @param threads: one is enough; only one transaction runs at a time.
        @param path: made if it is not there, mode 0600.
        @param most: how many are remembered; with more, nobody gets in.
        @raise CredentialError: it cannot be used.
        """
        self._threads = threads
        self._path = path
        self._most = most
        self._waiting: list[Spending] = []
        self._writing = False
        self._idle: list[Deferred[None]] = []
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_CREATE)
            connection.execute(_INDEX)
        except (OSError, sqlite3.Error) as error:
            raise CredentialError(f"cannot remember used proofs in {self._path}: {error}") from None
        return connection

    def spend(self, mark: bytes, now: float, until: float) -> Deferred[bool]:
        """See L{ReplayMemory.spend}."""
        done: Deferred[bool] = Deferred(lambda _: None)
        self._waiting.append(Spending(mark, now, until, done))
        self._write()
        return done

    def _write(self) -> None:
        """Begin with what waits, unless a transaction runs."""
        if self._writing or not self._waiting:
            return
        self._writing = True
        batch, self._waiting = self._waiting, []
        self._threads.run(partial(self._spend_all, batch)).addBoth(self._written, batch)

    def _spend_all(self, batch: list[Spending]) -> list[bool | None]:
        """Put a batch into the file; in a thread. C{None} is for one that has no room."""
        database = self._connection
        database.execute("BEGIN IMMEDIATE")
        try:
            now = max(one.now for one in batch)
            database.execute("DELETE FROM used WHERE until <= ?", (now,))
            (room,) = database.execute("SELECT ? - count(*) FROM used", (self._most,)).fetchone()
            results: list[bool | None] = []
            for one in batch:
                if room <= 0:
                    results.append(None)
                    continue
                found = database.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (one.mark, one.until))
                results.append(found.rowcount == 1)
                room -= found.rowcount
            database.execute("COMMIT")
        finally:
            if database.in_transaction:
                with suppress(sqlite3.Error):
                    database.execute("ROLLBACK")
        return results

    def _written(self, results: list[bool | None] | Failure, batch: list[Spending]) -> None:
        """Tell everybody, then go on with those who came meanwhile."""
        self._writing = False
        if isinstance(results, Failure):
            self.log.error("the replay memory in {path} failed: {reason}", path=self._path, reason=results.value)
            results = [None] * len(batch)
        for one, first in zip(batch, results, strict=True):
            if one.done.called:
                continue  # nobody waits for it any more
            if first is None:
                one.done.errback(unknown("it is full, or cannot be written"))
            else:
                one.done.callback(first)
        self._write()
        if not self._writing:
            idle, self._idle = self._idle, []
            for waiter in idle:
                waiter.callback(None)

    def stop(self) -> Deferred[None]:
        """See L{ReplayMemory.stop}."""
        idle: Deferred[None] = Deferred()
        if self._writing:
            self._idle.append(idle)
        else:
            idle.callback(None)
        return idle.addCallback(self._close)

    def _close(self, _: None) -> None:
        self._threads.stop()
        self._connection.close()


class RedisMemory:
    """
    A Redis server that processes of several machines share.

    Each proof is one C{SET … NX} with the time to live that it needs; the server
    does not need to be asked twice, and what it does not answer counts as used.
    """

    log = Logger()

    def __init__(self, threads: Threads, client: Any) -> None:
        """
        @param threads: only in them the client is used, since its calls block.
        @param client: a C{redis.Redis}.
        """
        self._threads = threads
        self._client = client

    def spend(self, mark: bytes, now: float, until: float) -> Deferred[bool]:
        """See L{ReplayMemory.spend}."""
        milliseconds = max(1, int((until - now) * 1000) + 1)
        return self._threads.run(partial(self._set, mark, milliseconds)).addErrback(self._failed)

    def _set(self, mark: bytes, milliseconds: int) -> bool:
        return self._client.set(b"anp:used:" + mark, b"1", nx=True, px=milliseconds) is True

    def _failed(self, reason: Failure) -> bool:
        self.log.error("the replay memory in Redis failed: {reason}", reason=type(reason.value).__name__)
        raise unknown(type(reason.value).__name__)

    def stop(self) -> Deferred[None]:
        """See L{ReplayMemory.stop}."""
        self._threads.stop()
        self._client.close()
        return succeed(None)


def redis_client(url: str, timeout: float) -> Any:
    """
    @param url: C{redis://}, C{rediss://} or C{unix://}.
    @param timeout: seconds for a connection, and for an answer.
    @return: a client that has not connected yet.
    @raise CredentialError: the extra is not installed, or the URL is none.
    """
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise CredentialError("replay-url needs the extra redis: pip install 'anp-twisted[redis]'") from None
    try:
        # A lost answer to SET … NX may hide that it was obeyed: asked again, it would say that the proof was used.
        retry = Retry(NoBackoff(), 0)
        return redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry)
    except ValueError:
        raise CredentialError("replay-url must be redis://, rediss:// or unix://") from None
