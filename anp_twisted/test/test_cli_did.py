"""Tests for L{anp_twisted.cli.did}."""

from __future__ import annotations

import io
import json
import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.cli.did import main


class DidTests(SynchronousTestCase):
    """C{anp-proxy did}."""

    def setUp(self) -> None:
        """Read what it says."""
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)
        self.folder = self.mktemp()

    def test_create(self) -> None:
        """A DID, where its document belongs, and its files."""
        words = ["create", "agents.example.org", "/a/b/", "--port", "8443", "--key", "ed25519", "--out", self.folder]
        self.assertEqual(main(words), 0)
        did = "did:wba:agents.example.org%3A8443:a:b"
        lines = self.out.getvalue().splitlines()
        self.assertEqual(lines[0], did)
        self.assertIn("https://agents.example.org:8443/a/b/did.json", lines[1])
        with open(os.path.join(self.folder, "did.json"), encoding="ascii") as file:
            document = json.load(file)
        self.assertEqual((document["id"], document["authentication"]), (did, [did + "#key-1"]))

    def test_refused(self) -> None:
        """One line about what is wrong, and nothing is written."""
        for words in (["127.0.0.1"], ["example.org", "/a/../b"], ["example.org", "--port", "70000"]):
            self.assertEqual(main(["create", *words, "--out", self.folder]), 1)
        self.assertEqual(len(self.err.getvalue().splitlines()), 3)
        self.assertFalse(os.path.exists(self.folder))
        self.assertEqual(main(["create", "example.org", "--out", self.folder]), 0)
        self.assertEqual(main(["create", "example.org", "--out", self.folder]), 1)

    def test_usage(self) -> None:
        """Words that it does not know."""
        for words in ([], ["delete"], ["create"], ["create", "a.example", "--key", "rsa"]):
            self.assertEqual(self.assertRaises(SystemExit, main, words).code, 2)
