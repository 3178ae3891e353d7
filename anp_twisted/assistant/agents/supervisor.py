"""
All turns that agents work on: which way each goes, how many there may be, and that all of them end.
"""

from __future__ import annotations

from typing import Final

import msgspec
from twisted.internet.defer import Deferred, succeed

from anp_twisted.assistant.agents.events import Agent, Context, Turn
from anp_twisted.assistant.agents.modes import Mode, choose, with_deadline, without_tools
from anp_twisted.assistant.agents.runs import Run, Sink, Times, fast_times, full_times
from anp_twisted.assistant.agents.together import Divided, QuickFirst
from anp_twisted.assistant.errors import Overloaded
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks

_OVERLOADED: Final = 5.0
"""Seconds after which somebody who was turned away may try again."""


class Supervisor:
    """
    Runs the turns of one agent.

    Whoever asks for a turn hears its events: well-formed text that adds up to that
    of the C{Final}, the cost once before the end, and exactly one C{Final} or
    C{Failed}, behind which nothing comes.
    """

    def __init__(self, agent: Agent, tasks: Tasks, limits: Limits, *, instructions: str = "") -> None:
        """
        @param instructions: what the agent is to be in each turn that says nothing else.
        """
        self._tasks = tasks
        self._limits = limits
        self._instructions = instructions
        self._agent = agent
        self._quick_first = QuickFirst(agent, tasks, limits)
        self._divided = Divided(agent, tasks, limits)
        self._runs: set[Run] = set()
        self._stopping = False
        self._waiting: Deferred[None] | None = None

    @property
    def running(self) -> int:
        """
        How many turns run, counting agents that have still to end.
        """
        return len(self._runs)

    def run(self, turn: Turn, context: Context, sink: Sink) -> Run:
        """
        Begin a turn.

        @param sink: hears the events; not before this has returned.
        @raise Overloaded: there are too many already, or no more are taken.
        """
        if self._stopping or len(self._runs) >= self._limits.agent_runs:
            raise Overloaded(retry_after=_OVERLOADED)
        if self._instructions and not context.instructions:
            context = msgspec.structs.replace(context, instructions=self._instructions)
        agent, times, tools = self._way(turn, context)
        where = with_deadline(context if tools else without_tools(context), times.total)
        run = Run(self._tasks, self._limits, times=times, sink=sink, gone=self._forget, tools=where.tools)
        self._runs.add(run)
        run.start(agent.run(turn, where))
        return run

    def _way(self, turn: Turn, context: Context) -> tuple[Agent, Times, bool]:
        """
        @return: who answers, within which time, and whether it may use tools.
        """
        wanted = Mode(turn.mode)
        mode = choose(turn, context) if wanted is Mode.AUTO else wanted
        if wanted is Mode.FAST:
            return self._agent, fast_times(self._limits), False
        if mode is Mode.SINGLE:
            return self._agent, full_times(self._limits), True
        # Each step of these has deadlines of its own.
        several = self._divided if mode is Mode.MULTI else self._quick_first
        return several, Times(first=0.0, idle=0.0, total=self._limits.agent_total), True

    def stop(self) -> Deferred[None]:
        """
        Abort all turns; no more are taken. To be called once.

        @return: fires when nothing of them runs, or what goes on is left behind; it never fails.
        """
        self._stopping = True
        for run in list(self._runs):
            run.abort("cancelled", "the gateway stops", retryable=True)
        if not self._runs:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting = waiting
        waiting.addTimeout(self._limits.agent_close, self._tasks.clock, onTimeoutCancel=_leave)
        return waiting

    def _forget(self, run: Run) -> None:
        self._runs.discard(run)
        if not self._runs and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)


def _leave(result: object, seconds: float) -> None:
    """Wait no longer for agents that do not end; their runs have logged it."""
