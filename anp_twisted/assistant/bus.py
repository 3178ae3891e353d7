"""
Topics: messages that wait for whoever works on them. Pure.

A topic is bounded, as a whole and for each conversation, and says so to whoever
publishes: nothing is dropped in silence, and nothing waits where nobody sees it.
Messages of one conversation keep their order and are worked on one at a time;
conversations take turns, so that one that writes much does not hold up another.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class Published(Enum):
    """What became of a message."""

    ACCEPTED = "accepted"
    FULL = "full"
    """The topic has as many waiting messages as it may; the publisher tries again later or says so to the sender."""
    BUSY = "busy"
    """The same for this one conversation; others may still write."""
    CLOSED = "closed"
    """Nobody works on this topic any more."""


class Topic(Generic[T]):
    """
    One bounded topic.

    Who works on it calls L{take} whenever it has room, and L{done} for each
    message taken; a message is out of the topic's hands once it was taken.
    """

    def __init__(self, *, waiting: int, per_key: int, at_once: int) -> None:
        """
        @param waiting: messages that may wait in all.
        @param per_key: those of them that may be of one conversation.
        @param at_once: conversations that are worked on at the same time.
        """
        self._most = waiting
        self._most_per_key = per_key
        self._at_once = at_once
        self._lanes: dict[str, deque[T]] = {}
        self._turns: deque[str] = deque()
        self._in_hand: set[str] = set()
        self._waiting = 0
        self._closed = False

    def __len__(self) -> int:
        return self._waiting

    @property
    def in_hand(self) -> int:
        """How many messages are being worked on."""
        return len(self._in_hand)

    @property
    def closed(self) -> bool:
        """Whether nobody works on it any more."""
        return self._closed

    def publish(self, key: str, message: T) -> Published:
        """
        Add a message.

        @param key: names its conversation.
        """
        if self._closed:
            return Published.CLOSED
        lane = self._lanes.get(key)
        if lane is not None and len(lane) >= self._most_per_key:
            return Published.BUSY
        if self._waiting >= self._most:
            return Published.FULL
        if lane is None:
            lane = self._lanes[key] = deque()
            if key not in self._in_hand:
                self._turns.append(key)
        lane.append(message)
        self._waiting += 1
        return Published.ACCEPTED

    def take(self) -> tuple[str, T] | None:
        """
        Take the next message; its conversation rests until L{done}.

        @return: conversation and message, or C{None} if none waits or enough is being worked on.
        """
        if not self._turns or len(self._in_hand) >= self._at_once:
            return None
        key = self._turns.popleft()
        lane = self._lanes[key]
        message = lane.popleft()
        if not lane:
            del self._lanes[key]
        self._waiting -= 1
        self._in_hand.add(key)
        return key, message

    def done(self, key: str) -> None:
        """Let a conversation go on, behind the others that wait."""
        assert key in self._in_hand, "done without take"
        self._in_hand.remove(key)
        if key in self._lanes:
            self._turns.append(key)

    def close(self) -> int:
        """
        Take nothing any more and forget what waits.

        @return: how many messages that were.
        """
        dropped, self._waiting = self._waiting, 0
        self._closed = True
        self._lanes.clear()
        self._turns.clear()
        return dropped
