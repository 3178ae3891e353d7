"""
An agent that is a program in any language: C{exec:command}.

It runs once for each turn, in a process group of its own, so that what it starts
ends with it. What it is asked comes on standard input, never as an argument, since
others can read those.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from shutil import which
from typing import Any, Final, Protocol

from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.process import reapAllProcesses
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.agents.events import AgentEvent, Context, Failed, Turn
from anp_twisted.assistant.agents.lines import EventLines, question
from anp_twisted.assistant.agents.pieces import Pieces
from anp_twisted.assistant.agents.transcript import BROKEN
from anp_twisted.errors import SettingsError
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks

_log = Logger()

# Twisted starts programs in our own process group, and knows no other way without a terminal.
_IN_A_GROUP: Final = "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])"

_OWN_SETTINGS: Final = "ANP_"
"""How the names of our own settings in the environment begin: tokens are among them."""


class System(Protocol):
    """What is done with processes of this machine."""

    def kill(self, group: int, number: int, /) -> None:
        """Send a signal to all processes of a group."""

    def reap(self) -> None:
        """Tell those whose processes have ended."""


class ThisSystem:
    """The L{System} that there is."""

    def kill(self, group: int, number: int, /) -> None:
        """Send a signal to all processes of a group; to its first one, while it is not yet a group."""
        with suppress(ProcessLookupError, PermissionError):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                os.kill(group, number)

    def reap(self) -> None:
        """Tell those whose processes have ended."""
        reapAllProcesses()


class Program(ProcessProtocol):
    """
    One process.

    @ivar pieces: its standard output.
    """

    transport: Any

    def __init__(self, tasks: Tasks, limits: Limits, asked: bytes, system: System) -> None:
        """
        @param asked: what it gets on standard input.
        """
        self.pieces = Pieces(tasks, limits.agent_backlog, self._hold)
        self._clock = tasks.clock
        self._limits = limits
        self._asked = asked
        self._system = system
        self._group = 0
        self._complaint = b""
        self._reason: Failure | None = None
        self._bell = tasks.bell()
        self._killing: IDelayedCall | None = None
        self._looking: IDelayedCall | None = None

    # --- what the process does --------------------------------------------------

    def connectionMade(self) -> None:
        """Ask."""
        self._group = self.transport.pid
        self.transport.write(self._asked)
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        """Keep what it says."""
        self.pieces.put(data)

    def errReceived(self, data: bytes) -> None:
        """Keep the end of what it complains of."""
        self._complaint = (self._complaint + data)[-self._limits.agent_complaint :]

    def outConnectionLost(self) -> None:
        """Its output has ended, so that it will."""
        # uvloop takes the wake-up descriptor of signals for itself, so that Twisted does not hear of SIGCHLD.
        if self._reason is None and self._looking is None:
            self._looking = self._clock.callLater(self._limits.agent_look, self._look)

    def _look(self) -> None:
        self._looking = None
        self._system.reap()
        self.outConnectionLost()

    def processExited(self, reason: Failure) -> None:
        """End what it started, which may hold its output open."""
        self._system.kill(self._group, signal.SIGKILL)

    def processEnded(self, reason: Failure) -> None:
        """Nothing more comes."""
        self._reason = reason
        for timer in (self._killing, self._looking):
            if timer is not None:
                timer.cancel()
        self._killing = self._looking = None
        self.pieces.end()
        self._bell.ring()

    # --- what is done with it -----------------------------------------------------

    async def succeeded(self) -> bool:
        """Wait for its end; tell whether it was a good one."""
        while self._reason is None:
            await self._bell.wait()
        if self._reason.check(ProcessDone):
            return True
        complaint = self._complaint.decode("utf-8", "replace")
        reason = self._reason.value
        _log.warn("the program of an agent failed: {reason}; it said: {complaint}", reason=reason, complaint=complaint)
        return False

    async def end(self) -> None:
        """End it, and wait until it has."""
        if self._reason is None:
            self._system.kill(self._group, signal.SIGTERM)
            self._killing = self._killing or self._clock.callLater(self._limits.agent_kill, self._hurry)
            self.outConnectionLost()
        while self._reason is None:
            await self._bell.wait()

    def _hurry(self) -> None:
        self._killing = None
        self._system.kill(self._group, signal.SIGKILL)

    def _hold(self, held: bool) -> None:
        output = self.transport.pipes.get(1)
        if output is not None and held:
            output.pauseProducing()
        elif output is not None:
            output.resumeProducing()


class ProgramAgent:
    """Starts the program for each turn."""

    def __init__(self, command: list[str], reactor: Any, tasks: Tasks, limits: Limits, *, system: System) -> None:
        """
        @param command: the program and its arguments.
        @param reactor: starts processes.
        """
        self._command = command
        self._reactor = reactor
        self._tasks = tasks
        self._limits = limits
        self._system = system

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """Answer."""
        lines = EventLines(self._limits.agent_line)
        program = Program(self._tasks, self._limits, question(turn, context), self._system)
        arguments = [sys.executable, "-I", "-S", "-c", _IN_A_GROUP, *self._command]
        self._reactor.spawnProcess(program, sys.executable, arguments, env=_environment())
        try:
            async for piece in program.pieces.taken():
                for event in lines.feed(piece):
                    yield event
            for event in lines.close():
                yield event
            if not await program.succeeded():
                yield Failed(BROKEN, "the agent failed")
        finally:
            await program.end()


def _environment() -> dict[str, str]:
    """Give a program the environment, without what is ours alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OWN_SETTINGS)}


def parse_command(text: str) -> list[str]:
    """
    Split a command as a shell would; nothing else of a shell is done.

    @raise SettingsError: there is none, a quote is open, or there is no such program.
    """
    try:
        command = shlex.split(text)
    except ValueError as error:
        raise SettingsError("the command of exec: has a quote that is not closed") from error
    if not command:
        raise SettingsError("exec: needs a command")
    if which(command[0]) is None:
        raise SettingsError(f"exec: there is no program {command[0]!r} that can be run")
    return command
