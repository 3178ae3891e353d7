"""
Agents on the real loop with time that the test moves, and one suite of rules that all kinds of agents keep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

from twisted.internet.task import Clock

from anp_twisted.assistant.agents.events import (
    Agent,
    AgentEvent,
    Context,
    Failed,
    Final,
    HistoryMessage,
    Reasoning,
    TextDelta,
    ToolEnd,
    ToolStart,
    Turn,
    Usage,
)
from anp_twisted.assistant.agents.runs import Run, Times
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks
from anp_twisted.test.brain import brain as brain
from anp_twisted.test.receiver_rig import on_loop, the_loop

LIMITS = Limits(agent_text=1000, agent_tools=4, agent_events=300)
TIMES = Times(first=10.0, idle=5.0, total=60.0)


def turn(text: str, **more: Any) -> Turn:
    """
    @return: a turn that asks for C{text}.
    """
    return Turn(message_id="m1", run_id="r1", text=text, **more)


def context(*history: tuple[str, str], **more: Any) -> Context:
    """
    @param history: role and text of what was said before.
    """
    said = tuple(HistoryMessage(role, text) for role, text in history)
    return Context(session_key="main:web:ann:private:ann:", agent_id="main", history=said, **more)


async def turns(number: int = 30) -> None:
    """Let the loop go round."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], what: str = "it") -> None:
    """Let the loop go round until something is so; where no process is waited for, at once."""
    deadline = the_loop().time() + 20
    while not condition():
        assert the_loop().time() < deadline, f"{what} did not come about"
        await asyncio.sleep(0 if the_loop().time() < deadline - 19.9 else 0.005)


class Stage:
    """
    Where agents run.

    @ivar clock: time.
    @ivar runs: those that are not over.
    """

    def __init__(self, limits: Limits = LIMITS, clock: Clock | None = None) -> None:
        self.limits = limits
        self.clock = clock or Clock()
        self.tasks = Tasks(the_loop(), self.clock)
        self.runs: set[Run] = set()

    def begin(self, events: AsyncGenerator[AgentEvent, None], times: Times = TIMES, tools: bool = True) -> Hearing:
        """Let an agent begin."""
        hearing = Hearing()
        hearing.run = Run(
            self.tasks, self.limits, times=times, sink=hearing.events.append, gone=self.runs.discard, tools=tools
        )
        self.runs.add(hearing.run)
        hearing.run.start(events)
        return hearing


class Hearing:
    """
    What is heard of a run.

    @ivar events: all of it.
    """

    run: Run

    def __init__(self) -> None:
        self.events: list[AgentEvent] = []

    @property
    def text(self) -> str:
        """
        The deltas, joined.
        """
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def end(self) -> AgentEvent | None:
        """
        The end, C{None} while there is none.
        """
        ends = [event for event in self.events if isinstance(event, (Final, Failed))]
        assert len(ends) <= 1 and ends == self.events[len(self.events) - len(ends) :], self.events
        return ends[0] if ends else None


class AgentRules:
    """
    The rules that every kind of agent keeps; mixed into a test case, which says how its agent is made.

    @cvar reasons: whether the kind can tell reasoning and cost.
    @cvar uses_tools: whether it can tell the end of a call of a tool.
    """

    reasons = True
    uses_tools = True

    def agent(self: Any, stage: Stage) -> Agent:
        """
        @return: an agent of this kind with L{brain} behind it.
        """
        raise NotImplementedError

    def left(self: Any) -> Iterable[object]:
        """
        @return: what the agent still holds: connections, processes, tasks.
        """
        return ()

    async def hear(self: Any, text: str, where: Context | None = None, **more: Any) -> Hearing:
        """Let the agent answer to the end."""
        stage = Stage()
        hearing = stage.begin(self.agent(stage).run(turn(text), where or context()), **more)
        await until(lambda: not stage.runs, "the end")
        self.assertEqual(list(self.left()), [])
        return hearing

    @on_loop
    async def test_text(self: Any) -> None:
        """What is said arrives in pieces and order, characters beyond ASCII too, and the end has all of it."""
        text = 'Grüße, 你好, 👩‍👩‍👧 and "quotes"\n\u2028done'
        hearing = await self.hear(f"say {text}")
        self.assertEqual((hearing.text, hearing.end), (text, Final(text)))
        self.assertGreater(len(hearing.events), 3)

    @on_loop
    async def test_empty(self: Any) -> None:
        """An empty answer is an answer."""
        self.assertEqual((await self.hear("say ")).events, [Final("")])

    @on_loop
    async def test_reasoning(self: Any) -> None:
        """Reasoning is told apart, and the cost once, before the end."""
        hearing = await self.hear("think x")
        self.assertEqual(hearing.events, [Reasoning("hm"), TextDelta("x"), Usage(7, 3), Final("x")])

    @on_loop
    async def test_tools(self: Any) -> None:
        """Calls of tools are told; where there may be none, they end the turn."""
        hearing = await self.hear("tool x")
        expected: list[AgentEvent] = [ToolStart("t1", "look", '{"at": "ü"}')]
        if self.uses_tools:
            expected.append(ToolEnd("t1", "seen"))
        self.assertEqual([event for event in hearing.events if isinstance(event, (ToolStart, ToolEnd))], expected)
        hearing = await self.hear("tool x", tools=False)
        self.assertIsInstance(hearing.end, Failed)
        self.assertFalse([event for event in hearing.events if isinstance(event, ToolStart)])

    @on_loop
    async def test_history(self: Any) -> None:
        """The agent knows what was said before, and what it is to be."""
        where = context(("system", "sum"), ("user", "a"), ("assistant", "b"), instructions="be")
        self.assertEqual((await self.hear("recall", where)).text, "system=sum|user=a|assistant=b|be")

    @on_loop
    async def test_abort(self: Any) -> None:
        """An abort is told at once; the agent is closed and lets everything go."""
        stage = Stage()
        hearing = stage.begin(self.agent(stage).run(turn("hang"), context()))
        await until(lambda: hearing.text, "the first word")
        hearing.run.abort()
        self.assertEqual(hearing.events, [TextDelta("one"), Failed("cancelled", "the run was aborted")])
        await until(lambda: not stage.runs, "the end of the agent")
        await turns()
        self.assertEqual((len(hearing.events), list(self.left()), stage.clock.getDelayedCalls()), (2, [], []))

    @on_loop
    async def test_silence(self: Any) -> None:
        """An agent that says nothing more is ended after a while."""
        stage = Stage()
        hearing = stage.begin(self.agent(stage).run(turn("hang"), context()))
        await until(lambda: hearing.text, "the first word")
        stage.clock.pump([TIMES.idle / 2] * 3)
        end = hearing.end
        assert isinstance(end, Failed)
        self.assertEqual((end.code, end.retryable), ("timeout", True))
        await until(lambda: not stage.runs, "the end of the agent")
        self.assertEqual(list(self.left()), [])

    @on_loop
    async def test_failure(self: Any) -> None:
        """An agent that fails in the middle is told of in fixed words."""
        hearing = await self.hear("fail tweet")
        self.flush()
        end = hearing.end
        assert isinstance(end, Failed)
        self.assertEqual((hearing.text, end.code), ("one", "agent_error"))
        self.assertNotIn("tweet", str(hearing.events))

    @on_loop
    async def test_flood(self: Any) -> None:
        """An agent that says too much is cut, and closed."""
        hearing = await self.hear("flood")
        end = hearing.end
        assert isinstance(end, Failed)
        self.assertEqual((hearing.text, end.code), ("x" * LIMITS.agent_text, "agent_error"))

    @on_loop
    async def test_beside(self: Any) -> None:
        """Several turns at once do not mix."""
        stage = Stage()
        agent = self.agent(stage)
        texts = [f"answer {number}" for number in range(10)]
        hearings = [stage.begin(agent.run(turn(f"say {text}"), context())) for text in texts]
        await until(lambda: not stage.runs, "the end")
        self.assertEqual([hearing.text for hearing in hearings], texts)

    def flush(self: Any) -> None:
        """Forget what was logged of the failure."""
        self.flushLoggedErrors(ValueError)
