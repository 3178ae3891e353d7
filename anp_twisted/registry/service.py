"""
Keeps what a gateway knows of the registry as new as the database.

The database is asked in a thread, about once a second, whether anything has
changed, and read again if so. While it cannot be asked, what is known goes on to
hold, and nobody new gets in.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.errors import ANPError, RegistryError
from anp_twisted.limits import Limits
from anp_twisted.registry.book import NOTHING, Book
from anp_twisted.registry.source import Source
from anp_twisted.threads import Threads

T = TypeVar("T")


class Freshness(Enum):
    """
    What is known of the database.

    C{UNREAD}: nothing yet. C{CURRENT}: what is in memory is what is in the
    database. C{STALE}: the database does not answer.
    """

    UNREAD = auto()
    CURRENT = auto()
    STALE = auto()


class Registry(Service):
    """
    The registry of one process.

    @ivar book: what is known; replaced, never changed.
    @ivar freshness: how far that can be relied on.
    @ivar reads: how often it was read.
    """

    log = Logger()

    def __init__(self, source: Source, threads: Threads, clock: IReactorTime, limits: Limits) -> None:
        """
        @param source: where the database is.
        @param threads: only in them the source is asked.
        """
        self.book: Book = NOTHING
        self.freshness = Freshness.UNREAD
        self.reads = 0
        self._source = source
        self._threads = threads
        self._clock = clock
        self._limits = limits
        self._listeners: list[Callable[[Book], None]] = []
        self._asking: list[Deferred[None]] | None = None
        self._next: list[Deferred[None]] = []
        self._read_at = -limits.registry_reread
        self._asked_at = -limits.registry_poll
        self._timer: IDelayedCall | None = None
        self._patience: IDelayedCall | None = None

    def knows(self, owner: str) -> bool:
        """
        @return: whether places belong to somebody.
        """
        return bool(self.book.rows_of(owner))

    def when_changed(self, listener: Callable[[Book], None]) -> None:
        """
        @param listener: gets each new book, and the old one once more when time has passed, since tokens end.
        """
        self._listeners.append(listener)

    @property
    def known(self) -> bool:
        """Whether it was read, or there is none to read."""
        return bool(self.reads) or (self._source.absent and self.book is NOTHING)

    # --- life -----------------------------------------------------------

    def startService(self) -> None:
        """Begin to look."""
        super().startService()  # type: ignore[no-untyped-call]
        self._tick()

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        for timer in (self._timer, self._patience):
            if timer is not None and timer.active():
                timer.cancel()
        self._source.close()
        self._threads.stop()

    def _tick(self) -> None:
        """Look now and then; what is on its way already is not asked for twice."""
        self._timer = self._clock.callLater(self._limits.registry_poll, self._tick)
        if self._asking is None:
            if self._source.absent and self.book is NOTHING:
                self.freshness = Freshness.CURRENT  # nothing is all there is
            else:
                self._ask([])
        self._tell()

    # --- asking ---------------------------------------------------------

    def refresh(self) -> Deferred[None]:
        """
        Make sure of what is known.

        @return: fires when it is at least as new as the database was at this
            call; fails with L{RegistryError} if that takes longer than
            C{Limits.registry_patience}, or cannot be found out.
        """
        if self._source.absent and self.book is NOTHING:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        # What is on its way may have been read before what the caller has in mind was written.
        since = self._clock.seconds() - self._asked_at
        if self._asking is None and since >= self._limits.registry_gap:
            self._ask([waiter])
        else:
            self._next.append(waiter)
            if self._asking is None:
                self._ask_after(self._limits.registry_gap - since)
        patience = self._limits.registry_patience
        return waiter.addTimeout(patience, self._clock).addErrback(self._too_late)

    def reload(self) -> Deferred[None]:
        """
        Read everything again, whether or not it seems to have changed.

        @return: see L{refresh}.
        """
        self._read_at = -self._limits.registry_reread
        return self.refresh()

    def change(self, function: Callable[[Any], T]) -> Deferred[T]:
        """
        Change something.

        @param function: gets the store, in a thread.
        @return: fires with what it returns when the change is in effect here; fails with L{RegistryError}.
        """

        def changed(result: T) -> Deferred[T]:
            # What was changed stays changed, whether or not it could be read again.
            return self.refresh().addBoth(lambda _: result)

        return self.ask(function).addCallback(changed)

    def ask(self, function: Callable[[Any], T]) -> Deferred[T]:
        """
        Look something up that is not known here.

        @param function: gets the store, in a thread.
        @return: fires with what it returns; fails with L{RegistryError}.
        """
        return self._threads.run(lambda: function(self._source.store()))

    @staticmethod
    def _too_late(reason: Failure) -> None:
        reason.trap(TimeoutError)
        raise RegistryError("the database does not answer")

    def _ask_after(self, seconds: float) -> None:
        """Ask soon, for those who wait; strangers with wrong tokens must not make the database busy."""
        if self._patience is None or not self._patience.active():
            self._patience = self._clock.callLater(seconds, self._ask_for_next)

    def _ask_for_next(self) -> None:
        if self._asking is None and self._next:
            waiters, self._next = self._next, []
            self._ask(waiters)

    def _ask(self, waiters: list[Deferred[None]]) -> None:
        """Look whether anything has changed."""
        now = self._clock.seconds()
        self._asking = waiters
        self._asked_at = now
        again = now - self._read_at >= self._limits.registry_reread
        version = None if again else self.book.version
        late = self._clock.callLater(self._limits.registry_patience, self._late)
        asked = self._threads.run(lambda: self._source.read_after(version))
        asked.addBoth(self._answered, late, again)

    def _late(self) -> None:
        """The database takes too long; it may answer yet."""
        self._stale(RegistryError("it does not answer"))

    def _answered(self, result: Book | Failure | None, late: IDelayedCall, again: bool) -> None:
        if late.active():
            late.cancel()
        waiters, self._asking = self._asking or [], None
        if isinstance(result, Failure):
            self._failed(result, waiters)
        else:
            if again:
                self._read_at = self._clock.seconds()
            self._current(result)
            for waiter in waiters:
                waiter.callback(None)
        if self._next:
            self._ask_after(self._limits.registry_gap)

    def _failed(self, reason: Failure, waiters: list[Deferred[None]]) -> None:
        error = reason.value
        if not isinstance(error, ANPError):
            # boundary: a driver that fails in a way of its own must not end the looking.
            self.log.failure("the registry could not be read", reason)
            error = RegistryError("it failed")
        self._stale(error)
        for waiter in waiters:
            waiter.errback(error)

    def _stale(self, error: ANPError) -> None:
        if self.freshness is not Freshness.STALE and self.running:
            known = "what is known of it holds" if self.reads else "nothing is known of it yet"
            self.log.error("registry: {error}; {known}, nobody new gets in", error=error, known=known)
        self.freshness = Freshness.STALE

    def _current(self, book: Book | None) -> None:
        if self.freshness is Freshness.STALE:
            self.log.info("registry: the database answers again")
        self.freshness = Freshness.CURRENT
        if book is None:
            return
        self.reads += 1
        changed = book.version != self.book.version
        self.book = book
        for line in book.left_out if changed else ():
            self.log.warn("registry: left out: {line}", line=line)
        if changed:
            self.log.info("registry: {tokens} tokens, {routes} routes", tokens=book.tokens, routes=book.routes)
        self._tell()

    def _tell(self) -> None:
        """Let everybody go over to what is known."""
        for listener in self._listeners:
            listener(self.book)

    # --- figures --------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        """
        @return: figures that JSON knows.
        """
        return {
            "state": self.freshness.name.lower(),
            "tokens": self.book.tokens,
            "routes": self.book.routes,
            "reads": self.reads,
        }
