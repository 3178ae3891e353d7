"""Tests for L{anp_twisted.gateway.service}."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.authenticator import Ways
from anp_twisted.auth.identity import RECEIVER
from anp_twisted.errors import SettingsError
from anp_twisted.gateway.service import GatewayService, Surroundings
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.gatewaylab import Caller, Lab
from anp_twisted.test.test_transports_listener import Endpoint, Port
from anp_twisted.transports.listener import Listener


class ServiceTests(SynchronousTestCase):
    """Start, drain, stop."""

    def setUp(self) -> None:
        """Make a gateway with one listener, and let the lab's callers and receivers use it."""
        self.lab = Lab()
        self.announced: list[str] = []
        numbers = count(1)
        around = Surroundings(
            clock=self.lab.clock,
            soon=lambda function: self.lab.clock.callLater(0, function),
            wall=lambda: 1.0e9,
            request_id=lambda: f"id-{next(numbers)}",
            authenticator=Ways([]),
            record=self.lab.records.append,
            announce=self.announced.append,
        )
        self.limits = replace(DEFAULT_LIMITS, drain=10.0)
        self.gateway = GatewayService(around, self.limits, health_path="/health", public_url=None)
        self.port = Port(IPv4Address("TCP", "0.0.0.0", 9877))
        self.port.stopped.callback(None)
        self.add(succeed(self.port))
        self.lab.receivers, self.lab.exchanges = self.gateway.receivers, self.gateway.exchanges
        self.lab.factory = self.gateway.front

    def add(self, outcome: Any) -> None:
        """Add a listener with that outcome."""
        listener = Listener(Endpoint(outcome), self.gateway.front, name="x", scheme="http")  # type: ignore[arg-type]
        self.gateway.listen_on(listener)

    def start(self) -> None:
        """Start as twistd does."""
        self.gateway.privilegedStartService()
        self.gateway.startService()

    def caller(self, target: bytes = b"/") -> Caller:
        """Let a caller send a request."""
        caller = self.lab.caller()
        caller.transport.loseWriteConnection = caller.transport.loseConnection
        caller.get(target)
        return caller

    def test_announce(self) -> None:
        """The URL of the first listener is announced when all of them listen."""
        self.gateway.privilegedStartService()
        self.assertEqual(self.announced, [])
        self.gateway.startService()
        self.assertEqual(self.announced, ["http://127.0.0.1:9877"])

    def test_cannot_listen(self) -> None:
        """Starting fails if one listener fails."""
        from twisted.internet.defer import fail

        self.add(fail(OSError(13, "Permission denied")))
        error = self.assertRaises(SettingsError, self.gateway.privilegedStartService)
        self.assertEqual(str(error), "cannot listen on x: Permission denied")

    def test_starting(self) -> None:
        """An unknown path is a 503 while receivers may still come back, a 404 later."""
        self.start()
        self.assertEqual(self.caller().status, 503)
        self.lab.clock.advance(self.limits.reconnect_most + self.limits.connect_budget)
        self.assertEqual(self.caller().status, 404)

    def test_drain(self) -> None:
        """A request that runs is answered, then the links end with 1001 and nothing is left."""
        self.start()
        link = self.lab.connect()
        busy, idle = self.caller(), self.caller(b"/health")
        stopping = self.gateway.stopService()
        self.assertTrue(self.gateway.draining)
        self.assertTrue(idle.transport.disconnecting)
        self.assertNoResult(stopping)
        self.lab.answer(link)
        self.assertIn(b"Connection: close\r\n", busy.received())
        self.assertEqual((busy.status, link.closed), (200, (1001, "the gateway is stopping")))
        self.lab.advance(0.1, 0.05)
        self.assertNoResult(stopping)  # the answer may still be on its way
        for caller in (busy, idle):
            assert caller.protocol is not None
            caller.protocol.connectionLost()
        self.lab.advance(0.1, 0.05)
        self.successResultOf(stopping)
        self.assertEqual(self.lab.clock.getDelayedCalls(), [])

    def test_drain_deadline(self) -> None:
        """What does not end in time is cut."""
        self.start()
        self.lab.connect()
        caller = self.caller()
        stopping = self.gateway.stopService()
        self.lab.advance(9.5)
        self.assertNoResult(stopping)
        self.lab.advance(1)
        self.assertEqual(caller.status, 503)
        self.lab.advance(self.limits.linger, 0.05)
        self.successResultOf(stopping)

    def test_stats(self) -> None:
        """The figures say who is there and what runs."""
        self.start()
        self.lab.connect(paths=["/a"], capacity=7)
        self.caller(b"/a")
        stats = self.gateway.stats()
        self.assertEqual(
            stats["requests"],
            {"running": 1, "parked": 0, "served": 0, "repeated": 0, "malformed_answers": 0, "gave_way": 0},
        )
        (receiver,) = stats["receivers"]
        self.assertEqual(
            (receiver["in_flight"], receiver["capacity"], receiver["streams"], receiver["paths"]), (1, 7, 1, ["/a"])
        )
        self.assertEqual(stats["connections"], 1)

    def test_overload(self) -> None:
        """The operator sees an overload; a gateway that drains does no more than that."""
        self.start()
        self.assertEqual((self.gateway.condition, self.gateway.stats()["overload"]["state"]), ("ok", "calm"))
        self.gateway.exchanges.overload.crowded(0.0)
        self.assertEqual(
            (self.gateway.condition, self.gateway.stats()["overload"]["state"]), ("overloaded", "shedding")
        )
        self.assertEqual(self.caller().status, 503)
        self.gateway.stopService()
        self.assertEqual(self.gateway.condition, "draining")

    def test_entering(self) -> None:
        """Connections of both ports are counted against the descriptors."""
        self.start()
        room = self.gateway.watch._room
        for factory in (self.gateway.front, self.gateway.link_front):
            factory.buildProtocol(None)
        self.assertEqual(self.gateway.watch._room, room - 2)

    def test_forgets_paths(self) -> None:
        """Paths whose receivers left are forgotten in time."""
        self.start()
        link = self.lab.connect(paths=["/a"])
        link.close(1001, "")
        clock: Clock = self.lab.clock
        clock.advance(self.limits.route_memory)
        clock.pump([10.0, 10.0])
        self.assertEqual(len(self.gateway.receivers.routes), 0)

    def test_hello(self) -> None:
        """The gateway lets receivers open nothing and gives credit for all it may ask of them."""
        self.start()
        hello = self.gateway._hello(RECEIVER)
        self.assertEqual((hello.max_streams, hello.public_url), (0, "http://127.0.0.1:9877"))
        self.assertGreaterEqual(hello.connection_window, self.limits.in_flight * self.limits.stream_window)
