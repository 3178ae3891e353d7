"""
One-time links: how a browser gets a token without anybody typing one. Pure.

A link holds a secret that can be redeemed once, soon. The secret stands in the
fragment of the address, which a browser never sends, and only its hash is kept here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from anp_twisted.limits import Limits


class Offer(NamedTuple):
    """
    What a link is good for.

    @ivar principal: who the one that redeems it will be.
    @ivar role: C{admin} or C{user}.
    @ivar expires: when it is good for nothing any more, by the clock of whoever made it.
    """

    principal: str
    role: str
    expires: float


class Links:
    """
    The links that were made and not redeemed.

    There are only so many: of these the oldest are forgotten first.
    """

    def __init__(self, limits: Limits, secret: Callable[[], str]) -> None:
        """
        @param secret: makes a text of at least 128 random bits that needs no escaping in a URL.
        """
        self._limits = limits
        self._secret = secret
        self._offers: OrderedDict[bytes, Offer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._offers)

    def make(self, principal: str, role: str, now: float) -> tuple[str, Offer]:
        """
        Make a link.

        @return: its secret, which is told once, and what it is good for.
        """
        secret = self._secret()
        offer = Offer(principal, role, now + self._limits.link_lifetime)
        self._offers[_hash(secret)] = offer
        while len(self._offers) > self._limits.login_links:
            self._offers.popitem(last=False)
        return secret, offer

    def redeem(self, secret: str, now: float) -> Offer | None:
        """
        Use a link up, also when it is too old.

        The look-up is by hash: how long it takes tells nothing of secrets that come near.

        @return: what it is good for, C{None} for one that is unknown, used or too old.
        """
        offer = self._offers.pop(_hash(secret), None)
        return offer if offer is not None and now < offer.expires else None

    def forget(self, principal: str) -> None:
        """Take back all links of a principal."""
        for key in [key for key, offer in self._offers.items() if offer.principal == principal]:
            del self._offers[key]


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
