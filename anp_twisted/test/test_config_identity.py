"""Tests for L{anp_twisted.config.identity}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import DidRule
from anp_twisted.config.identity import DID_RULE, HOST, REDIS, read_did_rule
from anp_twisted.config.tables import GatewaySettings, ReceiverSettings
from anp_twisted.errors import SettingsError
from anp_twisted.test.didlab import ALICE


class KindTests(SynchronousTestCase):
    """What the values may be."""

    def test_hosts(self) -> None:
        """A host, maybe with a port, in lower case."""
        for text in ("Gate.Example.ORG", "gate.example.org:8443", "localhost", "127.0.0.1:9877", "[::1]:9877"):
            self.assertEqual(HOST.from_text(text), text.lower())
        for text in ("", "https://gate.example.org", "a b", "gate.example.org/", "a:b", "gate.example.org:0"):
            self.assertRaises(ValueError, HOST.from_text, text)

    def test_rules(self) -> None:
        """A DID, or all of a host, and what it may serve."""
        self.assertEqual(read_did_rule(ALICE), DidRule(ALICE))
        self.assertEqual(read_did_rule("did:wba:example.org:*"), DidRule("did:wba:example.org:", True))
        self.assertEqual(read_did_rule(ALICE + "=/a/"), DidRule(ALICE, False, frozenset({b"/a"})))
        for text in (
            "",
            "*",
            "did:wba:*",
            "did:wba:example*",
            "did:web:a.example",
            ALICE + "=",
            ALICE + "=a",
            "did:wba:1.1",
        ):
            self.assertRaises(ValueError, DID_RULE.from_text, text)

    def test_redis(self) -> None:
        """A password is no argument: others could read it."""
        assert REDIS.from_argv is not None
        self.assertEqual(REDIS.from_text("redis://u:secret@h:1/0"), "redis://u:secret@h:1/0")
        error = self.assertRaises(ValueError, REDIS.from_argv, "redis://u:secret@h:1/0")
        self.assertNotIn("secret", str(error))
        self.assertRaises(ValueError, REDIS.from_text, "http://h")


class SettingsTests(SynchronousTestCase):
    """What belongs together."""

    def test_gateway(self) -> None:
        """Halves of pairs, a client certificate without TLS, and proofs for no host are refused."""
        wrong: list[dict[str, Any]] = [
            {"did_document": "d"},
            {"did_key": "k"},
            {"client_ca": "c"},
            {"allow_did": (ALICE,)},
            {"did_document": "d", "did_key": "k"},
        ]
        for settings in wrong:
            self.assertRaises(SettingsError, GatewaySettings, **settings)
        one = GatewaySettings(
            allow_did=(ALICE,), public_url="https://Gate.example.org:8443/x", public_host=("a.example",)
        )
        self.assertEqual(one.services(one.public_url), ("a.example", "gate.example.org:8443"))
        self.assertEqual(list(one.did_rules()), [DidRule(ALICE)])
        self.assertNotIn("geheim", repr(GatewaySettings(replay_url="redis://u:geheim@h")))

    def test_receiver(self) -> None:
        """Halves of pairs."""
        for settings in ({"did_document": "d"}, {"did_key": "k"}, {"tls_cert": "c"}, {"tls_key": "k"}):
            self.assertRaises(SettingsError, ReceiverSettings, app=("a:b",), **settings)
