"""
The workers of a receiver as a Twisted service: what they are to do, and what they report.

L{Crew} decides, and L{Workforce} carries out its orders.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
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
from anp_twisted.workers import Crew, Fault, Word, Worker
from anp_twisted.workforce import Child, Start, Workforce, how_it_ended

_BOOT: Final = "import sys; sys.path[:] = sys.argv[2:]; from anp_twisted.receiver.worker import main; main()"

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


class WorkerProcess(Child):
    """One process: its pipes, and its end, which is told once."""

    log = Logger()

    def __init__(self, crew: CrewService, worker: Worker) -> None:
        super().__init__(worker)
        self._crew = crew
        most = crew.limits.worker_line
        printed = Lines(most, self._printed)
        self._streams = {1: printed, 2: Lines(most, self._printed), REPORTS: Lines(8 * most, self._reported)}
        self._tail: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Tell it what to do."""
        self.write(assignment_line(self._crew.assignment(self.worker)))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Cut what it said into lines."""
        self._streams[childFD].feed(data)

    def _printed(self, line: bytes) -> None:
        """Log what went past its own log: a crash of the interpreter, or a program that it started."""
        text = line.decode("utf-8", "replace").rstrip()
        self.log.info("worker {number}: {text}", number=self.worker.number, text=text)

    def _reported(self, line: bytes) -> None:
        """Pass on what it reports."""
        match read_report(line):
            case Linked():
                self._crew.is_ready(self.worker)
            case Reached(url=url):
                self._crew.post.announce(url)
            case Failed(text=text, final=final):
                self._crew.failed(self.worker, Fault(text, final))
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
        self._crew.exited(self.worker, how_it_ended(reason.value))


class CrewService(Workforce[WorkerProcess]):
    """
    The service.

    @ivar post: the process it runs in.
    """

    log = Logger()

    def __init__(self, crew: Crew, settings: ReceiverSettings, post: Post) -> None:
        """
        @param settings: for each worker.
        """
        super().__init__(crew, post.reactor, settings.limits())
        self.post = post
        self._settings = settings

    def start_of(self, worker: Worker) -> Start:
        """Two pipes for what it prints, and one for what it reports."""
        pipes: dict[int, Any] = {0: "w", 1: "r", 2: "r", REPORTS: "r"}
        name = f"anp-receiver-worker-{worker.number}"
        return Start(boot=_BOOT, name=name, pipes=pipes, folder=self.post.folder)

    def child_of(self, worker: Worker) -> WorkerProcess:
        """One that reports as receivers do."""
        return WorkerProcess(self, worker)

    def line_for(self, word: Word) -> bytes:
        """The word itself is a line."""
        return word.value

    def surrender(self, text: str) -> None:
        """There is no application to serve."""
        self.post.give_up(AppStartError(text))

    def assignment(self, worker: Worker) -> Assignment:
        """
        @return: what a worker is to do.
        """
        return Assignment(number=worker.number, folder=self.post.folder, settings=self._settings)
