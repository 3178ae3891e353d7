"""Tests of the way from settings to a gateway."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from anp_twisted.assistant.build import Parts, around_of, build_assistant, own_token, surrounds_of
from anp_twisted.assistant.methods import METHODS
from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.errors import CredentialError, SettingsError


class BuildTests(TestCase):
    """The parts fit together."""

    def build(self, **given: Any) -> Parts:
        """Build one."""
        from twisted.internet import reactor

        self.announced: list[str] = []
        settings = AssistantSettings(state_dir=os.path.abspath(self.mktemp()), **given)
        token, own, _ = own_token(settings)
        around = around_of(reactor, settings.limits())
        return build_assistant(reactor, settings, around, token=(token, own), announce=self.announced.append)

    def test_methods(self) -> None:
        """Every method of the table is implemented, and nothing else is."""
        self.assertEqual(set(self.build().methods) - set(METHODS), set())

    def test_settings(self) -> None:
        """What the operator says arrives."""
        parts = self.build(heartbeat=7.0, connections=3)
        self.assertEqual(parts.around.limits.assistant_heartbeat, 7.0)
        self.assertEqual(parts.around.limits.assistant_connections, 3)

    def test_agent(self) -> None:
        """An agent that cannot be made is said at once."""
        self.assertRaises(SettingsError, self.build, agent="python:nowhere:agent")

    def test_off(self) -> None:
        """What blocks runs in a thread, and comes back."""
        around = self.build().around
        done: Deferred[int] = around.off(lambda: 7)
        return done.addCallback(self.assertEqual, 7)  # type: ignore[return-value]


class TokenTests(TestCase):
    """The operator's token."""

    def test_made(self) -> None:
        """It is made once, in a file of its own, and can be rotated there."""
        settings = AssistantSettings(state_dir=os.path.abspath(self.mktemp()))
        token, own, line = own_token(settings)
        self.assertEqual(Path(own).read_text().strip(), token)
        self.assertEqual(os.stat(own).st_mode & 0o777, 0o600)
        self.assertNotIn(token, line)
        self.assertEqual(own_token(settings)[0], token)

    def test_given(self) -> None:
        """The settings may have it; then it is theirs to change."""
        settings = AssistantSettings(state_dir=self.mktemp(), token="given")
        self.assertEqual(own_token(settings)[:2], ("given", ""))
        self.assertFalse(os.path.exists(settings.state_dir))

    def test_unsafe(self) -> None:
        """A file that others may read is refused."""
        path = Path(self.mktemp())
        path.write_text("token\n")
        path.chmod(0o644)
        self.assertRaises(CredentialError, own_token, AssistantSettings(token_file=str(path)))


class SurroundsTests(TestCase):
    """Whom it serves."""

    def test_hosts(self) -> None:
        """The host of the public address is one of ours."""
        surrounds = surrounds_of(AssistantSettings(public_url="https://Chat.example/", allowed_host=("Other",)))
        self.assertEqual(surrounds.hosts, {"chat.example", "other"})
