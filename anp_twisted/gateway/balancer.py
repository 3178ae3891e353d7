"""
Which receiver gets the next request: the one with the least in flight.

A pool keeps its members sorted by what they have in flight, one bucket a number,
so that choosing and giving back cost the same for one member or ten thousand.
Among equals the one that has waited longest is next.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from anp_twisted.auth.identity import Identity
from anp_twisted.places import Place


class Member:
    """
    A receiver, as the balance sees it.

    @ivar name: for logs.
    @ivar capacity: requests it works on at once.
    @ivar in_flight: requests it works on now.
    @ivar pools: the pools it belongs to.
    """

    __slots__ = ("capacity", "in_flight", "name", "pools")

    def __init__(self, name: str, capacity: int) -> None:
        assert capacity > 0, "a member without capacity"
        self.name = name
        self.capacity = capacity
        self.in_flight = 0
        self.pools: list[Pool] = []

    def take(self) -> None:
        """Count one more request."""
        assert self.in_flight < self.capacity, "a member got more than it can take"
        self._move(self.in_flight + 1)

    def give_back(self) -> None:
        """Count one request less."""
        assert self.in_flight > 0, "a member gave back more than it got"
        self._move(self.in_flight - 1)

    def _move(self, in_flight: int) -> None:
        """Change the count in every pool alike."""
        for pool in self.pools:
            pool.moved(self, self.in_flight, in_flight)
        self.in_flight = in_flight


class Pool:
    """
    The members that serve one place, and who waits for one of them.

    @ivar place: the host and the prefix.
    @ivar owner: whose members alone may take part; nobody else's, even when all of them are gone.
    @ivar waiting: requests that wait for a member, the oldest first; they are not looked at here.
    @ivar empty_since: when the last member left, C{None} while there is one.
    """

    __slots__ = ("_buckets", "_lowest", "empty_since", "owner", "place", "size", "waiting")

    def __init__(self, key: bytes, host: bytes = b"") -> None:
        self.place = Place(host, key)
        self.owner: Identity | None = None
        self.size = 0
        self.empty_since: float | None = None
        self.waiting: deque[Any] = deque()
        self._buckets: list[dict[Member, None]] = [{}]
        self._lowest = 0

    def add(self, member: Member) -> None:
        """Let a member take part."""
        assert self not in member.pools, "a member joined a pool twice"
        member.pools.append(self)
        self.size += 1
        self.empty_since = None
        self._put(member, member.in_flight)

    def remove(self, member: Member, now: float) -> None:
        """Let a member go; what it has in flight stays with it."""
        member.pools.remove(self)
        self.size -= 1
        if not self.size:
            self.empty_since = now
        if member.in_flight < member.capacity:
            del self._buckets[member.in_flight][member]

    def moved(self, member: Member, old: int, new: int) -> None:
        """Put a member where its new count belongs."""
        buckets, capacity = self._buckets, member.capacity
        if old < capacity:
            del buckets[old][member]
        if new < capacity:
            # At most one more than before, so that one more bucket is enough.
            if new == len(buckets):
                buckets.append({})
            buckets[new][member] = None
            if new < self._lowest:
                self._lowest = new

    def choose(self, avoid: Member | None = None) -> Member | None:
        """
        Find the member with the least in flight.

        @param avoid: one to take only if no other has room.
        @return: C{None} while none has room.
        """
        if avoid is not None:
            return self._other_than(avoid) or self.choose()
        buckets = self._buckets
        for index in range(self._lowest, len(buckets)):
            if buckets[index]:
                self._lowest = index
                return next(iter(buckets[index]))
        self._lowest = len(buckets)
        return None

    def _other_than(self, avoid: Member) -> Member | None:
        """Find another member than one."""
        for bucket in self._buckets:
            for member in bucket:
                if member is not avoid:
                    return member
        return None

    def _put(self, member: Member, in_flight: int) -> None:
        """Sort a member in; one without room is in no bucket."""
        if in_flight >= member.capacity:
            return
        while len(self._buckets) <= in_flight:
            self._buckets.append({})
        self._buckets[in_flight][member] = None
        self._lowest = min(self._lowest, in_flight)
