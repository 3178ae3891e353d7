"""
One viewer of one session.

A feed that has something to catch up reads the log page by page, as fast as its
client takes it, and is told of nothing else meanwhile: what happens is in the log
too. When it has read all that is there it goes on with what happens, in the same
turn, so there is no hole. A run in the middle of its answer is then told once, from
its start.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant import jsonrpc, records
from anp_twisted.assistant.records import AnyRecord, Damaged
from anp_twisted.assistant.types import ChatDelta, Resync

if TYPE_CHECKING:
    from anp_twisted.assistant.session import Session


class Stage(Enum):
    """
    How far a feed is.

    C{CATCHING_UP}: it reads the log. C{LIVE}: it hears what happens. C{ENDED}: it hears nothing any more.
    """

    CATCHING_UP = auto()
    LIVE = auto()
    ENDED = auto()


class Viewer(Protocol):
    """Whose feed it is: a connection."""

    def put_event(self, feed: Feed, data: bytes, seq: int) -> None:
        """Send an event, or keep it for a while."""

    def put_delta(self, feed: Feed, delta: ChatDelta, data: bytes) -> None:
        """Send a delta, or keep it, joined to the one before."""

    def when_taken(self, ready: Callable[[], None]) -> None:
        """Call C{ready} when nothing waits for the client any more; at once, if nothing does."""

    def feed_ended(self, feed: Feed) -> None:
        """Forget a feed."""


class Feed:
    """
    What a viewer hears of a session: all of it, or some runs.

    @ivar session: of which it tells.
    @ivar whole: it tells everything.
    @ivar told: the place of the last record that the client was really sent.
    """

    log = Logger()

    def __init__(self, session: Session, viewer: Viewer, told: int) -> None:
        self.session = session
        self.whole = False
        self.told = told
        self._viewer = viewer
        self._stage = Stage.LIVE
        self._next = 0
        self._runs: set[str] = set()
        session.attach(self)

    # --- what it tells ---------------------------------------------------------

    def follow(self, run_id: str) -> None:
        """Tell of one run, until its end."""
        self._runs.add(run_id)

    def subscribe(self, after: int | None) -> None:
        """
        Tell everything.

        @param after: what is told again first is what comes after this place; C{None} for nothing.
        """
        self.whole = True
        if after is not None and after < self.session.durable_seq:
            self.told = after
            self._next = after + 1
            self._stage = Stage.CATCHING_UP
            self._catch_up()
        else:
            self.told = self.session.durable_seq
            self._tell_running()

    def unsubscribe(self) -> None:
        """Tell no more, but for the runs that were asked for on this connection."""
        self.whole = False
        self._stage = Stage.LIVE
        if not self._runs:
            self.end()

    def end(self) -> None:
        """Tell nothing any more."""
        if self._stage is not Stage.ENDED:
            self._stage = Stage.ENDED
            self.session.detach(self)
            self._viewer.feed_ended(self)

    def resync(self) -> bytes:
        """
        @return: the event that tells a client from where it has to begin again.
        """
        return jsonrpc.event(Resync(session_key=str(self.session.key), after_seq=self.told))

    # --- from the session --------------------------------------------------------

    def recorded(self, record: AnyRecord, data: bytes) -> None:
        """Something is on disk."""
        if self._stage is not Stage.LIVE or not (self.whole or record.run_id in self._runs):
            return
        self._viewer.put_event(self, data, record.seq)
        if isinstance(record, records.ENDS):
            self._runs.discard(record.run_id)
            if not self._runs and not self.whole:
                self.end()

    def wants(self, run_id: str) -> bool:
        """Whether it tells what a run says."""
        return self._stage is Stage.LIVE and (self.whole or run_id in self._runs)

    def said(self, data: bytes) -> None:
        """A run said something that is not kept, such as what it thinks."""
        self._viewer.put_event(self, data, 0)

    def went_on(self, delta: ChatDelta, data: bytes) -> None:
        """The answer of a run goes on."""
        self._viewer.put_delta(self, delta, data)

    # --- catching up ---------------------------------------------------------------

    def _catch_up(self) -> None:
        """Read the next page, or go on with what happens."""
        if self._stage is not Stage.CATCHING_UP:
            return
        if self._next > self.session.durable_seq:
            self._stage = Stage.LIVE
            self._tell_running()
            return
        reading = self.session.read_page(self._next)
        reading.addCallbacks(self._page, self._unreadable)
        # boundary: what one feed cannot bear ends this one feed.
        reading.addErrback(self._failed)

    def _page(self, page: list[AnyRecord | Damaged]) -> None:
        for record in page:
            if self._stage is not Stage.CATCHING_UP:
                return
            self._next = record.seq + 1
            self._viewer.put_event(self, jsonrpc.event(records.event(record, str(self.session.key))), record.seq)
        self._viewer.when_taken(self._catch_up)

    def _tell_running(self) -> None:
        """Tell what the runs in progress have said so far."""
        for delta in self.session.so_far():
            self._viewer.put_delta(self, delta, jsonrpc.event(delta))

    def _unreadable(self, failure: Failure) -> None:
        self.log.failure("the log of a session cannot be read", failure)
        self.give_up()

    def _failed(self, failure: Failure) -> None:
        self.log.failure("a subscription failed", failure)
        self.give_up()

    def give_up(self) -> None:
        """End, and let the client begin again from what it has."""
        if self._stage is not Stage.ENDED:
            self._viewer.put_event(self, self.resync(), 0)
            self.end()
