"""
Which HTTP proxy leads to a gateway: the one that was named, or the one that the environment names.

Pure text. C{HTTPS_PROXY} is for C{wss://}, C{HTTP_PROXY} for C{ws://}, C{ALL_PROXY}
for both, and C{NO_PROXY} lists what is reached without; each may be written in
lower case, which then counts, as with curl.
"""

from __future__ import annotations

import ipaddress
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from anp_twisted.errors import SettingsError
from anp_twisted.transports.addresses import GatewayAddress, is_loopback

OFF: Final = "off"
"""In place of a URL: no proxy, whatever the environment says."""

_ENTRY: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class ProxyAddress:
    """
    A proxy, as its URL names it.

    @ivar host: a name or an address, without the brackets of IPv6.
    @ivar authorization: the value of C{Proxy-Authorization}, or nothing.
    """

    host: str
    port: int
    authorization: str = field(default="", repr=False)


def parse_proxy(text: str, where: str) -> ProxyAddress:
    """
    Read C{http://[user:password@]host:port}.

    @param where: how an error names it; no error repeats the URL, since a password may be in it.
    @raise SettingsError: with one line that says what is wrong.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError:
        raise SettingsError(f"{where} is not a URL") from None
    plain = text.isascii() and text.isprintable() and " " not in text
    if parts.scheme != "http" or not parts.hostname or not plain or parts.path not in ("", "/") or parts.query:
        raise SettingsError(f"{where} is not of the form http://host:port; other kinds of proxies are not spoken to")
    return ProxyAddress(parts.hostname, 80 if port is None else port, _authorization(parts.username, parts.password))


def _authorization(user: str | None, password: str | None) -> str:
    """Make the value of the field (RFC 7617)."""
    if user is None:
        return ""
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + b64encode(pair.encode("utf-8")).decode("ascii")


def proxy_of(gateway: GatewayAddress, named: str | None, environment: Mapping[str, str]) -> ProxyAddress | None:
    """
    Find the proxy that leads to a gateway.

    @param named: the setting: a URL, L{OFF}, or C{None} for what the environment says.
    @param environment: as C{os.environ}.
    @return: C{None} for none. The environment's proxy is never asked for a gateway
        on this machine: what it would reach there is itself.
    @raise SettingsError: for a URL that cannot be used.
    """
    if named is not None:
        return None if named == OFF else parse_proxy(named, "the proxy")
    if is_loopback(gateway.host) or excepted(gateway, _variable(environment, "NO_PROXY")[1]):
        return None
    for name in ("HTTPS_PROXY" if gateway.secure else "HTTP_PROXY", "ALL_PROXY"):
        variable, text = _variable(environment, name)
        if text:
            return parse_proxy(text, variable)
    return None


def _variable(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Look a variable up, in lower case first; an empty one there counts as well."""
    for spelling in (name.lower(), name):
        if spelling in environment:
            return spelling, environment[spelling].strip()
    return name, ""


def excepted(gateway: GatewayAddress, list_of_hosts: str) -> bool:
    """
    Tell whether C{NO_PROXY} names a gateway.

    @param list_of_hosts: names (each stands for what is below it as well),
        addresses, networks like C{10.0.0.0/8}, each with a port or without; C{*} is everything.
    """
    return any(_matches(gateway, entry) for entry in re.split(r"[,\s]+", list_of_hosts) if entry)


def _matches(gateway: GatewayAddress, entry: str) -> bool:
    """Compare with one entry; what is none matches nothing."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(gateway.host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of them is a name, or has a port
    match = _ENTRY.fullmatch(entry)
    if match is None or (match["port"] and int(match["port"]) != gateway.port):
        return False
    wanted = (match["v6"] or match["name"]).lower().lstrip("*").strip(".")
    host = gateway.host.lower().rstrip(".")
    return bool(wanted) and (host == wanted or (not match["v6"] and host.endswith("." + wanted)))
