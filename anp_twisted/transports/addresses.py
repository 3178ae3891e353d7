"""
Where a gateway is, as a URL names it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from anp_twisted.errors import SettingsError

_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """
    A gateway, as its URL names it.

    @ivar host: a name or an address, without the brackets of IPv6.
    @ivar url: the same URL, with the port and a path.
    """

    secure: bool
    host: str
    port: int
    url: str


def parse_gateway(text: str, *, insecure: bool = False) -> GatewayAddress:
    """
    Read C{ws[s]://host[:port][/path]}.

    @param insecure: let C{ws://} leave this machine, with credentials and all.
    @raise SettingsError: with one line that says what is wrong.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"the gateway {text!r} is not a URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname or not text.isascii() or not text.isprintable():
        raise SettingsError(f"the gateway {text!r} is not of the form ws://host:port/ws or wss://host:port/ws")
    if parts.username is not None or parts.query or parts.fragment or " " in text:
        raise SettingsError("the gateway's URL may hold neither a user name nor a query nor a fragment")
    secure = parts.scheme == "wss"
    if not secure and not insecure and not is_loopback(parts.hostname):
        raise SettingsError(
            f"ws://{parts.hostname} would send the token in the clear: use wss://, or --insecure in a laboratory"
        )
    number = _PORTS[parts.scheme] if port is None else port
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return GatewayAddress(secure, parts.hostname, number, f"{parts.scheme}://{host}:{number}{parts.path or '/ws'}")


def is_loopback(host: str) -> bool:
    """Tell whether a host is certainly this machine; spellings that only a resolver reads are not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
