"""Tests for L{anp_twisted.transports.ways}."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from anp_twisted.errors import CredentialError
from anp_twisted.transports.addresses import parse_gateway
from anp_twisted.transports.proxies import ProxyAddress
from anp_twisted.transports.ways import gateway_endpoint


class Literally:
    """Takes every host for the address it is written as; older reactors in memory would ask a thread."""

    name = "literally"

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int = 0, *others: Any, **more: Any) -> Any:
        """Answer at once."""
        receiver.resolutionBegan(self)
        receiver.addressResolved(IPv4Address("TCP", hostName, portNumber))
        receiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        """There is nothing to wait for."""


def dialled(url: str, proxy: ProxyAddress | None = None) -> tuple[int, Any]:
    """
    @return: the port that is connected to by TCP, and the protocol that runs on it.
    """
    reactor: Any = MemoryReactorClock()
    reactor.nameResolver = Literally()
    directlyProvides(reactor, IReactorPluggableNameResolver)
    gateway_endpoint(reactor, parse_gateway(url, insecure=True), proxy=proxy).connect(Factory.forProtocol(Protocol))
    reactor.advance(0)
    _, port, factory = reactor.tcpClients[0][:3]
    return port, factory.buildProtocol(None)


class WayTests(SynchronousTestCase):
    """What is connected to, and what is spoken on it."""

    def wrapped(self, protocol: Any) -> Any:
        """The protocol below those of Twisted's own endpoint."""
        return protocol._wrappedProtocol

    def test_plain(self) -> None:
        """A C{ws} gateway is dialled by TCP."""
        port, protocol = dialled("ws://127.0.0.1:9877/ws")
        self.assertEqual(port, 9877)
        self.assertNotIsInstance(self.wrapped(protocol), TLSMemoryBIOProtocol)

    def test_secure(self) -> None:
        """A C{wss} gateway is spoken to in TLS."""
        port, protocol = dialled("wss://192.0.2.1/ws")
        self.assertEqual(port, 443)
        self.assertIsInstance(self.wrapped(protocol), TLSMemoryBIOProtocol)

    def test_proxy(self) -> None:
        """A proxy is asked for the gateway in the clear, and TLS begins when it agreed."""
        port, protocol = dialled("wss://192.0.2.1/ws", ProxyAddress("192.0.2.9", 3128, "Basic eA=="))
        self.assertEqual(port, 3128)
        tunnel, transport = self.wrapped(protocol), StringTransport()
        tunnel.makeConnection(transport)
        self.assertTrue(transport.value().startswith(b"CONNECT 192.0.2.1:443 HTTP/1.1\r\n"))
        transport.clear()
        tunnel.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(transport.value()[:2], b"\x16\x03")  # a TLS handshake record

    def test_caFile(self) -> None:
        """A file of authorities that is not there is an error at once, not at the first attempt."""
        address = parse_gateway("wss://gw.example.org/ws")
        with self.assertRaisesRegex(CredentialError, "/nowhere/ca.pem"):
            gateway_endpoint(MemoryReactorClock(), address, ca_file="/nowhere/ca.pem")
