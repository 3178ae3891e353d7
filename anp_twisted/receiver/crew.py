"""
The workers of a receiver as a Twisted service: starts processes, hears them, ends them.

L{Crew} decides; this carries out its orders and owns its one timer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import ANPError, AppStartError
from anp_twisted.receiver.reports import (
    REPORTS,
    Assignment,
    Failed,
    Lines,
    Linked,
    Logged,
    Reached,
    assignment_line,
    read_report,
)
from anp_twisted.workers import Crew, Fault, GiveUp, Kill, Order, Phase, Say, Spawn, Tell, Worker

_BOOT: Final = "import sys; sys.path[:] = sys.argv[2:]; from anp_twisted.receiver.worker import main; main()"
"""
What a worker runs. Not C{-m}: the modules of the application's folder are not to
be found before those of the library, and a package that only this process finds,
in the folder it was started from, has to be found there too.
"""

_TAIL: Final = 1.0
"""Seconds for the last lines of a worker that is gone, whose pipes a child of its own may keep open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """
    What a crew takes from the process it runs in.

    @ivar reactor: starts processes, and has the time.
    @ivar folder: where the workers run.
    @ivar write: takes lines for the log that are complete.
    @ivar announce: gets the public URL, each time a worker's link is open.
    @ivar give_up: ends the process.
    """

    reactor: Any
    folder: str
    write: Callable[[str], None]
    announce: Callable[[str], None]
    give_up: Callable[[ANPError], None]


class WorkerProcess(ProcessProtocol):
    """One process: its pipes, and its end, which is told once."""

    log = Logger()

    def __init__(self, crew: CrewService, worker: Worker) -> None:
        self._crew = crew
        self._worker = worker
        most = crew.limits.worker_line
        printed = Lines(most, self._printed)
        self._streams = {1: printed, 2: Lines(most, self._printed), REPORTS: Lines(8 * most, self._reported)}
        self._tail: IDelayedCall | None = None
        self._listens = True

    def connectionMade(self) -> None:
        """Tell it what to do."""
        self.tell(assignment_line(self._crew.assignment(self._worker)))

    def tell(self, line: bytes) -> None:
        """Write to it, if it still listens."""
        assert self.transport is not None
        if self._listens:
            self.transport.writeToChild(0, line)

    def childConnectionLost(self, childFD: int) -> None:
        """Note when it cannot hear any more."""
        self._listens = self._listens and childFD != 0

    def kill(self) -> None:
        """End it by force."""
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Cut what it said into lines."""
        self._streams[childFD].feed(data)

    def _printed(self, line: bytes) -> None:
        """Log what went past its own log: a crash of the interpreter, or a program that it started."""
        text = line.decode("utf-8", "replace").rstrip()
        self.log.info("worker {number}: {text}", number=self._worker.number, text=text)

    def _reported(self, line: bytes) -> None:
        """Pass on what it reports."""
        match read_report(line):
            case Linked():
                self._crew.linked(self._worker)
            case Reached(url=url):
                self._crew.post.announce(url)
            case Failed(text=text, final=final):
                self._crew.failed(self._worker, Fault(text, final))
            case Logged(lines=lines):
                self._crew.post.write(lines)
            case None:
                self._printed(line)

    def processExited(self, reason: Failure) -> None:
        """Wait a moment for its last lines; not longer, since others may hold its pipes open."""
        self._tail = self._crew.post.reactor.callLater(_TAIL, self._over, reason)

    def processEnded(self, reason: Failure) -> None:
        """Everything was read."""
        if self._tail is not None:
            self._tail.cancel()
            self._over(reason)

    def _over(self, reason: Failure) -> None:
        """Tell that it is gone."""
        self._tail = None
        for lines in self._streams.values():
            lines.end()
        self._crew.exited(self._worker, how_it_ended(reason.value))


def how_it_ended(reason: object) -> str:
    """
    @param reason: what Twisted says of a process that is gone.
    @return: completes "worker 1 …".
    """
    if isinstance(reason, ProcessTerminated):
        if reason.signal is not None:
            return f"was ended by signal {reason.signal}"
        return f"ended with status {reason.exitCode}"
    assert isinstance(reason, ProcessDone)
    return "ended with status 0"


class CrewService(Service):
    """
    The service.

    @ivar crew: decides what is to be done.
    @ivar post: the process it runs in.
    @ivar limits: the caps.
    """

    log = Logger()

    def __init__(self, crew: Crew, settings: ReceiverSettings, post: Post) -> None:
        """
        @param settings: for each worker.
        """
        self.crew = crew
        self.post = post
        self.limits = settings.limits()
        self._settings = settings
        self._processes: dict[Worker, WorkerProcess] = {}
        self._timer: IDelayedCall | None = None
        self._reaping = LoopingCall(reapAllProcesses)
        self._reaping.clock = post.reactor
        self._stopped: Deferred[None] | None = None

    def startService(self) -> None:
        """Start the workers."""
        super().startService()  # type: ignore[no-untyped-call]
        # uvloop takes the wake-up descriptor of signals for itself, so that Twisted does not hear of SIGCHLD.
        self._reaping.start(self.limits.worker_look, now=False)
        self.crew.start()
        self._carry_out()

    def stopService(self) -> Deferred[None]:
        """
        Let the workers drain.

        @return: fires when none is left.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self.crew.stop(self._now())
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        self._carry_out()
        return stopped

    def stop_at_once(self) -> None:
        """Wait no longer for anything; only while stopping."""
        self.crew.hurry(self._now())
        self._carry_out()

    def changed(self) -> None:
        """The application was changed: start its new version."""
        self.crew.changed(self._now())
        self._carry_out()

    # --- from the processes ---------------------------------------------

    def assignment(self, worker: Worker) -> Assignment:
        """
        @return: what a worker is to do.
        """
        return Assignment(number=worker.number, folder=self.post.folder, settings=self._settings)

    def linked(self, worker: Worker) -> None:
        """The link of a worker is open."""
        self.crew.ready(worker, self._now())
        self._carry_out()

    def failed(self, worker: Worker, fault: Fault) -> None:
        """A worker cannot do its work."""
        self.crew.failed(worker, fault, self._now())
        self._carry_out()

    def exited(self, worker: Worker, how: str) -> None:
        """A process is gone."""
        del self._processes[worker]
        self.crew.exited(worker, how, self._now())
        self._carry_out()

    # --- from the crew --------------------------------------------------

    def _carry_out(self) -> None:
        """Do what the crew wants, then wait for what it waits for."""
        while orders := self.crew.take():
            for order in orders:
                self._do(order)
        self._wait()
        if self.crew.phase is Phase.STOPPED and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            self._reaping.stop()
            stopped.callback(None)

    def _do(self, order: Order) -> None:
        match order:
            case Spawn(worker=worker):
                self._spawn(worker)
            case Tell(worker=worker, word=word):
                self._processes[worker].tell(word.value)
            case Kill(worker=worker):
                self._processes[worker].kill()
            case Say(level=level, text=text):
                self.log.emit(LogLevel.lookupByName(level), "{text}", text=text)
            case GiveUp(text=text):
                self.post.give_up(AppStartError(text))

    def _spawn(self, worker: Worker) -> None:
        """Start a process: the interpreter, the settings of its import system, and nothing secret."""
        process = self._processes[worker] = WorkerProcess(self, worker)
        arguments = [sys.executable, "-P", "-c", _BOOT, f"anp-receiver-worker-{worker.number}", *sys.path]
        pipes: dict[int, Any] = {0: "w", 1: "r", 2: "r", REPORTS: "r"}
        try:
            transport: IProcessTransport = self.post.reactor.spawnProcess(
                process, sys.executable, arguments, env=None, path=self.post.folder, childFDs=pipes
            )
        except OSError as error:
            self.crew.exited(worker, f"could not be started: {error.strerror}", self._now())
            del self._processes[worker]
            return
        self.log.info("worker {number} starts, process {pid}", number=worker.number, pid=transport.pid)

    def _wait(self) -> None:
        """Have one timer for what is due next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.crew.due()
        if due is not None:
            self._timer = self.post.reactor.callLater(max(0.0, due - self._now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.crew.tick(self._now())
        self._carry_out()

    def _now(self) -> float:
        now: float = self.post.reactor.seconds()
        return now
