"""
A public port: all its connections.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from secrets import token_hex

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IProtocolNegotiationFactory, IReactorTime
from twisted.internet.protocol import Factory
from zope.interface import implementer

from anp_twisted.http.connection import PublicConnection
from anp_twisted.http.pace import Sweep
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import Limits

_OVERFLOW = 1.1
"""Connections over the cap are told so, up to this many times the cap."""


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
    Address and port of a caller; those on a UNIX socket have none.
    """
    return (addr.host, addr.port) if isinstance(addr, IPv4Address | IPv6Address) else ("", 0)


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
        date: Callable[[], bytes] = http_date,
    ) -> None:
        """
        @param date: makes the value of the C{Date} field.
        """
        self.limits = limits
        self.on_request = on_request
        self.on_refused = on_refused
        self.draining = False
        self.seconds = reactor.seconds
        self.date = b""
        self._make_date = date
        self._open: set[PublicConnection] = set()
        self._sweep = Sweep(reactor, limits, self._set_date)
        self.interval = self._sweep.interval

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

    def buildProtocol(self, addr: IAddress | None) -> PublicConnection | None:
        """
        Make the protocol of a new connection.

        @return: C{None}, which closes the connection, far over the cap.
        """
        if len(self._open) >= self.limits.connections * _OVERFLOW:
            return None
        connection = PublicConnection(self, _address(addr))
        connection.factory = self
        return connection

    def opened(self, connection: PublicConnection) -> bool:
        """
        Count a connection.

        @return: C{False} if it is one too many.
        """
        self._open.add(connection)
        self._sweep.watch(self._open)
        return len(self._open) <= self.limits.connections

    def closed(self, connection: PublicConnection) -> None:
        """
        Forget a connection; the second time does nothing.
        """
        self._open.discard(connection)
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

    def _set_date(self) -> None:
        self.date = self._make_date()
