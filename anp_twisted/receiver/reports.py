"""
What the starting process and its workers say to each other, as lines of JSON over pipes.

A worker gets its L{Assignment} as the first line on standard input, so that the
token is neither in its arguments nor in its environment; then words of
L{Word<anp_twisted.workers.Word>}. It reports on a descriptor of its own,
since standard output is the application's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from anp_twisted.config.tables import ReceiverSettings

REPORTS: Final = 3
"""The descriptor that a worker reports on."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a worker is to do.

    @ivar number: what it calls itself in the log.
    @ivar folder: where the application is imported from.
    @ivar settings: the same as those of the starting process.
    """

    number: int
    folder: str
    settings: ReceiverSettings


class Linked(msgspec.Struct, tag="linked", frozen=True):
    """The link is open."""


class Reached(msgspec.Struct, tag="reached", frozen=True):
    """Callers reach the application at this URL."""

    url: str


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """
    The worker cannot do its work, and ends.

    @ivar text: one line for the operator.
    @ivar final: whether it is no use to try again.
    """

    text: str
    final: bool


class Logged(msgspec.Struct, tag="logged", frozen=True):
    """
    Lines for the log.

    @ivar lines: complete, the time and the number of the worker included, joined by line ends.
    """

    lines: str


Report = Linked | Reached | Failed | Logged

_encoder: Final = msgspec.json.Encoder()
_reports: Final = msgspec.json.Decoder(Report)
_assignments: Final = msgspec.json.Decoder(Assignment)


def assignment_line(assignment: Assignment) -> bytes:
    """
    @return: the first line for a worker.
    """
    return _encoder.encode(assignment) + b"\n"


def read_assignment(line: bytes) -> Assignment:
    """
    @raise msgspec.DecodeError: if it is none.
    """
    return _assignments.decode(line)


def report_line(report: Report) -> bytes:
    """
    @return: the line for the starting process.
    """
    return _encoder.encode(report) + b"\n"


def read_report(line: bytes) -> Report | None:
    """
    @return: the report, or C{None} for a line that is none.
    """
    try:
        report: Report = _reports.decode(line)
    except msgspec.DecodeError:
        return None
    return report


class Lines:
    """Cuts bytes into lines; of one that is too long the end is dropped."""

    def __init__(self, most: int, received: Callable[[bytes], None]) -> None:
        """
        @param most: bytes of one line.
        @param received: gets each line without its end; empty ones are left out.
        """
        self._most = most
        self._received = received
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what came."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            self.end()
        self._add(rest)

    def end(self) -> None:
        """Take what there is for a line."""
        line, self._rest = self._rest, b""
        if line:
            self._received(line)

    def _add(self, piece: bytes) -> None:
        self._rest += piece[: self._most - len(self._rest)]
