"""Tests for L{anp_twisted.transports.listening}."""

from __future__ import annotations

from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import CredentialError, SettingsError
from anp_twisted.networks import Networks
from anp_twisted.transports.listening import string_listener, tcp_listener
from anp_twisted.transports.tls import context_of


class ListenerTests(SynchronousTestCase):
    """Where something listens."""

    def setUp(self) -> None:
        """Make a reactor in memory."""
        self.reactor = MemoryReactorClock()

    def test_tcp(self) -> None:
        """A host and a port, of either version of IP."""
        for host in ("127.0.0.1", "::1"):
            tcp_listener(self.reactor, Factory(), host=host, port=9877).start()
        self.assertEqual(
            [(port, host) for port, _, _, host in self.reactor.tcpServers], [(9877, "127.0.0.1"), (9877, "::1")]
        )

    def test_tls(self) -> None:
        """A certificate that is not there is said at once."""
        self.assertRaises(CredentialError, context_of, "no.pem", "no.key")
        self.assertIsNone(context_of(None, None))

    def test_string(self) -> None:
        """An endpoint string, or a line that says why it is none."""
        string_listener(self.reactor, Factory(), "tcp:8080:interface=127.0.0.1").start()
        self.assertEqual(self.reactor.tcpServers[0][0], 8080)
        for text in ("nonsense:1", "tcp", "tcp:x", "ssl:1:privateKey=no.pem"):
            error = self.assertRaises(SettingsError, string_listener, self.reactor, Factory(), text)
            self.assertIn(text, str(error))

    def test_proxied(self) -> None:
        """A listener for the PROXY protocol needs somebody to believe, and no TLS before it."""
        trusted = Networks(["10.0.0.0/8"])
        string_listener(self.reactor, Factory(), "haproxy:tcp:8080", trusted=trusted).start()
        self.assertEqual(self.reactor.tcpServers[0][0], 8080)
        with self.assertRaises(SettingsError):
            string_listener(self.reactor, Factory(), "haproxy:tcp:8080")
        with self.assertRaises(SettingsError):
            string_listener(self.reactor, Factory(), "haproxy:ssl:8080:privateKey=k", trusted=trusted)
