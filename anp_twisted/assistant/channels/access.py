"""Who may write to the assistant over a channel. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

EVERYBODY: Final = "*"
"""The entry of an allow list that lets everybody in."""


class AllowList:
    """
    The senders that the settings name, and those that were let in by a pairing code.

    An empty list lets nobody in. A list that says nothing is more often a
    forgotten one than a wish to serve the world.
    """

    def __init__(self, named: Iterable[str], paired: Collection[str] = frozenset()) -> None:
        """
        @param named: sender ids as the channel spells them, compared as they are; or L{EVERYBODY}.
        @param paired: looked into at each question; whoever owns it may change it.
        """
        self._named = frozenset(named)
        self._paired = paired

    @property
    def open(self) -> bool:
        """Whether everybody may write."""
        return EVERYBODY in self._named

    def is_allowed(self, sender_id: str) -> bool:
        """
        @param sender_id: a user of the chat service; the empty one is nobody.
        """
        if not sender_id or sender_id == EVERYBODY:
            return False
        return self.open or sender_id in self._named or sender_id in self._paired
