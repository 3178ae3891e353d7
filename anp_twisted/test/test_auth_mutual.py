"""Tests for L{anp_twisted.auth.mutual}."""

from __future__ import annotations

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.auth.keys import Sort
from anp_twisted.auth.mutual import DidJudge, GatewayProver, Judge, SecretJudge
from anp_twisted.auth.signer import DidSigner
from anp_twisted.errors import Code, GatewayUnproved
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.session.connection import Connection, Role
from anp_twisted.test.didlab import ALICE, NOW, Agent
from anp_twisted.wire.heads import GatewayProof, Hello

GATE = "did:wba:gate.example.org"
CHALLENGE = "0123456789abcdef" * 2
SECRET = "correct horse battery staple"
HELLO = Hello([2], 1024, 4096, 1)


def answering(proof: GatewayProof | None) -> Hello:
    """Make the HELLO of a gateway."""
    return structs.replace(HELLO, proof=proof)


class MutualTests(SynchronousTestCase):
    """Gateways that prove themselves."""

    def setUp(self) -> None:
        """Make a gateway with a DID and a secret."""
        self.gate = Agent(GATE, Sort.ED25519)
        signer = DidSigner(self.gate.parsed(), self.gate.key, wall=lambda: NOW, nonce=lambda: "")
        self.prover = GatewayProver(signer, SECRET)
        self.alice = Identity(Kind.DID, ALICE)
        self.judge: Judge = DidJudge(self.gate.parsed(), ALICE)

    def taken(self, proof: GatewayProof | None, judge: Judge | None = None, challenge: str = CHALLENGE) -> bool:
        """Whether a receiver takes a gateway by its answer."""
        try:
            (judge or self.judge)(challenge, answering(proof))
        except GatewayUnproved:
            return False
        return True

    def test_did(self) -> None:
        """The gateway of the DID, for this challenge, to this receiver; and no other."""
        proof = self.prover.answer(CHALLENGE, self.alice)
        assert proof is not None
        self.assertTrue(self.taken(proof))
        self.assertFalse(self.taken(None))
        self.assertFalse(self.taken(proof, challenge=CHALLENGE[::-1]))
        self.assertFalse(self.taken(proof, DidJudge(self.gate.parsed(), "did:wba:example.org:bob")))
        self.assertFalse(self.taken(proof, DidJudge(Agent(GATE, Sort.ED25519).parsed(), ALICE)))
        self.assertFalse(self.taken(proof, DidJudge(Agent("did:wba:other.example").parsed(), ALICE)))
        for wrong in (
            structs.replace(proof, signature=proof.signature[:-2]),
            structs.replace(proof, signature="A"),
            structs.replace(proof, signature=""),
            structs.replace(proof, key=GATE + "#key-2"),
            structs.replace(proof, key="did:wba:other.example#key-1"),
            structs.replace(proof, key=""),
            self.prover.answer(CHALLENGE, Identity(Kind.DID, "did:wba:mallory.example")),
            self.prover.answer(CHALLENGE, Identity(Kind.SHARED, "receiver")),
        ):
            self.assertFalse(self.taken(wrong), wrong)

    def test_nameless(self) -> None:
        """A receiver with a token is proved the same without a name in it."""
        proof = self.prover.answer(CHALLENGE, Identity(Kind.TOKEN, "x"))
        self.assertTrue(self.taken(proof, DidJudge(self.gate.parsed(), "")))
        self.assertFalse(self.taken(proof))

    def test_secret(self) -> None:
        """Who knows the secret can say so, once for each challenge."""
        proof = self.prover.answer(CHALLENGE, Identity(Kind.SHARED, "receiver"))
        assert proof is not None
        self.assertTrue(self.taken(proof, SecretJudge(SECRET)))
        self.assertFalse(self.taken(proof, SecretJudge(SECRET + "x")))
        self.assertFalse(self.taken(proof, SecretJudge(SECRET), CHALLENGE[::-1]))
        for wrong in (None, structs.replace(proof, key="x"), structs.replace(proof, signature="")):
            self.assertFalse(self.taken(wrong, SecretJudge(SECRET)))
        self.assertNotIn(SECRET, repr(proof))

    def test_unasked(self) -> None:
        """Nobody signs what nobody asked for."""
        self.assertIsNone(self.prover.answer("", self.alice))
        self.assertIsNone(GatewayProver(None, SECRET).answer(CHALLENGE, self.alice))

    def test_first(self) -> None:
        """No frame of a gateway is looked at before its proof, and none of ours goes to one that is wrong."""
        for right in (True, False):
            who = self.alice if right else Identity(Kind.DID, "did:wba:mallory.example")

            def reply(peer: Hello, who: Identity = who) -> Hello:
                return answering(self.prover.answer(peer.challenge, who))

            def judge(hello: Hello) -> None:
                self.judge(CHALLENGE, hello)

            gateway = Connection(Role.GATEWAY, HELLO, DEFAULT_LIMITS, reply=reply)
            ours = structs.replace(HELLO, challenge=CHALLENGE)
            receiver = Connection(Role.RECEIVER, ours, DEFAULT_LIMITS, judge=judge)
            self.assertIsNone(gateway.next_frame())
            asked = receiver.next_frame()
            assert asked is not None
            gateway.receive(asked)
            answer = gateway.next_frame()
            assert answer is not None
            if right:
                receiver.receive(answer)
                self.assertIsNotNone(receiver.peer)
            else:
                error = self.assertRaises(GatewayUnproved, receiver.receive, answer)
                self.assertEqual((error.code, error.close_code, receiver.peer), (Code.UNAUTHORIZED, 4003, None))
