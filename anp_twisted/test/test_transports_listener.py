"""Tests for L{anp_twisted.transports.listener}."""

from __future__ import annotations

from errno import EAGAIN
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Port as TCPPort
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.transports.listener import Listener


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


class Queue:
    """A listening socket with callers without end."""

    def accept(self) -> tuple[object, object]:
        """Take one."""
        return object(), None

    def fileno(self) -> int:
        """Any number."""
        return 99


class ReadPort(TCPPort):
    """A port of Twisted's own, which notes whether it is read."""

    def __init__(self) -> None:
        super().__init__(0, Factory(), reactor=MemoryReactor())
        self.told: list[str] = []
        self.socket: Any = Queue()

    def accept(self) -> int:
        """How many of one connection are accepted; none is no failure."""
        try:
            self.socket.accept()
        except OSError as error:
            assert error.args[0] == EAGAIN
            return 0
        return 1

    def loseConnection(self, *_: object) -> Deferred[None]:
        """Stop."""
        return Deferred()

    stopListening = loseConnection

    def startReading(self) -> None:
        """Note it."""
        self.told.append("startReading")

    def stopReading(self) -> None:
        """Note it."""
        self.told.append("stopReading")


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

    def test_pause(self) -> None:
        """A port that can be read is read no more, and later again; others and those that are exempt go on."""
        for pausable, told, accepted in (
            (True, ["stopReading", "startReading"], [1, 0, 1]),
            (False, [], [1, 1, 1]),
        ):
            port = ReadPort()
            one = Listener(Endpoint(succeed(port)), Factory(), name="x", scheme="http", pausable=pausable)  # type: ignore[arg-type]
            one.pause()
            one.start()
            found = [port.accept()]
            one.pause()
            found.append(port.accept())
            one.resume()
            found.append(port.accept())
            self.assertEqual((port.told, found, port.socket.fileno()), (told, accepted, 99))
            one.stop()
            one.pause()
        other = listener(succeed(Port(IPv4Address("TCP", "127.0.0.1", 1))))
        other.start()
        other.pause()
        other.resume()

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
