"""
Log events become lines, and lines go somewhere.

One event is one line, whatever is in it, except that the traceback of an
unexpected failure follows, indented. A line that begins with a brace is an
access line (L{anp_twisted.access}).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.access import format_time
from anp_twisted.errors import ANPError, LocalError

LONGEST_TEXT: Final = 2000
"""Characters of an event's text; the rest is cut."""

LONGEST_TRACEBACK: Final = 60
"""Lines of a traceback, from its end."""

_NOISY: Final = ("twisted.", "autobahn.", "txaio", "klein", "log_legacy")
"""
Namespaces whose lesser events are for their developers ("Starting factory …"):
they are logged at level C{debug} only.
"""


class LineStream(Protocol):
    """A text file, or a rotating one."""

    def write(self, data: str, /) -> Any:
        """Take text."""

    def flush(self) -> Any:
        """Pass it on."""


class LineSink:
    """
    Where lines go. A full disk loses lines; it stops nothing.

    @ivar lost: lines lost since the last one that could be written.
    """

    def __init__(self, stream: LineStream, reopen: Callable[[LineStream], LineStream]) -> None:
        """
        @param stream: where to write.
        @param reopen: gives a stream to go on with after a failure, since a rotation that failed half-way leaves a
            closed file behind; it gets the failed stream to close it, and may raise C{OSError}.
        """
        self._stream = stream
        self._reopen = reopen
        self.lost = 0

    def write(self, line: str) -> None:
        """
        @param line: text without line end; the caller has escaped it.
        """
        try:
            if self.lost:
                self._stream = self._reopen(self._stream)
                self._stream.write(f"{self.lost} log lines are missing here\n")
                self.lost = 0
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.lost += 1


def printable(text: str, room: int = LONGEST_TEXT) -> str:
    """
    @param text: anything, a stranger's text too.
    @param room: the most characters.
    @return: the text in one line, without control characters and without what turns the reading direction.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[: room + 1])
    return text if len(text) <= room else text[: room - 1] + "…"


def format_event(event: LogEvent, prefix: str = "") -> str:
    """
    @param event: an event of C{twisted.logger}.
    @param prefix: stands before the text.
    @return: its line, and the traceback when there is one to show; no line end.
    """
    failure = _failure(event)
    level: Any = event.get("log_level", LogLevel.info)
    head = f"{format_time(event['log_time'])} {level.name:<8} {prefix}{printable(_text(event, failure))}"
    if failure is None or _is_told(failure.value):
        return head
    trace = failure.getTraceback().splitlines()[-LONGEST_TRACEBACK:]
    return "\n".join([head, *(f"    {printable(line)}" for line in trace)])


def _failure(event: LogEvent) -> Failure | None:
    """Old-style events carry theirs under another name."""
    found = event.get("log_failure") or event.get("failure")
    return found if isinstance(found, Failure) else None


def _is_told(error: BaseException | None) -> bool:
    """Whether the text of an error is all there is to say; a mistake of local code needs its traceback."""
    return isinstance(error, ANPError) and not isinstance(error, LocalError)


def _text(event: LogEvent, failure: Failure | None) -> str:
    if failure is None:
        return formatEvent(event)
    # log.err() puts the traceback into the text; what its caller said is in "why".
    said = event.get("why") or "Unhandled error" if "log_text" in event else formatEvent(event)
    return f"{said}: {type(failure.value).__name__}: {failure.getErrorMessage()}"


@implementer(ILogObserver)
class LineObserver:
    """Writes each event that the level lets pass to a sink."""

    def __init__(self, sink: LineSink, level: str, prefix: str = "") -> None:
        """
        @param level: the name of the least level that is logged.
        @param prefix: stands before the text of each event.
        """
        self._prefix = prefix
        self._sink = sink
        self._least = LogLevel.lookupByName(level)

    def __call__(self, event: LogEvent) -> None:
        """
        @param event: an event of C{twisted.logger}.
        """
        if self.wants(event):
            self._sink.write(format_event(event, self._prefix))

    def wants(self, event: LogEvent) -> bool:
        """
        @return: whether the operator asked for events like this one.
        """
        level: Any = event.get("log_level") or LogLevel.info
        if level < self._least:
            return False
        quiet = level < LogLevel.warn and self._least > LogLevel.debug
        return not (quiet and str(event.get("log_namespace", "")).startswith(_NOISY))
