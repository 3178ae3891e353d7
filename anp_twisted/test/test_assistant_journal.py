"""Tests of the journal."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.journal import Journal, WriteFailed
from anp_twisted.test.assistantlab import Disk


class JournalTests(SynchronousTestCase):
    """Batches."""

    def setUp(self) -> None:
        """Make a folder and a disk that is slow."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.disk = Disk()
        self.disk.held = True
        self.journal = Journal(self.disk)
        self.syncs: list[int] = []
        self.patch(os, "fsync", self.syncs.append)

    def path(self, name: str) -> str:
        """Name a file."""
        return str(self.folder / name)

    def text(self, name: str) -> str:
        """Read a file."""
        return (self.folder / name).read_text()

    def test_groups(self) -> None:
        """While the disk is busy everything waits, and is one write and one sync a file then."""
        first = self.journal.append(self.path("a"), b"1\n")
        rest = [self.journal.append(self.path(name), b"%d\n" % n) for n in range(2, 6) for name in ("a", "b")]
        self.disk.release()
        self.assertIsNone(self.successResultOf(first))
        self.assertEqual(self.text("a"), "1\n")
        self.assertNoResult(rest[0])
        syncs = len(self.syncs)
        self.disk.release()
        for one in rest:
            self.successResultOf(one)
        self.assertEqual(self.text("a"), "1\n2\n3\n4\n5\n")
        self.assertEqual(self.text("b"), "2\n3\n4\n5\n")
        self.assertEqual(len(self.syncs) - syncs, 3)  # each file, and the folder that has a new one
        self.assertEqual(self.journal.waiting, 0)

    def test_mode(self) -> None:
        """Nobody else may read what is said."""
        self.journal.append(self.path("a"), b"x")
        self.disk.release()
        self.assertEqual(os.stat(self.path("a")).st_mode & 0o777, 0o600)

    def test_order(self) -> None:
        """What is done besides has its turn: a file that was removed in between begins anew."""
        self.journal.append(self.path("a"), b"1\n")
        removing = self.journal.run(self.path("a"), lambda: os.unlink(self.path("a")))
        self.journal.append(self.path("a"), b"2\n")
        self.disk.release()
        self.disk.release()
        self.successResultOf(removing)
        self.assertEqual(self.text("a"), "2\n")

    def test_failure(self) -> None:
        """A batch that fails leaves the file as it was, and what waits behind it fails, too; other files do not."""
        self.successResultOf(self._written("a", b"1\n"))

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)
        failing = self.journal.append(self.path("a"), b"2\n")
        behind = self.journal.append(self.path("a"), b"3\n")
        other = self.journal.append(self.path("b"), b"4\n")
        self.disk.release()
        self.patch(os, "fsync", self.syncs.append)
        self.failureResultOf(failing, WriteFailed)
        self.failureResultOf(behind, WriteFailed)
        self.disk.release()
        self.successResultOf(other)
        self.assertEqual(self.text("a"), "1\n")
        self.successResultOf(self._written("a", b"5\n"))
        self.assertEqual(self.text("a"), "1\n5\n")

    def _written(self, name: str, data: bytes) -> Deferred[None]:
        """Write at once."""
        done = self.journal.append(self.path(name), data)
        self.disk.release()
        return done

    def test_drained(self) -> None:
        """Whoever waits for the end waits for what comes meanwhile, too."""
        self.successResultOf(self.journal.drained())
        self.journal.append(self.path("a"), b"1\n")
        drained = self.journal.drained()
        self.journal.append(self.path("a"), b"2\n")
        self.disk.release()
        self.assertNoResult(drained)
        self.disk.release()
        self.successResultOf(drained)

    def test_reentrant(self) -> None:
        """Who is told of a write may write again, and one who fails hinders nobody."""
        done = self.journal.append(self.path("a"), b"1\n")
        done.addCallback(lambda ignored: self.journal.append(self.path("a"), b"2\n"))
        self.disk.release()
        self.disk.release()
        self.successResultOf(done)
        self.assertEqual(self.text("a"), "1\n2\n")
