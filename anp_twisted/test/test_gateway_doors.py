"""Tests for L{anp_twisted.gateway.doors}."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.doors import Doors, GuardedFactory
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.callers import GET, CallerTransport


class Gate:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resume(self) -> None:
        """Note it."""
        self.told.append("resume")


class DoorsTests(SynchronousTestCase):
    """What can be done about connections."""

    def setUp(self) -> None:
        """Make a port."""
        self.clock = Clock()
        self.entered = 0
        self.requests: list[PublicRequest] = []
        self.factory = GuardedFactory(self.clock, DEFAULT_LIMITS, self._asked)
        self.factory.entering = self._entering
        self.gates = [Gate(), Gate()]
        gates: Any = self.gates
        self.doors = Doors(gates, [self.factory])

    def _entering(self) -> None:
        self.entered += 1

    def _asked(self, request: PublicRequest) -> None:
        self.requests.append(request)
        request.respond(204, [])

    def connect(self) -> tuple[Any, CallerTransport]:
        """Let a caller connect."""
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        transport = CallerTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def test_entering(self) -> None:
        """Each connection is told of."""
        self.connect()
        self.connect()
        self.assertEqual(self.entered, 2)

    def test_pause(self) -> None:
        """All listeners pause and resume."""
        self.doors.pause()
        self.doors.resume()
        self.assertEqual([gate.told for gate in self.gates], [["pause", "resume"]] * 2)

    def test_resting(self) -> None:
        """Those that have been idle for so long are closed, whether they asked before or never did."""
        _, silent = self.connect()
        asked, answered = self.connect()
        self.clock.advance(5)
        asked.dataReceived(GET)
        _, fresh = self.connect()
        self.doors.close_resting(1.0)
        self.assertEqual([one.half_closed for one in (silent, answered, fresh)], [True, False, False])
        self.clock.advance(1)
        self.doors.close_resting(1.0)
        self.assertEqual([one.half_closed for one in (silent, answered, fresh)], [True, True, True])

    def test_no_rest(self) -> None:
        """Meanwhile connections end behind their answer, which says so; later they stay open."""
        self.doors.close_resting(1.0)
        caller, transport = self.connect()
        caller.dataReceived(GET)
        self.assertIn(b"\r\nConnection: close\r\n", transport.value())
        self.assertTrue(transport.half_closed)
        self.doors.let_rest()
        caller, transport = self.connect()
        caller.dataReceived(GET)
        self.assertNotIn(b"Connection: close", transport.value())
        self.assertFalse(transport.half_closed)

    def test_drain(self) -> None:
        """A gateway that drains never lets a connection rest again."""
        _, transport = self.connect()
        self.doors.drain()
        self.assertTrue(transport.half_closed)
        self.doors.let_rest()
        self.assertTrue(self.factory.draining)
