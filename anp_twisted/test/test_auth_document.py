"""Tests for L{anp_twisted.auth.document}."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.document import MOST_METHODS, parse_any_document, parse_document
from anp_twisted.errors import CredentialsRefused
from anp_twisted.test.didlab import ALICE, Agent


class DocumentTests(SynchronousTestCase):
    """Which key proves a DID."""

    def setUp(self) -> None:
        """Make somebody."""
        self.agent = Agent()

    def refused(self, fragment: str = "key-1") -> None:
        """No key of that name proves anything."""
        self.assertRaises(CredentialsRefused, self.agent.parsed().method, fragment)

    def test_reference(self) -> None:
        """A key by its name, whole or relative, or in its place."""
        for name in (f"{ALICE}#key-1", "#key-1"):
            for listed in (f"{ALICE}#key-1", "#key-1"):
                self.agent.method["id"], self.agent.document["authentication"] = name, [listed]
                self.assertEqual(self.agent.parsed().method("key-1").id, name)
        self.agent.document["authentication"] = [self.agent.method]
        self.agent.document["verificationMethod"] = []
        self.assertEqual(self.agent.parsed().method("key-1").id, "#key-1")

    def test_relationship(self) -> None:
        """A key for another purpose proves nothing."""
        self.agent.document["assertionMethod"] = self.agent.document.pop("authentication")
        self.agent.document["keyAgreement"] = self.agent.document["assertionMethod"]
        self.refused()
        self.agent.document["authentication"] = [f"{ALICE}#key-2"]
        self.refused()
        self.refused("key-2")

    def test_foreign(self) -> None:
        """The key of another DID is not ours, whatever the document says."""
        self.agent.method["id"] = "did:wba:example.org:mallory#key-1"
        self.agent.document["authentication"] = ["did:wba:example.org:mallory#key-1"]
        self.refused()
        self.assertEqual(self.agent.parsed().fragments(), [])

    def test_twice(self) -> None:
        """Of two keys of one name neither counts."""
        self.agent.document["verificationMethod"].append(dict(self.agent.method))
        self.refused()

    def test_whose(self) -> None:
        """A document is that of its DID, to the letter."""
        self.assertEqual(parse_document(self.agent.body(), ALICE).id, ALICE)
        for other in (ALICE.upper(), ALICE + ":a", "did:wba:example.org"):
            self.assertRaises(CredentialsRefused, parse_document, self.agent.body(), other)

    def test_malformed(self) -> None:
        """What is no document, is one of another shape, or has too many keys."""
        many = [self.agent.method] * (MOST_METHODS + 1)
        for body in (
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"id":1}',
            b'{"id":"x","authentication":{}}',
            b'{"id":"x","verificationMethod":[1]}',
            b"\xff",
            b"[" * 100_000,
            json.dumps({"id": ALICE, "verificationMethod": many}).encode(),
            b'{"id":"' + b"a" * 2000 + b'"}',
        ):
            self.assertRaises(CredentialsRefused, parse_any_document, body)
