"""Tests of the command C{twistd anp-assistant}."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.tap import Options, makeService


class OptionTests(SynchronousTestCase):
    """What the operator says."""

    def options(self, *arguments: str, **environment: str) -> Options:
        """Read arguments."""
        options = Options(environment)
        options.parseOptions(list(arguments))
        return options

    def refusal(self, *arguments: str) -> str:
        """The line of arguments that cannot be used."""
        return str(self.assertRaises(SystemExit, self.options, *arguments))

    def test_defaults(self) -> None:
        """Without a word: this machine only, and the echo."""
        settings = self.options().settings
        self.assertEqual((settings.host, settings.port, settings.agent), ("127.0.0.1", 8080, "echo"))
        self.assertEqual(str(settings.message_rate), "100/60s")

    def test_agents(self) -> None:
        """Each kind of agent, and what is none."""
        for agent in ("echo", "python:a.b:c", "openai:http://127.0.0.1:1/v1", "asgi:a:b", "exec:./x --y"):
            self.assertEqual(self.options(f"--agent={agent}").settings.agent, agent)
        for agent in ("", "echo:x", "python:", "python:a", "openai:ftp://x", "openai:", "exec:", "magic"):
            self.assertIn("agent", self.refusal(f"--agent={agent}"))

    def test_secrets(self) -> None:
        """Secrets do not come by arguments."""
        self.assertIn("others can read arguments", self.refusal("--token=x"))
        self.assertIn("--agent-key", self.refusal("--agent-key=x"))
        self.assertEqual(self.options(ANP_AGENT_KEY="x").settings.agent_key, "x")

    def test_halves(self) -> None:
        """TLS needs both files."""
        self.assertIn("go together", self.refusal("--tls-cert=a.pem"))

    def test_refused(self) -> None:
        """What cannot be used ends with one line."""
        options = self.options("--token-file=/nowhere", f"--state-dir={os.path.abspath(self.mktemp())}")
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertIn("/nowhere", str(error))
