"""Tests of the index."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import records
from anp_twisted.assistant.index import Index
from anp_twisted.assistant.records import Header, Idempotency


def said(seq: int, key: str = "", ts: float = 1.0) -> records.Said:
    """Make a message with a run of its own."""
    idempotency = Idempotency("bob", key, f"print-{key}") if key else None
    run = f"r{seq}"
    return records.Said(
        seq=seq, id=f"m{seq}", ts=ts, run_id=run, answer_id=f"a{seq}", text="x", idempotency=idempotency
    )


class IndexTests(SynchronousTestCase):
    """What is known."""

    def setUp(self) -> None:
        """Begin with a header of 10 bytes; keys are kept for 100 s, two of them."""
        header = Header(session_key="k", session_id="i", agent_id="a", created_at=0.5)
        self.index = Index(header, 10, 100.0, 2)

    def test_places(self) -> None:
        """Where a span of records is."""
        for seq, length in enumerate((7, 5, 11), 1):
            self.index.add(said(seq), length)
        self.assertEqual(self.index.last_seq, 3)
        self.assertEqual(self.index.span(1, 1), (10, 17))
        self.assertEqual(self.index.span(2, 3), (17, 33))
        self.assertEqual(self.index.size, 33)

    def test_runs(self) -> None:
        """A run is open until any of its ends; a damaged record ends none."""
        for seq in range(1, 5):
            self.index.add(said(seq), 1)
        self.index.add(records.Answered(seq=5, id="a1", ts=1, run_id="r1", text=""), 1)
        self.index.add(records.Failed(seq=6, id="a2", ts=1, run_id="r2", code="c", message=""), 1)
        self.index.add(records.Interrupted(seq=7, id="a3", ts=1, run_id="r3"), 1)
        self.index.add(records.Damaged(seq=8, id="", ts=0), 1)
        self.assertEqual(self.index.runs, {"r4": (4, "m4", "a4")})

    def test_keys(self) -> None:
        """What was sent under a key is known with its end, for a time, for each principal."""
        self.index.add(said(1, "k"), 1)
        self.index.add(records.Answered(seq=2, id="a1", ts=1, run_id="r1", text=""), 1)
        kept = self.index.kept("bob", "k", 50.0)
        assert kept is not None
        self.assertEqual((kept.fingerprint, kept.run_id, self.index.ends["r1"]), ("print-k", "r1", 2))
        self.assertIsNone(self.index.kept("eve", "k", 50.0))
        self.assertIsNone(self.index.kept("bob", "k", 101.5))
        self.assertEqual(self.index.ends, {})

    def test_keysAreCapped(self) -> None:
        """The oldest is forgotten."""
        for seq, key in enumerate("abc", 1):
            self.index.add(said(seq, key), 1)
        self.assertEqual([self.index.kept("bob", key, 2.0) is not None for key in "abc"], [False, True, True])

    def test_compaction(self) -> None:
        """The latest one counts."""
        self.index.add(said(1), 1)
        self.index.add(records.Compacted(seq=2, id="c", ts=9, upto=1, summary="s"), 1)
        self.assertEqual((self.index.compacted, self.index.upto, self.index.updated_at), (2, 1, 9))

    def test_tombstone(self) -> None:
        """It is seen."""
        self.index.add(records.Deleted(seq=1, id="d", ts=1), 1)
        self.assertTrue(self.index.deleted)
