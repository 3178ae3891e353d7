"""Tests of the table of sessions."""

from __future__ import annotations

import os
from pathlib import Path

from anp_twisted.assistant import records
from anp_twisted.assistant.errors import InternalError, NotFound, Overloaded
from anp_twisted.assistant.journal import WriteFailed
from anp_twisted.assistant.keys import SessionKey, resolve
from anp_twisted.errors import CredentialError
from anp_twisted.test.assistantlab import AssistantTests


def key(name: str) -> SessionKey:
    """Name a session of Bob's."""
    return resolve(name, principal="bob", admin=False, agent="default")


class SessionsTests(AssistantTests):
    """Opening and letting go."""

    def fill(self, *names: str) -> None:
        """Say something in each, and have it answered."""
        bob = self.lab.client()
        for name in names:
            bob.call("chat.send_stream", text="q", session_key=name)
            self.lab.agents.runs[-1].answer("a")

    def test_missing(self) -> None:
        """What is not there is not made by looking for it."""
        self.failureResultOf(self.lab.sessions.get(key("s")), NotFound)
        self.assertEqual(len(self.lab.sessions), 0)

    def test_readOnce(self) -> None:
        """Several who want a session at the same time get the same one, read once."""
        self.fill("s")
        self.again()
        self.lab.disk.held = True
        opening = [self.lab.sessions.get(key("s")) for _ in range(3)]
        self.lab.disk.release()
        found = {id(self.successResultOf(one)) for one in opening}
        self.assertEqual(len(found), 1)

    def test_letGo(self) -> None:
        """With too many open those that nobody uses are let go, and are there when they are wanted again."""
        self.with_limits(assistant_open_sessions=2)
        self.fill("a", "b", "c", "d")
        self.assertEqual((self.lab.sessions.opened, len(self.lab.sessions)), (2, 4))
        bob = self.lab.client()
        for name in "abcd":
            self.assertEqual(len(bob.call("chat.history", session_key=name)["messages"]), 2)

    def test_usedStays(self) -> None:
        """One that somebody views stays open, however many there are."""
        self.with_limits(assistant_open_sessions=1)
        self.fill("a")
        viewer = self.lab.client()
        viewer.call("session.subscribe", session_key="a")
        self.fill("b", "c", "a")
        self.assertEqual(len(viewer.events("chat.final")), 1)

    def test_oneWriter(self) -> None:
        """Whoever holds a session that was let go cannot write to its file, which somebody else may have opened."""
        self.with_limits(assistant_open_sessions=1)
        self.fill("a")
        held = self.successResultOf(self.lab.sessions.get(key("a")))
        self.fill("b")
        again = self.successResultOf(self.lab.sessions.get(key("a")))
        self.assertIsNot(again, held)
        self.assertRaises(Overloaded, held.append, lambda seq, ts: records.Created(seq=seq, id="x", ts=ts))

    def test_nothingSaid(self) -> None:
        """A session in which nothing could be said was none."""
        self.lab.conversations.stop()
        bob = self.lab.client()
        self.assertEqual(bob.code("chat.send_stream", text="q", session_key="s"), -32030)
        self.successResultOf(self.lab.sessions.get_or_make(key("t")))
        self.assertEqual(bob.call("session.list")["sessions"], [])

    def test_halfDeleted(self) -> None:
        """A session that could not be removed behind its tombstone is removed when somebody wants it again."""
        self.fill("s")

        def locked(path: str) -> None:
            raise PermissionError(1, "Operation not permitted")

        unlink = os.unlink
        self.patch(os, "unlink", locked)
        bob = self.lab.client()
        self.assertEqual(bob.code("session.delete", session_key="s"), -32603)
        self.assertEqual(len(self.flushLoggedErrors(WriteFailed)), 1)
        self.patch(os, "unlink", unlink)
        self.assertEqual(bob.call("chat.send_stream", text="new", session_key="s")["seq"], 1)
        self.assertEqual(len(bob.call("chat.history", session_key="s")["messages"]), 1)

    def test_interrupted(self) -> None:
        """Runs that were cut are marked once, before anybody sees the session."""
        bob = self.lab.client()
        for _ in range(2):
            bob.call("chat.send_stream", text="q", session_key="s")
        for _ in range(2):
            session = self.successResultOf(self.again().sessions.get(key("s")))
            self.assertEqual((session.durable_seq, session.index.runs), (4, {}))

    def test_damage(self) -> None:
        """A damaged record is told as one, and everything else is there."""
        self.fill("s", "s")
        path = Path(self.files()[0])
        made = path.read_bytes().split(b"\n")
        made[2] = made[2].replace(b'"final"', b'"fatal"')
        path.write_bytes(b"\n".join(made))
        bob = self.again().client()
        told = [(one["seq"], one["state"]) for one in bob.call("chat.history", session_key="s")["messages"]]
        # The end of the first run is what was damaged, so it counts as cut.
        self.assertEqual(told, [(1, "complete"), (2, "damaged"), (3, "complete"), (4, "complete"), (5, "interrupted")])
        events = bob.call("events.replay", session_key="s")["events"]
        self.assertEqual([one["seq"] for one in events], [1, 2, 3, 4, 5])

    def test_unreadable(self) -> None:
        """A session that cannot be read is an error, never an empty one, and nothing is written over it."""
        self.fill("s")
        lab = self.again()
        (path,) = self.files()
        os.rename(path, f"{path}.moved")
        os.mkdir(path)
        self.failureResultOf(lab.sessions.get(key("s")), InternalError)
        self.assertEqual(lab.client().code("chat.send_stream", text="q", session_key="s"), -32603)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
        os.rmdir(path)
        os.rename(f"{path}.moved", path)
        self.successResultOf(lab.sessions.get(key("s")))

    def test_capped(self) -> None:
        """There are so many sessions and no more; those that are there go on."""
        self.with_limits(assistant_sessions=1)
        self.fill("a")
        self.failureResultOf(self.lab.sessions.get_or_make(key("b")), Overloaded)
        self.fill("a")

    def test_folder(self) -> None:
        """A folder that cannot be used is said at the start."""
        self.lab.sessions._folder = "/proc/nowhere"
        self.assertRaises(CredentialError, self.lab.sessions.load)
