"""Tests for L{anp_twisted.gateway.reports}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.tables import GatewaySettings
from anp_twisted.gateway.reports import (
    Accept,
    Assignment,
    Command,
    Drain,
    Failed,
    Figures,
    Hurry,
    Leaving,
    Ready,
    Report,
    Show,
    assignment_line,
    line_of,
    read_assignment,
    read_command,
    read_report,
)


class LineTests(SynchronousTestCase):
    """Everything is one line, and comes out as it went in."""

    def test_assignment(self) -> None:
        """Settings of any kind."""
        settings = GatewaySettings(port=1, token="secret\nsecret", tls_cert="a", tls_key="b")
        given = Assignment(number=1, among=2, settings=settings, token="t", family=2, public=(4, 5), links=())
        line = assignment_line(given)
        self.assertEqual((line.count(b"\n"), read_assignment(line)), (1, given))

    def test_said(self) -> None:
        """Commands and reports."""
        commands: list[Command] = [Drain(), Hurry(), Accept(2, True), Show()]
        reports: list[Report] = [Ready("http://h"), Leaving(), Failed("a\nb"), Figures("ok", {"a": [1, None, "x"]})]
        for command in commands:
            self.assertEqual((line_of(command).count(b"\n"), read_command(line_of(command))), (1, command))
        for report in reports:
            self.assertEqual((line_of(report).count(b"\n"), read_report(line_of(report))), (1, report))

    def test_something_else(self) -> None:
        """What is none is ignored."""
        for line in (b"", b"x", b"{}", b'{"type":"other"}', b"\xff"):
            self.assertEqual((read_command(line), read_report(line)), (None, None))
