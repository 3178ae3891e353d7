"""
A public port: all its connections.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from secrets import token_hex
from typing import cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocolNegotiationFactory, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from anp_twisted.http.connection import PublicConnection
from anp_twisted.http.crowd import Crowd
from anp_twisted.http.pace import Sweep
from anp_twisted.http.request import PublicRequest
from anp_twisted.http.sockets import PublicTransport
from anp_twisted.limits import Limits
from anp_twisted.networks import canonical


def http_date() -> bytes:
    """
    The time of day as a C{Date} field has it (RFC 9110, 5.6.7).
    """
    return formatdate(usegmt=True).encode("ascii")


def name_refusal(client: tuple[str, int], status: int) -> str:
    """
    Take no note of a refused request.

    @return: a random id of 32 hexadecimal digits.
    """
    return token_hex(16)


def _address(addr: object) -> tuple[str, int]:
    """
    Address and port of a caller, in the one spelling; those on a UNIX socket have none.
    """
    if isinstance(addr, IPv4Address | IPv6Address):
        return canonical(addr.host) or addr.host, addr.port
    return "", 0


def nobody(host: str) -> bool:
    """
    Exempt no address from the cap on its connections.
    """
    return False


class Unwelcome(Protocol):
    """
    A connection that is closed at once, before TLS if there is any.

    C{None} from C{buildProtocol} would do for TCP alone: what wraps a factory calls
    methods of it.
    """

    def connectionMade(self) -> None:
        """
        Cut it.
        """
        cast(PublicTransport, self.transport).abortConnection()


@implementer(IProtocolNegotiationFactory)
class PublicFactory(Factory):
    """
    Makes a L{PublicConnection} for each connection of a public port.

    @ivar limits: the caps.
    @ivar on_request: called with each request; answers it or attaches a consumer
        before it returns.
    @ivar on_refused: told of each request that was refused here, with the caller's
        address and the status; returns the C{request_id} of the answer.
    @ivar draining: connections end after their current answer.
    @ivar crowd: counts the connections.
    @ivar date: the value of the C{Date} field, at most half a second old.
    @ivar interval: seconds between two looks at the deadlines.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        limits: Limits,
        on_request: Callable[[PublicRequest], None],
        *,
        on_refused: Callable[[tuple[str, int], int], str] = name_refusal,
        exempt: Callable[[str], bool] = nobody,
        date: Callable[[], bytes] = http_date,
    ) -> None:
        """
        @param exempt: whether L{Limits.connections_per_address} does not hold for an address.
        @param date: makes the value of the C{Date} field.
        """
        self.limits = limits
        self.on_request = on_request
        self.on_refused = on_refused
        self.draining = False
        self.seconds = reactor.seconds
        self.date = b""
        self._make_date = date
        self.crowd = Crowd(limits, exempt)
        self._open: set[PublicConnection] = set()
        self._sweep = Sweep(reactor, limits, self._set_date)
        self.interval = self._sweep.interval

    def follow(self, limits: Limits) -> None:
        """Give connections that are made from now on other caps."""
        self.limits = limits
        self.crowd.follow(limits)

    def acceptableProtocols(self) -> list[bytes]:
        """
        What is spoken here, for ALPN: a TLS listener without an answer to a
        caller's offer would fail its handshake.
        """
        return [b"http/1.1"]

    @property
    def connections(self) -> int:
        """
        How many connections are open, without those that were handed over.
        """
        return len(self._open)

    def buildProtocol(self, addr: IAddress | None) -> PublicConnection | Unwelcome:
        """
        Make the protocol of a new connection.
        """
        client = _address(addr)
        if self.crowd.hopeless(client[0]):
            return Unwelcome()
        connection = PublicConnection(self, client)
        connection.factory = self
        return connection

    def opened(self, connection: PublicConnection) -> int:
        """
        Count a connection.

        @return: the status of the refusal if it is one too many, else 0.
        """
        self._open.add(connection)
        self._sweep.watch(self._open)
        return self.crowd.enter(connection.client[0]).value

    def closed(self, connection: PublicConnection) -> None:
        """
        Forget a connection; the second time does nothing.
        """
        if connection not in self._open:
            return
        self._open.discard(connection)
        self.crowd.leave(connection.client[0])
        if not self._open:
            self._sweep.stop()

    def close_idle(self) -> None:
        """
        Begin to drain: idle connections close now, busy ones after their current
        answer, which says C{Connection: close} if its head has yet to be sent.
        """
        self.draining = True
        for connection in list(self._open):
            connection.close_if_idle()

    def close_resting(self, seconds: float) -> None:
        """
        Close the connections that have been idle for so long.
        """
        before = self.seconds() - seconds
        for connection in list(self._open):
            connection.close_if_idle(before)

    def _set_date(self) -> None:
        self.date = self._make_date()
