"""
From what an operator writes to something that only has to be told to listen.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint

from anp_twisted.errors import SettingsError
from anp_twisted.http.proxied import ProxiedFactory
from anp_twisted.limits import DEFAULT_LIMITS, Limits
from anp_twisted.networks import Networks
from anp_twisted.transports.listener import Listener
from anp_twisted.transports.tls import ServerContext

_WITH_TLS = ("ssl:", "tls:", "txtorcon:")
_PROXIED = "haproxy:"
_NO_NETWORKS = Networks(())


def tcp_listener(
    reactor: Any,
    factory: IProtocolFactory,
    *,
    host: str,
    port: int,
    tls: ServerContext | None = None,
    pausable: bool = True,
) -> Listener:
    """
    Make a listener on a host and a port.

    @param tls: what it shows, if it speaks TLS.
    @param pausable: whether it may be paused where descriptors run out.
    """
    name = f"{host} port {port}"
    if tls is not None:
        return Listener(SSL4ServerEndpoint(reactor, port, tls, interface=host), factory, name=name, scheme="https")
    plain = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    endpoint = plain(reactor, port, interface=host)
    return Listener(endpoint, factory, name=name, scheme="http", pausable=pausable)


def string_listener(
    reactor: Any,
    factory: IProtocolFactory,
    description: str,
    *,
    trusted: Networks = _NO_NETWORKS,
    limits: Limits = DEFAULT_LIMITS,
) -> Listener:
    """
    Make a listener on a Twisted endpoint string.

    @param trusted: who may speak the PROXY protocol, where the string asks for it.
    @raise SettingsError: if it is none, or if its PROXY header would be believed of nobody.
    """
    if description.startswith(_PROXIED):
        _check_proxied(description, trusted)
        factory = ProxiedFactory(factory, reactor, trusted.__contains__, limits)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise SettingsError(f"{description!r} is no endpoint to listen on: {error}") from None
    scheme = "https" if description.startswith(_WITH_TLS) else "http"
    return Listener(endpoint, factory, name=description, scheme=scheme)


def _check_proxied(description: str, trusted: Networks) -> None:
    """
    @raise SettingsError: if a listener for the PROXY protocol cannot work.
    """
    if not trusted:
        raise SettingsError(f"{description!r} believes what a proxy says: name the proxy with --trusted-proxy")
    if description.removeprefix(_PROXIED).startswith(_WITH_TLS):
        raise SettingsError(f"{description!r}: a PROXY header comes before TLS, so end TLS at the proxy: haproxy:tcp:…")
