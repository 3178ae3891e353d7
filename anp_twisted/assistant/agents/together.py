"""
Agents made of other agents: one that tries the quick way first, and one that divides the work.

What they ask others is a L{Run} of its own, with its own deadline, cap and end, so that
one that hangs or floods takes nobody with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

from anp_twisted.assistant.agents.events import (
    Agent,
    AgentEvent,
    Context,
    Failed,
    Final,
    TextDelta,
    ToolEnd,
    ToolStart,
    Turn,
    Usage,
)
from anp_twisted.assistant.agents.modes import Part, merging, plan_of, planning, with_deadline, without_tools, working
from anp_twisted.assistant.agents.runs import Phase, Run, Times, fast_times, full_times
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks


class Asked:
    """
    A run inside of another agent's turn.

    @ivar answer: the text of its end, C{None} if it failed or goes on.
    @ivar usage: what it cost.
    """

    def __init__(self, tasks: Tasks, limits: Limits, *, times: Times, tools: bool) -> None:
        self.answer: str | None = None
        self.usage = Usage()
        self._events: deque[AgentEvent] = deque()
        self._bell = tasks.bell()
        self._run = Run(tasks, limits, times=times, sink=self._hear, gone=self._gone, tools=tools)

    def start(self, events: AsyncGenerator[AgentEvent, None]) -> Asked:
        """Begin."""
        self._run.start(events)
        return self

    async def events(self) -> AsyncGenerator[AgentEvent, None]:
        """
        Say what the run says.

        @return: the last event is its end; closing this aborts it.
        """
        try:
            while True:
                while self._events:
                    event = self._events.popleft()
                    yield event
                    if isinstance(event, (Final, Failed)):
                        return
                await self._bell.wait()
        finally:
            await self.close()

    async def end(self) -> None:
        """Wait for its end; what else it says is of no interest. Cancelling this aborts it."""
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass

    async def close(self) -> None:
        """Abort it, and wait until nothing of it runs or it was left behind."""
        self._run.abort()
        while self._run.phase is Phase.CLOSING:
            await self._bell.wait()

    def _hear(self, event: AgentEvent) -> None:
        if isinstance(event, Final):
            self.answer = event.text
        elif isinstance(event, Usage):
            self.usage = event
        self._events.append(event)
        self._bell.ring()

    def _gone(self, run: Run) -> None:
        self._bell.ring()


class QuickFirst:
    """
    Tries the quick way, and the long one if nothing came of that.

    Once something was said, there is no way back: nobody should read two beginnings.
    """

    def __init__(self, agent: Agent, tasks: Tasks, limits: Limits) -> None:
        self._agent = agent
        self._tasks = tasks
        self._limits = limits

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """Answer."""
        said = False
        async with aclosing(self._quick(turn, context)) as events:
            async for event in events:
                if isinstance(event, Failed) and not said:
                    break
                said = said or isinstance(event, TextDelta)
                yield event
                if isinstance(event, (Final, Failed)):
                    return
        asked = Asked(self._tasks, self._limits, times=full_times(self._limits), tools=context.tools)
        async with aclosing(asked.start(self._agent.run(turn, context)).events()) as events:
            async for event in events:
                yield event

    def _quick(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        asked = Asked(self._tasks, self._limits, times=fast_times(self._limits), tools=False)
        where = with_deadline(without_tools(context), self._limits.agent_fast)
        return asked.start(self._agent.run(turn, where)).events()


class Divided:
    """
    Lets the agent make a plan, work on its parts beside each other, and answer with what came of them.

    Only the last step writes the answer. The parts are told as calls of tools, so
    that whoever watches sees that something goes on.
    """

    def __init__(self, agent: Agent, tasks: Tasks, limits: Limits) -> None:
        self._agent = agent
        self._tasks = tasks
        self._limits = limits
        self._times = Times(first=0.0, idle=0.0, total=limits.agent_child)

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """Answer."""
        plan = self._ask(turn, planning(context, self._limits.agent_children), tools=False)
        await plan.end()
        spent = [plan]
        tasks = plan_of(plan.answer or "", self._limits.agent_children)
        parts: list[Part] = []
        for number, task in enumerate(tasks, 1):
            yield ToolStart(f"part-{number}", "part", task)
        children = [self._ask(*working(turn, context, task), tools=context.tools) for task in tasks]
        spent += children
        try:
            for number, child in enumerate(children, 1):
                await child.end()
                parts.append(Part(tasks[number - 1], child.answer))
                yield ToolEnd(f"part-{number}", child.answer or "", child.answer is None)
        finally:
            for child in children:
                await child.close()
        if parts and all(part.answer is None for part in parts):
            yield Failed("agent_error", "every part of the work failed", True)
            return
        where = merging(turn, context, parts, self._limits.agent_child_text) if parts else context
        whole = Asked(self._tasks, self._limits, times=full_times(self._limits), tools=where.tools)
        async with aclosing(whole.start(self._agent.run(turn, where)).events()) as events:
            async for event in events:
                yield _with(event, spent)

    def _ask(self, turn: Turn, context: Context, *, tools: bool) -> Asked:
        """Begin a run of the agent for something that nobody but us reads."""
        asked = Asked(self._tasks, self._limits, times=self._times, tools=tools)
        where = with_deadline(context, self._limits.agent_child)
        return asked.start(self._agent.run(turn, where))


def _with(event: AgentEvent, spent: list[Asked]) -> AgentEvent:
    """Add what others have cost."""
    if not isinstance(event, Usage):
        return event
    costs = [event, *(one.usage for one in spent)]
    return Usage(sum(cost.input_tokens for cost in costs), sum(cost.output_tokens for cost in costs))
