"""Tests for L{anp_twisted.auth.newdid}."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.keys import Sort
from anp_twisted.auth.newdid import create
from anp_twisted.auth.signer import load_signer
from anp_twisted.errors import CredentialError
from anp_twisted.test.didlab import ALICE, did_of


class CreateTests(SynchronousTestCase):
    """A new DID."""

    def test_usable(self) -> None:
        """Document and key fit together, and the key is for its owner only."""
        for sort in Sort:
            folder = os.path.join(self.mktemp(), "deep")
            document, key = create(did_of(), sort, folder)
            signer = load_signer(document, key, wall=lambda: 0.0, nonce=lambda: "")
            self.assertEqual((signer.did, signer.key), (ALICE, "key-1"))
            self.assertEqual([stat.S_IMODE(os.stat(path).st_mode) for path in (key, folder)], [0o600, 0o700])

    def test_kept(self) -> None:
        """What is there is never replaced."""
        folder = self.mktemp()
        document, key = create(did_of(), Sort.P256, folder)
        before = Path(key).read_bytes()
        self.assertRaises(CredentialError, create, did_of(), Sort.P256, folder)
        os.unlink(document)
        self.assertRaises(CredentialError, create, did_of(), Sort.P256, folder)
        self.assertEqual(Path(key).read_bytes(), before)
        self.assertRaises(CredentialError, create, did_of(), Sort.P256, os.path.join(key, "below"))
