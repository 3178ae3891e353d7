"""Tests of L{anp_twisted.workforce}: orders of a crew become processes, and what becomes of them its news."""

from __future__ import annotations

import sys
from typing import Any, cast

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import workforce
from anp_twisted.limits import Limits
from anp_twisted.workers import Crew, Fault, Word, Worker
from anp_twisted.workforce import Child, Start, Workforce, how_it_ended


class Process:
    """
    What stands for a process.

    @ivar heard: what was written to it.
    @ivar killed: how often.
    """

    def __init__(self, child: Child, arguments: list[str], more: dict[str, Any]) -> None:
        self.child = child
        self.arguments = arguments
        self.more = more
        self.pid = 7
        self.heard: list[bytes] = []
        self.killed = 0
        self.gone = False
        child.makeConnection(self)

    def writeToChild(self, childFD: int, data: bytes) -> None:
        self.heard.append(data)

    def signalProcess(self, signalID: str) -> None:
        if self.gone:
            raise error.ProcessExitedAlready
        self.killed += 1


class Reactor(Clock):
    """Time, and processes, or none to be had."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []
        self.refuses = False

    def spawnProcess(self, child: Child, executable: str, arguments: list[str], **more: Any) -> Process:
        if self.refuses:
            raise OSError(11, "Resource temporarily unavailable")
        assert executable == sys.executable
        self.processes.append(Process(child, arguments, more))
        return self.processes[-1]


class Mine(Workforce[Child]):
    """
    One of the tests.

    @ivar surrendered: why it gave up.
    """

    def __init__(self, crew: Crew, reactor: Any, limits: Limits) -> None:
        super().__init__(crew, reactor, limits)
        self.surrendered: list[str] = []

    def start_of(self, worker: Worker) -> Start:
        return Start(boot="pass", name=f"mine-{worker.number}", pipes={0: "w", 5: 9}, folder="/somewhere")

    def child_of(self, worker: Worker) -> Child:
        return Child(worker)

    def line_for(self, word: Word) -> bytes:
        return word.name.encode()

    def surrender(self, text: str) -> None:
        self.surrendered.append(text)


class WorkforceTests(SynchronousTestCase):
    """Two workers."""

    def setUp(self) -> None:
        self.lines: list[str] = []
        observer = cast(ILogObserver, self._observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.reaped = 0
        self.patch(workforce, "reapAllProcesses", self._reap)
        self.reactor = Reactor()
        self.limits = Limits()
        self.force = Mine(Crew(2, self.limits, draw=lambda: 1.0), self.reactor, self.limits)
        self.force.startService()

    def _observe(self, event: LogEvent) -> None:
        if "workforce" in str(event.get("log_namespace")):
            self.lines.append(formatEvent(event))

    def _reap(self) -> None:
        self.reaped += 1

    def ends(self, process: Process, how: str = "ended with status 0") -> None:
        process.gone = True
        self.force.exited(process.child.worker, how)

    def test_start(self) -> None:
        """The interpreter with its import system, in its folder, with the pipes as wanted."""
        for number, process in enumerate(self.reactor.processes, 1):
            self.assertEqual(process.arguments, [sys.executable, "-P", "-c", "pass", f"mine-{number}", *sys.path])
            self.assertEqual(process.more, {"env": None, "path": "/somewhere", "childFDs": {0: "w", 5: 9}})
        self.assertEqual(self.lines[:1], ["worker 1 starts, process 7"])

    def test_death(self) -> None:
        """One that dies is replaced when the time has come."""
        self.force.is_ready(self.reactor.processes[0].child.worker)
        self.ends(self.reactor.processes[0], "was ended by signal 9")
        self.assertEqual(self.lines[-1], "worker 1 was ended by signal 9; a new one starts in 0.5 s")
        self.reactor.advance(0.4)
        self.assertEqual(len(self.reactor.processes), 2)
        self.reactor.advance(0.2)
        self.assertEqual(self.reactor.processes[2].child.worker.number, 1)
        self.assertEqual(len(self.force.children), 2)

    def test_no_process(self) -> None:
        """A machine that can start no process is asked again."""
        self.force.is_ready(self.reactor.processes[0].child.worker)
        self.reactor.refuses = True
        self.ends(self.reactor.processes[0])
        self.reactor.advance(0.5)
        self.assertIn("could not be started: Resource temporarily unavailable", self.lines[-1])
        self.assertEqual(len(self.force.children), 1)
        self.reactor.refuses = False
        self.reactor.pump([0.1] * 20)
        self.assertEqual(len(self.force.children), 2)

    def test_surrender(self) -> None:
        """When none can do its work there is no use in going on."""
        for process in list(self.reactor.processes):
            self.force.failed(process.child.worker, Fault("no such module", False))
            self.ends(process)
        self.assertEqual(self.force.surrendered, ["no such module"])

    def test_new_version(self) -> None:
        """The old ones are told to leave when the new ones work."""
        for process in self.reactor.processes:
            self.force.is_ready(process.child.worker)
        self.force.changed()
        self.assertEqual((len(self.reactor.processes), self.reactor.processes[0].heard), (4, []))
        self.force.is_ready(self.reactor.processes[2].child.worker)
        self.assertEqual(self.reactor.processes[0].heard, [b"DRAIN"])

    def test_stop(self) -> None:
        """Workers drain, hurry and are killed; when the last is gone nothing is left, no timer either."""
        stopped = self.force.stopService()
        first, second = self.reactor.processes
        self.ends(first)
        self.force.stop_at_once()
        self.assertEqual((first.heard, second.heard), ([b"DRAIN"], [b"DRAIN", b"HURRY"]))
        self.assertNoResult(stopped)
        self.reactor.pump([1.0] * 4)
        self.assertEqual((first.killed, second.killed), (0, 1))
        self.ends(second)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_reaps(self) -> None:
        """It looks for ended processes by itself, since on uvloop nobody tells."""
        self.reactor.pump([self.limits.worker_look] * 3)
        self.assertEqual(self.reaped, 3)

    def tearDown(self) -> None:
        if self.force.running:
            self.force.stopService()
        for process in self.reactor.processes:
            if not process.gone:
                self.ends(process)


class ChildTests(SynchronousTestCase):
    """One process."""

    def test_deaf(self) -> None:
        """One that has closed its input, or has just ended, is told nothing and cannot be killed."""
        process = Process(Child(Worker(1)), [], {})
        process.child.write(b"a")
        process.child.childConnectionLost(2)
        process.child.write(b"b")
        process.child.childConnectionLost(0)
        process.child.write(b"c")
        process.gone = True
        process.child.kill()
        self.assertEqual((process.heard, process.killed), ([b"a", b"b"], 0))

    def test_words(self) -> None:
        """How it ended: status or signal."""
        self.assertEqual(how_it_ended(error.ProcessDone(0)), "ended with status 0")
        self.assertEqual(how_it_ended(error.ProcessTerminated(3)), "ended with status 3")
        self.assertEqual(how_it_ended(error.ProcessTerminated(None, 11)), "was ended by signal 11")
        self.assertEqual(how_it_ended(Failure(error.ProcessDone(0)).value), "ended with status 0")
