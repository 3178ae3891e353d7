"""
Which of several path prefixes a request target belongs to. Pure.

The longest prefix of whole segments wins: C{/a} serves C{/a} and C{/a/b}, never
C{/ab}. Targets are matched as they came. Some can be read in more than one way
(C{%2F}, C{..}, C{//}): where two readings lead to different places the target is
refused, so that nobody reaches another's application by spelling.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar
from urllib.parse import unquote_to_bytes

from anp_twisted.errors import RemoteError

T = TypeVar("T")

_AMBIGUOUS = re.compile(rb"[%;\\]|//|/\.")
_PREFIX = re.compile(r"(?=/)(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?\Z")


class AmbiguousTarget(RemoteError):
    """A target that leads to different places by different readings."""

    status = 400


class InvalidPrefix(RemoteError):
    """A path that cannot be a prefix was announced."""

    close_code = 1008


def prefix_key(prefix: str) -> bytes:
    """
    Bring a prefix into the form that L{Prefixes} uses.

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


def below(target: bytes, key: bytes) -> bytes:
    """
    Cut a prefix off a request target that was found to be below it.

    @param target: in origin form, raw; what is not cut off stays byte for byte.
    @param key: of L{prefix_key}.
    """
    rest = target[len(key) :] if target.startswith(key) else target
    return rest if rest.startswith((b"/", b"*")) else b"/" + rest


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


class Prefixes(Generic[T]):
    """
    Values by prefix key.

    A lookup costs as many dictionary look-ups as the deepest prefix has
    segments, however many prefixes there are.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, T] = {}
        self._depths: dict[int, int] = {}
        self._deepest = 0

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> list[T]:
        """List all values."""
        return list(self._values.values())

    def get(self, key: bytes) -> T | None:
        """Find the value of exactly this key."""
        return self._values.get(key)

    def put(self, key: bytes, value: T) -> None:
        """
        Add a value, or put another in its place.

        @param key: of L{prefix_key}.
        """
        if key not in self._values:
            depth = key.count(b"/")
            self._depths[depth] = self._depths.get(depth, 0) + 1
            self._deepest = max(self._depths)
        self._values[key] = value

    def drop(self, key: bytes) -> None:
        """Forget a key; an unknown one is no mistake."""
        if self._values.pop(key, None) is None:
            return
        depth = key.count(b"/")
        self._depths[depth] -= 1
        if not self._depths[depth]:
            del self._depths[depth]
        self._deepest = max(self._depths, default=0)

    def match(self, target: bytes) -> T | None:
        """
        Find the value of a request target.

        @param target: in origin form, raw.
        @return: C{None} if no prefix fits.
        @raise AmbiguousTarget: if two readings of it differ in their values.
        """
        path = path_of(target)
        found = self._longest(path)
        if self._deepest and _AMBIGUOUS.search(path) and self._longest(canonical(path)) is not found:
            raise AmbiguousTarget("the target can be read in more than one way")
        return found

    def _longest(self, path: bytes) -> T | None:
        """Find the value of the longest prefix of whole segments."""
        values = self._values
        if self._deepest:
            key = b"/".join(path.split(b"/", self._deepest + 1)[: self._deepest + 1])
            while key:
                found = values.get(key)
                if found is not None:
                    return found
                key = key[: key.rfind(b"/")]
        return values.get(b"")
