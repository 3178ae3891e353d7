"""Tests for L{anp_twisted.assistant.channels.outboxfile}."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.outbox import Done, Entry
from anp_twisted.assistant.channels.outboxfile import OutboxFile, replace_file
from anp_twisted.assistant.channels.outboxlog import Recovered
from anp_twisted.assistant.journal import Journal, WriteFailed
from anp_twisted.limits import Limits
from anp_twisted.test.channellab import journal, outbound


class OutboxFileTests(SynchronousTestCase):
    """What a second process finds of what the first one wrote."""

    def setUp(self) -> None:
        """A folder."""
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.path = os.path.join(self.folder, "x.jsonl")
        self.now = 1000.0

    def file(self, limits: Limits | None = None, writer: Journal | None = None) -> OutboxFile:
        """The file as a process has it."""
        return OutboxFile(self.path, writer or journal(), lambda: self.now, limits or Limits())

    def put(self, file: OutboxFile, *names: str) -> None:
        """Put messages; they are on disk then."""
        self.assertIsNone(self.successResultOf(file.put([(name, outbound(name=name)) for name in names])))

    def done(self, file: OutboxFile, name: str) -> None:
        """Be done with a message."""
        file.done(Entry(name, outbound(name=name), 0.0), Done.SENT)

    def found(self) -> Recovered:
        """What another process finds."""
        return self.file().load()

    def test_nothing(self) -> None:
        """Without a file there is nothing, and none is made."""
        self.assertEqual((self.found(), os.listdir(self.folder)), (Recovered(), []))

    def test_recovery(self) -> None:
        """What was put and not done with is found, with its age; what was done with is known."""
        file = self.file()
        self.put(file, "1", "2")
        self.done(file, "1")
        self.now = 1060.0
        again = self.file()
        found = again.load()
        self.assertEqual(([one.id for one in found.live], [one.id for one in found.done]), (["2"], ["1"]))
        self.assertEqual(again.age(found.live[0]), 60.0)
        self.now = 0.0
        self.assertEqual(again.age(found.live[0]), 0.0)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_torn(self) -> None:
        """A torn end and a damaged line are put aside, once; the rest is there, and writing goes on behind it."""
        file = self.file()
        self.put(file, "1", "2")
        with open(self.path, "ab") as end:
            end.write(b'{"type":"put","id":"3"')
        again = self.file()
        self.assertEqual(len(again.load().bad), 1)
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        self.put(again, "4")
        found = self.found()
        self.assertEqual(([one.id for one in found.live], found.bad), (["1", "2", "4"], []))
        with open(f"{self.path}.bad", "rb") as bad:
            self.assertEqual(bad.read(), b'{"type":"put","id":"3"\n')

    def test_rewritten(self) -> None:
        """A file that grows is written anew, without what was done with long ago, and loses nothing that is live."""
        file = self.file(Limits(outbox_rewrite=2000, outbox_remembered=3))
        self.put(file, "live")
        for number in range(200):
            self.put(file, str(number))
            self.done(file, str(number))
        self.assertLess(os.path.getsize(self.path), 4000)
        self.assertEqual(file.size, os.path.getsize(self.path))
        found = self.found()
        self.assertEqual([one.id for one in found.live], ["live"])
        self.assertEqual(found.done[-1].id, "199")

    def test_rewrittenWhileWriting(self) -> None:
        """What waits to be written when the file is written anew is in it."""
        waiting: list[Deferred[object]] = []

        def off(work: object) -> Deferred[object]:
            assert callable(work)
            waiting.append(Deferred().addCallback(lambda ignored: work()))
            return waiting[-1]

        file = self.file(Limits(outbox_rewrite=10, outbox_remembered=1), Journal(off))
        putting = file.put([("1", outbound()), ("2", outbound())])
        self.done(file, "1")
        self.noResult(putting)
        later = file.put([("3", outbound())])
        while waiting:
            waiting.pop(0).callback(None)
        self.successResultOf(putting)
        self.successResultOf(later)
        self.assertEqual([one.id for one in self.found().live], ["2", "3"])

    def noResult(self, waiting: Deferred[None]) -> None:
        """It has not fired."""
        self.assertNoResult(waiting)

    def test_diskFull(self) -> None:
        """What is not on disk is not put, now or later; that a message was done with is only logged."""
        file = self.file(writer=Journal(lambda work: fail(OSError("full"))))
        self.failureResultOf(file.put([("1", outbound())]), OSError, WriteFailed)
        self.done(file, "0")
        self.put(OutboxFile(self.path, journal(), lambda: 0.0, Limits()), "2")
        self.assertEqual([one.id for one in self.found().live], ["2"])

    def test_replace(self) -> None:
        """A file is replaced whole, and nothing else stays."""
        replace_file(self.path, b"one")
        replace_file(self.path, b"two")
        with open(self.path, "rb") as file:
            self.assertEqual((file.read(), os.listdir(self.folder)), (b"two", ["x.jsonl"]))
