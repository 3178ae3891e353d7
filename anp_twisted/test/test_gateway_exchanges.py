"""Tests for L{anp_twisted.gateway.exchanges}."""

from __future__ import annotations

from typing import Any

from anp_twisted.errors import Code
from anp_twisted.session import events
from anp_twisted.test.gatewaylab import Caller, ExchangeTestCase
from anp_twisted.wire.heads import ResponseHead


class BudgetTests(ExchangeTestCase):
    """Each wait has its own budget."""

    caps = {"first_byte_budget": 10.0, "idle_budget": 5.0, "total_budget": 30.0}

    def begin(self) -> tuple[Caller, Any]:
        """Send a request."""
        caller = self.lab.caller()
        caller.get()
        return caller, self.link.requests[-1].stream

    def test_first_byte(self) -> None:
        """No head in time is a 504, and the receiver is told."""
        caller, _ = self.begin()
        self.lab.advance(9)
        self.assertEqual(caller.status, 0)
        self.lab.advance(2.5)
        self.assertEqual(caller.status, 504)
        self.assertEqual([e.reset.code for e in self.link.others if isinstance(e, events.StreamReset)], [Code.TIMEOUT])
        self.check_rest()

    def test_idle(self) -> None:
        """A pause in the answer cuts it; every piece starts the time anew."""
        caller, stream = self.begin()
        stream.send_head(ResponseHead(200, []))
        for _ in range(3):
            stream.send_data(b"x")
            self.lab.advance(4)
        self.assertFalse(caller.aborted)
        self.lab.advance(2.5)
        self.assertTrue(caller.aborted)
        self.check_rest()

    def test_slow_caller_is_not_idle(self) -> None:
        """While the caller takes nothing it is not the receiver that is late."""
        caller, stream = self.begin()
        stream.send_head(ResponseHead(200, []))
        stream.send_data(b"x")
        self.lab.settle()
        caller.transport.producer.pauseProducing()
        self.lab.advance(8)
        self.assertFalse(caller.aborted)

    def test_total(self) -> None:
        """The whole request has a limit where one is set, and the receiver knows it."""
        caller, stream = self.begin()
        self.assertEqual(self.link.requests[0].head.deadline, 30.0)
        stream.send_head(ResponseHead(200, []))
        while not caller.aborted:
            stream.send_data(b"x")
            self.lab.advance(2)
            self.assertLess(self.lab.clock.seconds(), 40)
        self.assertGreaterEqual(self.lab.clock.seconds(), 30)
        self.check_rest()

    def test_uploading_is_not_waiting(self) -> None:
        """The time to the first byte begins when the last piece of the request came."""
        caller = self.lab.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
        for _ in range(12):
            caller.send(b"x")
            self.lab.advance(2, 1.0)
        self.assertEqual(caller.status, 0)

    def test_no_timer_without_requests(self) -> None:
        """Nothing ticks while nothing runs."""
        caller, _ = self.begin()
        self.lab.answer(self.link)
        self.lab.advance(3)
        assert caller.protocol is not None
        caller.protocol.connectionLost()
        self.assertEqual(self.lab.clock.getDelayedCalls(), [])


class DrainTests(ExchangeTestCase):
    """How the table empties."""

    def test_when_idle(self) -> None:
        """It fires at once when nothing runs, else with the last one."""
        self.successResultOf(self.lab.exchanges.when_idle())
        caller = self.lab.caller()
        caller.get()
        waiting = self.lab.exchanges.when_idle()
        self.assertNoResult(waiting)
        self.lab.answer(self.link)
        self.successResultOf(waiting)

    def test_cut_all(self) -> None:
        """What is still running at the deadline ends, with a 503 where that is possible."""
        before, after = self.lab.caller(), self.lab.caller()
        before.get()
        after.get()
        self.link.requests[-1].stream.send_head(ResponseHead(200, []))
        self.lab.settle()
        self.lab.exchanges.cut_all()
        self.assertEqual((before.status, after.aborted), (503, True))
        self.check_rest()
