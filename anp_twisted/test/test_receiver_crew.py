"""Tests of L{anp_twisted.receiver.crew}: everything but the processes."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import ANPError
from anp_twisted.receiver.crew import CrewService, Post, WorkerProcess
from anp_twisted.receiver.reports import (
    REPORTS,
    Failed,
    Linked,
    Logged,
    Reached,
    Report,
    read_assignment,
    report_line,
)
from anp_twisted.workers import Crew

SECRET = "a-secret-that-nobody-may-see"


class Process:
    """
    What stands for a process: it keeps what it is told.

    @ivar heard: what was written to it.
    @ivar signals: what it was sent.
    """

    def __init__(self, protocol: WorkerProcess, arguments: list[str], more: dict[str, Any], pid: int) -> None:
        self.protocol = protocol
        self.arguments = arguments
        self.more = more
        self.pid = pid
        self.heard = b""
        self.signals: list[str] = []
        self.gone = False

    def writeToChild(self, childFD: int, data: bytes) -> None:
        assert childFD == 0 and not self.gone
        self.heard += data

    def signalProcess(self, signalID: str) -> None:
        if self.gone:
            raise error.ProcessExitedAlready
        self.signals.append(signalID)

    def says(self, report: Report) -> None:
        """Report something, in two pieces."""
        line = report_line(report)
        self.protocol.childDataReceived(REPORTS, line[:3])
        self.protocol.childDataReceived(REPORTS, line[3:])

    def ends(self, reason: Exception, *, pipes: bool = True) -> None:
        """End, with all pipes closed or some still open."""
        self.gone = True
        self.protocol.childConnectionLost(0)
        self.protocol.processExited(Failure(reason))
        if pipes:
            self.protocol.processEnded(Failure(reason))


class Reactor(Clock):
    """A clock that starts processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []
        self.refuses = False

    def spawnProcess(self, protocol: WorkerProcess, executable: str, arguments: list[str], **more: Any) -> Process:
        if self.refuses:
            raise OSError(11, "Resource temporarily unavailable")
        assert executable == sys.executable
        process = Process(protocol, arguments, more, 100 + len(self.processes))
        self.processes.append(process)
        protocol.makeConnection(process)
        return process


@implementer(ILogObserver)
class Lines(list[str]):
    """What the crew logs."""

    def __call__(self, event: LogEvent) -> None:
        if "crew" in str(event.get("log_namespace")):
            self.append(formatEvent(event))


class CrewServiceTests(SynchronousTestCase):
    """Orders are carried out, and what processes say is passed on."""

    def setUp(self) -> None:
        self.lines = Lines()
        globalLogPublisher.addObserver(self.lines)
        self.addCleanup(globalLogPublisher.removeObserver, self.lines)
        self.reactor = Reactor()
        self.written: list[str] = []
        self.urls: list[str] = []
        self.given_up: list[ANPError] = []
        settings = ReceiverSettings(app=("m:app",), token=SECRET, workers=2)
        post = Post(
            reactor=self.reactor,
            folder="/somewhere",
            write=self.written.append,
            announce=self.urls.append,
            give_up=self.given_up.append,
        )
        self.service = CrewService(Crew(2, settings.limits(), draw=lambda: 1.0), settings, post)
        self.service.startService()

    def process(self, index: int) -> Process:
        return self.reactor.processes[index]

    def test_starts(self) -> None:
        """Each process gets its number and the settings by its pipe, and nothing secret by its arguments."""
        for number, process in enumerate(self.reactor.processes, 1):
            assignment = read_assignment(process.heard)
            self.assertEqual(
                (assignment.number, assignment.folder, assignment.settings.token), (number, "/somewhere", SECRET)
            )
            self.assertNotIn(SECRET, " ".join(process.arguments))
            self.assertEqual((process.more["path"], process.more["env"]), ("/somewhere", None))
        self.assertIn("worker 2 starts, process 101", self.lines)

    def test_reports(self) -> None:
        """URLs and log lines are passed on; what is printed past the log is logged with the number."""
        process = self.process(1)
        process.says(Linked())
        process.says(Reached("http://x/"))
        process.says(Logged("a line\n    more of it"))
        self.assertEqual((self.urls, self.written), (["http://x/"], ["a line\n    more of it"]))
        process.protocol.childDataReceived(1, b"pri")
        process.protocol.childDataReceived(2, b"Fatal Python error\n")
        process.protocol.childDataReceived(1, b"nted\xff\n")
        process.protocol.childDataReceived(REPORTS, b"no report\n")
        self.assertEqual(
            self.lines[-3:], ["worker 2: Fatal Python error", "worker 2: printed\ufffd", "worker 2: no report"]
        )

    def test_restarts(self) -> None:
        """One that dies is replaced when the time has come; its last words are logged."""
        self.process(0).says(Linked())
        self.process(0).protocol.childDataReceived(2, b"oh")
        self.process(0).ends(error.ProcessTerminated(None, 9))
        self.assertIn("worker 1: oh", self.lines)
        self.assertIn("worker 1 was ended by signal 9; a new one starts in 0.5 s", self.lines)
        self.reactor.advance(0.4)
        self.assertEqual(len(self.reactor.processes), 2)
        self.reactor.advance(0.2)
        self.assertEqual(read_assignment(self.process(2).heard).number, 1)

    def test_pipes_stay_open(self) -> None:
        """A child of the worker that keeps its pipes open delays that for a moment only."""
        self.process(0).ends(error.ProcessTerminated(1), pipes=False)
        self.assertFalse([line for line in self.lines if "ended with status 1" in line])
        self.reactor.advance(1.0)
        self.assertTrue([line for line in self.lines if "ended with status 1" in line])
        self.process(0).protocol.processEnded(Failure(error.ProcessTerminated(1)))
        self.assertEqual(len(self.service.crew.workers), 1)

    def test_cannot_start(self) -> None:
        """A machine that can start no process is asked again later."""
        self.process(0).says(Linked())
        self.reactor.refuses = True
        self.process(0).ends(error.ProcessDone(0))
        self.reactor.advance(0.5)
        self.assertTrue([line for line in self.lines if "could not be started: Resource temp" in line], self.lines)
        self.reactor.refuses = False
        self.reactor.pump([0.1] * 20)
        self.assertEqual(len(self.reactor.processes), 3)

    def test_gives_up(self) -> None:
        """When no worker can start, the program ends for the reason that they told."""
        for process in self.reactor.processes:
            process.says(Failed("no such module", final=False))
            process.ends(error.ProcessTerminated(1))
        self.assertEqual([str(one) for one in self.given_up], ["no such module"])

    def test_changed(self) -> None:
        """A new version is started beside the one that serves, which is told to leave when that one serves."""
        for process in self.reactor.processes:
            process.says(Linked())
        self.service.changed()
        self.assertEqual(len(self.reactor.processes), 4)
        self.assertFalse(self.process(0).heard.endswith(b"drain\n"))
        self.process(2).says(Linked())
        self.assertTrue(self.process(0).heard.endswith(b"\ndrain\n"))

    def test_stops(self) -> None:
        """Each is told to drain, then to hurry, then killed; it has stopped when the last is gone."""
        stopped = self.service.stopService()
        self.process(0).ends(error.ProcessDone(0))
        self.service.stop_at_once()
        self.assertTrue(self.process(0).heard.endswith(b"\ndrain\n"))
        self.assertTrue(self.process(1).heard.endswith(b"\ndrain\nhurry\n"))
        self.assertNoResult(stopped)
        self.reactor.pump([1.0] * 4)
        self.assertEqual((self.process(0).signals, self.process(1).signals), ([], ["KILL"]))
        self.process(1).ends(error.ProcessTerminated(None, 9))
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_deaf(self) -> None:
        """One that has closed its input, or has just ended, is told nothing and cannot be killed."""
        self.process(0).gone = True
        self.process(0).protocol.childConnectionLost(0)
        self.service.stopService()
        self.process(0).protocol.kill()
        self.assertEqual(self.process(0).signals, [])

    def tearDown(self) -> None:
        if self.service.running:
            self.service.stopService()
        for process in self.reactor.processes:
            if not process.gone:
                process.ends(error.ProcessDone(0))
