"""
What waits for a client that takes less than it is sent.

Pure. Answers always wait; they are bounded by the calls that may be in flight.
Deltas of one message that wait behind each other are joined, so that a slow
client gets fewer and larger ones and nothing is lost. When it is too much all the
same, the events go, and whoever asks knows up to where each owner was told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from anp_twisted.assistant import jsonrpc
from anp_twisted.assistant.types import ChatDelta

O = TypeVar("O", bound=Hashable)  # noqa: E741 - an owner


class Taken(NamedTuple, Generic[O]):
    """
    The next message.

    @ivar owner: whose event it is, C{None} for an answer.
    @ivar seq: the place in the log of what it tells, 0 for what has none.
    """

    data: bytes
    owner: O | None
    seq: int


class _Item(Generic[O]):
    __slots__ = ("data", "delta", "owner", "parts", "seq")

    def __init__(self, data: bytes, owner: O | None, seq: int, delta: ChatDelta | None) -> None:
        self.data = data
        self.owner = owner
        self.seq = seq
        self.delta = delta
        self.parts: list[str] = [] if delta is None else [delta.delta]

    def encoded(self) -> bytes:
        """The message, with everything that was joined."""
        if self.delta is None or len(self.parts) == 1:
            return self.data
        return jsonrpc.event(msgspec.structs.replace(self.delta, delta="".join(self.parts)))


class Outbound(Generic[O]):
    """
    The queue of one connection.

    @ivar size: bytes in it, about.
    """

    def __init__(self, most: int) -> None:
        """
        @param most: bytes of events and answers above which it is too much.
        """
        self.size = 0
        self._most = most
        self._items: deque[_Item[O]] = deque()
        self._open: dict[O, _Item[O]] = {}  # the last item of an owner, where it can be joined to

    def __len__(self) -> int:
        return len(self._items)

    @property
    def overfull(self) -> bool:
        """Whether there is more than should wait."""
        return self.size > self._most

    def answer(self, data: bytes) -> None:
        """Queue the answer of a call."""
        self._put(_Item(data, None, 0, None))

    def event(self, owner: O, data: bytes, seq: int = 0) -> None:
        """
        Queue an event.

        @param seq: its place in the log, 0 for what has none.
        """
        self._open.pop(owner, None)
        self._put(_Item(data, owner, seq, None))

    def delta(self, owner: O, delta: ChatDelta, data: bytes) -> None:
        """
        Queue a delta, or join it to the one before.

        @param data: the same, encoded.
        """
        last = self._open.get(owner)
        if last is not None and last.delta is not None and last.delta.message_id == delta.message_id and delta.offset:
            last.parts.append(delta.delta)
            self.size += len(delta.delta.encode())
            return
        item = _Item(data, owner, 0, delta)
        self._open[owner] = item
        self._put(item)

    def _put(self, item: _Item[O]) -> None:
        self._items.append(item)
        self.size += len(item.data)

    def take(self) -> Taken[O] | None:
        """
        @return: what has waited longest, C{None} if nothing waits.
        """
        if not self._items:
            return None
        item = self._items.popleft()
        if item.owner is not None and self._open.get(item.owner) is item:
            del self._open[item.owner]
        self.size = self.size - len(item.data) if self._items else 0
        if len(item.parts) > 1:
            self.size = max(0, self.size - sum(len(part.encode()) for part in item.parts[1:]))
        return Taken(item.encoded(), item.owner, item.seq)

    def drop_events(self) -> None:
        """Let all events go; answers stay."""
        self._items = deque(item for item in self._items if item.owner is None)
        self._open.clear()
        self.size = sum(len(item.data) for item in self._items)
