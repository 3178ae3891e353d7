"""Tests for L{anp_twisted.auth.guarded}."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.guarded import Body, GuardedEndpoint, GuardedEndpoints
from anp_twisted.errors import CredentialsRefused
from anp_twisted.networks import is_public


class Names:
    """
    A name server that says what the test wants.

    @ivar addresses: of every host.
    """

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    def resolveHostName(self, receiver: Any, hostName: str, portNumber: int) -> None:
        """Say it."""
        self.asked.append(hostName)
        receiver.resolutionBegan(None)
        for address in self.addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()


class EndpointTests(SynchronousTestCase):
    """Where a connection goes."""

    def connect(self, *addresses: str) -> Any:
        """Connect to a host with these addresses."""
        self.reactor = MemoryReactorClock()
        self.names = Names(*addresses)
        names: Any = self.names
        self.reactor.nameResolver = names
        endpoint = GuardedEndpoint(self.reactor, "a.example", 443, may_ask=is_public)
        return endpoint.connect(Factory.forProtocol(Protocol))

    def test_public(self) -> None:
        """It goes to the address that was looked at; the name is asked for once."""
        self.connect("8.8.8.8")
        self.assertEqual([client[:2] for client in self.reactor.tcpClients], [("8.8.8.8", 443)])
        self.assertEqual(self.names.asked, ["a.example"])

    def test_next(self) -> None:
        """With several, one after the other."""
        self.connect("8.8.8.8", "2606:4700:4700::1111")
        connector: Any = None
        self.reactor.tcpClients[0][2].clientConnectionFailed(connector, Failure(ConnectionRefusedError()))
        self.assertEqual(self.reactor.tcpClients[1][:2], ("2606:4700:4700::1111", 443))

    def test_hostile(self) -> None:
        """A name that leads anywhere else gets no packet, also if only one of its addresses does."""
        for address in (
            "127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254",
            "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1",
            "198.18.0.1", "::1", "::", "fe80::1", "fc00::1",
            "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
            "2002:7f00:1::", "2002:a00:1::", "::127.0.0.1", "2001:db8::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        ):  # fmt: skip
            for addresses in ([address], ["8.8.8.8", address]):
                self.failureResultOf(self.connect(*addresses), CredentialsRefused)
                self.assertEqual(self.reactor.tcpClients, [], address)

    def test_none(self) -> None:
        """A name without addresses."""
        self.failureResultOf(self.connect(), CredentialsRefused)

    def test_scheme(self) -> None:
        """Nothing but HTTPS."""
        from twisted.web.client import URI

        endpoints = GuardedEndpoints(MemoryReactorClock(), may_ask=is_public, trust=lambda host: None)
        self.assertRaises(CredentialsRefused, endpoints.endpointForURI, URI.fromBytes(b"http://a.example/"))
        endpoints.endpointForURI(URI.fromBytes(b"https://a.example/"))


class BodyTests(SynchronousTestCase):
    """What is read."""

    def setUp(self) -> None:
        """Begin to read."""
        self.body = Body(10)
        self.transport = StringTransport()

    def start(self) -> None:
        """Connect it."""
        self.body.makeConnection(self.transport)

    def test_whole(self) -> None:
        """All of it, when it is complete."""
        from twisted.web.client import ResponseDone

        self.start()
        for piece in (b"12345", b"67890"):
            self.body.dataReceived(piece)
        self.assertNoResult(self.body.whole)
        self.body.connectionLost(Failure(ResponseDone()))
        self.assertEqual(self.successResultOf(self.body.whole), b"1234567890")

    def test_tooLarge(self) -> None:
        """More than the cap is not kept, and cuts the connection."""
        self.start()
        self.body.dataReceived(b"12345")
        self.body.dataReceived(b"678901")
        self.failureResultOf(self.body.whole, CredentialsRefused)
        self.assertTrue(self.transport.disconnecting)
        self.body.dataReceived(b"1" * 100)
        self.body.connectionLost(Failure(ConnectionDone()))
        self.assertLessEqual(len(self.body._data), 10)

    def test_brokenOff(self) -> None:
        """A part is no document."""
        self.start()
        self.body.dataReceived(b"{}")
        self.body.connectionLost(Failure(ConnectionDone()))
        self.failureResultOf(self.body.whole, CredentialsRefused)

    def test_unwanted(self) -> None:
        """What is refused by its head is cut at once."""
        self.body.refuse("404")
        self.start()
        self.failureResultOf(self.body.whole, CredentialsRefused)
        self.assertTrue(self.transport.disconnecting)

    def test_cancelled(self) -> None:
        """So is what nobody waits for."""
        self.start()
        self.body.whole.cancel()
        self.body.whole.addErrback(lambda _: None)
        self.assertTrue(self.transport.disconnecting)
