"""Rules of L{anp_twisted.http.proxied}."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import connectionDone
from twisted.protocols.haproxy import proxyEndpoint
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http.channel import Unwelcome
from anp_twisted.http.proxied import ProxiedFactory
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.networks import Networks
from anp_twisted.test.callers import GET, CallerTransport, Port, reply, whole_answer

PROXY = IPv4Address("TCP", "10.0.0.1", 5000)
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def version_2(source: str, port: int) -> bytes:
    """A header of version 2."""
    family, kind = (socket.AF_INET6, 0x21) if ":" in source else (socket.AF_INET, 0x11)
    packed = socket.inet_pton(family, source)
    body = packed + packed + struct.pack("!HH", port, 443)
    return SIGNATURE + bytes([0x21, kind]) + struct.pack("!H", len(body)) + body


class Endpoint:
    """Takes the factory that it is to listen with."""

    def listen(self, factory: Any) -> None:
        """Keep it."""
        self.factory = factory


class ProxiedTests(SynchronousTestCase):
    """A port in memory behind Twisted's wrapper."""

    def setUp(self) -> None:
        """Listen."""
        self.port = Port()
        trusted = Networks(["10.0.0.0/8"])
        self.factory = ProxiedFactory(self.port.factory, self.port.clock, trusted.__contains__, DEFAULT_LIMITS)
        endpoint: Any = Endpoint()
        proxyEndpoint(endpoint).listen(self.factory)
        self.wrapped = endpoint.factory

    def connect(self, peer: Any = PROXY) -> tuple[IProtocol, CallerTransport]:
        """Let somebody connect."""
        protocol: IProtocol = self.wrapped.buildProtocol(peer)
        transport = CallerTransport()
        transport.protocol = protocol
        transport.peerAddr = peer
        protocol.makeConnection(transport)
        return protocol, transport

    def test_address(self) -> None:
        """The address in the header is the caller's, in the one spelling."""
        rows = {
            b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n": ("192.0.2.1", 4711),
            b"PROXY TCP6 2001:DB8:0::1 ::1 4711 443\r\n": ("2001:db8::1", 4711),
            b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n": ("192.0.2.1", 4711),
            b"PROXY UNKNOWN ::1 ::1 1 2\r\n": ("10.0.0.1", 5000),
            version_2("192.0.2.1", 9): ("192.0.2.1", 9),
            version_2("2001:db8::1", 9): ("2001:db8::1", 9),
            SIGNATURE + b"\x20\x00\x00\x00": ("10.0.0.1", 5000),
        }
        for header, client in rows.items():
            protocol, transport = self.connect()
            protocol.dataReceived(header + GET)
            self.assertEqual(self.port.requests[-1].client, client, header)
            reply(self.port.requests[-1])
            self.assertEqual(transport.value(), whole_answer())
            protocol.connectionLost(Failure(connectionDone.value))
        self.assertEqual((self.factory.waiting, self.port.factory.connections), (0, 0))

    def test_pieces(self) -> None:
        """Header and request may come apart, and another request follows on the connection."""
        protocol, transport = self.connect()
        for piece in (b"PROXY TC", b"P4 192.0.2.1 192.0.2.2 47", b"11 443\r\n", GET[:9], GET[9:]):
            protocol.dataReceived(piece)
        reply(self.port.requests[0])
        protocol.dataReceived(GET)
        self.assertEqual([request.client[0] for request in self.port.requests], ["192.0.2.1"] * 2)
        reply(self.port.requests[1])
        self.assertEqual(transport.value(), whole_answer() * 2)

    def test_strangers(self) -> None:
        """Who is no trusted proxy is cut before a byte is read."""
        for peer in (IPv4Address("TCP", "192.0.2.1", 1), IPv6Address("TCP", "2001:db8::1", 1), UNIXAddress(b"/x")):
            _protocol, transport = self.connect(peer)
            self.assertTrue(transport.aborted, peer)
        mapped = IPv6Address("TCP", "::ffff:10.0.0.1", 1)
        self.assertFalse(self.connect(mapped)[1].aborted)

    def test_malformed(self) -> None:
        """Without a header nothing is served."""
        for data in (GET, b"PROXY TCP4 192.0.2.1\r\n" + GET, b"PROXY " + b"x" * 200,
                     SIGNATURE + b"\x31\x11\x00\x0c" + GET,
                     b"PROXY TCP4 localhost 192.0.2.2 1 2\r\n" + GET):  # fmt: skip
            protocol, transport = self.connect()
            protocol.dataReceived(data)
            self.assertFalse(transport.open, data)
        self.assertEqual(self.port.requests, [])

    def test_slow(self) -> None:
        """A header that does not come ends the connection as a slow head does."""
        protocol, transport = self.connect()
        self.assertEqual(self.factory.waiting, 1)
        self.port.clock.advance(DEFAULT_LIMITS.head_timeout + 0.1)
        self.assertTrue(transport.aborted)
        protocol.connectionLost(Failure(connectionDone.value))
        self.assertEqual((self.factory.waiting, self.port.clock.getDelayedCalls()), (0, []))

    def test_gone(self) -> None:
        """A connection that is lost early leaves nothing behind."""
        protocol, _ = self.connect()
        protocol.connectionLost(Failure(connectionDone.value))
        self.assertEqual((self.factory.waiting, self.port.clock.getDelayedCalls()), (0, []))

    def test_cap(self) -> None:
        """So many may wait for their header as there may be connections."""
        self.factory.waiting = DEFAULT_LIMITS.connections
        self.assertIsInstance(self.factory.buildProtocol(PROXY), Unwelcome)
