"""Rules of L{anp_twisted.config.shared}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.tables import GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError


class SecretTests(SynchronousTestCase):
    """Who may have a secret, and with what else."""

    def test_shares(self) -> None:
        """By itself or in a file."""
        self.assertFalse(GatewaySettings().shares_secret)
        self.assertTrue(GatewaySettings(shared_secret="x", public_host=("h.example",)).shares_secret)
        self.assertTrue(ReceiverSettings(app=("m:a",), shared_secret_file="f").shares_secret)

    def test_hidden(self) -> None:
        """It is in no representation."""
        settings = GatewaySettings(shared_secret="geheim", public_host=("h.example",))
        self.assertNotIn("geheim", repr(settings))

    def test_contradictions(self) -> None:
        """A gateway has to know its own name; a receiver has one way to say who it is."""
        with self.assertRaisesRegex(SettingsError, "public-host"):
            GatewaySettings(shared_secret="x")
        GatewaySettings(shared_secret="x", public_url="https://h.example")
        others: list[dict[str, Any]] = [{"token": "t"}, {"token_file": "t"}, {"did_document": "d", "did_key": "k"}]
        for other in others:
            with self.assertRaisesRegex(SettingsError, "give one"):
                ReceiverSettings(app=("m:a",), shared_secret="x", **other)
