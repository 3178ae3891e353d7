"""
A gateway of several processes: starts workers, hears them, ends them.

L{Crew} decides how many there are, L{Cover} who accepts for whom; L{Workforce} starts
and ends the processes. This one takes no request itself. Its page shows the figures of all workers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.auth.tokens import read_or_make
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import ANPError, SettingsError
from anp_twisted.gateway.cover import Cover, Turn
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
from anp_twisted.transports.listener import Listener
from anp_twisted.transports.tls import context_of
from anp_twisted.workers import Crew, Fault, Phase, Word, Worker
from anp_twisted.workforce import Child, Start, Workforce, how_it_ended

_BOOT: Final = "import sys; sys.path[:] = sys.argv[2:]; from anp_twisted.gateway.worker import main; main()"

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


class WorkerProcess(Child):
    """One worker: its pipes, and its end."""

    def __init__(self, fleet: Fleet, worker: Worker) -> None:
        super().__init__(worker)
        self._fleet = fleet
        self._rest = {2: b"", REPORTS: b""}
        most = fleet.limits.worker_line
        # Figures have an entry for each receiver.
        self._most = {2: most, REPORTS: _FIGURES * most}
        self._asked: list[Deferred[Figures | None]] = []

    def connectionMade(self) -> None:
        """Tell it what to do."""
        self.write(assignment_line(self._fleet.assignment(self.worker)))

    def tell(self, command: Command) -> None:
        """Tell it something, if it still listens."""
        self.write(line_of(command))

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
                self._fleet.failed(self.worker, Fault(text, False))
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
        self._fleet.exited(self.worker, how_it_ended(reason.value))


class Fleet(Workforce[WorkerProcess]):
    """
    The service.

    @ivar base: the process it runs in.
    """

    log = Logger()

    def __init__(self, crew: Crew, settings: GatewaySettings, base: Base) -> None:
        super().__init__(crew, base.reactor, settings.limits())
        self.base = base
        self._cover = Cover()
        self._settings = settings
        self._pages: list[Listener] = []
        self._public: list[socket.socket] = []
        self._links: list[socket.socket] = []

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

    def stopService(self) -> Deferred[None]:
        """
        Let the workers drain.

        @return: fires when none is left, and nothing listens.
        """
        # A caller that waits in the queue of a socket that nobody accepts on would wait till the end.
        for one in (*self._public, *self._links):
            one.close()
        stopped = super().stopService()
        return stopped.addCallback(lambda _: DeferredList([page.stop() for page in self._pages])).addCallback(_nothing)

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
        for process in self.children.values():
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
        self._turn(self._cover.came(worker.number))
        self.is_ready(worker)

    def leaving(self, worker: Worker) -> None:
        """A worker accepts no more."""
        self._turn(self._cover.gone(worker.number))

    def exited(self, worker: Worker, how: str) -> None:
        """A process is gone: others accept for it."""
        self._turn(self._cover.gone(worker.number))
        super().exited(worker, how)

    def _turn(self, turns: list[Turn]) -> None:
        """Let workers accept for others, while any are started at all."""
        children = {worker.number: child for worker, child in self.children.items()}
        for turn in turns if self.crew.phase is Phase.RUNNING else ():
            children[turn.worker].tell(Accept(turn.socket, turn.accepts))

    # --- for the workforce ------------------------------------------------

    def start_of(self, worker: Worker) -> Start:
        """One pipe for its log, one for what it reports, and all the sockets."""
        pipes: dict[int, Any] = {0: "w", 1: 2, 2: "r", REPORTS: "r"}
        for number, one in enumerate((*self._public, *self._links), REPORTS + 1):
            pipes[number] = one.fileno()
        return Start(boot=_BOOT, name=f"anp-gateway-worker-{worker.number}", pipes=pipes)

    def child_of(self, worker: Worker) -> WorkerProcess:
        """One that reports as gateways do."""
        return WorkerProcess(self, worker)

    def line_for(self, word: Word) -> bytes:
        """Words are commands."""
        return line_of(_WORDS[word])

    def surrender(self, text: str) -> None:
        """There are no workers."""
        self.base.give_up(SettingsError(text))

    # --- for the operator -----------------------------------------------

    def stats(self) -> Deferred[dict[str, Any]]:
        """@return: fires with the figures of all workers that say in time."""
        return self._ask().addCallback(totals)

    def condition(self) -> Deferred[str]:
        """@return: fires with C{ok}, C{overloaded}, C{draining}, or C{starting} while no worker accepts."""
        return self._ask().addCallback(condition_of, self.crew.phase is not Phase.RUNNING)

    def _ask(self) -> Deferred[list[tuple[int, Figures]]]:
        """@return: fires with the figures of each worker by its number."""
        processes = [one for one in self.children.values() if one.worker.served is not None]
        asked = DeferredList([one.ask() for one in processes], consumeErrors=True)

        def told(results: list[tuple[bool, Figures | None]]) -> list[tuple[int, Figures]]:
            pairs = zip(processes, results, strict=True)
            return sorted((one.worker.number, figures) for one, (_, figures) in pairs if isinstance(figures, Figures))

        return asked.addCallback(told)


def _nothing(_: object) -> None:
    """Forget a result."""
