"""Tests for L{anp_twisted.auth.binding}."""

from __future__ import annotations

import json
import sys
from typing import Any

from anp.authentication.did_wba import create_did_wba_document
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.binding import key_bound
from anp_twisted.errors import CredentialsRefused


def made(profile: str) -> dict[str, Any]:
    """Let the other implementation make a document."""
    document, _ = create_did_wba_document("example.org", path_segments=["agent"], did_profile=profile)
    found: dict[str, Any] = document
    return found


class BindingTests(SynchronousTestCase):
    """Does a document belong to the key in the name of the DID?"""

    def judge(self, document: Any) -> bool:
        """Say so."""
        return key_bound(document["id"], json.dumps(document).encode())

    def test_good(self) -> None:
        """Both profiles."""
        for profile in ("e1", "k1"):
            self.assertTrue(self.judge(made(profile)), profile)

    def test_other(self) -> None:
        """A document with another key is none of it, whoever serves it."""
        for profile in ("e1", "k1"):
            one, two = made(profile), made(profile)
            forged = json.loads(json.dumps(two).replace(two["id"], one["id"]))
            self.assertFalse(self.judge(forged), profile)
            self.assertFalse(self.judge({"id": one["id"], "authentication": [], "verificationMethod": []}))
            self.assertFalse(self.judge({"id": one["id"]}))

    def test_changed(self) -> None:
        """A document of the profile e1 is signed as a whole."""
        document = made("e1")
        document["service"] = [{"id": "#x", "type": "x", "serviceEndpoint": "https://evil.example"}]
        self.assertFalse(self.judge(document))

    def test_missing(self) -> None:
        """Without the extra nobody can tell, and that is no yes."""
        name = "anp.authentication.did_wba"
        self.addCleanup(sys.modules.__setitem__, name, sys.modules[name])
        sys.modules[name] = None  # type: ignore[assignment]
        self.assertRaises(CredentialsRefused, self.judge, {"id": "did:wba:example.org:e1_x"})
