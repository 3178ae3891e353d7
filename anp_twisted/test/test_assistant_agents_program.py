"""Tests of L{anp_twisted.assistant.agents.program}; real processes are in C{tests/}."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.assistant.agents import program
from anp_twisted.assistant.agents.events import Agent, Failed
from anp_twisted.assistant.agents.program import ProgramAgent, parse_command
from anp_twisted.errors import SettingsError
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import AgentRules, Stage, context, turn, turns, until
from anp_twisted.test.model_lab import FakePrograms
from anp_twisted.test.receiver_rig import on_loop


class RuleTests(AgentRules, TestCase):
    """The rules of all agents."""

    def setUp(self) -> None:
        self.programs = FakePrograms()

    def agent(self, stage: Stage) -> Agent:
        return ProgramAgent(["agent"], self.programs, stage.tasks, stage.limits, system=self.programs)

    def left(self) -> Iterable[object]:
        return self.programs.running


class ProcessTests(TestCase):
    """How a process is started and ended."""

    def setUp(self) -> None:
        self.stage = Stage(Limits(agent_backlog=1000))
        self.programs = FakePrograms()
        self.agent = ProgramAgent(
            ["agent", "-x"], self.programs, self.stage.tasks, self.stage.limits, system=self.programs
        )

    @on_loop
    async def test_secrets(self) -> None:
        """Nothing of a turn is an argument, and our own settings are not handed on."""
        self.patch(os, "environ", {"ANP_TOKEN": "canary", "PATH": "/bin"})
        hearing = self.stage.begin(self.agent.run(turn("say canary"), context()))
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.text, "canary")
        arguments, environment = self.programs.started[0]
        self.assertEqual(arguments[-2:], ["agent", "-x"])
        self.assertNotIn("canary", str(arguments))
        self.assertEqual(environment, {"PATH": "/bin"})

    @on_loop
    async def test_stubborn(self) -> None:
        """A program that does not end at SIGTERM is killed a little later."""
        hearing = self.stage.begin(self.agent.run(turn("hang"), context()))
        await until(lambda: hearing.text)
        next(iter(self.programs.running.values())).stubborn = True
        hearing.run.abort()
        await turns()
        self.assertEqual(self.programs.signals, [signal.SIGTERM])
        self.stage.clock.advance(self.stage.limits.agent_kill)
        await until(lambda: not self.stage.runs)
        self.assertEqual(self.programs.signals[-1], signal.SIGKILL)
        self.assertEqual((self.programs.running, self.stage.clock.getDelayedCalls()), ({}, []))

    @on_loop
    async def test_nonsense(self) -> None:
        """One that says something else than events has failed, and is ended."""

        hearing = self.stage.begin(self.agent.run(turn("hang"), context()))
        await until(lambda: hearing.text)
        next(iter(self.programs.running.values()))._protocol.outReceived(b"Hello!\n")
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Failed("agent_error", "the agent said something that has no meaning"))
        self.assertEqual(self.programs.running, {})

    @on_loop
    async def test_backPressure(self) -> None:
        """Its output is not read while nobody takes it."""
        events = self.agent.run(turn("flood"), context())
        await anext(events)
        process = next(iter(self.programs.running.values()))
        await turns(200)
        self.assertGreaterEqual(process.pipes[1].paused, 1)
        self.assertLess(process._protocol.pieces.held, 1300)
        for _ in range(20):
            await anext(events)
        await events.aclose()
        self.assertEqual(self.programs.running, {})

    @on_loop
    async def test_unheard(self) -> None:
        """An end that the reactor does not hear of is looked for."""
        hearing = self.stage.begin(self.agent.run(turn("hang"), context()))
        await until(lambda: hearing.text)
        process = next(iter(self.programs.running.values()))
        process.quiet = True
        process._protocol.outReceived(b'{"type":"final","text":"one"}\n')
        await turns()
        self.assertEqual((len(self.programs.running), len(self.stage.runs)), (1, 1))
        self.stage.clock.advance(self.stage.limits.agent_look)
        await until(lambda: not self.stage.runs)
        self.assertEqual((self.programs.running, self.stage.clock.getDelayedCalls()), ({}, []))

    @on_loop
    async def test_complaint(self) -> None:
        """What it wrote to standard error is for the log, and only the end of it."""
        lines: list[dict[str, Any]] = []
        self.patch(program._log, "warn", lambda text, **fields: lines.append(fields))
        hearing = self.stage.begin(self.agent.run(turn("fail tweet"), context()))
        await until(lambda: not self.stage.runs)
        self.assertEqual(hearing.end, Failed("agent_error", "the agent failed"))
        self.assertEqual([line["complaint"] for line in lines], ["the canary tweet"])


class CommandTests(SynchronousTestCase):
    """How a command is read."""

    def test_split(self) -> None:
        """As a shell splits it; nothing else of a shell is done."""
        self.assertEqual(parse_command("""sh -c 'a "b"' $HOME"""), ["sh", "-c", 'a "b"', "$HOME"])

    def test_refused(self) -> None:
        """What cannot be run is refused before anybody asks anything."""
        for text, reason in (("", "needs a command"), ("sh 'a", "quote"), ("no-such-program", "no program")):
            self.assertIn(reason, str(self.assertRaises(SettingsError, parse_command, text)))

    def test_kill(self) -> None:
        """A signal to a group that is gone is none."""
        calls: list[tuple[str, int, int]] = []

        def gone(name: str) -> Any:
            def send(number: int, what: int) -> None:
                calls.append((name, number, what))
                raise ProcessLookupError

            return send

        self.patch(os, "killpg", gone("group"))
        self.patch(os, "kill", gone("one"))
        program.ThisSystem().kill(7, signal.SIGTERM)
        self.assertEqual(calls, [("group", 7, signal.SIGTERM), ("one", 7, signal.SIGTERM)])
