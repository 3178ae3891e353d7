"""
What runs in one worker process: the receiver of L{anp_twisted.receiver.tap}, told by a pipe what to do.

The process that started it holds the other ends. It writes the assignment, then
words; when its end is closed it is gone, and the worker ends too. A thread reads
them, so that they are heard while the application blocks the event loop.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Any, BinaryIO

from twisted.application.service import MultiService
from twisted.internet.error import ReactorNotRunning
from twisted.logger import globalLogBeginner

from anp_twisted.errors import ANPError, LinkRefused, SettingsError
from anp_twisted.eventloop import install_reactor
from anp_twisted.limits import Limits
from anp_twisted.ops.lines import LineObserver, LineSink
from anp_twisted.receiver.reports import (
    REPORTS,
    Assignment,
    Failed,
    Linked,
    Logged,
    Reached,
    Report,
    read_assignment,
    report_line,
)
from anp_twisted.workers import Word

Leave = Callable[[int], object]


class Reporter:
    """Writes reports. One that nobody reads any more is lost: the process is about to end."""

    def __init__(self, descriptor: int = REPORTS) -> None:
        self._descriptor = descriptor

    def report(self, report: Report) -> None:
        """Say something to the process that started this one."""
        line = report_line(report)
        with suppress(OSError):
            while line:
                line = line[os.write(self._descriptor, line) :]

    # --- as the stream of a log -----------------------------------------

    def write(self, data: str) -> None:
        """
        @param data: lines, the last one with its end.
        """
        self.report(Logged(data.rstrip("\n")))

    def flush(self) -> None:
        """Nothing is kept."""


class Listener:
    """Hears what the starting process says."""

    def __init__(self, control: BinaryIO, limits: Limits, leave: Leave = os._exit) -> None:
        """
        @param control: the words, one in a line.
        @param leave: ends the process without another word.
        """
        self._control = control
        self._patience = limits.drain + limits.cancel_grace + limits.shutdown + limits.worker_margin
        self._leave = leave
        self._reactor: Any = None
        self._hurry: Callable[[], object] = lambda: None

    def listen(self) -> None:
        """Begin; until L{attach} a word to stop ends the process, since nothing runs yet."""
        Thread(target=self.run, name="anp-control", daemon=True).start()

    def attach(self, reactor: Any, hurry: Callable[[], object]) -> None:
        """
        From now on the reactor is stopped instead.

        @param reactor: is about to run.
        @param hurry: lets nothing wait any longer.
        """
        self._hurry = hurry
        self._reactor = reactor

    def run(self) -> None:
        """Read until the other end is closed, which also says to stop, and then see that it happens."""
        for line in self._control:
            self._heard(line)
        self._heard(Word.DRAIN.value)
        Event().wait(self._patience)
        self._leave(1)

    def _heard(self, line: bytes) -> None:
        reactor = self._reactor
        if reactor is None:
            self._leave(0)
        else:
            reactor.callFromThread(self._hurry if line == Word.HURRY.value else self.drain)

    def drain(self) -> None:
        """Stop the reactor; whoever else wants that has no need to know whether it stops already."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()


class Program:
    """
    The worker.

    @ivar status: what the process ends with.
    """

    def __init__(self, assignment: Assignment, reporter: Reporter) -> None:
        self.status = 0
        self._assignment = assignment
        self._reporter = reporter
        self._reactor: Any = None

    def run(self, reactor: Any, listener: Listener) -> None:
        """Serve until told to stop."""
        from anp_twisted.receiver.tap import make_receiver
        from anp_twisted.shutdown import StopSignals

        self._reactor = reactor
        settings = self._assignment.settings
        top = MultiService()
        try:
            receiver = make_receiver(
                reactor, settings, self._assignment.folder, announce=self._announce, give_up=self._fail,
                linked=self._linked,
            )  # fmt: skip
        except SettingsError as error:
            self._refuse(error)
            return
        receiver.setServiceParent(top)  # type: ignore[no-untyped-call]
        # The signals of a whole group come with the word to drain, before or after it.
        reactor.callWhenRunning(signal.signal, signal.SIGTERM, lambda *_: reactor.callFromThread(listener.drain))
        StopSignals(reactor, receiver.stop_at_once).install()
        reactor.callWhenRunning(top.startService)
        reactor.addSystemEventTrigger("before", "shutdown", top.stopService)
        listener.attach(reactor, receiver.stop_at_once)
        reactor.run()

    def _announce(self, url: str) -> None:
        self._reporter.report(Reached(url))

    def _linked(self) -> None:
        self._reporter.report(Linked())

    def _refuse(self, error: ANPError) -> None:
        """Tell why there is nothing to serve; a gateway that cannot be reached is no matter of this version."""
        self.status = 1
        self._reporter.report(Failed(str(error), final=isinstance(error, LinkRefused)))

    def _fail(self, error: ANPError) -> None:
        """The receiver cannot go on."""
        if self.status:
            return
        self._refuse(error)
        with suppress(ReactorNotRunning):  # it may be stopping already
            self._reactor.stop()


def _take_control() -> BinaryIO:
    """Keep the pipe to ourselves: programs that the application starts shall not read from it."""
    control = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.set_inheritable(REPORTS, False)
    return control


def main() -> None:
    """Run a worker; the arguments are for whoever looks at the list of processes."""
    # One Ctrl-C goes to all processes of a terminal: the one that started this one says what is to be done.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    # A crash of the interpreter is told on standard error, which is read too.
    faulthandler.enable()
    control = _take_control()
    line = control.readline()
    if not line:
        return  # who started us is gone already
    del sys.argv[1:]
    assignment = read_assignment(line)
    settings = assignment.settings
    # Byte code is told from another by size and second: of two changes within one the second would not be seen.
    sys.dont_write_bytecode = sys.dont_write_bytecode or settings.reload
    listener = Listener(control, settings.limits())
    listener.listen()
    reporter = Reporter()
    sink = LineSink(reporter, lambda same: same)
    observer = LineObserver(sink, settings.log_level, f"worker {assignment.number}: ")
    globalLogBeginner.beginLoggingTo([observer])
    install_reactor()
    from twisted.internet import reactor

    program = Program(assignment, reporter)
    program.run(reactor, listener)
    sys.exit(program.status)
