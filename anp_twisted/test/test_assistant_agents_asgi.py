"""Tests of L{anp_twisted.assistant.agents.asgi}."""

from __future__ import annotations

import sys
import types
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.assistant.agents.asgi import AppUpstream, Message, load_app
from anp_twisted.assistant.agents.chat import ChatAgent, ReplyHead
from anp_twisted.assistant.agents.events import Agent
from anp_twisted.errors import AppImportError, BackendFault
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import AgentRules, Stage, turns, until
from anp_twisted.test.model_lab import Alive, model_app
from anp_twisted.test.receiver_rig import on_loop

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain; charset=utf-8")]}


class RuleTests(AgentRules, TestCase):
    """The rules of all agents."""

    uses_tools = False

    def agent(self, stage: Stage) -> Agent:
        return ChatAgent(AppUpstream(model_app, Alive(), stage.tasks, stage.limits), stage.tasks, stage.limits)


class CallTests(TestCase):
    """How an application is called."""

    def setUp(self) -> None:
        self.stage = Stage(Limits(agent_backlog=100))

    def ask(self, app: Any) -> Any:
        """
        @return: what comes back.
        """
        return AppUpstream(app, Alive(), self.stage.tasks, self.stage.limits).ask(b"{}")

    @on_loop
    async def test_scope(self) -> None:
        """It gets a request as from a server, then nothing until nobody waits."""
        seen: list[Message] = []

        async def app(scope: Message, receive: Any, send: Any) -> None:
            seen.extend([scope, await receive()])
            await send(START)
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            seen.append(await receive())

        parts = self.ask(app)
        self.assertEqual(await anext(parts), ReplyHead(200, "text/plain"))
        self.assertEqual(await anext(parts), b"a")
        self.assertEqual(len(seen), 2)
        await parts.aclose()
        self.assertEqual(seen[0]["state"], {"kept": 7})
        self.assertEqual(dict(seen[0]["headers"])[b"content-length"], b"2")
        self.assertEqual(seen[1], {"type": "http.request", "body": b"{}", "more_body": False})
        self.assertEqual(self.stage.tasks.running, 0)

    @on_loop
    async def test_afterwards(self) -> None:
        """Work behind the answer, which frameworks allow, is not cut off."""
        done: list[Message] = []

        async def app(scope: Message, receive: Any, send: Any) -> None:
            await receive()
            await send(START)
            await send({"type": "http.response.body", "body": b"a"})
            await turns()
            done.append(await receive())

        parts = self.ask(app)
        self.assertEqual([part async for part in parts], [ReplyHead(200, "text/plain"), b"a"])
        self.assertEqual(done, [{"type": "http.disconnect"}])

    @on_loop
    async def test_ends(self) -> None:
        """One that ends too early, with or without an error, has no answer; where it began, that broke off."""

        async def nothing(scope: Message, receive: Any, send: Any) -> None:
            pass

        async def fail(scope: Message, receive: Any, send: Any) -> None:
            raise ValueError("no")

        async def half(scope: Message, receive: Any, send: Any) -> None:
            await send(START)
            await send({"type": "http.response.body", "body": b"a", "more_body": True})

        for app, logged in ((nothing, 0), (fail, 1), (half, 0)):
            with self.assertRaises(BackendFault):
                async for _ in self.ask(app):
                    pass
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), logged)

    @on_loop
    async def test_backPressure(self) -> None:
        """It waits in send() while nobody takes what it sent, and sends into nothing after that."""
        sent: list[int] = []

        async def app(scope: Message, receive: Any, send: Any) -> None:
            await send(START)
            for number in range(100):
                await send({"type": "http.response.body", "body": b"x" * 60, "more_body": True})
                sent.append(number)

        parts = self.ask(app)
        await anext(parts)
        await turns()
        self.assertLessEqual(len(sent), 2)
        await anext(parts)
        await anext(parts)
        await until(lambda: len(sent) > 2)
        await parts.aclose()
        self.assertEqual(self.stage.tasks.running, 0)


class LoadTests(SynchronousTestCase):
    """How an application is found."""

    def test_found(self) -> None:
        """An application is taken, anything else is refused with a reason."""
        module: Any = types.ModuleType("anp_test_model")
        module.app, module.value, module.two = model_app, 7, lambda one, two: None
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__)
        self.patch(sys, "path", list(sys.path))
        self.assertIs(load_app("anp_test_model:app", "."), model_app)
        for name, text in (("value", "of type int"), ("two", "no ASGI 3 application"), ("none", "no attribute")):
            error = self.assertRaises(AppImportError, load_app, f"anp_test_model:{name}", ".")
            self.assertIn(text, str(error))
