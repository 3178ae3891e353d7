"""Tests for L{anp_twisted.auth.didauth}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.didauth import DidProofs
from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.auth.keys import Sort
from anp_twisted.auth.replay import OwnMemory
from anp_twisted.errors import CredentialsRefused
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.didlab import ALICE, NONCE, NOW, SERVICE, Agent, Library


class Memory(OwnMemory):
    """Takes note of what is spent."""

    def __init__(self) -> None:
        super().__init__(100)
        self.spent: list[bytes] = []

    def spend(self, mark: bytes, now: float, until: float) -> Deferred[bool]:
        """Remember it twice."""
        self.spent.append(mark)
        self.until = until
        return super().spend(mark, now, until)


class ProofsTests(SynchronousTestCase):
    """Who somebody is."""

    def setUp(self) -> None:
        """Make a gateway that knows where to find Alice's document."""
        self.now = NOW
        self.alice = Agent()
        self.library = Library(self.alice)
        self.memory = Memory()
        self.proofs = self.make()

    def make(self, *services: str) -> DidProofs:
        """Make what judges."""
        services = services or (SERVICE,)
        return DidProofs(self.library, self.memory, services=services, wall=lambda: self.now, limits=DEFAULT_LIMITS)

    def judge(self, credentials: Credentials) -> Identity | int:
        """Say who it is, or the status of the refusal."""
        results: list[Any] = []
        self.proofs.authenticate(credentials).addBoth(results.append)
        (result,) = results
        if isinstance(result, Identity):
            return result
        self.assertIsInstance(result.value, CredentialsRefused)
        status: int = result.value.status
        return status

    def test_each(self) -> None:
        """Each sort of key, by either way."""
        for sort in Sort:
            agent = Agent(f"did:wba:example.org:{sort.name.lower()}", sort)
            self.library.agents[agent.did] = agent
            for credentials in (agent.shown(), agent.signed(params={"nonce": NONCE[::-1]})):
                self.assertTrue(self.proofs.claims(credentials))
                self.assertEqual(self.judge(credentials), Identity(Kind.DID, agent.did))
        self.assertEqual(self.library.asked[0], ("did:wba:example.org:secp256k1", "192.0.2.9"))

    def test_claims(self) -> None:
        """A signature beside another credential is not looked at."""
        signed = self.alice.signed()
        headers = [*signed.headers, (b"Authorization", b"Bearer x")]
        self.assertFalse(self.proofs.claims(Credentials(b"GET", b"/", headers)))
        self.assertFalse(self.proofs.claims(Credentials(b"GET", b"/", [])))

    def test_once(self) -> None:
        """A proof opens once, however it is shown again."""
        self.assertIsInstance(self.judge(self.alice.shown()), Identity)
        self.assertEqual(self.judge(self.alice.shown()), 401)
        self.assertEqual(self.judge(self.alice.signed()), 401)
        self.assertIsInstance(self.judge(self.alice.shown(self.alice.header(nonce="another-nonce-of-mine"))), Identity)

    def test_remembered(self) -> None:
        """It is remembered for longer than it could be shown."""
        self.judge(self.alice.shown())
        self.now = self.memory.until
        self.assertEqual(self.judge(self.alice.shown()), 401)

    def test_order(self) -> None:
        """What fails before the signature fetches nothing; what fails with it uses no nonce up."""
        late, elsewhere = (
            self.alice.header(timestamp="2026-09-21T14:05:00Z"),
            self.alice.header(service="other.example"),
        )
        self.assertEqual(self.judge(self.alice.shown(late)), 401)
        self.assertEqual(self.judge(self.alice.shown("DIDWba x")), 401)
        self.assertEqual((self.library.asked, self.memory.spent), ([], []))
        self.assertEqual(self.judge(self.alice.shown(elsewhere)), 401)
        self.assertEqual((len(self.library.asked), self.memory.spent), (1, []))
        self.assertIsInstance(self.judge(self.alice.shown()), Identity)

    def test_tampered(self) -> None:
        """Each thing that is said counts."""
        good = self.alice.header()
        bob = Agent("did:wba:example.org:bob")
        self.library.agents[bob.did] = bob
        for wrong in (
            good.replace(NONCE, NONCE[::-1]),
            good.replace("14:13:20Z", "14:13:21Z"),
            good.replace("alice", "bob"),
            good.replace("alice", "carol"),
            good.replace("key-1", "key-2"),
            good.replace('v="1.0"', 'v="1.1"'),
            good.replace('signature="', 'signature="AAAA')[:-5] + '"',
            bob.header().replace("bob", "alice"),
        ):
            self.assertEqual(self.judge(self.alice.shown(wrong)), 401, wrong)
        self.assertEqual(self.memory.spent, [])

    def test_relationship(self) -> None:
        """A key that is there for something else proves nothing."""
        self.alice.document["keyAgreement"] = self.alice.document.pop("authentication")
        self.assertEqual(self.judge(self.alice.shown()), 401)

    def test_algorithm(self) -> None:
        """The key decides the algorithm: another one is refused, and so is none."""
        for alg in ("none", "hmac-sha256", "rsa-pss-sha512", "ecdsa-p256-sha256", "ed25519", ""):
            self.assertEqual(self.judge(self.alice.signed(params={"alg": alg})), 401, alg)
        self.assertIsInstance(self.judge(self.alice.signed(params={"alg": "ecdsa-secp256k1-sha256"})), Identity)

    def test_service(self) -> None:
        """A proof is for one of our hosts, by the settings."""
        self.proofs = self.make("other.example", "gate.example.org:8443")
        self.assertIsInstance(self.judge(self.alice.shown()), Identity)
        self.proofs = self.make("other.example")
        self.assertEqual(self.judge(self.alice.shown()), 401)
        self.assertEqual(self.judge(self.alice.signed()), 401)

    def test_unknown(self) -> None:
        """Where the memory cannot tell, nobody gets in."""
        self.memory._most = 0
        self.assertEqual(self.judge(self.alice.shown()), 503)

    def test_name(self) -> None:
        """The identity is the DID that was verified, to the letter."""
        identity = self.judge(self.alice.shown())
        assert isinstance(identity, Identity)
        self.assertEqual((identity.name, identity.kind, identity.credential), (ALICE, Kind.DID, "key-1"))
