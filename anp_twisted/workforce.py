"""
Carries out what a L{Crew} decides: starts processes, tells them things, and notices their end.

What the processes do is no concern of this: a gateway and a receiver each have a
L{Workforce} of their own, with a L{Child} that understands what theirs say.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger, LogLevel

from anp_twisted.limits import Limits
from anp_twisted.workers import Crew, Fault, GiveUp, Kill, Order, Phase, Say, Spawn, Tell, Word, Worker


class Child(ProcessProtocol):
    """
    One worker: the pipe to it, and the way to end it.

    @ivar worker: what the crew knows of it.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._hears = True

    def write(self, line: bytes) -> None:
        """Tell it something, if it still listens."""
        if self._hears and self.transport is not None:
            self.transport.writeToChild(0, line)

    def kill(self) -> None:
        """End it by force."""
        assert self.transport is not None
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childConnectionLost(self, childFD: int) -> None:
        """Note when it cannot hear any more."""
        self._hears = self._hears and childFD != 0


C = TypeVar("C", bound=Child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """
    How to start workers.

    @ivar boot: the code that one runs. Not C{-m}: modules of its folder are not to be
        found before those of the library, and a package that only this process
        finds, in the folder it was started from, has to be found there too.
    @ivar name: what it is called in lists of processes.
    @ivar pipes: its descriptors, as C{spawnProcess} wants them.
    @ivar folder: where it runs; the one of this process by default.
    """

    boot: str
    name: str
    pipes: dict[int, Any]
    folder: str | None = None


class Workforce(Service, Generic[C]):
    """
    The processes of a crew.

    @ivar crew: decides.
    @ivar limits: the caps.
    @ivar children: those that run, by what the crew knows of them.
    """

    log = Logger()

    def __init__(self, crew: Crew, reactor: Any, limits: Limits) -> None:
        """
        @param reactor: starts processes, and has the time.
        """
        self.crew = crew
        self.limits = limits
        self.children: dict[Worker, C] = {}
        self._reactor = reactor
        self._timer: IDelayedCall | None = None
        self._reaping = LoopingCall(reapAllProcesses)
        self._reaping.clock = reactor
        self._stopped: Deferred[None] | None = None

    # --- what differs -----------------------------------------------------

    def start_of(self, worker: Worker) -> Start:
        """@return: how to start it."""
        raise NotImplementedError

    def child_of(self, worker: Worker) -> C:
        """@return: what understands it."""
        raise NotImplementedError

    def line_for(self, word: Word) -> bytes:
        """@return: how a worker is told that."""
        raise NotImplementedError

    def surrender(self, text: str) -> None:
        """End this process, for the reason that is given."""
        raise NotImplementedError

    # --- life -------------------------------------------------------------

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
        """Wait no longer for what runs; only while stopping."""
        self.crew.hurry(self._now())
        self._carry_out()

    def changed(self) -> None:
        """What the workers run was changed: start its new version."""
        self.crew.changed(self._now())
        self._carry_out()

    # --- from the processes -------------------------------------------------

    def is_ready(self, worker: Worker) -> None:
        """A worker does its work."""
        self.crew.ready(worker, self._now())
        self._carry_out()

    def failed(self, worker: Worker, fault: Fault) -> None:
        """A worker cannot do its work."""
        self.crew.failed(worker, fault, self._now())
        self._carry_out()

    def exited(self, worker: Worker, how: str) -> None:
        """A process is gone."""
        del self.children[worker]
        self.crew.exited(worker, how, self._now())
        self._carry_out()

    # --- from the crew ------------------------------------------------------

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
                self.children[worker].write(self.line_for(word))
            case Kill(worker=worker):
                self.children[worker].kill()
            case Say(level=level, text=text):
                self.log.emit(LogLevel.lookupByName(level), "{text}", text=text)
            case GiveUp(text=text):
                self.surrender(text)

    def _spawn(self, worker: Worker) -> None:
        """Start a process: the interpreter, the settings of its import system, and nothing secret."""
        start = self.start_of(worker)
        child = self.children[worker] = self.child_of(worker)
        arguments = [sys.executable, "-P", "-c", start.boot, start.name, *sys.path]
        try:
            transport: IProcessTransport = self._reactor.spawnProcess(
                child, sys.executable, arguments, env=None, path=start.folder, childFDs=start.pipes
            )
        except OSError as error:
            self.crew.exited(worker, f"could not be started: {error.strerror}", self._now())
            del self.children[worker]
            return
        self.log.info("worker {number} starts, process {pid}", number=worker.number, pid=transport.pid)

    def _wait(self) -> None:
        """Have one timer for what is due next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.crew.due()
        if due is not None:
            self._timer = self._reactor.callLater(max(0.0, due - self._now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.crew.tick(self._now())
        self._carry_out()

    def _now(self) -> float:
        now: float = self._reactor.seconds()
        return now


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
