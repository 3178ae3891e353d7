"""
How a C{twistd} process ends: drained, at once, or with a status that says it failed.

C{twistd} stops its services at the first SIGTERM or SIGINT and ignores any other,
and it has no way to end with a status of its own. Both are added here, once for
all commands.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from types import FrameType
from typing import Any, TextIO

from twisted.internet.error import ReactorNotRunning

from anp_twisted.errors import ANPError

SignalAction = Callable[[int, FrameType | None], Any] | int | None
"""What C{signal.signal} takes and gives back."""


class Heard(Enum):
    """How often the process was asked to stop."""

    NEVER = auto()
    ONCE = auto()
    AGAIN = auto()


class StopSignals:
    """
    The first signal is the reactor's, which drains; the second stops at once; a third kills.

    @ivar heard: how often it was asked.
    """

    def __init__(
        self,
        reactor: Any,
        at_once: Callable[[], object],
        set_action: Callable[[int, SignalAction], Any] = signal.signal,
    ) -> None:
        """
        @param reactor: provides C{callFromThread} and C{callWhenRunning}.
        @param at_once: ends whatever the first signal made the process wait for.
        @param set_action: C{signal.signal}, or its stand-in.
        """
        self.heard = Heard.NEVER
        self._reactor = reactor
        self._at_once = at_once
        self._set_action = set_action
        self._before: dict[int, SignalAction] = {}

    def install(self) -> None:
        """Take the signals over as soon as the reactor has set its own actions."""
        self._reactor.callWhenRunning(self._take)

    def _take(self) -> None:
        """Put this in front of what is there."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = self._set_action(number, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        """Act on a signal; this runs between any two steps of the program."""
        if self.heard is Heard.NEVER:
            self.heard = Heard.ONCE
            before = self._before[number]
            if callable(before):
                before(number, frame)
            return
        self.heard = Heard.AGAIN
        for mine in self._before:
            # What hangs so deep that the reactor does not come to it can still be killed by the next one.
            self._set_action(mine, signal.SIG_DFL)
        self._reactor.callFromThread(self._at_once)


class Failing:
    """
    Ends the process with one line on standard error and status 1.

    @ivar status: the status, once it failed.
    """

    def __init__(
        self, reactor: Any, command: str, *, leave: Callable[[int], object] = os._exit, output: TextIO | None = None
    ) -> None:
        """
        Make it before the application is imported: what is registered at
        C{atexit} later runs before.

        @param command: begins the line, C{anp-receiver}.
        @param leave: ends the process without another word.
        @param output: instead of standard error.
        """
        self.status = 0
        self._reactor = reactor
        self._command = command
        self._leave = leave
        # sys.stderr is a part of the log by the time something fails.
        self._output = output if output is not None else sys.__stderr__
        atexit.register(self.at_exit)

    def fail(self, error: ANPError) -> None:
        """
        Stop the reactor; the first reason counts.

        @param error: its text is one line for the operator.
        """
        if self.status:
            return
        self.status = 1
        if self._output is not None:
            self._output.write(f"{self._command}: {error}\n")
        with suppress(ReactorNotRunning):  # it may be stopping already
            self._reactor.stop()

    def at_exit(self) -> None:
        """Leave with the status; C{twistd} returns 0 whatever happened."""
        if self.status:
            for stream in (sys.stdout, sys.stderr, self._output):
                if stream is not None:
                    stream.flush()
            self._leave(self.status)
