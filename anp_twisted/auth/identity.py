"""
Who somebody is, as it was proved, and what was shown to prove it.

Pure. Receivers prove who they are when they connect, callers where a route asks
for it. Whatever the way, the outcome is one L{Identity}: it owns links and
routes, so two that are equal are the same to the gateway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from anp_twisted.headers import Header, get_all

MOST_NAME = 1024
"""Characters of a name: the longest DID that a URL of common length can hold."""


class Kind(Enum):
    """How an identity was proved; the same name by two ways is two identities."""

    TOKEN = "token"
    SHARED = "shared"
    DID = "did"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Identity:
    """
    Somebody who proved who they are.

    Equality and hash are those of kind and name: scopes of one identity may change.

    @ivar kind: how it was proved.
    @ivar name: the name of the token, the DID, the name in the certificate; one line without controls.
    @ivar credential: which of its credentials it showed, so that the links of a revoked one are found.
    @ivar paths: the prefixes that it may serve, as L{anp_twisted.paths.prefix_key} makes them; C{None} is any.
    @ivar hosts: the hosts that it may serve, in lower case; C{None} is any.
    @ivar expires: when the proof ends, in seconds since the epoch.
    """

    kind: Kind
    name: str
    credential: str = field(default="", compare=False)
    paths: frozenset[bytes] | None = field(default=None, compare=False)
    hosts: frozenset[str] | None = field(default=None, compare=False)
    expires: float = field(default=math.inf, compare=False)

    def __str__(self) -> str:
        """Name it in logs; only DIDs and tokens go without their kind, and no name of a token has a colon."""
        return self.name if self.kind in (Kind.DID, Kind.TOKEN) else f"{self.kind.value}:{self.name}"

    def may_serve(self, key: bytes) -> bool:
        """
        @param key: a prefix, as L{anp_twisted.paths.prefix_key} makes it.
        @return: whether it is within L{paths}, by whole segments.
        """
        if self.paths is None:
            return True
        return any(key == path or key.startswith(path + b"/") for path in self.paths)


@dataclass(frozen=True, slots=True)
class DidRule:
    """
    Who of those that prove a DID may connect.

    @ivar name: a DID, or the beginning of some.
    @ivar beginning: which of both.
    @ivar paths: the prefixes that they may serve; C{None} is any.
    """

    name: str
    beginning: bool = False
    paths: frozenset[bytes] | None = None

    def fits(self, did: str) -> bool:
        """
        @return: whether it is about this DID.
        """
        return did.startswith(self.name) if self.beginning else did == self.name


def scope_of(rules: Iterable[DidRule], did: str) -> tuple[bool, frozenset[bytes] | None]:
    """
    @return: whether a DID may connect, and the prefixes that it may serve, of all rules about it together;
        C{None} is any.
    """
    fitting = [rule.paths for rule in rules if rule.fits(did)]
    if not fitting or None in fitting:
        return bool(fitting), None
    return True, frozenset().union(*(paths for paths in fitting if paths is not None))


NOBODY = Identity(Kind.TOKEN, "")
"""Nobody proved anything: the far end of a link that we dialled."""

RECEIVER = Identity(Kind.TOKEN, "receiver")
"""Every receiver that shows the one token of a gateway."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    What somebody showed: a request, without its body.

    @ivar method: as sent.
    @ivar target: the request target, byte for byte.
    @ivar headers: the fields in their order.
    @ivar host: whom the request was for, as the caller says.
    @ivar address: where it comes from.
    @ivar secure: whether it came over TLS.
    @ivar certificate: the name in a client certificate that TLS has verified; nothing without one.
    """

    method: bytes
    target: bytes
    headers: list[Header] = field(repr=False)
    host: bytes = b""
    address: str = ""
    secure: bool = False
    certificate: str = ""

    def values(self, lower_name: bytes) -> list[bytes]:
        """
        @return: the values of a field in their order.
        """
        return get_all(self.headers, lower_name)

    @property
    def authorization(self) -> bytes | None:
        """The one C{Authorization} field; C{None} if there is none or more than one."""
        values = self.values(b"authorization")
        return values[0] if len(values) == 1 else None

    @property
    def scheme(self) -> bytes:
        """The scheme of L{authorization} in lower case, or nothing."""
        return (self.authorization or b"").partition(b" ")[0].lower()
