"""Tests of L{anp_twisted.assistant.agents.load}."""

from __future__ import annotations

import sys
import types
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from anp_twisted.assistant.agents.chat import ChatAgent
from anp_twisted.assistant.agents.echo import EchoAgent
from anp_twisted.assistant.agents.load import AgentOptions, LoadedAgent, check_server_url, load_agent
from anp_twisted.assistant.agents.program import ProgramAgent
from anp_twisted.assistant.agents.python import PythonAgent
from anp_twisted.errors import SettingsError
from anp_twisted.test.agent_lab import Stage, brain
from anp_twisted.test.model_lab import model_app
from anp_twisted.test.receiver_rig import on_loop, the_loop


class LoadTests(TestCase):
    """What C{--agent} makes."""

    def setUp(self) -> None:
        module: Any = types.ModuleType("anp_test_load")
        module.brain, module.app = brain, model_app
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__)
        self.patch(sys, "path", list(sys.path))

    def load(self, named: str, **options: Any) -> LoadedAgent:
        """
        @return: the agent.
        """
        stage = Stage()
        return load_agent(
            named,
            reactor=MemoryReactorClock(),
            tasks=stage.tasks,
            limits=stage.limits,
            options=AgentOptions(**options),
        )

    @on_loop
    async def test_kinds(self) -> None:
        """Each kind, and each can be closed."""
        for named, kind in (
            ("echo", EchoAgent),
            ("python:anp_test_load:brain", PythonAgent),
            ("asgi:anp_test_load:app", ChatAgent),
            ("openai:http://127.0.0.1:1/v1", ChatAgent),
            ("exec:sh -c 'cat'", ProgramAgent),
        ):
            loaded = self.load(named)
            self.assertIsInstance(loaded.agent, kind)
            await loaded.close().asFuture(the_loop())

    def test_refused(self) -> None:
        """What cannot be made is refused in one line, without what was said: an address may hold a secret."""
        for named, text in (
            ("", "the agent must be"),
            ("echo:", "the agent must be"),
            ("other:x", "the agent must be"),
            ("python:none", "is not module:attribute"),
            ("exec:", "needs a command"),
            ("openai:host/v1", "needs an address"),
        ):
            self.assertIn(text, str(self.assertRaises(SettingsError, self.load, named)))

    def test_clear(self) -> None:
        """A key does not go to another machine in the clear, unless it is insisted on."""
        self.assertRaises(SettingsError, self.load, "openai:http://192.0.2.1/v1", key="k")
        for named, options in (
            ("openai:http://192.0.2.1/v1", {}),
            ("openai:http://192.0.2.1/v1", {"key": "k", "insecure": True}),
            ("openai:http://[::1]:1/v1", {"key": "k"}),
            ("openai:http://localhost/v1", {"key": "k"}),
            ("openai:https://192.0.2.1/v1", {"key": "k"}),
        ):
            self.assertIsInstance(self.load(named, **options).agent, ChatAgent)

    def test_addresses(self) -> None:
        """An address is one of HTTP, and holds nothing else."""
        for url in ("ftp://a", "http://", "http://a:0", "http://a:x", "http://[", "//a"):
            self.assertIn(
                "needs an address", str(self.assertRaises(SettingsError, check_server_url, url, secret=False))
            )
        for url in ("http://canary@a", "http://:canary@a/", "http://a/?canary", "http://a/#canary"):
            error = self.assertRaises(SettingsError, check_server_url, url, secret=False)
            self.assertNotIn("canary", str(error))
