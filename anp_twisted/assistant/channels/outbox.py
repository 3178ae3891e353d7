"""
The messages that one channel account has still to send. Pure.

Messages of one chat keep their order: while one is under way or waits for another
attempt, those behind it wait. Other chats go on. A message is tried again with
growing pauses until it is sent, refused, or too old to be of use.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from anp_twisted.assistant.messages import OutboundMessage
from anp_twisted.limits import Limits


class Put(Enum):
    """What became of a message for the outbox."""

    ACCEPTED = "accepted"
    KNOWN = "known"
    """A message with this id is there already, or was done with a short while ago."""
    FULL = "full"
    BUSY = "busy"
    """The chat has as many waiting as it may."""


class Done(Enum):
    """How a message ended."""

    SENT = "sent"
    REFUSED = "refused"
    """The service will never take it."""
    EXPIRED = "expired"
    """It was tried for as long as it makes sense."""


@dataclass(slots=True)
class Entry:
    """
    One message on its way.

    @ivar id: unique in this outbox; the same at each attempt and after a restart.
    @ivar expires: when it is too old, by the clock of the outbox.
    @ivar attempts: how often it was tried in the life of this process.
    """

    id: str
    message: OutboundMessage
    expires: float
    attempts: int = 0


class _Chat:
    """The messages of one chat: the first is under way, or due at a time."""

    __slots__ = ("due", "entries", "under_way")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.due = 0.0
        self.under_way = False


class Outbox:
    """All messages of one account. Times are seconds of any clock that only goes forward."""

    def __init__(self, limits: Limits, jitter: Callable[[], float]) -> None:
        """
        @param jitter: gives a number from 0 up to 1.
        """
        self._limits = limits
        self._jitter = jitter
        self._chats: OrderedDict[str, _Chat] = OrderedDict()
        self._ids: set[str] = set()
        self._done: OrderedDict[str, None] = OrderedDict()
        self._open_at = 0.0
        self._under_way = 0

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def under_way(self) -> int:
        """How many messages are being sent."""
        return self._under_way

    def entries(self) -> list[Entry]:
        """List what has still to be sent, by chat."""
        return [entry for chat in self._chats.values() for entry in chat.entries]

    def fits(self, chat_id: str, count: int) -> Put:
        """
        @param count: how many messages somebody wants to put, all or none.
        @return: L{Put.ACCEPTED} if there is room for them.
        """
        if len(self._ids) + count > self._limits.outbox:
            return Put.FULL
        chat = self._chats.get(chat_id)
        if (len(chat.entries) if chat else 0) + count > self._limits.outbox_per_chat:
            return Put.BUSY
        return Put.ACCEPTED

    def knows(self, entry_id: str) -> bool:
        """Whether a message with this id is there, or was done with lately."""
        return entry_id in self._ids or entry_id in self._done

    def put(self, entry_id: str, message: OutboundMessage, now: float, age: float = 0.0) -> Put:
        """
        Add a message behind those of its chat.

        @param age: seconds since it was put first, in an earlier life of the process perhaps.
        """
        if self.knows(entry_id):
            return Put.KNOWN
        room = self.fits(message.chat_id, 1)
        if room is not Put.ACCEPTED:
            return room
        chat = self._chats.setdefault(message.chat_id, _Chat())
        chat.entries.append(Entry(entry_id, message, now - age + self._limits.outbox_age))
        self._ids.add(entry_id)
        return Put.ACCEPTED

    def take(self, now: float, at_once: int) -> Entry | None:
        """
        Take a message to send it; L{done} or L{again} has to follow.

        @param at_once: how many may be under way.
        @return: C{None} if none is due.
        """
        if now < self._open_at or self._under_way >= at_once:
            return None
        for chat_id, chat in self._chats.items():
            if not chat.under_way and chat.due <= now:
                chat.under_way = True
                self._under_way += 1
                self._chats.move_to_end(chat_id)
                entry = chat.entries[0]
                entry.attempts += 1
                return entry
        return None

    def expired(self, now: float) -> list[Entry]:
        """List what is too old and not under way; L{done} has to follow for each of them."""
        return [
            entry
            for chat in self._chats.values()
            for place, entry in enumerate(chat.entries)
            if entry.expires <= now and not (place == 0 and chat.under_way)
        ]

    def done(self, entry: Entry) -> None:
        """Forget a message: it was sent, or never will be."""
        chat = self._chats[entry.message.chat_id]
        if chat.entries[0] is entry:
            chat.entries.popleft()
            self._land(chat)
            chat.due = 0.0
        else:
            chat.entries.remove(entry)
        if not chat.entries:
            del self._chats[entry.message.chat_id]
        self._ids.remove(entry.id)
        self.remember(entry.id)

    def remember(self, entry_id: str) -> None:
        """Know an id as done with; of these the latest are kept."""
        self._done[entry_id] = None
        while len(self._done) > self._limits.outbox_remembered:
            self._done.popitem(last=False)

    def again(
        self, entry: Entry, now: float, *, retry_after: float | None = None, whole_account: bool = False
    ) -> float:
        """
        Try a message that was taken again later.

        @param retry_after: seconds that the service asked for; the pause is at least as long.
        @param whole_account: whether that holds for all chats.
        @return: when.
        """
        chat = self._chats[entry.message.chat_id]
        assert chat.entries[0] is entry and chat.under_way, "again without take"
        self._land(chat)
        limits = self._limits
        most: float = min(limits.outbox_pause_most, limits.outbox_pause_first * 2.0 ** min(entry.attempts - 1, 30))
        asked = min(retry_after or 0.0, limits.outbox_age)
        # Never sooner than asked, and never all chats in the same instant.
        chat.due = now + asked + most * (0.5 + self._jitter() / 2)
        if whole_account:
            self._open_at = max(self._open_at, now + asked)
        return chat.due

    def next_due(self, now: float) -> float | None:
        """
        @return: when L{take} or L{expired} may have something that it does not have now, or C{None} if
            that takes an event.
        """
        times = [max(chat.due, self._open_at) for chat in self._chats.values() if not chat.under_way]
        times += [entry.expires for chat in self._chats.values() for entry in chat.entries]
        return min((time for time in times if time > now), default=None)

    def _land(self, chat: _Chat) -> None:
        if chat.under_way:
            chat.under_way = False
            self._under_way -= 1
