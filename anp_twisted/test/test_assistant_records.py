"""Tests of the records."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import records, types
from anp_twisted.assistant.messages import Media
from anp_twisted.assistant.records import Codec, Damaged, Header

SAMPLES: list[records.AnyRecord] = [
    records.Said(
        seq=1,
        id="m",
        ts=1.5,
        run_id="r",
        answer_id="a",
        text="你好\n",
        principal="bob",
        media=(Media(kind="image", url="u"),),
        idempotency=records.Idempotency("bob", "k", "f"),
    ),
    records.Tool(seq=1, id="a", ts=1.5, run_id="r", call_id="c", state="done", detail="{}"),
    records.Answered(seq=1, id="a", ts=1.5, run_id="r", text="yes", output_tokens=3),
    records.Failed(seq=1, id="a", ts=1.5, run_id="r", code="timeout", message="slow", text="half"),
    records.Interrupted(seq=1, id="a", ts=1.5, run_id="r"),
    records.Created(seq=1, id="c", ts=1.5),
    records.Compacted(seq=1, id="c", ts=1.5, upto=0, summary="all of it"),
    records.Deleted(seq=1, id="d", ts=1.5),
]


class CodecTests(SynchronousTestCase):
    """Lines."""

    def test_roundTrip(self) -> None:
        """Each kind of record is one line and comes back."""
        codec = Codec()
        self.assertEqual({type(one) for one in SAMPLES}, set(get_args(records.AnyRecord)))
        for record in SAMPLES:
            line = codec.line(record, "s")
            self.assertEqual(line.count(b"\n"), 1)
            self.assertEqual(codec.read(line[:-1], 1, "s"), record)
            self.assertEqual(codec.read_last(line[:-1], "s"), record)

    def test_damaged(self) -> None:
        """What cannot be read keeps its place; so does what belongs elsewhere."""
        codec = Codec()
        line = codec.line(SAMPLES[0], "s")[:-1]
        for broken in (line[:-5], line + b"}", b"", b"\x00" * 9, b"[" * 9999, line.replace(b"message", b"unknown")):
            self.assertEqual(codec.read(broken, 1, "s"), Damaged(seq=1, id="", ts=0.0))
            self.assertIsNone(codec.read_last(broken, "s"))
        self.assertIsInstance(codec.read(line, 2, "s"), Damaged)

    def test_header(self) -> None:
        """So does the first line, unless it is of another version."""
        header = Header(session_key="k", session_id="i", agent_id="a", created_at=2.5)
        line = Codec().header(header)
        self.assertEqual(records.read_header(line[:-1]), header)
        self.assertIsNone(records.read_header(line.replace(b'"version":1', b'"version":2')))
        self.assertIsNone(records.read_header(b'{"session_key":"k"}'))


class TellingTests(SynchronousTestCase):
    """What others see of a record."""

    def test_events(self) -> None:
        """Each record, and the stand-in for a damaged one, is an event with its place and time."""
        for record in [*SAMPLES, Damaged(seq=1, id="", ts=1.5)]:
            event = records.event(record, "key")
            self.assertIn(type(event), get_args(types.AnyRecorded))
            self.assertEqual((event.session_key, event.seq), ("key", 1))
            self.assertEqual(event.timestamp, "1970-01-01T00:00:01.500Z")

    def test_messages(self) -> None:
        """A history has what was said, and how each answer ended."""
        told = [records.message(record) for record in [*SAMPLES, Damaged(seq=1, id="", ts=0)]]
        self.assertEqual(
            [(one.role, one.state, one.text) if one else None for one in told],
            [
                ("user", "complete", "你好\n"),
                None,
                ("assistant", "complete", "yes"),
                ("assistant", "failed", "half"),
                ("assistant", "interrupted", ""),
                None,
                None,
                None,
                ("system", "damaged", ""),
            ],
        )
