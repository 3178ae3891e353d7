"""Tests of L{anp_twisted.receiver.reports}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.tables import ReceiverSettings
from anp_twisted.receiver.reports import (
    Assignment,
    Failed,
    Lines,
    Linked,
    Logged,
    Reached,
    Report,
    assignment_line,
    read_assignment,
    read_report,
    report_line,
)


class MessageTests(SynchronousTestCase):
    """What is written is what is read."""

    def test_assignment(self) -> None:
        """Settings arrive as they were, the token and what is no text included."""
        settings = ReceiverSettings(app=("m:app",), path=("/a", "/b"), token="s", drain=1.5, token_file=None)
        assignment = Assignment(number=3, folder="/tmp/ä", settings=settings)
        line = assignment_line(assignment)
        self.assertEqual((line.count(b"\n"), read_assignment(line)), (1, assignment))

    def test_reports(self) -> None:
        """Each report is one line, whatever is in it."""
        reports: list[Report] = [Linked(), Reached("http://x/"), Failed("a\nb", final=True), Logged("a\n    b\u202e")]
        for report in reports:
            line = report_line(report)
            self.assertEqual((line.count(b"\n"), read_report(line)), (1, report))

    def test_no_report(self) -> None:
        """What is none is nothing, not an error."""
        for line in (b"", b"{}", b'{"type":"other"}', b'{"type":"reached"}', b"\xff", b"[" * 5000):
            self.assertIsNone(read_report(line))


class LinesTests(SynchronousTestCase):
    """Bytes become lines."""

    @given(st.lists(st.binary(max_size=9)), st.integers(1, 5))
    def test_any_pieces(self, pieces: list[bytes], most: int) -> None:
        """However they are cut into pieces, lines are the same, cut to the most and without empty ones."""
        found: list[bytes] = []
        lines = Lines(most, found.append)
        for piece in pieces:
            lines.feed(piece)
        lines.end()
        self.assertEqual(found, [line[:most] for line in b"".join(pieces).split(b"\n") if line])
