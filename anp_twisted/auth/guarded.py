"""
Connections to hosts that a stranger named, and what is read from them.

It imports Twisted's HTTP client, which installs a reactor: only what has one
already may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from anp_twisted.errors import CredentialsRefused
from anp_twisted.transports.ways import TLSEndpoint

MOST_ADDRESSES = 16
"""Addresses of one host that are looked at."""


@implementer(IResolutionReceiver)
class Addresses:
    """
    Collects the addresses of a host.

    @ivar found: fires with them.
    """

    def __init__(self) -> None:
        self.found: Deferred[list[str]] = Deferred()
        self._hosts: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """It began."""

    def addressResolved(self, address: IAddress) -> None:
        """Take one."""
        self._hosts.append(getattr(address, "host", ""))

    def resolutionComplete(self) -> None:
        """That was all."""
        if not self.found.called:
            self.found.callback(self._hosts[:MOST_ADDRESSES])


@implementer(IStreamClientEndpoint)
class GuardedEndpoint:
    """Connects to a host if each of its addresses may be asked, and to what was checked, not to what comes later."""

    def __init__(self, reactor: Any, host: str, port: int, *, may_ask: Callable[[str], bool]) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._may_ask = may_ask

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """
        @return: fires with the protocol; fails with L{CredentialsRefused} where an address may not be asked.
        """
        addresses = Addresses()
        self._reactor.nameResolver.resolveHostName(addresses, self._host, self._port)
        return addresses.found.addCallback(self._checked).addCallback(self._dial, protocolFactory)

    def _checked(self, hosts: list[str]) -> list[str]:
        if not hosts:
            raise CredentialsRefused("the host of the DID has no address")
        # One that is not public is no accident: none of the others is asked either.
        if not all(self._may_ask(host) for host in hosts):
            raise CredentialsRefused("the host of the DID has an address that is not public")
        return hosts

    def _dial(self, hosts: Sequence[str], factory: Any) -> Deferred[Any]:
        """Try one after the other."""
        host, rest = hosts[0], hosts[1:]
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        dialled: Deferred[Any] = kind(self._reactor, host, self._port).connect(factory)
        if rest:
            dialled.addErrback(lambda _: self._dial(rest, factory))
        return dialled


@implementer(IAgentEndpointFactory)
class GuardedEndpoints:
    """Makes the endpoints of an C{Agent}."""

    def __init__(self, reactor: Any, *, may_ask: Callable[[str], bool], trust: Callable[[str], Any]) -> None:
        self._reactor = reactor
        self._may_ask = may_ask
        self._trust = trust

    def endpointForURI(self, uri: Any) -> IStreamClientEndpoint:
        """
        @raise CredentialsRefused: for anything but HTTPS.
        """
        if uri.scheme != b"https":
            raise CredentialsRefused("documents are fetched over HTTPS only")
        host = uri.host.decode("ascii")
        inner = GuardedEndpoint(self._reactor, host, uri.port, may_ask=self._may_ask)
        endpoint: IStreamClientEndpoint = TLSEndpoint(inner, self._trust(host), self._reactor)
        return endpoint


class Body(Protocol):
    """
    Reads an answer up to a size.

    @ivar whole: fires with it; it may be cancelled.
    """

    def __init__(self, most: int) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self._cut())
        self._most = most
        self._data = bytearray()
        self._refusal: CredentialsRefused | None = None

    def refuse(self, reason: str) -> None:
        """Take nothing of it."""
        self._refusal = CredentialsRefused(reason)

    def connectionMade(self) -> None:
        """Cut what nobody wants."""
        if self._refusal is not None:
            self._fail(self._refusal)

    def dataReceived(self, data: bytes) -> None:
        """Keep a piece, if it fits."""
        if self.whole.called:
            return
        if len(self._data) + len(data) > self._most:
            self._fail(CredentialsRefused("the DID document is too large"))
            return
        self._data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is complete, or will never be."""
        from twisted.web.client import ResponseDone
        from twisted.web.http import PotentialDataLoss

        if self.whole.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.whole.callback(bytes(self._data))
        else:
            self.whole.errback(CredentialsRefused("the DID document broke off"))

    def _fail(self, reason: CredentialsRefused) -> None:
        self.whole.errback(reason)
        self._cut()

    def _cut(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            transport.loseConnection()
