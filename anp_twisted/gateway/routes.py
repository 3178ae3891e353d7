"""
From a request to the pool of receivers that serves it.

How prefixes match is a matter of L{anp_twisted.paths}, and hosts one of
L{anp_twisted.places}; what is forwarded is the target as it came.
"""

from __future__ import annotations

from anp_twisted.gateway.balancer import Pool
from anp_twisted.places import Place, Places
from anp_twisted.registry.book import NOTHING, Book
from anp_twisted.registry.rows import RouteRow


class RouteTable:
    """
    The pools by place, and the places that belong to somebody who is not connected.

    Those are in the table too: otherwise a shorter prefix of somebody else would
    answer for them.
    """

    def __init__(self) -> None:
        self._book = NOTHING
        self._pools: dict[Place, Pool] = {}
        self._table: Places[Pool | RouteRow] = Places()

    def __len__(self) -> int:
        return len(self._pools)

    def pools(self) -> list[Pool]:
        """List all pools."""
        return list(self._pools.values())

    def get(self, place: Place) -> Pool | None:
        """Find the pool of exactly this place."""
        return self._pools.get(place)

    def pool(self, place: Place) -> Pool:
        """Find the pool of a place, or make it."""
        found = self._pools.get(place)
        if found is None:
            found = self._pools[place] = Pool(place.key, place.host)
            self._table.put(place, found)
        return found

    def drop(self, place: Place) -> None:
        """Forget a pool; whose its place is, is not forgotten."""
        del self._pools[place]
        row = self._book.row_at(place)
        if row is None:
            self._table.drop(place)
        else:
            self._table.put(place, row)

    def match(self, host: bytes, target: bytes) -> Pool | None:
        """
        Find the pool of a request.

        @param host: as the request has it.
        @param target: in origin form, raw.
        @return: C{None} if the place is nobody's.
        @raise AmbiguousTarget: if two readings of the target lead to different places.
        """
        found = self._table.match(host, target)
        if not isinstance(found, RouteRow):
            return found
        pool = self.pool(found.place)
        pool.empty_since = 0.0  # whoever waits in it keeps it
        return pool

    def adopt(self, book: Book) -> None:
        """Go over to what is known now of whose places are."""
        self._book = book
        self._table = book.take_table()
        for place, pool in self._pools.items():
            self._table.put(place, pool)
