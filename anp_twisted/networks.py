"""
Addresses of callers: one spelling for each, and which network they are in.

Pure. An address that was compared, counted or logged under two spellings would
be two callers, so everything that comes from outside passes L{canonical} once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

UNIX: Final = "unix"
"""The word that stands for callers on a UNIX socket; they have no address."""

_LONGEST: Final = 64
_REMEMBERED: Final = 4096
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")


def canonical(text: str) -> str | None:
    """
    The one spelling of an address: an IPv4 address mapped into IPv6 becomes the
    IPv4 address, a zone (C{%eth0}) is dropped, IPv6 is written as RFC 5952 says.

    @return: C{None} if it is no address.
    """
    return _canonical(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=_REMEMBERED)
def _canonical(text: str) -> str | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        # By its number, since the zone is a part of the object.
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


def parse_network(text: str) -> str:
    """
    The one spelling of a network or a single address.

    @raise ValueError: if it is none, or has bits behind its prefix.
    """
    sentence = "must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32"
    try:
        network = ip_network(text if "%" not in text else "")
    except ValueError:
        raise ValueError(sentence) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        base = int(network.network_address) & 0xFFFFFFFF
        network = IPv4Network((base, network.prefixlen - 96))
    return str(network)


def is_public(text: str) -> bool:
    """
    Whether an address is one of the Internet at large, and of nothing nearer.

    Addresses of IPv6 that lead to one of IPv4 are judged by that one: NAT64 and
    6to4 could lead back into our own network.

    @param text: in any spelling; what is no address is not public.
    """
    spelled = canonical(text)
    if spelled is None:
        return False
    address = ip_address(spelled)
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(str(inner))
        # All that is given out today; what is not may be used for anything.
        return address in _GLOBAL_UNICAST and address.is_global
    return address.is_global and not address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo is not None else None)


def is_loopback(text: str) -> bool:
    """
    Whether an address is this machine's own.

    @param text: in any spelling; what is no address is not.
    """
    spelled = canonical(text)
    return spelled is not None and ip_address(spelled).is_loopback


class Networks:
    """
    A set of networks.

    A look-up costs one dictionary access for each length of prefix in the set,
    however many networks there are, and less for addresses seen lately.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        """
        @param networks: as L{parse_network} gives them, or L{UNIX}.
        """
        self._by_prefix: dict[tuple[int, int], set[int]] = {}
        self._unix = False
        for text in networks:
            self._add(text)
        self._find = lru_cache(maxsize=_REMEMBERED)(self._contains)

    def _add(self, text: str) -> None:
        if text == UNIX:
            self._unix = True
            return
        network = ip_network(text)
        shift = network.max_prefixlen - network.prefixlen
        self._by_prefix.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def __bool__(self) -> bool:
        return self._unix or bool(self._by_prefix)

    def __contains__(self, address: str) -> bool:
        """
        @param address: as L{canonical} gives it; nothing stands for a UNIX socket.
        """
        return self._find(address)

    def _contains(self, address: str) -> bool:
        if not address:
            return self._unix
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        number, version = int(parsed), parsed.version
        return any(number >> shift in found for (kind, shift), found in self._by_prefix.items() if kind == version)


@lru_cache(maxsize=_REMEMBERED)
def caller_key(address: str) -> str:
    """
    Under what the requests of a caller are counted: an IPv4 address, or the /64
    of an IPv6 address, since whoever has one address there has all of them.

    @param address: as L{canonical} gives it.
    """
    if ":" not in address:
        return address
    network = IPv6Address(int(IPv6Address(address)) >> 64 << 64)
    return f"{network}/64"
