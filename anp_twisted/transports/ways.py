"""
The way to a gateway: from an address to an endpoint.

TCP, directly or through a proxy, and TLS on top of it. The name that a certificate
must be for is the gateway's in each case.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.transports.addresses import GatewayAddress
from anp_twisted.transports.proxies import ProxyAddress
from anp_twisted.transports.proxy import ProxyEndpoint, connect_request
from anp_twisted.transports.tls import client_options


@implementer(IStreamClientEndpoint)
class TLSEndpoint:
    """
    TLS on top of what another endpoint makes.

    Twisted's C{wrapClientTLS} takes the time from the global reactor, which need
    not be the one that runs here.
    """

    def __init__(
        self, inner: IStreamClientEndpoint, options: IOpenSSLClientConnectionCreator, clock: IReactorTime
    ) -> None:
        self._inner = inner
        self._options = options
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect.

        @return: fires with the protocol when the connection is made; TLS may still fail then.
        """
        wrapping = TLSMemoryBIOFactory(self._options, True, protocolFactory, self._clock)
        connected: Deferred[Any] = self._inner.connect(wrapping)
        return connected.addCallback(lambda protocol: protocol.wrappedProtocol)


def gateway_endpoint(
    reactor: Any,
    address: GatewayAddress,
    *,
    ca_file: str | None = None,
    proxy: ProxyAddress | None = None,
    own: tuple[str, str] | None = None,
) -> IStreamClientEndpoint:
    """
    Make the endpoint that connects to a gateway.

    @param reactor: provides C{IReactorTCP}, C{IReactorTime} and C{IReactorPluggableNameResolver}.
    @param ca_file: see L{client_options<anp_twisted.transports.tls.client_options>}.
    @param own: see L{client_options<anp_twisted.transports.tls.client_options>}.
    @param proxy: the way leads through this one.
    @raise CredentialError: for a C{ca_file} that cannot be read.
    """
    endpoint: IStreamClientEndpoint
    if proxy is None:
        endpoint = HostnameEndpoint(reactor, address.host, address.port)
    else:
        request = connect_request(address.host, address.port, proxy.authorization)
        endpoint = ProxyEndpoint(HostnameEndpoint(reactor, proxy.host, proxy.port), request, reactor, DEFAULT_LIMITS)
    if address.secure:
        endpoint = TLSEndpoint(endpoint, client_options(address.host, ca_file, own), reactor)
    return endpoint
