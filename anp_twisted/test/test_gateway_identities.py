"""Tests for L{anp_twisted.gateway.identities}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.auth.keys import Sort
from anp_twisted.auth.newdid import create
from anp_twisted.auth.receivers import Certificates
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import CredentialError, CredentialsRefused
from anp_twisted.gateway import identities
from anp_twisted.gateway.identities import Identities, MemoryService, build_identities
from anp_twisted.test.didlab import ALICE, NOW, SERVICE, Agent, did_of
from anp_twisted.test.test_auth_replay import NoThreads


class BuildTests(SynchronousTestCase):
    """Settings become what judges proofs."""

    def build(self, **settings: Any) -> Identities:
        """Build it in a folder of its own."""
        state = self.mktemp()
        self.patch(identities, "OwnThreads", lambda *_: NoThreads())
        self.reactor = MemoryReactorClock()
        built = build_identities(
            self.reactor, GatewaySettings(state_dir=state, **settings), wall=lambda: NOW, registered=lambda _: False
        )
        if isinstance(built.service, MemoryService):
            self.addCleanup(built.service.stopService)
        return built

    def test_nothing(self) -> None:
        """Without a host that proofs could be for there is nothing to prove."""
        built = self.build()
        self.assertEqual((built.proofs, list(built.receivers), built.service, built.prover), (None, [], None, None))

    def test_certificates(self) -> None:
        """A client certificate is a way of its own."""
        built = self.build(client_ca="ca.pem", tls_cert="c", tls_key="k")
        self.assertIsInstance(built.receivers[0], Certificates)

    def test_known(self) -> None:
        """A document that the operator has is used without asking anybody; who is not allowed stays out."""
        document, _ = create(did_of(), Sort.SECP256K1, self.mktemp())
        built = self.build(public_host=(SERVICE,), known_did=(document,), allow_did=(ALICE,))
        self.assertEqual(len(built.receivers), 1)
        stranger = Agent()
        self.failureResultOf(built.receivers[0].authenticate(stranger.shown()), CredentialsRefused)
        self.assertEqual(self.reactor.tcpClients, [])

    def test_unreachable(self) -> None:
        """Without the switch for laboratories, this machine is not asked."""
        built = self.build(public_host=(SERVICE,))
        assert built.proofs is not None
        refused = built.proofs.authenticate(Agent("did:wba:localhost%3A8443:alice").shown())
        self.failureResultOf(refused, CredentialsRefused)

    def test_files(self) -> None:
        """A file that is missing or of no use is said before anything listens."""
        for settings in ({"known_did": ("missing",)}, {"did_ca_file": "missing"}):
            self.assertRaises(CredentialError, self.build, public_host=(SERVICE,), **settings)
        self.assertRaises(
            CredentialError, self.build, public_host=(SERVICE,), did_document="missing", did_key="missing"
        )

    def test_redis(self) -> None:
        """With a server for it there is no file."""
        built = self.build(public_host=(SERVICE,), replay_url="redis://127.0.0.1:1/0")
        assert built.service is not None
        self.successResultOf(built.service.stopService())

    def test_signer(self) -> None:
        """A gateway with a DID of its own can prove it."""
        document, key = create(did_of(), Sort.ED25519, self.mktemp())
        built = self.build(public_host=(SERVICE,), did_document=document, did_key=key)
        assert built.prover is not None
        proof = built.prover.answer("0" * 32, Identity(Kind.TOKEN, "x"))
        assert proof is not None
        self.assertEqual(proof.key, f"{ALICE}#key-1")

    def test_allowed(self) -> None:
        """Who is allowed is who the proof says, with what it may serve; and once."""
        agent, path = Agent(), self.mktemp()
        Path(path).write_bytes(agent.body())
        built = self.build(public_host=(SERVICE,), known_did=(path,), allow_did=(ALICE + "=/a",))
        identity = self.successResultOf(built.receivers[0].authenticate(agent.shown()))
        self.assertEqual((identity, identity.paths), (Identity(Kind.DID, ALICE), {b"/a"}))
        self.failureResultOf(built.receivers[0].authenticate(agent.shown()), CredentialsRefused)
        self.assertEqual(self.reactor.tcpClients, [])
