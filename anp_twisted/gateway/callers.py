"""
Who is calling: the address at the other end of the socket, or what trusted
proxies say.

The chain of proxies is read from its end: each hop was written by the one after
it, so it is believed as far as the writers are trusted, and what comes before
that is a caller's own invention. Which fields are believed is said by name: a
proxy sets some of them and passes others through as the caller sent them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from anp_twisted.gateway.forwarded import MalformedClaim, Node, parse_forwarded, parse_node, split_list
from anp_twisted.headers import Header, get_all
from anp_twisted.networks import Networks

_ID = re.compile(rb"[A-Za-z0-9._:;,=+/@-]{1,80}")
_SCHEMES: Final = {b"http": b"http", b"https": b"https", b"ws": b"http", b"wss": b"https"}

REQUEST_ID: Final = b"x-request-id"

IDENTITY: Final = b"anp-identity"
"""Where a HTTP server behind a receiver finds who the caller has proved to be: no caller may say so."""

CLAIMS: Final = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
        IDENTITY,
        REQUEST_ID,
    }
)
"""Fields by which only a trusted proxy may say who the caller is. None of them goes further than the gateway."""


class Caller(NamedTuple):
    """
    Who is calling.

    @ivar address: canonical; nothing for a caller on a UNIX socket.
    @ivar port: 0 if it is not known.
    @ivar scheme: what the caller spoke, or C{None} if no proxy said.
    @ivar host: whom the caller meant, or C{None} if no proxy said.
    """

    address: str
    port: int
    scheme: bytes | None
    host: bytes | None


class Trail(NamedTuple):
    """
    How far a chain of proxies can be followed.

    @ivar caller: the first that is not trusted, or where the chain ends.
    @ivar believed: how many proxies, counted from ours, told of their caller.
    """

    caller: Node
    believed: int


class TrustedProxies:
    """
    Those who are believed, and what about.

    @ivar networks: where they are.
    """

    def __init__(self, networks: Networks, fields: Collection[str], *, valid_host: Callable[[bytes], bool]) -> None:
        """
        @param fields: names, in lower case, of the fields that the proxies set.
        @param valid_host: whether a value can be that of C{Host}.
        """
        names = {field.encode("ascii") for field in fields}
        self.networks = networks
        self._standard = b"forwarded" in names
        self._for = b"x-forwarded-for" in names
        self._proto = b"x-forwarded-proto" in names
        self._host = b"x-forwarded-host" in names
        self._ids = REQUEST_ID in names
        self._valid_host = valid_host

    def caller(self, peer: tuple[str, int], headers: list[Header]) -> Caller | None:
        """
        Find out who is calling.

        @param peer: address and port of the other end of the socket.
        @return: C{None} if the peer itself is the caller.
        @raise MalformedClaim: if a trusted proxy says what cannot be read.
        """
        if peer[0] not in self.networks:
            return None
        return self._by_standard(peer, headers) if self._standard else self._by_custom(peer, headers)

    def request_id(self, peer: tuple[str, int], headers: list[Header]) -> str | None:
        """
        The id that a trusted proxy gave the request.

        @return: C{None} if there is none, or if it could not stand in a log.
        """
        if not self._ids or peer[0] not in self.networks:
            return None
        given = get_all(headers, REQUEST_ID)
        return given[0].decode("ascii") if len(given) == 1 and _ID.fullmatch(given[0]) else None

    def _by_custom(self, peer: tuple[str, int], headers: list[Header]) -> Caller:
        """Read the C{X-Forwarded-*} fields."""
        hops = split_list(get_all(headers, b"x-forwarded-for")) if self._for else []
        nodes = (parse_node(str(hop, "latin-1")) for hop in reversed(hops))
        trail = self._follow(peer, nodes)
        scheme = _nth_from_end(get_all(headers, b"x-forwarded-proto"), trail.believed) if self._proto else None
        host = _nth_from_end(get_all(headers, b"x-forwarded-host"), trail.believed) if self._host else None
        return self._checked(trail.caller, scheme, host)

    def _by_standard(self, peer: tuple[str, int], headers: list[Header]) -> Caller:
        """Read the C{Forwarded} field."""
        elements = parse_forwarded(get_all(headers, b"forwarded"))
        if not elements:
            return Caller(peer[0], peer[1], None, None)
        trail = self._follow(peer, (element.seen for element in reversed(elements)))
        told = elements[-trail.believed]
        return self._checked(trail.caller, told.scheme, told.host)

    def _follow(self, peer: tuple[str, int], hops: Iterator[Node]) -> Trail:
        """
        Go from hop to hop as long as the one that tells of the next is trusted.

        @param hops: from the one next to our peer to the one furthest away; none
            behind the caller is looked at.
        """
        current, believed = Node(*peer), 0
        for hop in hops:
            believed += 1
            if hop.address is None:
                break
            current = hop
            if hop.address not in self.networks:
                break
        return Trail(current, max(believed, 1))

    def _checked(self, node: Node, scheme: bytes | None, host: bytes | None) -> Caller:
        """Judge what the proxy next to the caller says."""
        known = None
        if scheme is not None:
            known = _SCHEMES.get(scheme.lower())
            if known is None:
                raise MalformedClaim("not a scheme")
        if host is not None and not self._valid_host(host):
            raise MalformedClaim("not a host")
        return Caller(node.address or "", node.port, known, host)


def _nth_from_end(values: list[bytes], number: int) -> bytes | None:
    """
    What the proxy next to the caller said: proxies either add a value each, or
    the first of them says it for all.

    @param number: how many proxies are believed.
    """
    members = split_list(values)
    return members[-min(number, len(members))] if members else None
