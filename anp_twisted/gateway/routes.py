"""
From a request target to the pool of receivers that serves it.

The longest announced prefix of whole segments wins: C{/a} serves C{/a} and
C{/a/b}, never C{/ab}. Targets are matched as they came and forwarded as they
came. Some can be read in more than one way (C{%2F}, C{..}, C{//}): where two
readings lead to different pools the target is refused, so that nobody reaches
another's application by spelling.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from anp_twisted.errors import RemoteError
from anp_twisted.gateway.balancer import Pool

_AMBIGUOUS = re.compile(rb"[%;\\]|//|/\.")
_PREFIX = re.compile(r"(?=/)(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?\Z")


class AmbiguousTarget(RemoteError):
    """A target that leads to different receivers by different readings."""

    status = 400


class InvalidPrefix(RemoteError):
    """A receiver announced a path that cannot be a prefix."""

    close_code = 1008


def prefix_key(prefix: str) -> bytes:
    """
    Bring an announced prefix into the form the table uses.

    @param prefix: starts with a slash; one at its end makes no difference.
    @return: without a slash at its end, so the root is empty.
    @raise InvalidPrefix: if it could be read in more than one way.
    """
    if _PREFIX.match(prefix) is None:
        raise InvalidPrefix(f"{prefix!r} is not a path prefix")
    return prefix.rstrip("/").encode("ascii")


def path_of(target: bytes) -> bytes:
    """Cut the query off a request target."""
    return target.partition(b"?")[0]


def canonical(path: bytes) -> bytes:
    """
    Read a path the way a lenient server might.

    Escapes are decoded, parameters behind C{;} dropped, backslashes taken for
    slashes, empty and dot segments resolved.
    """
    segments: list[bytes] = []
    for segment in unquote_to_bytes(path).replace(b"\\", b"/").split(b"/"):
        name = segment.partition(b";")[0]
        if name == b"..":
            del segments[-1:]
        elif name and name != b".":
            segments.append(name)
    return b"/" + b"/".join(segments)


class RouteTable:
    """
    The pools by prefix.

    A lookup costs as many dictionary look-ups as the deepest prefix has
    segments, however many prefixes there are.
    """

    def __init__(self) -> None:
        self._pools: dict[bytes, Pool] = {}
        self._depths: dict[int, int] = {}
        self._deepest = 0

    def __len__(self) -> int:
        return len(self._pools)

    def pools(self) -> list[Pool]:
        """List all pools."""
        return list(self._pools.values())

    def pool(self, key: bytes) -> Pool:
        """Find the pool of a prefix key, or make it."""
        found = self._pools.get(key)
        if found is None:
            found = self._pools[key] = Pool(key)
            depth = key.count(b"/")
            self._depths[depth] = self._depths.get(depth, 0) + 1
            self._deepest = max(self._depths)
        return found

    def drop(self, key: bytes) -> None:
        """Forget a prefix key; an unknown one is no mistake."""
        if self._pools.pop(key, None) is None:
            return
        depth = key.count(b"/")
        self._depths[depth] -= 1
        if not self._depths[depth]:
            del self._depths[depth]
        self._deepest = max(self._depths, default=0)

    def match(self, target: bytes) -> Pool | None:
        """
        Find the pool of a request target.

        @param target: in origin form, raw.
        @return: C{None} if no prefix fits.
        @raise AmbiguousTarget: if two readings of it differ in their pools.
        """
        path = path_of(target)
        pool = self._longest(path)
        if self._deepest and _AMBIGUOUS.search(path) and self._longest(canonical(path)) is not pool:
            raise AmbiguousTarget("the target can be read in more than one way")
        return pool

    def _longest(self, path: bytes) -> Pool | None:
        """Find the pool of the longest prefix of whole segments."""
        pools = self._pools
        if self._deepest:
            key = b"/".join(path.split(b"/", self._deepest + 1)[: self._deepest + 1])
            while key:
                pool = pools.get(key)
                if pool is not None:
                    return pool
                key = key[: key.rfind(b"/")]
        return pools.get(b"")
