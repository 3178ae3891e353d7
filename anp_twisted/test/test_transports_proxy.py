"""Tests for L{anp_twisted.transports.proxy}."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import ProxyRefused
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.wires import WireEndpoint
from anp_twisted.transports.proxy import ProxyEndpoint, connect_request

GOOD = b"HTTP/1.1 200 Connection established\r\nProxy-Agent: x\r\n\r\n"


class Inside(Protocol):
    """
    What runs in the tunnel.

    @ivar received: what came through.
    """

    def __init__(self) -> None:
        self.received = b""
        self.made = 0
        self.lost: Failure | None = None

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


class ProxySide(Protocol):
    """What answers at the proxy's address."""

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class Lab:
    """One attempt through a proxy."""

    def __init__(self, failure: Exception | None = None, *, hangs: bool = False) -> None:
        self.clock = Clock()
        self.proxy = ProxySide()
        self.inside = Inside()
        self.results: list[Any] = []

        def answer() -> IProtocol | None:
            if failure is not None:
                raise failure
            return None if hangs else self.proxy

        self.outer = WireEndpoint(answer)
        request = connect_request("gw.example.org", 443, "Basic c2VjcmV0")
        endpoint = ProxyEndpoint(self.outer, request, self.clock, DEFAULT_LIMITS)
        self.connecting: Deferred[IProtocol] = endpoint.connect(Factory.forProtocol(lambda: self.inside))
        self.connecting.addBoth(self.results.append)

    def say(self, data: bytes) -> None:
        """Let the proxy answer."""
        assert self.proxy.transport is not None
        self.proxy.transport.write(data)
        self.move()

    def move(self) -> None:
        for wire in self.outer.wires:
            while wire.move():
                pass

    @property
    def reason(self) -> str:
        """Why it failed."""
        (failure,) = self.results
        assert isinstance(failure, Failure) and isinstance(failure.value, ProxyRefused), failure
        return str(failure.value)


class RequestTests(SynchronousTestCase):
    """What is asked."""

    def test_forms(self) -> None:
        """The place twice, and who asks; an IPv6 address has its brackets."""
        self.assertEqual(
            connect_request("gw.example.org", 443, "Basic eA=="),
            b"CONNECT gw.example.org:443 HTTP/1.1\r\nHost: gw.example.org:443\r\n"
            b"Proxy-Authorization: Basic eA==\r\n\r\n",
        )
        self.assertEqual(
            connect_request("2001:db8::1", 80, ""),
            b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
        )


class TunnelTests(SynchronousTestCase):
    """What comes of it."""

    def test_open(self) -> None:
        """Once the proxy agreed, everything is for the protocol inside, what came with the head too."""
        lab = Lab()
        lab.move()
        self.assertTrue(lab.proxy.received.startswith(b"CONNECT gw.example.org:443 HTTP/1.1\r\n"))
        self.assertEqual((lab.inside.made, lab.results), (0, []))
        lab.say(GOOD + b"first ")
        lab.say(b"second")
        self.assertEqual((lab.results, lab.inside.received), ([lab.inside], b"first second"))
        assert lab.inside.transport is not None
        lab.inside.transport.write(b"up")
        lab.move()
        self.assertTrue(lab.proxy.received.endswith(b"\r\n\r\nup"))
        assert lab.proxy.transport is not None
        lab.proxy.transport.loseConnection()
        lab.move()
        assert lab.inside.lost is not None
        self.assertIs(lab.inside.lost.type, ConnectionDone)
        self.assertEqual(lab.clock.getDelayedCalls(), [])

    @given(st.lists(st.integers(min_value=1, max_value=len(GOOD) + 3), max_size=6))
    def test_pieces(self, cuts: list[int]) -> None:
        """Wherever the answer is cut, and after a head below 200 as well."""
        lab = Lab()
        whole = b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD + b"abc"
        start = 0
        for cut in [*sorted({cut + 25 for cut in cuts}), len(whole)]:
            lab.say(whole[start:cut])
            start = max(start, cut)
        self.assertEqual((lab.results, lab.inside.received), ([lab.inside], b"abc"))

    def test_refusals(self) -> None:
        """Each is one line of its own."""
        for answer, words in {
            b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n": "asks for other credentials (407)",
            b"HTTP/1.0 403 No\r\n\r\n": "does not allow connections to the gateway (403)",
            b"HTTP/1.1 502 Bad\r\nContent-Length: 3\r\n\r\nbad": "cannot reach the gateway (502)",
            b"HTTP/1.1 302\nLocation: /x\n\n": "cannot reach the gateway (302)",
            b"SSH-2.0-OpenSSH_9\r\n": "is no HTTP proxy",
            b"\x15\x03\x01\x00\x02\x02": "is no HTTP proxy",
            b"HTTP/1.1 20x OK\r\n\r\n": "is no HTTP proxy",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * DEFAULT_LIMITS.proxy_head: "is no HTTP proxy",
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * DEFAULT_LIMITS.proxy_head + b"\r\n\r\n": "is no HTTP proxy",
        }.items():
            lab = Lab()
            lab.say(answer)
            self.assertIn(words, lab.reason)
            self.assertNotIn("\n", lab.reason)
            self.assertEqual((lab.inside.made, lab.clock.getDelayedCalls()), (0, []))
            self.assertFalse(lab.outer.wires[0].open)

    def test_endless_heads(self) -> None:
        """Heads below 200 without end are read in bounded time and end with it."""
        lab = Lab()
        for _ in range(50):
            lab.say(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
        self.assertEqual(lab.results, [])
        lab.clock.advance(DEFAULT_LIMITS.proxy)
        self.assertEqual(lab.reason, "the proxy did not answer within 8 s")

    def test_nobody(self) -> None:
        """A proxy that is not there is told apart from a gateway that is not."""
        self.assertEqual(Lab(ConnectionRefusedError()).reason, "nothing listens at the proxy's address")
        self.assertEqual(Lab(DNSLookupError()).reason, "the proxy's name cannot be resolved")

    def test_closes(self) -> None:
        """A proxy that hangs up says nothing."""
        lab = Lab()
        assert lab.proxy.transport is not None
        lab.proxy.transport.loseConnection()
        lab.move()
        self.assertEqual(lab.reason, "the proxy closed the connection before it answered")
        self.assertEqual(lab.clock.getDelayedCalls(), [])

    def test_late(self) -> None:
        """A proxy that says nothing is not waited for longer than a link may take."""
        lab = Lab()
        lab.clock.advance(DEFAULT_LIMITS.proxy)
        lab.move()
        self.assertEqual(lab.reason, "the proxy did not answer within 8 s")
        self.assertFalse(lab.outer.wires[0].open)
        self.assertLess(DEFAULT_LIMITS.proxy, DEFAULT_LIMITS.handshake)

    def test_cancelled(self) -> None:
        """Who cancels leaves nothing behind, connected or not."""
        for hangs in (True, False):
            lab = Lab(hangs=hangs)
            lab.connecting.cancel()
            lab.move()
            self.assertEqual((len(lab.results), lab.outer.cancelled, lab.clock.getDelayedCalls()), (1, int(hangs), []))
            self.assertFalse(any(wire.open for wire in lab.outer.wires))
