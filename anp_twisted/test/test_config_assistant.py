"""Tests for L{anp_twisted.config.assistant}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.assistant import AssistantSettings
from anp_twisted.errors import SettingsError
from anp_twisted.limits import DEFAULT_LIMITS


class AssistantTests(SynchronousTestCase):
    """The settings of the assistant."""

    def test_defaults(self) -> None:
        """Without any setting it is for this machine alone, and works under the default caps; it stops sooner."""
        settings = AssistantSettings()
        self.assertEqual((settings.host, settings.drain), ("127.0.0.1", 10.0))
        self.assertEqual(settings.limits(), replace(DEFAULT_LIMITS, drain=10.0))

    def test_limits(self) -> None:
        """Every setting that is a cap reaches the limits."""
        limits = AssistantSettings(
            drain=1.0,
            message_limit=2,
            heartbeat=3.0,
            connections=4,
            connections_per_address=5,
            connections_per_principal=6,
        ).limits()
        self.assertEqual((limits.drain, limits.assistant_message, limits.assistant_heartbeat), (1.0, 2, 3.0))
        counts = (limits.assistant_connections_per_address, limits.assistant_connections_per_principal)
        self.assertEqual((limits.assistant_connections, counts), (4, (5, 6)))

    def test_tls(self) -> None:
        """A certificate without key, or without a listener that would use it, is refused."""
        tls: dict[str, Any] = {"tls_cert": "c", "tls_key": "k"}
        self.assertEqual(AssistantSettings(**tls).tls_key, "k")
        self.assertRaises(SettingsError, AssistantSettings, tls_cert="c")
        self.assertRaises(SettingsError, AssistantSettings, tls_key="k")
        self.assertRaises(SettingsError, AssistantSettings, listen=("tcp:1",), **tls)
