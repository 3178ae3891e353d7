"""
What a gateway knows of the registry: whose token that is, and whose place. Pure.

A book never changes; what is read anew becomes a new book. So who looks
something up twice in one turn gets the same answer twice.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from anp_twisted.auth.bearer import digest_of
from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.errors import RemoteError
from anp_twisted.places import Place, Places
from anp_twisted.registry.rows import RouteRow, Snapshot, TokenRow


class PlaceRefused(RemoteError):
    """A receiver asked for a place that it may not have."""

    close_code = 4003


class Book:
    """
    A snapshot, ready to be asked.

    @ivar version: of the snapshot.
    @ivar left_out: why some rows were not taken.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.version = snapshot.version
        self.left_out = tuple(snapshot.left_out)
        self._by_digest = {row.digest: row for row in snapshot.tokens}
        self._by_id = {row.id: row for row in snapshot.tokens}
        self._rows = {row.place: row for row in snapshot.routes}
        self._of: dict[str, list[RouteRow]] = {}
        for row in self._rows.values():
            self._of.setdefault(row.owner, []).append(row)
        # Where this is made nobody waits for it.
        self._table: Places[Any] | None = self._make_table()

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return len(self._by_id)

    @property
    def routes(self) -> int:
        """How many places belong to somebody."""
        return len(self._rows)

    def rows_of(self, owner: str) -> Sequence[RouteRow]:
        """List what belongs to an identity."""
        return self._of.get(owner, ())

    def row_at(self, place: Place) -> RouteRow | None:
        """Find the row of exactly this place."""
        return self._rows.get(place)

    def options(self) -> list[RouteRow]:
        """List the rows that have options."""
        return [row for row in self._rows.values() if row.options is not None]

    def take_table(self) -> Places[Any]:
        """
        @return: the rows by place, for the caller to keep and change; made anew if it was taken before.
        """
        table, self._table = self._table, None
        return self._make_table() if table is None else table

    def _make_table(self) -> Places[Any]:
        table: Places[Any] = Places()
        for row in self._rows.values():
            table.put(row.place, row)
        return table

    # --- who ------------------------------------------------------------

    def holder(self, token: str, now: float) -> Identity | None:
        """
        @param token: as it was shown.
        @param now: in seconds since the epoch.
        @return: whose token it is, if it is live.
        """
        digest = digest_of(token)
        row = self._by_digest.get(digest)
        if row is None or not hmac.compare_digest(row.digest, digest) or not _live(row, now):
            return None
        return Identity(Kind.TOKEN, row.identity, credential=row.id, expires=row.expires)

    def holds(self, identity: Identity, now: float) -> bool:
        """
        @return: whether the token with which somebody proved who he is is still live.
        """
        row = self._by_id.get(identity.credential)
        return row is not None and row.identity == identity.name and _live(row, now)

    # --- where ----------------------------------------------------------

    def owner_of(self, place: Place) -> str | None:
        """
        @return: whose place it is: that of the longest prefix on its host.
        """
        row = self._row_over(place)
        return None if row is None else row.owner

    def _row_over(self, place: Place) -> RouteRow | None:
        key = place.key
        while True:
            row = self._rows.get(Place(place.host, key))
            if row is not None or not key:
                return row
            key = key[: key.rfind(b"/")]

    def places_for(self, identity: Identity, announced: Sequence[bytes]) -> list[Place]:
        """
        Say where a receiver is, which is never where another identity is.

        Who owns something serves what it owns, or as much of it as it announces.
        Who owns nothing serves what it announces on any host, if its proof of
        identity allows that and nobody owns it.

        @param announced: prefix keys; none, or the root alone, for whatever it may have.
        @raise PlaceRefused: it may not serve all of them.
        """
        owner = str(identity)
        rows = self.rows_of(owner)
        if not rows:
            return self._free(identity, announced or [b""])
        if not announced or list(announced) == [b""]:
            return sorted(row.place for row in rows if _within(identity, row.place))
        hosts = sorted({row.place.host for row in rows})
        wanted = [self._owned(owner, hosts, key) for key in announced]
        return sorted(place for place in chain.from_iterable(wanted) if _within(identity, place))

    def _owned(self, owner: str, hosts: Iterable[bytes], key: bytes) -> list[Place]:
        """Find where an owner may serve a prefix."""
        places = [place for host in hosts if self.owner_of(place := Place(host, key)) == owner]
        if not places:
            raise PlaceRefused(f"{owner} does not own {key.decode('ascii') or '/'}")
        return places

    def _free(self, identity: Identity, announced: Sequence[bytes]) -> list[Place]:
        """Find where somebody may be who owns nothing."""
        if identity.kind is Kind.TOKEN and identity.credential:
            raise PlaceRefused(f"{identity} owns no place")
        hosts = [b""] if identity.hosts is None else sorted(host.encode("ascii") for host in identity.hosts)
        places = [Place(host, key) for host in hosts for key in announced]
        for place in places:
            owner = self.owner_of(place)
            if owner is not None:
                raise PlaceRefused(f"{place} belongs to {owner}")
            if not _within(identity, place):
                raise PlaceRefused(f"{identity} may not serve {place}")
        return places


def _live(row: TokenRow, now: float) -> bool:
    return now < row.expires


def _within(identity: Identity, place: Place) -> bool:
    """Whether the proof of an identity allows a place."""
    if not identity.may_serve(place.key):
        return False
    return identity.hosts is None or place.host.decode("ascii") in identity.hosts


NOTHING = Book(Snapshot((), [], [], []))
"""A registry that is empty, or was not read yet."""
