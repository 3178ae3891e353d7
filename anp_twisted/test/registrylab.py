"""Registries in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from anp_twisted.auth.bearer import digest_of
from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.places import parse_place
from anp_twisted.registry.book import NOTHING, Book
from anp_twisted.registry.rows import RouteRow, Snapshot, TokenRow
from anp_twisted.registry.service import Registry


def book(
    routes: Mapping[str, Sequence[str]] | None = None,
    tokens: Mapping[str, str | tuple[str, float]] | None = None,
    version: int = 1,
) -> Book:
    """
    Make a book.

    @param routes: the places of each identity.
    @param tokens: whose each token is, with or without the time at which it ends.
    """
    rows = []
    for number, (token, holder) in enumerate((tokens or {}).items()):
        name, ends = holder if isinstance(holder, tuple) else (holder, float("inf"))
        rows.append(TokenRow(f"t{number}", name, digest_of(token), 0.0, ends))
    places = [RouteRow(parse_place(place), owner) for owner, some in (routes or {}).items() for place in some]
    return Book(Snapshot((version,), rows, places, []))


def holder(name: str, credential: str = "t0") -> Identity:
    """Who showed a token of the registry."""
    return Identity(Kind.TOKEN, name, credential=credential)


class LateThreads:
    """Threads in which nothing runs until the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.stopped = False

    def run(self, function: Callable[[], Any]) -> Deferred[Any]:
        """Keep it."""
        self.waiting.append((function, Deferred()))
        return self.waiting[-1][1]

    def work(self) -> int:
        """Run what waits, and say how much that was."""
        waiting, self.waiting = self.waiting, []
        for function, done in waiting:
            try:
                done.callback(function())
            except Exception:  # noqa: BLE001 - boundary: whatever it is belongs to whoever waits
                done.errback()
        return len(waiting)

    def stop(self) -> None:
        """Note it."""
        self.stopped = True


class SourceInMemory:
    """
    A database in memory.

    @ivar book: what is in it; C{None} if there is none, an exception if it cannot be used.
    """

    def __init__(self, book: Book | Exception | None = None) -> None:
        self.book = book
        self.closed = False
        self.asked: list[tuple[int, ...] | None] = []

    @property
    def absent(self) -> bool:
        """Whether there is none."""
        return self.book is None

    def store(self) -> SourceInMemory:
        """What can be changed."""
        return self

    def read_after(self, version: tuple[int, ...] | None) -> Book | None:
        """Read it."""
        self.asked.append(version)
        if isinstance(self.book, Exception):
            raise self.book
        found = self.book or NOTHING
        return None if found.version == version else found

    def close(self) -> None:
        """Note it."""
        self.closed = True


class RegistryLab:
    """
    A registry with its surroundings.

    @ivar books: what listeners got.
    """

    def __init__(self, book: Book | Exception | None = None, **caps: float) -> None:
        self.clock = Clock()
        self.threads = LateThreads()
        self.source = SourceInMemory(book)
        self.limits = replace(DEFAULT_LIMITS, **caps)  # type: ignore[arg-type]
        self.registry = Registry(self.source, self.threads, self.clock, self.limits)  # type: ignore[arg-type]
        self.books: list[Book] = []
        self.registry.when_changed(self.books.append)

    def advance(self, seconds: float, step: float = 0.125) -> None:
        """Let time pass and the database answer."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.threads.work()
