"""Tests of one open session."""

from __future__ import annotations

from functools import partial

from anp_twisted.assistant import records
from anp_twisted.assistant.errors import NotFound, Overloaded
from anp_twisted.assistant.keys import SessionKey
from anp_twisted.assistant.records import AnyRecord
from anp_twisted.assistant.session import Condition, Session
from anp_twisted.test.assistantlab import AssistantTests

KEY = SessionKey("default", "ws", "@bob", "direct", "s", "")


def answer(seq: int, ts: float, size: int = 10) -> AnyRecord:
    """Make a record."""
    return records.Answered(seq=seq, id=f"a{seq}", ts=ts, run_id=f"r{seq}", text="x" * size)


class SessionTests(AssistantTests):
    """The log of a session."""

    def session(self) -> Session:
        """Make one."""
        return self.successResultOf(self.lab.sessions.get_or_make(KEY))

    def test_places(self) -> None:
        """Places rise by one from 1 on, and are told when they are on disk."""
        session = self.session()
        self.lab.disk.held = True
        written = [session.append(answer) for _ in range(3)]
        waiting = session.durable(2)
        self.assertEqual((session.index.last_seq, session.durable_seq), (3, 0))
        for _ in range(2):
            self.lab.disk.release()
        self.assertEqual([self.successResultOf(one).seq for one in written], [1, 2, 3])
        self.successResultOf(waiting)
        self.successResultOf(session.durable(3))

    def test_read(self) -> None:
        """What was written is read, any part of it."""
        session = self.session()
        for _ in range(5):
            session.append(answer)
        self.assertEqual([one.seq for one in self.successResultOf(session.read(2, 4))], [2, 3, 4])
        self.assertEqual(self.successResultOf(session.read(1, 0)), [])

    def test_pages(self) -> None:
        """A page has so many records and so many bytes, but always one."""
        self.with_limits(assistant_page=3, assistant_page_bytes=1000)
        session = self.session()
        for size in (10, 10, 10, 10, 5000, 10):
            session.append(partial(answer, size=size))
        for first, expected in ((1, [1, 2, 3]), (4, [4]), (5, [5]), (6, [6])):
            self.assertEqual([one.seq for one in self.successResultOf(session.read_page(first))], expected)
        self.assertEqual(session.last_place(7, 3, 1_000_000), 4)
        self.assertEqual(session.last_place(7, 3, 10), 6)
        self.assertEqual(session.last_place(1, 3, 10), 1)

    def test_room(self) -> None:
        """When the disk is too far behind nothing more is taken."""
        self.with_limits(assistant_unwritten=100)
        session = self.session()
        self.lab.disk.held = True
        session.append(answer)
        self.assertRaises(Overloaded, session.append, answer)
        self.lab.disk.release()
        session.append(answer)

    def test_deleted(self) -> None:
        """Nothing comes behind the tombstone."""
        session = self.session()
        session.append(answer)
        self.lab.disk.held = True
        gone = session.delete()
        self.assertRaises(NotFound, session.append, answer)
        self.assertIs(session.condition, Condition.GONE)
        self.lab.disk.release()
        self.assertNoResult(gone)
        self.lab.disk.release()
        self.successResultOf(gone)
        self.assertEqual(self.files(), [])

    def test_idle(self) -> None:
        """A session is idle when nobody looks, nothing runs and everything is written."""
        session = self.session()
        self.lab.disk.held = True
        session.append(answer)
        self.assertFalse(session.idle)
        self.lab.disk.release()
        self.assertTrue(session.idle)
