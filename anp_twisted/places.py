"""
Where an application is on a gateway: a host and a path prefix. Pure.

A place is written as it would be in an address: C{/shop} on every host,
C{example.org/shop} on that one, C{*.example.org} on all names below it. As
everywhere, a prefix is one of whole segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Generic, NamedTuple, TypeVar

from anp_twisted.paths import InvalidPrefix, Prefixes, prefix_key

T = TypeVar("T")

LONGEST_HOST: Final = 253
"""Characters of a host name (RFC 1035, 2.3.4)."""

LONGEST_PATH: Final = 512
"""Characters of a path prefix: as many as existing tables of routes have room for."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\]")


class Place(NamedTuple):
    """
    A host and a prefix.

    @ivar host: in lower case and without a port; C{*.} and the rest of a name for all below it; nothing for any host.
    @ivar key: as L{prefix_key} makes it.
    """

    host: bytes
    key: bytes

    def __str__(self) -> str:
        """Write it as L{parse_place} reads it."""
        return f"{self.host.decode('ascii')}{self.key.decode('ascii') or '/'}"

    def covers(self, other: Place) -> bool:
        """
        @return: whether another place is this one or below it, on the same host.
        """
        return other.host == self.host and (other.key == self.key or other.key.startswith(self.key + b"/"))


def parse_place(text: str) -> Place:
    """
    @param text: C{/path}, C{host/path}, or C{host} if there is a dot in it.
    @raise ValueError: with words that complete "the place …".
    """
    host, slash, path = text.partition("/")
    lowered = host.lower().removesuffix(".")
    if host and (len(lowered) > LONGEST_HOST or _HOST.fullmatch(lowered) is None):
        raise ValueError("must be /path, host/path or *.host/path, without a scheme and a port")
    # One word is more likely a path whose slash was forgotten than the name of a host.
    if not (slash or "." in host) or len(path) >= LONGEST_PATH:
        raise ValueError(f"must have a path that starts with / and has at most {LONGEST_PATH} characters")
    try:
        return Place(lowered.encode("ascii"), prefix_key(f"/{path}"))
    except InvalidPrefix:
        raise ValueError("must have a path that can be read in one way, without %, ;, \\, //, /./ and /../") from None


def host_name(host: bytes) -> bytes:
    """
    Bring the host of a request into the form of a place.

    @param host: a sound C{Host}: name or address, with or without a port.
    """
    name = host[: host.find(b"]") + 1] if host.startswith(b"[") else host.partition(b":")[0]
    return name.lower().removesuffix(b".")


class Places(Generic[T]):
    """
    Values by place.

    A request belongs to the table of its own host, if there is one, else to that
    of the longest C{*.name} above it, else to that of any host.
    """

    def __init__(self) -> None:
        self._any: Prefixes[T] = Prefixes()
        self._named: dict[bytes, Prefixes[T]] = {}

    def __len__(self) -> int:
        return len(self._any) + sum(len(table) for table in self._named.values())

    def values(self) -> list[T]:
        """List all values."""
        return [value for table in (self._any, *self._named.values()) for value in table.values()]

    def get(self, place: Place) -> T | None:
        """Find the value of exactly this place."""
        table = self._named.get(place.host) if place.host else self._any
        return None if table is None else table.get(place.key)

    def put(self, place: Place, value: T) -> None:
        """Add a value, or put another in its place."""
        table = self._any
        if place.host:
            table = self._named.setdefault(place.host, Prefixes())
        table.put(place.key, value)

    def drop(self, place: Place) -> None:
        """Forget a place; an unknown one is no mistake."""
        table = self._named.get(place.host) if place.host else self._any
        if table is None:
            return
        table.drop(place.key)
        if place.host and not len(table):
            del self._named[place.host]

    def match(self, host: bytes, target: bytes) -> T | None:
        """
        Find the value of a request in the one table of its host.

        What nobody serves on a host of its own is not looked for on another: it
        would let a stranger answer under the name of that host.

        @param host: as the request has it.
        @param target: in origin form, raw.
        @raise AmbiguousTarget: if two readings of it differ in their values.
        """
        if not self._named:
            return self._any.match(target)
        return next(self._tables(host)).match(target)

    def match_wide(self, host: bytes, target: bytes) -> T | None:
        """
        Find the value of a request, also where the table of its host has none.

        @raise AmbiguousTarget: if two readings of the target differ in their values.
        """
        if not self._named:
            return self._any.match(target)
        for table in self._tables(host):
            found = table.match(target)
            if found is not None:
                return found
        return None

    def _tables(self, host: bytes) -> Iterator[Prefixes[T]]:
        """Go through the tables of a host, its own first."""
        named = self._named
        name = host_name(host)
        table = named.get(name)
        if table is not None:
            yield table
        rest = name
        while rest and not name.startswith(b"["):
            rest = rest.partition(b".")[2]
            table = named.get(b"*." + rest)
            if table is not None:
                yield table
        yield self._any
