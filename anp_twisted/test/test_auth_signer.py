"""Tests for L{anp_twisted.auth.signer}."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.didauth import DidProofs
from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.auth.keys import Sort, new_key
from anp_twisted.auth.replay import OwnMemory
from anp_twisted.auth.signer import DidSigner, load_signer
from anp_twisted.errors import CredentialError
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.didlab import ALICE, NOW, SERVICE, Agent, Library


class SignerTests(SynchronousTestCase):
    """Our own proof."""

    def setUp(self) -> None:
        """Count nonces."""
        self.number = 0

    def nonce(self) -> str:
        """Make the next one."""
        self.number += 1
        return f"{self.number:032x}"

    def load(self, document: bytes, key: bytes, mode: int = 0o600) -> DidSigner:
        """Load them from files."""
        folder = self.mktemp()
        os.makedirs(folder)
        paths = os.path.join(folder, "did.json"), os.path.join(folder, "key.pem")
        for path, data in zip(paths, (document, key), strict=True):
            with open(path, "wb") as file:
                file.write(data)
        os.chmod(paths[1], mode)
        return load_signer(*paths, wall=lambda: NOW + 0.9, nonce=self.nonce)

    def test_fresh(self) -> None:
        """Each attempt has a proof of its own, and a gateway takes each."""
        for sort in Sort:
            agent = Agent(sort=sort)
            signer = self.load(agent.body(), agent.key.pem())
            proofs = DidProofs(
                Library(agent), OwnMemory(9), services=[SERVICE], wall=lambda: NOW, limits=DEFAULT_LIMITS
            )
            for _ in range(2):
                identity = self.successResultOf(proofs.authenticate(agent.shown(signer.authorization(SERVICE))))
                self.assertEqual(identity, Identity(Kind.DID, ALICE))
            self.assertEqual((signer.did, signer.key), (ALICE, "key-1"))

    def test_which(self) -> None:
        """Of several keys in the document it is the one that we have."""
        agent, other = Agent(), new_key(Sort.P256)
        methods = agent.document["verificationMethod"]
        methods.append({"id": "#mine", "type": "JsonWebKey2020", "publicKeyJwk": other.public.jwk()})
        agent.document["authentication"] += ["#nothing", "#mine"]
        self.assertEqual(self.load(agent.body(), other.pem()).key, "mine")

    def test_refused(self) -> None:
        """What does not fit together is said before anything starts, in one line."""
        agent, stranger = Agent(), new_key(Sort.SECP256K1)
        foreign = Agent("did:web:example.org")
        for document, key, mode in (
            (agent.body(), stranger.pem(), 0o600),
            (agent.body(), agent.key.pem(), 0o644),
            (b"{}", agent.key.pem(), 0o600),
            (foreign.body(), foreign.key.pem(), 0o600),
            (agent.body(), b"", 0o600),
        ):
            error = self.assertRaises(CredentialError, self.load, document, key, mode)
            self.assertNotIn("\n", str(error))
        self.assertRaises(CredentialError, load_signer, "missing", "missing", wall=lambda: NOW, nonce=self.nonce)
