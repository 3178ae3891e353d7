"""
Pairing: how a stranger who writes to a channel becomes one who may. Pure.

The stranger is given a code; the operator approves that code with a token that has
the right. The code is no secret and opens nothing by itself: it only tells the
operator which of the waiting requests is the one he was told about.

What strangers can cause is bounded: so many requests wait for each channel, and
each sender is told his code once in a while only, whatever he writes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from anp_twisted.limits import Limits

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Letters and digits that nobody takes for others."""

CODE_LENGTH = 8


class Request(msgspec.Struct, frozen=True):
    """
    A sender who waits for approval.

    @ivar code: what he was told.
    @ivar channel: the account of the channel he wrote to.
    @ivar sender_id: the sender as that channel spells it.
    @ivar asked_at: when he wrote first, in seconds since 1970.
    """

    code: str
    channel: str
    sender_id: str
    asked_at: float


class Approved(msgspec.Struct, frozen=True):
    """A sender who was let in, and when, in seconds since 1970."""

    channel: str
    sender_id: str
    approved_at: float


class Reply(Enum):
    """What a stranger is to be told."""

    CODE = "code"
    """His code."""
    NOTHING = "nothing"
    """Nothing: he was told a short while ago, or too many wait."""


class _Waiting:
    """A request and when its sender was told of it last."""

    __slots__ = ("request", "told_at")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.told_at = request.asked_at


class PairingDesk:
    """
    All requests and approvals of one assistant.

    Times are seconds since 1970, since approvals outlive the process.
    """

    def __init__(self, limits: Limits, code: Callable[[], str], approved: tuple[Approved, ...] = ()) -> None:
        """
        @param code: makes a random text of L{CODE_LENGTH} of the L{ALPHABET}.
        @param approved: those let in earlier.
        """
        self._limits = limits
        self._code = code
        self._waiting: dict[str, _Waiting] = {}
        self._by_sender: dict[tuple[str, str], _Waiting] = {}
        self._approved: dict[tuple[str, str], Approved] = {}
        self._paired: dict[str, set[str]] = {}
        for one in approved:
            self._let_in(one)

    def paired(self, channel: str) -> set[str]:
        """
        @return: the senders let in on a channel; it changes with each approval, and is not to be changed.
        """
        return self._paired.setdefault(channel, set())

    def approved(self) -> tuple[Approved, ...]:
        """List who was let in, in the order of approval."""
        return tuple(self._approved.values())

    def waiting(self, now: float) -> tuple[Request, ...]:
        """List who waits, the oldest first."""
        self._forget_old(now)
        return tuple(one.request for one in self._waiting.values())

    def ask(self, channel: str, sender_id: str, now: float) -> tuple[Reply, Request | None]:
        """
        Note that somebody wrote who may not.

        @return: what to tell him, and his request if he has one.
        """
        self._forget_old(now)
        found = self._by_sender.get((channel, sender_id))
        if found is not None:
            if now - found.told_at < self._limits.pairing_quiet:
                return Reply.NOTHING, found.request
            found.told_at = now
            return Reply.CODE, found.request
        if sum(one.request.channel == channel for one in self._waiting.values()) >= self._limits.pairings:
            return Reply.NOTHING, None
        request = Request(self._new_code(), channel, sender_id, now)
        self._waiting[request.code] = self._by_sender[channel, sender_id] = _Waiting(request)
        return Reply.CODE, request

    def approve(self, code: str, now: float) -> Approved | None:
        """
        Let a sender in.

        @param code: in any case, with or without spaces and dashes, as people say it.
        @return: C{None} if no request has this code, or no longer.
        """
        self._forget_old(now)
        request = self._drop(plain(code))
        if request is None:
            return None
        approved = Approved(request.channel, request.sender_id, now)
        self._let_in(approved)
        return approved

    def reject(self, code: str, now: float) -> Request | None:
        """
        Forget a request; the sender may ask again, and gets another code.

        @return: C{None} if no request has this code, or no longer.
        """
        self._forget_old(now)
        return self._drop(plain(code))

    def shut_out(self, channel: str, sender_id: str) -> bool:
        """
        Take an approval back.

        @return: whether there was one.
        """
        if self._approved.pop((channel, sender_id), None) is None:
            return False
        self._paired[channel].discard(sender_id)
        return True

    def _let_in(self, approved: Approved) -> None:
        self._approved[approved.channel, approved.sender_id] = approved
        self.paired(approved.channel).add(approved.sender_id)

    def _drop(self, code: str) -> Request | None:
        found = self._waiting.pop(code, None)
        if found is None:
            return None
        del self._by_sender[found.request.channel, found.request.sender_id]
        return found.request

    def _forget_old(self, now: float) -> None:
        """Drop what has expired; requests are in the order in which they came."""
        oldest = now - self._limits.pairing_lifetime
        for code in [code for code, one in self._waiting.items() if one.request.asked_at <= oldest]:
            self._drop(code)

    def _new_code(self) -> str:
        """Make a code that no waiting request has."""
        while (code := self._code()) in self._waiting:
            pass
        return code


def plain(code: str) -> str:
    """
    @param code: as somebody typed it.
    @return: as it was made.
    """
    return code.upper().replace("-", "").replace(" ", "")
