"""Tests for L{anp_twisted.gateway.cover}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.cover import Cover, Turn


class CoverTests(SynchronousTestCase):
    """Who accepts for whom."""

    def test_alone(self) -> None:
        """While all are there nobody accepts for another."""
        cover = Cover()
        self.assertEqual([turn for worker in (1, 2, 3) for turn in cover.came(worker)], [])

    def test_gone(self) -> None:
        """The socket of one that is away is another's until it is back."""
        cover = Cover()
        for worker in (1, 2):
            cover.came(worker)
        self.assertEqual(cover.gone(2), [Turn(1, 2, True)])
        self.assertEqual(cover.gone(2), [])
        self.assertEqual(cover.came(2), [Turn(1, 2, False)])

    def test_all_gone(self) -> None:
        """Without any worker callers wait for the first that comes back."""
        cover = Cover()
        cover.came(1)
        self.assertEqual(cover.gone(1), [])
        self.assertEqual(cover.gone(2), [])
        self.assertEqual(cover.came(2), [Turn(2, 1, True)])

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=30))
    def test_every_socket(self, steps: list[tuple[int, bool]]) -> None:
        """While one worker is there, exactly one accepts on each socket, and nobody who is away is told anything."""
        cover, accepting = Cover(), dict.fromkeys(range(1, 5), 0)
        for worker in accepting:
            cover.came(worker)
            accepting[worker] = worker
        for worker, comes in steps:
            if not comes:
                accepting = {socket: 0 if by == worker else by for socket, by in accepting.items()}
            turns = cover.came(worker) if comes else cover.gone(worker)
            for turn in turns:
                self.assertIn(turn.worker, cover.serving)
                self.assertEqual(accepting[turn.socket] == turn.worker, not turn.accepts)
                accepting[turn.socket] = turn.worker if turn.accepts else 0
            if comes:
                accepting[worker] = worker
            if cover.serving:
                self.assertEqual(set(accepting.values()) - cover.serving, set())
