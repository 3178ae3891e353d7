"""
One session that is open: its log, its viewers and its place in time.

Nothing is told before it is on disk. A record has its C{seq} from the moment it is
appended; whoever appends and whoever views hears of it in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant import jsonrpc, records, store
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.errors import NotFound, Overloaded
from anp_twisted.assistant.feeds import Feed
from anp_twisted.assistant.index import Index
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.keys import SessionKey
from anp_twisted.assistant.records import AnyRecord, Codec, Damaged
from anp_twisted.assistant.types import ChatDelta


class Condition(Enum):
    """
    Whether anything more can be appended.

    C{BROKEN}: the disk failed; it has to be read again before it is used. C{LET_GO}: it was not used, and may have
    been read again by now. C{GONE}: it was deleted.
    """

    OPEN = auto()
    BROKEN = auto()
    LET_GO = auto()
    GONE = auto()


class Session:
    """
    @ivar key: whom it is with.
    @ivar index: what is known of its log, what is not yet on disk included.
    @ivar condition: whether it can be used.
    @ivar durable_seq: the place of the last record that is on disk.
    @ivar running: what says how far the runs in progress are; the owner of the runs sets it.
    """

    log = Logger()

    def __init__(self, key: SessionKey, index: Index, *, path: str, desk: Desk) -> None:
        """
        @param path: of its file.
        @param desk: what all sessions share.
        """
        self.key = key
        self.index = index
        self.condition = Condition.OPEN
        self.durable_seq = index.last_seq
        self.running: Callable[[], Iterable[ChatDelta]] = tuple
        self._path = path
        self._desk = desk
        self._feeds: list[Feed] = []
        self._new = index.last_seq == 0
        self._waiting: list[tuple[int, Deferred[None]]] = []

    @property
    def idle(self) -> bool:
        """Whether nobody would miss it in memory."""
        return not self._feeds and not self.index.runs and self.durable_seq == self.index.last_seq

    # --- writing -----------------------------------------------------------------

    def append(self, make: Callable[[int, float], AnyRecord]) -> Deferred[AnyRecord]:
        """
        Add a record.

        @param make: makes it, of its place and the time.
        @return: fires with the record when it is on disk and the viewers know.
        @raise NotFound: the session was deleted.
        @raise Overloaded: the disk is behind, or failed.
        """
        self.check()
        seq = self.index.last_seq + 1
        record = make(seq, self._desk.around.wall())
        line = self._desk.codec.line(record, self.index.header.session_id)
        data = line
        if self._new:
            self._new = False
            data = self._desk.codec.header(self.index.header) + line
        self.index.add(record, len(line))
        written = self._desk.journal.append(self._path, data)
        return written.addCallbacks(lambda ignored: self._written(record), self._broke)

    def check(self) -> None:
        """
        @raise NotFound: the session was deleted.
        @raise Overloaded: the disk is behind, or failed.
        """
        if self.condition is Condition.GONE:
            raise NotFound("the session was deleted")
        if (
            self.condition is not Condition.OPEN
            or self._desk.journal.waiting > self._desk.around.limits.assistant_unwritten
        ):
            raise Overloaded("the disk does not take it now", retry_after=1.0)

    def _written(self, record: AnyRecord) -> AnyRecord:
        """Tell everybody of a record that is on disk."""
        self.durable_seq = record.seq
        if self._feeds:
            data = jsonrpc.event(records.event(record, str(self.key)))
            for feed in list(self._feeds):
                feed.recorded(record, data)
        while self._waiting and self._waiting[0][0] <= record.seq:
            self._waiting.pop(0)[1].callback(None)
        return record

    def _broke(self, failure: Failure) -> Failure:
        """Let go of what is in memory, since it is more than there is on disk."""
        if self.condition is Condition.OPEN:
            self.condition = Condition.BROKEN
            self._desk.broken(self)
            for feed in list(self._feeds):
                feed.give_up()
        waiting, self._waiting = self._waiting, []
        for _, waiter in waiting:
            waiter.errback(Failure(Overloaded("the disk does not take it now", retry_after=1.0)))
        return Failure(Overloaded("the disk does not take it now", retry_after=1.0))

    def durable(self, seq: int) -> Deferred[None]:
        """
        @return: fires when a record is on disk.
        """
        if seq <= self.durable_seq:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append((seq, waiting))
        self._waiting.sort(key=lambda item: item[0])
        return waiting

    def delete(self) -> Deferred[Any]:
        """
        Write the tombstone, then remove the file.

        @return: fires when nothing is left.
        """
        dead = self.append(lambda seq, ts: records.Deleted(seq=seq, id=f"del-{self._desk.around.new_id()}", ts=ts))
        # Whatever else is appended would be behind the tombstone.
        self.condition = Condition.GONE
        dead.addCallback(lambda ignored: self._end_feeds())
        return dead.addCallback(lambda ignored: self._desk.journal.run(self._path, lambda: store.remove(self._path)))

    def _end_feeds(self) -> None:
        for feed in list(self._feeds):
            feed.end()

    # --- reading -----------------------------------------------------------------

    def read(self, first: int, last: int) -> Deferred[list[AnyRecord | Damaged]]:
        """
        Read records from the disk.

        @param first: a place from 1 on.
        @param last: a place that is on disk; one before C{first} gives nothing.
        """
        if last < first:
            return succeed([])
        start, end = self.index.span(first, last)
        path, codec, session_id = self._path, self._desk.codec, self.index.header.session_id

        def work() -> list[AnyRecord | Damaged]:
            lines = store.read(path, start, end).split(b"\n")
            return [codec.read(line, seq, session_id) for seq, line in enumerate(lines[:-1], first)]

        return self._desk.around.off(work)

    def read_page(self, first: int) -> Deferred[list[AnyRecord | Damaged]]:
        """
        Read as many records from a place on as a page has.

        @return: fires with at least one record.
        """
        limits = self._desk.around.limits
        last = min(self.durable_seq, first + limits.assistant_page - 1)
        while last > first and _length(self.index.span(first, last)) > limits.assistant_page_bytes:
            last = first + (last - first) // 2
        return self.read(first, last)

    def last_place(self, before: int, most: int, most_bytes: int) -> int:
        """
        Find where a page begins that ends before a place.

        @return: the first place of it; C{before} if there is none.
        """
        first = max(1, before - most)
        while first < before - 1 and _length(self.index.span(first, before - 1)) > most_bytes:
            first += max(1, (before - first) // 2)
        return first

    # --- viewers -------------------------------------------------------------------

    def attach(self, feed: Feed) -> None:
        """Tell a feed what happens from now on."""
        self._feeds.append(feed)

    def detach(self, feed: Feed) -> None:
        """Tell it nothing more."""
        if feed in self._feeds:
            self._feeds.remove(feed)

    def so_far(self) -> Iterable[ChatDelta]:
        """What the runs in progress have said, each as one delta from the start."""
        return self.running()

    def tell_delta(self, delta: ChatDelta) -> None:
        """An answer goes on."""
        data = b""
        for feed in list(self._feeds):
            if feed.wants(delta.run_id):
                data = data or jsonrpc.event(delta)
                feed.went_on(delta, data)

    def tell(self, run_id: str, event: object) -> None:
        """A run says something that is not kept."""
        data = b""
        for feed in list(self._feeds):
            if feed.wants(run_id):
                data = data or jsonrpc.event(event)
                feed.said(data)


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


class Desk:
    """
    What all sessions share.

    @ivar broken: told of a session whose file could not be written.
    """

    def __init__(self, around: Around, journal: Journal, codec: Codec, broken: Callable[[Session], None]) -> None:
        self.around = around
        self.journal = journal
        self.codec = codec
        self.broken = broken
