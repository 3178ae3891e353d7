"""Tests of L{anp_twisted.receiver.target_pool}."""

from __future__ import annotations

from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from anp_twisted.errors import BackendBusy, BackendFault, BackendTimeout
from anp_twisted.limits import Limits
from anp_twisted.receiver.target_pool import Condition, TargetConnection, prepare
from anp_twisted.test.receiver_rig import on_loop, the_loop
from anp_twisted.test.target_lab import TargetLab, settle


class Borrower:
    """Who has a connection."""

    def __init__(self) -> None:
        self.data = b""
        self.happened: list[str] = []

    def received(self, data: bytes) -> None:
        self.data += data

    def lost(self, reason: Failure) -> None:
        self.happened.append("lost")

    def writable(self) -> None:
        self.happened.append("writable")

    def too_slow(self) -> None:
        self.happened.append("too slow")


class PoolTests(TestCase):
    """Connections and who has them."""

    async def take(self, lab: TargetLab, rested: float = 4.0) -> tuple[TargetConnection, Borrower]:
        borrower = Borrower()
        return await lab.pool.take(borrower, rested=rested), borrower

    @on_loop
    async def test_kept(self) -> None:
        """A connection that was given back in good order is used again, the latest first."""
        lab = TargetLab()
        first, _ = await self.take(lab)
        second, _ = await self.take(lab)
        for connection in (first, second):
            connection.give_back(reusable=True)
        self.assertIs((await self.take(lab))[0], second)
        self.assertEqual((lab.pool.count, lab.pool.opened, second.requests), (2, 2, 2))
        lab.pool.close()
        self.assertEqual((lab.pool.count, lab.clock.getDelayedCalls()), (0, []))

    @on_loop
    async def test_age(self) -> None:
        """A request says how long a connection may have rested; nobody's connection ends by itself."""
        lab = TargetLab(Limits(target_rest=4))
        connection, _ = await self.take(lab)
        connection.give_back(reusable=True)
        lab.clock.advance(0.9)
        other, _ = await self.take(lab, rested=0.5)
        self.assertIsNot(other, connection)
        lab.clock.pump([1] * 5)
        self.assertEqual((connection.condition, other.condition), (Condition.GONE, Condition.BUSY))
        lab.pool.close()

    @on_loop
    async def test_talks_unasked(self) -> None:
        """A server that says something without being asked loses its connection, as does one that closes it."""
        lab = TargetLab()
        for end in (lambda: lab.server.wires[-1].say(b"x"), lambda: lab.server.wires[-1].cut()):
            connection, borrower = await self.take(lab)
            connection.give_back(reusable=True)
            end()
            self.assertEqual((lab.pool.count, lab.pool.resting, borrower.happened, borrower.data), (0, 0, [], b""))

    @on_loop
    async def test_full(self) -> None:
        """Over the cap a request waits for a connection, but not for ever."""
        lab = TargetLab(Limits(target_connections=1, target_connect=5))
        connection, _ = await self.take(lab)
        waiting = the_loop().create_task(self.take(lab))
        await settle()
        self.assertFalse(waiting.done())
        connection.give_back(reusable=True)
        self.assertIs((await waiting)[0], connection)
        waiting = the_loop().create_task(self.take(lab))
        await settle()
        lab.clock.advance(5)
        with self.assertRaises(BackendBusy):
            await waiting
        connection.give_back(reusable=True)
        lab.clock.advance(2)
        self.assertIsNot((await self.take(lab, rested=1))[0], connection)
        lab.pool.close()

    @on_loop
    async def test_room_comes_back(self) -> None:
        """Attempts that fail, and those that are given up, take no room."""
        lab = TargetLab(Limits(target_connections=1))
        lab.server.listening = False
        for _ in range(3):
            with self.assertRaises(BackendFault):
                await self.take(lab)
        lab.server.listening = None
        waiting = the_loop().create_task(self.take(lab))
        await settle()
        waiting.cancel()
        await settle()
        self.assertEqual(lab.pool.count, 0)
        waiting = the_loop().create_task(self.take(lab))
        await settle()
        lab.clock.advance(5)
        with self.assertRaises(BackendTimeout):
            await waiting
        self.assertEqual((lab.pool.count, lab.clock.getDelayedCalls()), (0, []))

    @on_loop
    async def test_pressure(self) -> None:
        """What the socket says of room reaches the borrower, and reading stops when it wants that."""
        lab = TargetLab()
        connection, borrower = await self.take(lab)
        (wire,) = lab.server.wires
        connection.pauseProducing()
        self.assertTrue(connection.full)
        connection.resumeProducing()
        self.assertEqual((connection.full, borrower.happened), (False, ["writable"]))
        connection.listen(False)
        self.assertTrue(wire.paused)
        lab.clock.pump([100] * 4)
        connection.give_back(reusable=True)
        self.assertEqual((wire.paused, borrower.happened), (False, ["writable"]))
        lab.pool.close()

    @on_loop
    async def test_silence(self) -> None:
        """A borrower hears that the server is silent for too long."""
        lab = TargetLab(Limits(target_silence=3))
        connection, borrower = await self.take(lab)
        lab.clock.pump([1] * 3)
        lab.server.wires[0].say(b"x")
        lab.clock.pump([1] * 3)
        self.assertEqual(borrower.happened, [])
        lab.clock.advance(1)
        self.assertEqual(borrower.happened, ["too slow"])
        lab.server.wires[0].cut()
        self.assertEqual((borrower.happened[1:], connection.condition), (["lost"], Condition.GONE))

    def test_socket_files(self) -> None:
        """A connection over a socket file has no options of TCP to set."""
        prepare(StringTransport(peerAddress=UNIXAddress("/run/app.sock")))
