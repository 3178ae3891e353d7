"""
A gateway of several processes: starts workers, hears them, ends them.

L{Crew} decides how many there are, L{Cover} who accepts for whom; this carries it
out. It takes no request itself. Its page shows the figures of all workers.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from anp_twisted.auth.tokens import read_or_make
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import ANPError, SettingsError
from anp_twisted.gateway.cover import Cover, Turn
from anp_twisted.gateway.listener import Listener
from anp_twisted.gateway.reports import (
    REPORTS,
    Accept,
    Assignment,
    Command,
    Drain,
    Failed,
    Figures,
    Hurry,
    Leaving,
    Ready,
    Show,
    assignment_line,
    follow,
    line_of,
    read_report,
)
from anp_twisted.gateway.sockets import bind_group, family_of
from anp_twisted.gateway.totals import condition_of, totals
from anp_twisted.reloading import Commit
from anp_twisted.transports.tls import context_of
from anp_twisted.workers import Crew, Fault, GiveUp, Kill, Order, Phase, Say, Spawn, Tell, Word, Worker

_BOOT: Final = "import sys; sys.path[:] = sys.argv[2:]; from anp_twisted.gateway.worker import main; main()"
"""What a worker runs; not C{-m}, which would look for modules in the current folder first."""

_FIGURES: Final = 256
"""How much longer than a line of the log a report may be."""

_WORDS: Final[dict[Word, Command]] = {Word.DRAIN: Drain(), Word.HURRY: Hurry()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """
    What a fleet takes from the process it runs in.

    @ivar reactor: starts processes, and has the time.
    @ivar token: what receivers show.
    @ivar write: takes lines for the log that are complete.
    @ivar announce: gets the public URL when a worker accepts.
    @ivar give_up: ends the process.
    """

    reactor: Any
    token: str
    write: Callable[[str], None]
    announce: Callable[[str], None]
    give_up: Callable[[ANPError], None]


class WorkerProcess(ProcessProtocol):
    """
    One worker: its pipes, and its end.

    @ivar worker: what the crew knows of it.
    """

    def __init__(self, fleet: Fleet, worker: Worker) -> None:
        self.worker = worker
        self._fleet = fleet
        self._rest = {2: b"", REPORTS: b""}
        most = fleet.limits.worker_line
        # Figures have an entry for each receiver.
        self._most = {2: most, REPORTS: _FIGURES * most}
        self._hears = True
        self._asked: list[Deferred[Figures | None]] = []

    def connectionMade(self) -> None:
        """Tell it what to do."""
        self._write(assignment_line(self._fleet.assignment(self.worker)))

    def tell(self, command: Command) -> None:
        """Tell it something, if it still listens."""
        self._write(line_of(command))

    def _write(self, line: bytes) -> None:
        if self._hears and self.transport is not None:
            self.transport.writeToChild(0, line)

    def ask(self) -> Deferred[Figures | None]:
        """@return: fires with its figures, or with C{None} if it does not say in time."""
        limit, clock = self._fleet.limits.worker_figures, self._fleet.base.reactor
        answer: Deferred[Figures | None] = Deferred()
        self._asked.append(answer)
        self.tell(Show())
        return answer.addTimeout(limit, clock, lambda *_: self._forget(answer))

    def _forget(self, answer: Deferred[Figures | None]) -> None:
        """Wait for figures no longer."""
        self._asked.remove(answer)

    def kill(self) -> None:
        """End it by force."""
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childConnectionLost(self, childFD: int) -> None:
        """Note when it cannot hear any more."""
        self._hears = self._hears and childFD != 0

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Pass its log on, line by line but not one by one, and read its reports."""
        whole, end, rest = (self._rest[childFD] + data).rpartition(b"\n")
        # What never ends is no line of ours.
        self._rest[childFD] = rest[: self._most[childFD]]
        if not end:
            return
        if childFD == REPORTS:
            for line in whole.split(b"\n"):
                self._reported(line)
        else:
            self._fleet.base.write(whole.decode("utf-8", "replace"))

    def _reported(self, line: bytes) -> None:
        match read_report(line):
            case Ready(url=url):
                self._fleet.ready(self.worker, url)
            case Leaving():
                self._fleet.leaving(self.worker)
            case Failed(text=text):
                self._fleet.failed(self.worker, text)
            case Figures() as figures:
                self._answer(figures)

    def _answer(self, figures: Figures | None) -> None:
        """Give the figures to all who asked."""
        asked, self._asked = self._asked, []
        for answer in asked:
            answer.callback(figures)

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and everything it said was read."""
        if self._rest[2]:
            self._fleet.base.write(self._rest[2].decode("utf-8", "replace"))
        self._answer(None)
        self._fleet.exited(self.worker, _how_it_ended(reason.value))


def _how_it_ended(reason: object) -> str:
    """@return: completes "worker 1 …"."""
    if isinstance(reason, ProcessTerminated):
        if reason.signal is not None:
            return f"was ended by signal {reason.signal}"
        return f"ended with status {reason.exitCode}"
    assert isinstance(reason, ProcessDone)
    return "ended with status 0"


class Fleet(Service):
    """
    The service.

    @ivar base: the process it runs in.
    @ivar limits: the caps.
    """

    log = Logger()

    def __init__(self, crew: Crew, settings: GatewaySettings, base: Base) -> None:
        self.base = base
        self.limits = settings.limits()
        self._crew = crew
        self._cover = Cover()
        self._settings = settings
        self._pages: list[Listener] = []
        self._public: list[socket.socket] = []
        self._links: list[socket.socket] = []
        self._processes: dict[int, WorkerProcess] = {}
        self._timer: IDelayedCall | None = None
        self._reaping = LoopingCall(reapAllProcesses)
        self._reaping.clock = base.reactor
        self._stopped: Deferred[None] | None = None

    def show_on(self, listener: Listener) -> None:
        """Add a listener for the operator's pages; it listens when the service starts."""
        self._pages.append(listener)

    # --- life -----------------------------------------------------------

    def privilegedStartService(self) -> None:
        """
        Listen everywhere.

        @raise SettingsError: if that is not possible.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        settings = self._settings
        self._public = bind_group(settings.host, settings.port, settings.workers)
        if settings.wss_port is not None:
            self._links = bind_group(settings.host, settings.wss_port, settings.workers)
        for listener in self._pages:
            listener.start()

    def startService(self) -> None:
        """Start the workers."""
        super().startService()  # type: ignore[no-untyped-call]
        # uvloop takes the wake-up descriptor of signals for itself, so that Twisted does not hear of SIGCHLD.
        self._reaping.start(self.limits.worker_look, now=False)
        self._crew.start()
        self._carry_out()

    def stopService(self) -> Deferred[None]:
        """
        Let the workers drain.

        @return: fires when none is left.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        # A caller that waits in the queue of a socket that nobody accepts on would wait till the end.
        for one in (*self._public, *self._links):
            one.close()
        self._crew.stop(self._now())
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        self._carry_out()
        return stopped.addCallback(lambda _: DeferredList([page.stop() for page in self._pages])).addCallback(_nothing)

    def stop_at_once(self) -> None:
        """Wait no longer for requests that run; only while stopping."""
        self._crew.hurry(self._now())
        self._carry_out()

    def prepare(self, settings: GatewaySettings) -> Commit:
        """
        Read what the workers will read, so that a mistake is told once, and before any of them goes over.

        @raise SettingsError: it cannot be used.
        """
        context_of(settings.tls_cert, settings.tls_key, settings.client_ca)
        token, _ = read_or_make(token=settings.token, token_file=settings.token_file, state_dir=settings.state_dir)
        return lambda: self._follow(settings, token)

    def _follow(self, settings: GatewaySettings, token: str) -> None:
        """Let the workers go over to other settings, those that come later as well."""
        self._settings, self.limits = settings, settings.limits()
        self.base = replace(self.base, token=token)
        for process in self._processes.values():
            process.tell(follow(settings))

    # --- from the workers -----------------------------------------------

    def assignment(self, worker: Worker) -> Assignment:
        """
        @return: what a worker is to do.
        """
        first, count, links = REPORTS + 1, len(self._public), len(self._links)
        return Assignment(
            number=worker.number,
            among=count,
            settings=self._settings,
            token=self.base.token,
            family=family_of(self._settings.host),
            public=tuple(range(first, first + count)),
            links=tuple(range(first + count, first + count + links)),
        )

    def ready(self, worker: Worker, url: str) -> None:
        """A worker accepts."""
        self.base.announce(url)
        self._crew.ready(worker, self._now())
        self._turn(self._cover.came(worker.number))
        self._carry_out()

    def leaving(self, worker: Worker) -> None:
        """A worker accepts no more."""
        self._turn(self._cover.gone(worker.number))

    def failed(self, worker: Worker, text: str) -> None:
        """A worker cannot do its work."""
        self._crew.failed(worker, Fault(text, False), self._now())
        self._carry_out()

    def exited(self, worker: Worker, how: str) -> None:
        """A process is gone."""
        del self._processes[worker.number]
        self._turn(self._cover.gone(worker.number))
        self._crew.exited(worker, how, self._now())
        self._carry_out()

    def _turn(self, turns: list[Turn]) -> None:
        """Let workers accept for others, while any are started at all."""
        for turn in turns if self._crew.phase is Phase.RUNNING else ():
            self._processes[turn.worker].tell(Accept(turn.socket, turn.accepts))

    # --- from the crew --------------------------------------------------

    def _carry_out(self) -> None:
        """Do what the crew wants, then wait for what it waits for."""
        while orders := self._crew.take():
            for order in orders:
                self._do(order)
        self._wait()
        if self._crew.phase is Phase.STOPPED and self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            self._reaping.stop()
            stopped.callback(None)

    def _do(self, order: Order) -> None:
        match order:
            case Spawn(worker=worker):
                self._spawn(worker)
            case Tell(worker=worker, word=word):
                self._processes[worker.number].tell(_WORDS[word])
            case Kill(worker=worker):
                self._processes[worker.number].kill()
            case Say(level=level, text=text):
                self.log.emit(LogLevel.lookupByName(level), "{text}", text=text)
            case GiveUp(text=text):
                self.base.give_up(SettingsError(text))

    def _spawn(self, worker: Worker) -> None:
        """Start a process: the interpreter, the settings of its import system, and nothing secret."""
        process = self._processes[worker.number] = WorkerProcess(self, worker)
        arguments = [sys.executable, "-P", "-c", _BOOT, f"anp-gateway-worker-{worker.number}", *sys.path]
        pipes: dict[int, Any] = {0: "w", 1: 2, 2: "r", REPORTS: "r"}
        for number, one in enumerate((*self._public, *self._links), REPORTS + 1):
            pipes[number] = one.fileno()
        try:
            transport = self.base.reactor.spawnProcess(process, sys.executable, arguments, env=None, childFDs=pipes)
        except OSError as error:
            self._crew.exited(worker, f"could not be started: {error.strerror}", self._now())
            del self._processes[worker.number]
            return
        self.log.info("worker {number} starts, process {pid}", number=worker.number, pid=transport.pid)

    def _wait(self) -> None:
        """Have one timer for what is due next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._crew.due()
        if due is not None:
            self._timer = self.base.reactor.callLater(max(0.0, due - self._now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._crew.tick(self._now())
        self._carry_out()

    def _now(self) -> float:
        now: float = self.base.reactor.seconds()
        return now

    # --- for the operator -----------------------------------------------

    def stats(self) -> Deferred[dict[str, Any]]:
        """@return: fires with the figures of all workers that say in time."""
        return self._ask().addCallback(totals)

    def condition(self) -> Deferred[str]:
        """@return: fires with C{ok}, C{overloaded}, C{draining}, or C{starting} while no worker accepts."""
        return self._ask().addCallback(condition_of, self._crew.phase is not Phase.RUNNING)

    def _ask(self) -> Deferred[list[tuple[int, Figures]]]:
        """@return: fires with the figures of each worker by its number."""
        processes = [one for one in self._processes.values() if one.worker.served is not None]
        asked = DeferredList([one.ask() for one in processes], consumeErrors=True)

        def told(results: list[tuple[bool, Figures | None]]) -> list[tuple[int, Figures]]:
            pairs = zip(processes, results, strict=True)
            return sorted((one.worker.number, figures) for one, (_, figures) in pairs if isinstance(figures, Figures))

        return asked.addCallback(told)


def _nothing(_: object) -> None:
    """Forget a result."""
