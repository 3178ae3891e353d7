"""
Token buckets: how many requests may come, by whom.

A bucket holds the quota of its rate and fills evenly within the window. It is
kept as one number, the time at which it will be full again; one that is full need
not be kept. (That form is known as the generic cell rate algorithm.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from anp_twisted.rates import Rate


class Verdict(NamedTuple):
    """
    What a bucket says.

    @ivar allowed: there is a token.
    @ivar remaining: whole tokens left.
    @ivar seconds: until the next token if there is none, else until the bucket is full.
    """

    allowed: bool
    remaining: int
    seconds: float


class Buckets:
    """
    The buckets of one rule, by whom they belong to.

    @ivar rate: the size of each.
    """

    __slots__ = ("_full_at", "_interval", "_most", "_slack", "rate")

    def __init__(self, rate: Rate, most: int) -> None:
        """
        @param most: how many buckets are kept. With more owners than that, those
            let in longest ago are forgotten, which gives them a full bucket: memory is
            bounded at the price of exactness.
        """
        self.rate = rate
        self._interval = rate.window / rate.quota
        # Sums of intervals are not exact in binary.
        self._slack = self._interval * 0.01 + 1e-6
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def look(self, owner: str, now: float) -> Verdict:
        """
        Ask for a token without taking it.

        @param now: seconds of a clock that may be set back.
        @return: what is left after it was taken.
        """
        return self._judge(self._after(owner, now) - now)

    def take(self, owner: str, now: float) -> Verdict:
        """Take a token, if there is one."""
        after = self._after(owner, now)
        verdict = self._judge(after - now)
        if verdict.allowed:
            full_at = self._full_at
            full_at[owner] = after
            full_at.move_to_end(owner)
            if len(full_at) > self._most:
                full_at.popitem(last=False)
        return verdict

    def _after(self, owner: str, now: float) -> float:
        """When the bucket would be full again after one more token."""
        full_at = self._full_at.get(owner, now)
        if full_at > now + self.rate.window + self._slack:
            # The clock was set back; that must lock nobody out for longer than a window.
            full_at = self._full_at[owner] = now + self.rate.window
        return max(full_at, now) + self._interval

    def _judge(self, debt: float) -> Verdict:
        """
        @param debt: seconds until the bucket would be full.
        """
        left = self.rate.window - debt + self._slack
        if left < 0:
            return Verdict(False, 0, debt - self.rate.window)
        return Verdict(True, int(left / self._interval), debt)


class Rule(NamedTuple):
    """
    Buckets that count for a request.

    @ivar name: how the caller knows the rule.
    @ivar owner: whose bucket it is.
    """

    name: str
    buckets: Buckets
    owner: str


def charge(rules: Sequence[Rule], now: float) -> list[Verdict]:
    """
    Take a token of each rule, or, if one of them has none, of no rule.

    @return: a verdict for each rule, in order.
    """
    verdicts = [rule.buckets.look(rule.owner, now) for rule in rules]
    if all(verdict.allowed for verdict in verdicts):
        for rule in rules:
            rule.buckets.take(rule.owner, now)
    return verdicts
