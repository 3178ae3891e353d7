"""
Listeners behind a proxy that speaks the PROXY protocol.

Twisted's own wrapper reads its header; here is who may send one, and that the
connection of a caller is made only when its address is known: what is counted by
address then counts callers, not the proxy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IProtocolFactory, IReactorTime, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure

from anp_twisted.http.channel import Unwelcome
from anp_twisted.http.sockets import PublicTransport
from anp_twisted.limits import Limits
from anp_twisted.networks import canonical


class AwaitingCaller(Protocol):
    """
    Stands where a caller's connection will be until the PROXY header has come.

    Its transport is Twisted's wrapper, which gives the caller's address from then on.
    """

    _deadline: IDelayedCall | None = None

    def __init__(self, factory: ProxiedFactory) -> None:
        self._factory = factory

    def connectionMade(self) -> None:
        """The header may not take longer than the head of a request."""
        self._deadline = self._factory.start_clock(self._expire)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It never came, or was none."""
        self._stop_clock()

    def dataReceived(self, data: bytes) -> None:
        """The first bytes behind the header: make the connection they are for."""
        self._stop_clock()
        wrapper = cast(ProtocolWrapper, self.transport)
        protocol = self._factory.caller_protocol(wrapper.getPeer())
        wrapper.wrappedProtocol = protocol
        protocol.makeConnection(cast(ITransport, wrapper))
        protocol.dataReceived(data)

    def _expire(self) -> None:
        cast(PublicTransport, self.transport).abortConnection()

    def _stop_clock(self) -> None:
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            self._factory.stop_clock(deadline)


class ProxiedFactory(Factory):
    """
    Makes the connections of a listener that Twisted's wrapper is put around.

    @ivar waiting: connections whose header has not come.
    """

    noisy = False
    log = Logger()

    def __init__(
        self, factory: IProtocolFactory, reactor: IReactorTime, trusted: Callable[[str], bool], limits: Limits
    ) -> None:
        """
        @param factory: makes the connections of callers.
        @param trusted: whether a proxy at that address may say who calls; a UNIX
            socket has none.
        """
        self._factory = factory
        self._reactor = reactor
        self._trusted = trusted
        self._limits = limits
        self.waiting = 0

    def buildProtocol(self, addr: object) -> Protocol:
        """Let a proxy in; whoever else finds the port could pretend to be anybody."""
        host = canonical(addr.host) if isinstance(addr, IPv4Address | IPv6Address) else ""
        if host is None or not self._trusted(host):
            self.log.warn("{host} is no trusted proxy: its connection is refused", host=host)
            return Unwelcome()
        return AwaitingCaller(self) if self.waiting < self._limits.connections else Unwelcome()

    def caller_protocol(self, peer: object) -> IProtocol:
        """
        Make the connection of a caller.

        @param peer: what the header said, or the proxy where it spoke for itself.
        """
        if isinstance(peer, IPv4Address | IPv6Address) and canonical(peer.host) is None:
            return Unwelcome()
        return self._factory.buildProtocol(cast(IAddress, peer)) or Unwelcome()

    def start_clock(self, expire: Callable[[], None]) -> IDelayedCall:
        """Count a connection and watch its time."""
        self.waiting += 1
        return self._reactor.callLater(self._limits.head_timeout, expire)

    def stop_clock(self, deadline: IDelayedCall) -> None:
        """It waits no longer."""
        self.waiting -= 1
        if deadline.active():
            deadline.cancel()
