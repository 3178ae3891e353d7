"""Tests of L{anp_twisted.receiver.worker}: all but the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.errors import AppStartError, LinkRefused
from anp_twisted.limits import Limits
from anp_twisted.receiver.reports import Assignment, Failed, Linked, Logged, Reached, read_report
from anp_twisted.receiver.worker import Listener, Program, Reporter

NO_TIME = Limits(drain=0.0, cancel_grace=0.0, shutdown=0.0, worker_margin=0.0)


class Reactor:
    """
    Keeps what it is asked for.

    @ivar stops: how often it was stopped.
    @ivar at_start: what runs when it does.
    """

    def __init__(self) -> None:
        self.stops = 0
        self.at_start: list[Any] = []

    def callFromThread(self, function: Callable[[], object]) -> None:
        function()

    def stop(self) -> None:
        self.stops += 1
        if self.stops > 1:
            raise ReactorNotRunning


class ListenerTests(SynchronousTestCase):
    """What the starting process says is done."""

    def heard(self, words: bytes, *, attached: bool = True) -> tuple[int, list[str], list[int]]:
        """Hear all of it; return the stops, the hurries, and the statuses with which it left."""
        reactor = Reactor()
        hurries: list[str] = []
        left: list[int] = []
        listener = Listener(BytesIO(words), NO_TIME, left.append)
        if attached:
            listener.attach(reactor, lambda: hurries.append("hurry"))
        listener.run()
        return reactor.stops, hurries, left

    def test_words(self) -> None:
        """Each word stops the reactor or lets it hurry; to be told to stop twice is nothing bad."""
        self.assertEqual(self.heard(b"drain\nhurry\n"), (2, ["hurry"], [1]))

    def test_closed(self) -> None:
        """When the other end is closed the worker stops, and if it does not, it is left by force."""
        self.assertEqual(self.heard(b""), (1, [], [1]))

    def test_nothing_runs_yet(self) -> None:
        """Before anything runs, there is nothing to wait for."""
        self.assertEqual(self.heard(b"drain\n", attached=False)[2][0], 0)


class ReporterTests(SynchronousTestCase):
    """Reports reach the other end."""

    def setUp(self) -> None:
        self.read, self.write = os.pipe()
        self.addCleanup(os.close, self.write)
        self.reporter = Reporter(self.write)

    def test_reports(self) -> None:
        """Reports and log lines, one line each."""
        self.addCleanup(os.close, self.read)
        self.reporter.report(Linked())
        self.reporter.write("a line\n    more\n")
        self.reporter.flush()
        lines = os.read(self.read, 1000).splitlines()
        self.assertEqual([read_report(line) for line in lines], [Linked(), Logged("a line\n    more")])

    def test_nobody_reads(self) -> None:
        """What nobody reads any more is lost, and no error."""
        os.close(self.read)
        self.reporter.report(Linked())


class Reports(Reporter):
    """Keeps the reports."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.reports: list[Any] = []

    def report(self, report: Any) -> None:
        self.reports.append(report)


class ProgramTests(SynchronousTestCase):
    """From the assignment to a receiver."""

    def program(self, app: str = "nothing:app") -> tuple[Program, Reports]:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        settings = ReceiverSettings(app=(app,), token="t" * 43)
        reports = Reports()
        return Program(Assignment(number=1, folder=str(folder), settings=settings), reports), reports

    def test_cannot_import(self) -> None:
        """An application that cannot be imported is reported, and nothing is started."""
        from twisted.internet import reactor

        program, reports = self.program("not_there_at_all:app")
        program.run(reactor, Listener(BytesIO(b""), NO_TIME))
        (failed,) = reports.reports
        self.assertEqual((program.status, failed.final), (1, False))
        self.assertIn("not_there_at_all", failed.text)

    def test_reports(self) -> None:
        """What the receiver tells is reported; a gateway that cannot be reached will not be by a new process either."""
        program, reports = self.program()
        program._reactor = Reactor()
        program._linked()
        program._announce("http://x/")
        program._fail(LinkRefused("gave up"))
        program._fail(AppStartError("too late"))
        self.assertEqual(reports.reports, [Linked(), Reached("http://x/"), Failed("gave up", final=True)])
        self.assertEqual(program.status, 1)
