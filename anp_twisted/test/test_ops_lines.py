"""Rules of L{anp_twisted.ops.lines}."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from anp_twisted.errors import FrameError
from anp_twisted.ops.lines import LONGEST_TEXT, LONGEST_TRACEBACK, LineObserver, LineSink, format_event, printable


def event(text: str = "text", **more: Any) -> LogEvent:
    """An event of Twisted's logger."""
    return {"log_time": 0.0, "log_level": LogLevel.info, "log_format": "{text}", "text": text, **more}


class FullDisk(io.StringIO):
    """A stream that can refuse."""

    full = False

    def write(self, text: str, /) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


class SinkTests(SynchronousTestCase):
    """Where lines go."""

    def test_lines(self) -> None:
        """A line is a line."""
        stream = io.StringIO()
        sink = LineSink(stream, lambda same: same)
        sink.write("a")
        sink.write("b")
        self.assertEqual(stream.getvalue(), "a\nb\n")

    def test_fullDisk(self) -> None:
        """A full disk stops nothing; afterwards the log says how many lines it lacks."""
        stream = FullDisk()
        sink = LineSink(stream, lambda same: same)
        stream.full = True
        for line in "abc":
            sink.write(line)
        self.assertEqual(sink.lost, 3)
        stream.full = False
        sink.write("d")
        self.assertEqual(stream.getvalue(), "3 log lines are missing here\nd\n")
        self.assertEqual(sink.lost, 0)

    def test_closed(self) -> None:
        """A stream that was closed is replaced by the one that is opened again."""
        closed, fresh = io.StringIO(), io.StringIO()
        closed.close()
        seen: list[object] = []

        def reopen(broken: object) -> io.StringIO:
            seen.append(broken)
            return fresh

        sink = LineSink(closed, reopen)
        sink.write("a")
        sink.write("b")
        self.assertEqual(seen, [closed])
        self.assertEqual(fresh.getvalue(), "1 log lines are missing here\nb\n")

    def test_cannotReopen(self) -> None:
        """When it cannot be opened again the line is lost, and nothing is raised."""

        def reopen(broken: object) -> io.StringIO:
            raise OSError(24, "Too many open files")

        stream = io.StringIO()
        stream.close()
        sink = LineSink(stream, reopen)
        sink.write("a")
        sink.write("b")
        self.assertEqual(sink.lost, 2)


class FormatTests(SynchronousTestCase):
    """One event, one line."""

    def test_plain(self) -> None:
        """Time, level, text."""
        self.assertEqual(format_event(event("hello")), "1970-01-01T00:00:00.000Z info     hello")
        self.assertEqual(format_event(event("hello"), "one: "), "1970-01-01T00:00:00.000Z info     one: hello")

    @given(st.text(alphabet=st.characters(codec=None)))
    def test_nasty(self, text: str) -> None:
        """Whatever the text: one line, printable, no longer than the cap."""
        line = format_event(event(text))
        self.assertTrue(line.isprintable())
        self.assertLessEqual(len(line), LONGEST_TEXT + 40)

    def test_printable(self) -> None:
        """What a terminal would obey is written out."""
        self.assertEqual(printable("a\n\x1b[2J\u202eü"), "a\\n\\x1b[2J\\u202eü")
        self.assertEqual(printable("abcdef", 4), "abc…")
        self.assertEqual(len(printable("\n" * 10**6)), LONGEST_TEXT)

    def test_expectedFailure(self) -> None:
        """A failure of our own kind is one line."""
        line = format_event(event("lost", log_failure=Failure(FrameError("bad\nmagic"))))
        self.assertTrue(line.endswith("lost: FrameError: bad\\nmagic"), line)

    def test_unexpectedFailure(self) -> None:
        """Any other shows where it came from, indented, and no more than the cap of it."""

        def deep(depth: int) -> None:
            if depth == 0:
                raise ValueError("x")
            deep(depth - 1)

        try:
            deep(100)
        except ValueError:
            failure = Failure()
        first, *rest = format_event(event("broken", log_failure=failure)).splitlines()
        self.assertTrue(first.endswith("broken: ValueError: x"))
        self.assertEqual(len(rest), LONGEST_TRACEBACK)
        self.assertTrue(all(line.startswith("    ") for line in rest))

    def test_legacyFailure(self) -> None:
        """An old C{log.err} says why, once."""
        seen: list[LogEvent] = []

        @implementer(ILogObserver)
        def observer(event: LogEvent) -> None:
            seen.append(event)

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        legacy.err(Failure(ValueError("x")), "because")
        self.flushLoggedErrors(ValueError)
        self.assertTrue(format_event(seen[-1]).splitlines()[0].endswith("because: ValueError: x"))


class ObserverTests(SynchronousTestCase):
    """What the operator asked to see."""

    def seen(self, level: str, namespace: str, of: LogLevel) -> bool:
        stream = io.StringIO()
        LineObserver(LineSink(stream, lambda same: same), level)(event(log_namespace=namespace, log_level=of))
        return bool(stream.getvalue())

    def test_level(self) -> None:
        """Events below the level are not written."""
        self.assertTrue(self.seen("info", "anp_twisted.x", LogLevel.info))
        self.assertFalse(self.seen("info", "anp_twisted.x", LogLevel.debug))
        self.assertFalse(self.seen("error", "anp_twisted.x", LogLevel.warn))
        self.assertTrue(self.seen("error", "anp_twisted.x", LogLevel.critical))

    def test_libraries(self) -> None:
        """What libraries say is for level debug; their warnings, and what an application prints, are not."""
        for namespace in ("twisted.internet.tcp.Port", "autobahn.twisted", "log_legacy"):
            self.assertFalse(self.seen("info", namespace, LogLevel.info))
            self.assertTrue(self.seen("debug", namespace, LogLevel.info))
            self.assertTrue(self.seen("info", namespace, LogLevel.warn))
        self.assertTrue(self.seen("info", "stdout", LogLevel.info))

    def test_throughTheLogger(self) -> None:
        """It is an observer of Twisted's logger."""
        stream = io.StringIO()
        observer = LineObserver(LineSink(stream, lambda same: same), "info")
        Logger(namespace="anp_twisted.x", observer=observer).info("n is {n}", n=1)
        self.assertTrue(stream.getvalue().endswith(" info     n is 1\n"))
