"""
One turn of one agent, from its first event to the moment when nothing of it runs any more.

An agent is somebody else's coroutine: it may hang, raise, go on after it was
cancelled, or never give the loop back between two events. A L{Run} is its owner.
Whoever listens hears one end, at the moment of an abort or a deadline too; the
agent is closed behind that, and what it says then is heard by nobody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.agents.events import AgentEvent
from anp_twisted.assistant.agents.transcript import Said, Transcript
from anp_twisted.limits import Limits
from anp_twisted.tasks import Task, Tasks

_log = Logger()

Sink = Callable[[AgentEvent], None]
"""Hears the events of a run, in the turn of the loop in which they were said; it must not raise."""

_IN_A_ROW: Final = 32
"""Events after which everything else has its turn, since an agent that never waits would let nobody."""

_NUDGES: Final = 4
"""How often within L{Limits.agent_close} an agent that goes on is cancelled again."""


class Phase(Enum):
    """
    What becomes of the agent.

    C{RUNNING}: it answers. C{CLOSING}: the end was told, and it is being closed.
    C{LEFT}: it goes on all the same. C{GONE}: nothing of it runs.
    """

    RUNNING = auto()
    CLOSING = auto()
    LEFT = auto()
    GONE = auto()


class Step(Enum):
    """What happens to a run."""

    ENDED = auto()
    """The end was told."""
    OVERDUE = auto()
    """Its time to close is over."""
    STOPPED = auto()
    """The task is over."""


_AFTER: Final = {
    (Phase.RUNNING, Step.ENDED): Phase.CLOSING,
    (Phase.RUNNING, Step.STOPPED): Phase.GONE,
    (Phase.CLOSING, Step.OVERDUE): Phase.LEFT,
    (Phase.CLOSING, Step.STOPPED): Phase.GONE,
    (Phase.LEFT, Step.STOPPED): Phase.GONE,
}


@dataclass(frozen=True, slots=True)
class Times:
    """
    How long one run may take, in seconds; 0 is no limit.

    @ivar first: until the agent says something.
    @ivar idle: between two things it says.
    @ivar total: for all of it.
    """

    first: float
    idle: float
    total: float

    def next(self, begun: float, heard: float | None) -> float:
        """
        Say when a run is overdue unless something is heard of it before.

        @param begun: when it began.
        @param heard: when something was heard last, C{None} if nothing was yet.
        """
        pause = self.first if heard is None else self.idle
        since = begun if heard is None else heard
        ends = [at for length, at in ((pause, since + pause), (self.total, begun + self.total)) if length]
        return min(ends, default=float("inf"))


def fast_times(limits: Limits) -> Times:
    """
    @return: those of a turn that somebody waits for.
    """
    return Times(first=0.0, idle=0.0, total=limits.agent_fast)


def full_times(limits: Limits) -> Times:
    """
    @return: those of any other.
    """
    return Times(first=limits.agent_first, idle=limits.agent_idle, total=limits.agent_total)


class Run:
    """
    The owner of one turn of one agent.

    @ivar phase: what becomes of the agent.
    """

    def __init__(
        self,
        tasks: Tasks,
        limits: Limits,
        *,
        times: Times,
        sink: Sink,
        gone: Callable[[Run], None],
        tools: bool = True,
    ) -> None:
        """
        @param sink: hears the events, the last of which is a C{Final} or a C{Failed}.
        @param gone: called once nothing of the agent runs any more.
        @param tools: whether the agent may use tools.
        """
        self.phase = Phase.RUNNING
        self._tasks = tasks
        self._clock = tasks.clock
        self._limits = limits
        self._times = times
        self._sink = sink
        self._gone = gone
        self._transcript = Transcript(limits, tools=tools)
        self._begun = self._clock.seconds()
        self._heard: float | None = None
        self._nudges = 0
        self._timer: IDelayedCall | None = None
        self._task: Task

    def start(self, events: AsyncGenerator[AgentEvent, None]) -> None:
        """Let the agent begin, in a later turn of the loop."""
        self._task = self._tasks.start(self._listen(events), self._over)
        self._watch()

    def abort(self, code: str = "cancelled", message: str = "the run was aborted", *, retryable: bool = False) -> None:
        """
        End the run now; the sink hears of it before this returns. After the end it does nothing.

        @param code: of the C{Failed} event.
        @param message: a fixed text, for strangers.
        """
        if self.phase is not Phase.RUNNING:
            return
        said = self._transcript.fail(message, code, retryable=retryable)
        self._close()
        self._task.cancel()
        self._tell(said)

    # --- the agent speaks -----------------------------------------------------

    async def _listen(self, events: AsyncGenerator[AgentEvent, None]) -> None:
        async with aclosing(events):
            async for event in events:
                if self.phase is not Phase.RUNNING:
                    return
                self._note()
                self._tell(self._transcript.feed(event))
                if self._transcript.ended:
                    return
                if not self._transcript.events % _IN_A_ROW:
                    await self._tasks.turn()
        if self.phase is Phase.RUNNING:
            self._tell(self._transcript.close())

    def _tell(self, said: Said) -> None:
        """Tell what was said; before its end is told, the run is over."""
        if self._transcript.ended and self.phase is Phase.RUNNING:
            self._close()
        for event in said:
            try:
                self._sink(event)
            except Exception:  # noqa: BLE001 boundary: a listener that fails must not take the agent for the culprit
                _log.failure("the listener of a run failed")

    # --- time -----------------------------------------------------------------

    def _note(self) -> None:
        """Note that something was said; the first time, the next deadline may come sooner."""
        first = self._heard is None
        self._heard = self._clock.seconds()
        if first:
            self._stop_timer()
            self._watch()

    def _watch(self) -> None:
        """Look again when the run would be overdue; one timer, since an answer has thousands of events."""
        self._timer = None
        if self.phase is not Phase.RUNNING:
            return
        now = self._clock.seconds()
        due = self._times.next(self._begun, self._heard)
        if now >= due:
            self.abort("timeout", "the agent took too long", retryable=True)
        elif due != float("inf"):
            self._timer = self._clock.callLater(due - now, self._watch)

    def _close(self) -> None:
        """From here on nobody listens, and the agent has some time to end."""
        self._go(Step.ENDED)
        self._stop_timer()
        self._timer = self._clock.callLater(self._limits.agent_close / _NUDGES, self._nudge)

    def _nudge(self) -> None:
        """Cancel an agent that did not end, for one of them may have taken no notice."""
        self._timer = None
        self._nudges += 1
        if self._nudges == _NUDGES:
            _log.error("an agent goes on {seconds} s after its turn was ended", seconds=self._limits.agent_close)
            self._go(Step.OVERDUE)
        self._task.cancel()
        pause = self._limits.agent_close / (_NUDGES if self.phase is Phase.CLOSING else 1)
        self._timer = self._clock.callLater(pause, self._nudge)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # --- the end --------------------------------------------------------------

    def _over(self, error: BaseException | None) -> None:
        """The task is over, by whatever way."""
        was = self.phase
        self._go(Step.STOPPED)
        self._stop_timer()
        self._gone(self)
        if was is Phase.RUNNING:
            # Without an error it cancelled itself, which is no way to end an answer either.
            _log.failure("an agent failed", failure=Failure(error or CancelledError()))
            self._tell(self._transcript.fail("the agent failed"))
        elif error is not None:
            _log.info("an agent failed when its turn had ended ({kind})", kind=type(error).__name__)

    def _go(self, step: Step) -> None:
        self.phase = _AFTER[self.phase, step]
