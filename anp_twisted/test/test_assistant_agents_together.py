"""Tests of L{anp_twisted.assistant.agents.together}."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

from twisted.trial.unittest import TestCase

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
from anp_twisted.assistant.agents.python import PythonAgent
from anp_twisted.assistant.agents.runs import Phase, Times
from anp_twisted.assistant.agents.together import Asked, Divided, QuickFirst
from anp_twisted.test.agent_lab import LIMITS, AgentRules, Stage, brain, context, turn, turns, until
from anp_twisted.test.receiver_rig import on_loop

Events = AsyncGenerator[AgentEvent, None]


class Crew:
    """
    An agent that plays all roles.

    @ivar plan: what it answers where it is asked for a plan.
    @ivar seen: each context it was called with, and the text.
    @ivar open: parts that run now.
    @ivar most: the most of them at once.
    """

    def __init__(self, plan: str = "[]") -> None:
        self.plan = plan
        self.seen: list[tuple[str, Context]] = []
        self.open = 0
        self.most = 0
        self.go = asyncio.Event()

    async def run(self, asked: Turn, where: Context) -> Events:
        self.seen.append((asked.text, where))
        yield Usage(10, 1)
        if "Divide the request" in where.instructions:
            yield Final(self.plan)
        elif "one part of a larger" in where.instructions:
            async for event in self._part(asked.text):
                yield event
        elif not where.tools and not where.history:
            yield ToolStart("1", "look")
        else:
            yield Final(f"merged {len(where.history)}")

    async def _part(self, text: str) -> Events:
        self.open += 1
        self.most = max(self.open, self.most)
        try:
            await self.go.wait()
            if text.startswith("fail"):
                yield Failed("agent_error", "no")
            yield Final(f"done {text}")
        finally:
            self.open -= 1


class AskedTests(TestCase):
    """A run inside of another."""

    @on_loop
    async def test_closed(self) -> None:
        """Who stops to listen ends it, and goes on when nothing of it runs."""
        stage = Stage()
        asked = Asked(stage.tasks, LIMITS, times=Times(0, 0, 0), tools=True)
        events = asked.start(brain(turn("hang"), context())).events()
        self.assertEqual(await anext(events), TextDelta("one"))
        self.assertEqual(stage.tasks.running, 1)
        await events.aclose()
        self.assertIs(asked._run.phase, Phase.GONE)
        self.assertEqual((asked.answer, stage.clock.getDelayedCalls()), (None, []))

    @on_loop
    async def test_end(self) -> None:
        """Its answer and its cost are kept."""
        stage = Stage()
        asked = Asked(stage.tasks, LIMITS, times=Times(0, 0, 0), tools=True).start(brain(turn("think x"), context()))
        await asked.end()
        self.assertEqual((asked.answer, asked.usage), ("x", Usage(7, 3)))


class QuickRuleTests(AgentRules, TestCase):
    """The rules of all agents, for one that tries the quick way first."""

    def agent(self, stage: Stage) -> Agent:
        return QuickFirst(PythonAgent(brain), stage.tasks, stage.limits)

    def flush(self) -> None:
        """It fails once where it has said something."""
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class QuickTests(TestCase):
    """The quick way, and back."""

    @on_loop
    async def test_tools(self) -> None:
        """An agent that needs a tool is asked again with tools, and only that is heard."""
        stage, crew = Stage(), Crew()
        hearing = stage.begin(QuickFirst(crew, stage.tasks, LIMITS).run(turn("a"), context()))
        await until(lambda: not stage.runs)
        self.assertEqual(hearing.events, [TextDelta("merged 0"), Usage(10, 1), Final("merged 0")])
        self.assertEqual([where.tools for _, where in crew.seen], [False, True])
        self.assertEqual(crew.seen[0][1].deadline, LIMITS.agent_fast)

    @on_loop
    async def test_slow(self) -> None:
        """One that says nothing in time is asked again; one that has begun is not."""
        stage = Stage()
        calls: list[bool] = []

        async def slow(asked: Turn, where: Context) -> Events:
            calls.append(where.tools)
            if asked.text == "begin":
                yield TextDelta("a")
            if not where.tools:
                await asyncio.get_running_loop().create_future()
            yield Final("done")

        agent = QuickFirst(PythonAgent(slow), stage.tasks, LIMITS)
        for text, end in (("wait", Final("done")), ("begin", Failed("timeout", "the agent took too long", True))):
            calls.clear()
            hearing = stage.begin(agent.run(turn(text), context()), Times(0, 0, 0))
            await turns()
            stage.clock.advance(LIMITS.agent_fast)
            await until(lambda: not stage.runs)
            self.assertEqual((hearing.end, calls), (end, [False, True] if text == "wait" else [False]))


class DividedTests(TestCase):
    """Plan, parts and whole."""

    def setUp(self) -> None:
        self.stage = Stage()

    @on_loop
    async def test_parts(self) -> None:
        """Parts run beside each other, are told as tools, and only the last step writes; the cost is of all."""
        crew = Crew(json.dumps(["a", "b", "fail c", "d", "e"]))
        hearing = self.stage.begin(Divided(crew, self.stage.tasks, LIMITS).run(turn("all"), context(("user", "x"))))
        await until(lambda: crew.open == 4)
        told = [ToolStart(f"part-{number}", "part", text) for number, text in enumerate(["a", "b", "fail c", "d"], 1)]
        self.assertEqual(hearing.events, told)
        crew.go.set()
        await until(lambda: not self.stage.runs)
        self.assertEqual((hearing.text, crew.open), ("merged 2", 0))

    @on_loop
    async def test_heard(self) -> None:
        """What is heard of it, in order."""
        crew = Crew(json.dumps(["a", "fail b"]))
        crew.go.set()
        hearing = self.stage.begin(Divided(crew, self.stage.tasks, LIMITS).run(turn("all"), context()))
        await until(lambda: not self.stage.runs)
        self.assertEqual(
            hearing.events,
            [
                ToolStart("part-1", "part", "a"),
                ToolStart("part-2", "part", "fail b"),
                ToolEnd("part-1", "done a"),
                ToolEnd("part-2", "", True),
                TextDelta("merged 1"),
                Usage(40, 4),
                Final("merged 1"),
            ],
        )
        results = crew.seen[-1][1].history[-1].text
        self.assertIn("done a", results)
        self.assertIn("(this part failed)", results)

    @on_loop
    async def test_noPlan(self) -> None:
        """What cannot be divided is answered as a whole."""
        crew = Crew("I cannot")
        hearing = self.stage.begin(Divided(crew, self.stage.tasks, LIMITS).run(turn("all"), context()))
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Final("merged 0"))
        self.assertTrue(crew.seen[-1][1].tools)

    @on_loop
    async def test_allFailed(self) -> None:
        """Without a single result there is no answer."""
        crew = Crew(json.dumps(["fail a", "fail b"]))
        crew.go.set()
        hearing = self.stage.begin(Divided(crew, self.stage.tasks, LIMITS).run(turn("all"), context()))
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Failed("agent_error", "every part of the work failed", True))

    @on_loop
    async def test_abort(self) -> None:
        """An abort ends the plan, or all parts, whatever runs."""
        for plan, parts in ((json.dumps(["a", "b"]), 2), ("", 0)):
            crew = Crew(plan)
            if not plan:
                self.patch(crew, "run", brain)
            agent = Divided(crew, self.stage.tasks, LIMITS)
            hearing = self.stage.begin(agent.run(turn("hang"), context()))
            await self.begun(crew, parts)
            await turns()
            hearing.run.abort()
            await until(lambda: not self.stage.runs)
            self.assertEqual((crew.open, self.stage.tasks.running, self.stage.clock.getDelayedCalls()), (0, 0, []))

    async def begun(self, crew: Crew, parts: int) -> None:
        """Wait until so many parts run."""
        await until(lambda: crew.open == parts)

    @on_loop
    async def test_slowPart(self) -> None:
        """A part that takes too long has failed; the others count."""
        crew = Crew(json.dumps(["a", "b"]))
        hearing = self.stage.begin(Divided(crew, self.stage.tasks, LIMITS).run(turn("all"), context()), Times(0, 0, 0))
        await until(lambda: crew.open == 2)
        self.stage.clock.advance(LIMITS.agent_child)
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Failed("agent_error", "every part of the work failed", True))
