"""Tests for L{anp_twisted.gateway.listener}."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.gateway.listener import Listener


class Port:
    """A port that listens at an address and takes its time to stop."""

    def __init__(self, address: object) -> None:
        self.address = address
        self.stopped: Deferred[None] = Deferred()

    def getHost(self) -> object:
        """Where it listens."""
        return self.address

    def stopListening(self) -> Deferred[None]:
        """Begin to stop."""
        return self.stopped


class Endpoint:
    """An endpoint with a known outcome."""

    def __init__(self, outcome: Deferred[object]) -> None:
        self.outcome = outcome

    def listen(self, factory: object) -> Deferred[object]:
        """Listen."""
        return self.outcome


def listener(outcome: Deferred[object], scheme: str = "http") -> Listener:
    """Make a listener with that outcome."""
    return Listener(Endpoint(outcome), Factory(), name="tcp:1", scheme=scheme)  # type: ignore[arg-type]


class ListenerTests(SynchronousTestCase):
    """What an operator sees of a place that listens."""

    def test_url(self) -> None:
        """The URL is one that a program on this machine can use; a path is no URL."""
        rows = [
            (IPv4Address("TCP", "0.0.0.0", 80), "http://127.0.0.1:80"),
            (IPv4Address("TCP", "192.0.2.1", 81), "http://192.0.2.1:81"),
            (IPv6Address("TCP", "::", 82), "http://[::1]:82"),
            (IPv6Address("TCP", "2001:db8::1", 83), "http://[2001:db8::1]:83"),
            (UNIXAddress(b"/run/x"), "tcp:1"),
        ]
        for address, url in rows:
            one = listener(succeed(Port(address)))
            one.start()
            self.assertEqual(one.url, url)

    def test_scheme(self) -> None:
        """A listener with TLS says so."""
        one = listener(succeed(Port(IPv4Address("TCP", "127.0.0.1", 8443))), "https")
        one.start()
        self.assertEqual(one.url, "https://127.0.0.1:8443")

    def test_taken(self) -> None:
        """A port that is taken is one line that names it and the reason."""
        one = listener(fail(CannotListenError("127.0.0.1", 1, OSError(98, "Address already in use"))))
        error = self.assertRaises(SettingsError, one.start)
        self.assertEqual(str(error), "cannot listen on tcp:1: Address already in use")

    def test_stop(self) -> None:
        """Stopping fires when the port has stopped; a second time there is nothing to stop."""
        port = Port(IPv4Address("TCP", "127.0.0.1", 1))
        one = listener(succeed(port))
        self.assertEqual(one.url, "tcp:1")
        one.start()
        stopping = one.stop()
        self.assertNoResult(stopping)
        port.stopped.callback(None)
        self.successResultOf(stopping)
        self.successResultOf(one.stop())
