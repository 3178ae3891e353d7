"""Tests for L{anp_twisted.assistant.channels.outboxlog}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.outbox import Done
from anp_twisted.assistant.channels.outboxlog import DoneRecord, PutRecord, Record, lines, replay
from anp_twisted.assistant.messages import OutboundMessage


def put(name: str) -> PutRecord:
    """A message that was put."""
    return PutRecord(name, 1.5, OutboundMessage(channel="tg", chat_id="c", content=f"text\n{name}"))


class LogTests(SynchronousTestCase):
    """What is read is what was written."""

    def test_replay(self) -> None:
        """What was put and not done with is there, in order; a record is one line."""
        records: list[Record] = [put("1"), put("2"), DoneRecord("1", 2.0, Done.REFUSED, "gone"), put("3")]
        data = lines(records)
        self.assertEqual(data.count(b"\n"), 4)
        found = replay(data)
        self.assertEqual((found.live, found.done, found.bad), ([put("2"), put("3")], [records[2]], []))

    def test_damage(self) -> None:
        """A line that cannot be read costs that line only, a torn end nothing before it."""
        data = lines([put("1")]) + b"\x00\xff\n[1]\n" + lines([put("2")]) + lines([put("3")])[:-10]
        found = replay(data)
        self.assertEqual([one.id for one in found.live], ["1", "2"])
        self.assertEqual(len(found.bad), 3)

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    def test_anything(self, data: bytes) -> None:
        """No file makes it fail."""
        replay(lines([put("1")]) + b"\n" + data)

    @given(st.integers(0, 1000))
    def test_anyCut(self, where: int) -> None:
        """Wherever the file ends, what was whole before is there."""
        data = lines([put("1"), put("2"), put("3")])
        found = replay(data[:where])
        self.assertEqual([one.id for one in found.live], ["1", "2", "3"][: len(found.live)])
        self.assertGreaterEqual(len(found.live), data[:where].count(b"\n"))
