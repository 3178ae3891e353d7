"""Tests of L{anp_twisted.receiver.target_exchange}; whole exchanges are in L{test_receiver_target}."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from anp_twisted.errors import BackendFault
from anp_twisted.limits import Limits
from anp_twisted.receiver.target_exchange import CallerLeft, TargetExchange
from anp_twisted.receiver.target_reply import ReplyEnd
from anp_twisted.test.receiver_rig import on_loop, the_loop


class ExchangeTests(TestCase):
    """What coroutines get of it."""

    def exchange(self) -> TargetExchange:
        return TargetExchange("GET", the_loop(), Limits())

    @on_loop
    async def test_what_came_first(self) -> None:
        """What came before the end is told before it."""
        exchange = self.exchange()
        exchange.received(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
        exchange.lost(Failure(ConnectionDone()))
        await exchange.next_event()
        self.assertEqual(await exchange.next_event(), b"ab")
        with self.assertRaises(BackendFault):
            await exchange.next_event()

    @on_loop
    async def test_end_of_connection(self) -> None:
        """It is the end of an answer without length, if it is a good one."""
        for reason, expected in ((ConnectionDone(), ReplyEnd([])), (ConnectionLost(), None)):
            exchange = self.exchange()
            exchange.received(b"HTTP/1.1 200 OK\r\n\r\nab")
            exchange.lost(Failure(reason))
            await exchange.next_event()
            self.assertEqual(await exchange.next_event(), b"ab")
            if expected is None:
                with self.assertRaises(BackendFault):
                    await exchange.next_event()
            else:
                self.assertEqual(await exchange.next_event(), expected)

    @on_loop
    async def test_first_reason(self) -> None:
        """The first reason is the one that counts, and nothing waits after it."""
        exchange = self.exchange()
        exchange.fail(CallerLeft())
        exchange.fail(BackendFault("later"))
        with self.assertRaises(CallerLeft):
            await exchange.next_event()
        await exchange.write(b"to nobody")
        self.assertFalse(await exchange.may_send_body())
