"""
Tests for L{anp_twisted.http.channel}, and for connections under TLS.
"""

from __future__ import annotations

from dataclasses import replace
from email.utils import parsedate_to_datetime

import trustme
from OpenSSL import SSL
from twisted.internet.address import IPv6Address, UNIXAddress
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.test.iosim import FakeTransport, IOPump, connect
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.http.channel import PublicFactory, http_date, name_refusal
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.callers import GET, CallerTransport, Port, reply, whole_answer


class CountTests(SynchronousTestCase):
    """How many connections there are."""

    def test_counted(self) -> None:
        """Connections are counted while they are open, and the timer runs no longer than they do."""
        port = Port()
        callers = [port.connect()[0] for _ in range(3)]
        self.assertEqual(port.factory.connections, 3)
        self.assertEqual(len(port.clock.getDelayedCalls()), 1)
        for caller in callers:
            caller.connectionLost()
        self.assertEqual(port.factory.connections, 0)
        self.assertEqual(port.clock.getDelayedCalls(), [])

    def test_too_many(self) -> None:
        """One too many is told to come back, and served once there is room."""
        port = Port(replace(DEFAULT_LIMITS, connections=2))
        first, _ = port.connect()
        port.connect()
        surplus, transport = port.connect()
        self.assertIn(b"HTTP/1.1 503 ", transport.value())
        self.assertIn(b"\r\nRetry-After: 1\r\n", transport.value())
        self.assertTrue(transport.half_closed)
        surplus.connectionLost()
        first.connectionLost()
        caller, transport = port.connect()
        caller.dataReceived(GET)
        self.assertEqual(len(port.requests), 1)

    def test_far_too_many(self) -> None:
        """Beyond that, connections are just closed."""
        port = Port(replace(DEFAULT_LIMITS, connections=10))
        for _ in range(11):
            port.connect()
        surplus = port.factory.buildProtocol(None)
        transport = CallerTransport()
        surplus.makeConnection(transport)
        self.assertEqual((transport.aborted, transport.value()), (True, b""))

    def test_from_one_address(self) -> None:
        """One address may have as many as it is allowed; others are served beside it, those exempt have no such cap."""
        port = Port(replace(DEFAULT_LIMITS, connections_per_address=2))
        port.connect()
        first, _ = port.connect()
        surplus, transport = port.connect()
        self.assertIn(b"HTTP/1.1 429 ", transport.value())
        self.assertIn(b"\r\nRetry-After: 1\r\n", transport.value())
        other = port.factory.buildProtocol(IPv6Address("TCP", "2001:db8::1", 5))
        other.makeConnection(beside := CallerTransport())
        self.assertTrue(beside.open)
        surplus.connectionLost()
        first.connectionLost()
        _, transport = port.connect()
        self.assertTrue(transport.open)

    def test_handed_over_once(self) -> None:
        """A connection leaves the count once, however often it ends."""
        port = Port(replace(DEFAULT_LIMITS, connections_per_address=2))
        caller, _ = port.connect()
        port.connect()
        caller.connectionLost()
        port.factory.closed(caller)
        self.assertEqual((port.factory.connections, len(port.factory.crowd)), (1, 1))

    def test_surplus_under_tls(self) -> None:
        """What is closed at once is closed before its TLS handshake, and nothing fails."""
        port = Port(replace(DEFAULT_LIMITS, connections=0))
        secured = TLSMemoryBIOFactory(CertificateOptions(), False, port.factory, Clock())
        transport = CallerTransport()
        secured.buildProtocol(IPv6Address("TCP", "::1", 5)).makeConnection(transport)
        self.assertEqual((transport.aborted, transport.value()), (True, b""))

    def test_addresses(self) -> None:
        """IPv6 callers have an address, those on UNIX sockets none."""
        for address, client in ((IPv6Address("TCP", "::1", 5), ("::1", 5)), (UNIXAddress("/s"), ("", 0))):
            port = Port()
            caller = port.factory.buildProtocol(address)
            assert caller is not None
            caller.makeConnection(CallerTransport())
            caller.dataReceived(GET)
            self.assertEqual(port.requests[0].client, client)


class DrainTests(SynchronousTestCase):
    """Ending without cutting anybody off."""

    def test_drain(self) -> None:
        """Idle connections close, busy ones after their answer, which says so."""
        port = Port()
        _, idle = port.connect()
        busy_caller, busy = port.connect()
        busy_caller.dataReceived(GET)
        begun_caller, begun = port.connect()
        begun_caller.dataReceived(GET)
        port.requests[1].send_head(200, [(b"Content-Length", b"0")])
        partly_caller, partly = port.connect()
        partly_caller.dataReceived(GET[:9])
        port.factory.close_idle()
        self.assertEqual((idle.half_closed, busy.open, begun.open, partly.open), (True, True, True, True))
        reply(port.requests[0])
        self.assertIn(b"\r\nConnection: close\r\n", busy.value())
        self.assertTrue(busy.half_closed)
        port.requests[1].finish()
        self.assertTrue(begun.half_closed)
        partly_caller.dataReceived(GET[9:])
        reply(port.requests[2])
        self.assertIn(b"\r\nConnection: close\r\n", partly.value())


class DefaultTests(SynchronousTestCase):
    """What a port uses if it is told nothing else."""

    def test_date(self) -> None:
        """The date has the form RFC 9110 demands."""
        self.assertTrue(http_date().endswith(b" GMT"))
        parsedate_to_datetime(http_date().decode())

    def test_date_moves(self) -> None:
        """The date is made anew as time passes, not for every answer."""
        clock = Clock()
        factory = PublicFactory(clock, DEFAULT_LIMITS, reply, date=lambda: b"at %d" % clock.seconds())
        caller = factory.buildProtocol(None)
        assert caller is not None
        transport = CallerTransport()
        caller.makeConnection(transport)
        for second in range(3):
            caller.dataReceived(GET)
            self.assertIn(b"Date: at %d\r\n" % second, transport.take())
            clock.advance(1)

    def test_ids(self) -> None:
        """Ids are long and differ."""
        ids = {name_refusal(("", 0), 400) for _ in range(10)}
        self.assertEqual((len(ids), {len(one) for one in ids}), (10, {32}))

    def test_refusals_unheard(self) -> None:
        """Refusals need no listener."""
        factory = PublicFactory(Clock(), DEFAULT_LIMITS, reply)
        caller = factory.buildProtocol(None)
        assert caller is not None
        transport = CallerTransport()
        caller.makeConnection(transport)
        caller.dataReceived(b"\x00")
        self.assertIn(b"HTTP/1.1 400 ", transport.value())


class TLSCaller(Protocol):
    """A caller that notes what it gets."""

    def __init__(self) -> None:
        self.received = b""
        self.lost = False

    def dataReceived(self, data: bytes) -> None:
        """Note it."""
        self.received += data

    def connectionLost(self, reason: object = None) -> None:
        """Note it."""
        self.lost = True


@implementer(IOpenSSLContextFactory)
class ServerContext:
    """A context made elsewhere."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def getContext(self) -> SSL.Context:
        """It."""
        return self.context


class TLSTests(SynchronousTestCase):
    """Connections under TLS, in memory."""

    authority = trustme.CA()

    def setUp(self) -> None:
        self.port = Port()
        self.client = TLSCaller()
        certificate = self.authority.issue_cert("a.example")
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        certificate.configure_cert(context)
        server_factory = TLSMemoryBIOFactory(ServerContext(context), False, self.port.factory, self.port.clock)
        client_factory = TLSMemoryBIOFactory(
            CertificateOptions(), True, Factory.forProtocol(lambda: self.client), self.port.clock
        )
        server_tls, client_tls = server_factory.buildProtocol(None), client_factory.buildProtocol(None)
        assert server_tls is not None
        assert client_tls is not None
        self.server_tls: TLSMemoryBIOProtocol = server_tls
        self.pump: IOPump = connect(
            server_tls, FakeTransport(server_tls, isServer=True), client_tls, FakeTransport(client_tls, isServer=False)
        )
        self.flush()

    def flush(self) -> None:
        """
        Let everything arrive.
        """
        for _ in range(5):
            self.port.clock.advance(0)
            self.pump.flush()

    def send(self, data: bytes) -> None:
        """
        The caller sends bytes.
        """
        assert self.client.transport is not None
        self.client.transport.write(data)
        self.flush()

    def test_requests(self) -> None:
        """Requests are served and know their scheme."""
        for _ in range(2):
            self.send(GET)
            self.assertEqual(self.port.requests[-1].scheme, b"https")
            reply(self.port.requests[-1])
            self.flush()
        self.assertEqual(self.client.received, whole_answer() * 2)

    def test_refused(self) -> None:
        """A refusal arrives, then the caller is said goodbye."""
        self.send(b"\x00")
        self.assertIn(b"HTTP/1.1 400 ", self.client.received)
        self.assertTrue(self.client.lost)
        self.flush()
        self.assertEqual(self.port.factory.connections, 0)

    def test_absolute_target(self) -> None:
        """The scheme of an absolute-form target must be this one."""
        self.send(b"GET https://a/x HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(self.port.requests[0].target, b"/x")

    def test_upgrade(self) -> None:
        """The connection can be handed over, and the new protocol talks through TLS."""
        upgrade = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        taker = TLSCaller()
        self.send(upgrade + b"frames")
        self.port.requests[0].upgrade_to(taker)
        self.send(b" more")
        self.assertEqual(taker.received, upgrade + b"frames more")
        assert taker.transport is not None
        taker.transport.write(b"answer")
        self.flush()
        self.assertEqual(self.client.received, b"answer")
        self.assertEqual(self.port.factory.connections, 0)

    def test_abort(self) -> None:
        """A cut connection ends at once."""
        self.send(GET)
        self.port.requests[0].abort()
        self.flush()
        self.assertTrue(self.client.lost)
        self.assertEqual(self.port.factory.connections, 0)
