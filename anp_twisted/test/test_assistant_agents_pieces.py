"""Tests of L{anp_twisted.assistant.agents.pieces}."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from anp_twisted.assistant.agents.pieces import Pieces
from anp_twisted.errors import BackendFault
from anp_twisted.test.agent_lab import Stage, turns
from anp_twisted.test.receiver_rig import on_loop


class PiecesTests(TestCase):
    """What is brought and taken."""

    def setUp(self) -> None:
        self.stage = Stage()
        self.holds: list[bool] = []
        self.pieces = Pieces(self.stage.tasks, 10, self.holds.append)

    @on_loop
    async def test_order(self) -> None:
        """Everything that was brought is taken in order, then the end; nothing comes behind that."""
        self.pieces.put(b"a")
        self.pieces.put(b"")
        self.pieces.put(b"b")
        self.pieces.end()
        self.pieces.put(b"c")
        self.pieces.end(BackendFault("late"))
        self.assertEqual([piece async for piece in self.pieces.taken()], [b"a", b"b"])

    @on_loop
    async def test_error(self) -> None:
        """An end that is none is raised behind what was brought."""
        self.pieces.put(b"a")
        self.pieces.end(BackendFault("no"))
        taken = self.pieces.taken()
        self.assertEqual(await anext(taken), b"a")
        with self.assertRaises(BackendFault):
            await anext(taken)

    @on_loop
    async def test_waiting(self) -> None:
        """Who takes waits for what is brought later."""
        taken: list[bytes] = []

        async def take() -> None:
            async for piece in self.pieces.taken():
                taken.append(piece)

        task = self.stage.tasks.start(take(), lambda _: None)
        await turns()
        self.pieces.put(b"a")
        await turns()
        self.assertEqual(taken, [b"a"])
        self.pieces.end()
        await turns()
        self.assertTrue(task.done())

    @on_loop
    async def test_hold(self) -> None:
        """Above the bound the source is held, each time it brings something; at the half it may go on."""
        self.pieces.put(b"x" * 10)
        self.assertEqual(self.holds, [])
        self.pieces.put(b"x")
        self.pieces.put(b"x")
        self.assertEqual((self.holds, self.pieces.held), ([True, True], 12))
        taken = self.pieces.taken()
        await anext(taken)
        self.assertEqual((self.holds, self.pieces.held), ([True, True, False], 2))
        await anext(taken)
        self.assertEqual(len(self.holds), 3)
