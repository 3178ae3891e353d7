"""
Which places a receiver may serve: what the registry says, within the caps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.limits import Limits
from anp_twisted.places import Place
from anp_twisted.registry.book import NOTHING, PlaceRefused


class CredentialsEnded(PlaceRefused):
    """What a receiver proved its identity with is no longer valid."""


class Territory:
    """
    Judges receivers by the registry as it is known now.

    @ivar book: what is known.
    """

    def __init__(self, wall: Callable[[], float], limits: Limits) -> None:
        """
        @param wall: the time of day, in seconds since the epoch.
        """
        self.book = NOTHING
        self._wall = wall
        self._limits = limits

    def check(self, identity: Identity) -> None:
        """
        @raise CredentialsEnded: its token was revoked, or its proof has expired.
        """
        now = self._wall()
        if now >= identity.expires:
            raise CredentialsEnded("its credentials have expired")
        if identity.kind is Kind.TOKEN and identity.credential and not self.book.holds(identity, now):
            raise CredentialsEnded("its token was revoked")

    def places(self, identity: Identity, announced: Sequence[bytes]) -> list[Place]:
        """
        @param announced: prefix keys, each once.
        @return: where a receiver is; at least one place.
        @raise PlaceRefused: it may not be there.
        """
        self.check(identity)
        places = self.book.places_for(identity, announced)
        if not places or len(places) > self._limits.registered_places:
            raise PlaceRefused(f"{identity} has {len(places)} places")
        return places

    def owns(self, identity: Identity, place: Place) -> bool:
        """
        @return: whether the registry says that a place belongs to an identity.
        """
        return self.book.owner_of(place) == str(identity)
