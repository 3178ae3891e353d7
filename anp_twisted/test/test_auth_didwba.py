"""Tests for L{anp_twisted.auth.didwba}."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.didwba import Claim, parse, parse_claim
from anp_twisted.errors import CredentialsRefused
from anp_twisted.test.didlab import ALICE, NONCE, NOW, SERVICE, TIMESTAMP, Agent

GOOD = {
    "did": ALICE,
    "nonce": NONCE,
    "timestamp": TIMESTAMP,
    "verification_method": "key-1",
    "signature": "A" * 86,
}


def header(scheme: str = "DIDWba", **changes: str | None) -> str:
    """Write a credential."""
    pairs = [(name, value) for name, value in (GOOD | changes).items() if value is not None]
    return scheme + " " + ", ".join(f'{name}="{value}"' for name, value in pairs)


def without(name: str) -> dict[str, Any]:
    """Leave a value out."""
    return {name: None}


class ParseTests(SynchronousTestCase):
    """What a credential says."""

    def test_fields(self) -> None:
        """What was written is read, in any order."""
        proof = parse(header(), [SERVICE])
        self.assertEqual((proof.did.text, proof.key, proof.nonce, proof.created), (ALICE, "key-1", NONCE, NOW))
        self.assertEqual((proof.signature, proof.short), (bytes(64) + b"", True))
        name, _, rest = header().partition(" ")
        turned = name + " " + ",".join(reversed(rest.split(", ")))
        self.assertEqual(parse(turned, [SERVICE]), proof)

    def test_signed(self) -> None:
        """The SHA-256 of sorted JSON without blanks: C{service} in version 1.0, meant where none is said, or C{aud}."""
        for version, word in ((None, "service"), ("1.0", "service"), ("1.1", "aud")):
            said = {"did": ALICE, "nonce": NONCE, "timestamp": TIMESTAMP, word: SERVICE}
            wanted = sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()
            self.assertEqual(parse(header(v=version), [SERVICE]).signed, (wanted,))
        self.assertEqual(len(parse(header(), ["a.example", "b.example"]).signed), 2)

    def test_malformed(self) -> None:
        """One form, and no other: nothing twice, nothing unknown, nothing missing."""
        bad = [header(**without(name)) for name in GOOD]
        bad += [header(**{name: ""}) for name in GOOD]
        bad += [header(v="2.0"), header(v=""), header(v="1.10"), header(aud=SERVICE), header(scheme="Bearer")]
        bad += [header() + ', did="x"', header() + f', did="{ALICE}"', header() + ",", header() + " x", header()[:-1]]
        bad += [header(nonce="short"), header(nonce="a" * 129), header(nonce='a"b' + NONCE), header(nonce="é" * 16)]
        bad += [
            header(timestamp=stamp)
            for stamp in (
                "2026-09-21T14:13:20",
                "2026-09-21 14:13:20Z",
                "2026-13-21T14:13:20Z",
                "2026-09-21T14:13:20+00:00",
                "2026-09-21T24:61:20Z",
                "1790000000",
                "2026-09-21T14:13:20.5Z",
                "0000-00-00T00:00:00Z",
            )
        ]
        bad += [header(signature=text) for text in ("A" * 85, "A" * 89, "AA+A", "AAA=", "A", "A" * 85 + "B")]
        bad += [header(did=did) for did in ("did:wba:127.0.0.1", "did:web:example.org", ALICE + "#key-1", "x")]
        bad += [header(verification_method=key) for key in ("a#b", "a b", "a" * 129, f"{ALICE}#key-1\\")]
        bad += ["", "DIDWba", "DIDWba ", "DIDWba,", 'DIDWba did="a" nonce="b"', header() + " " * 3000]
        for value in bad:
            self.assertRaises(CredentialsRefused, parse, value, [SERVICE])

    @given(st.text(max_size=200))
    def test_never(self, text: str) -> None:
        """Only the one exception ever escapes."""
        for value in (text, "DIDWba " + text, header() + text, header(nonce=text), header(did="did:wba:" + text)):
            try:
                parse(value, [SERVICE])
            except CredentialsRefused:
                continue

    def test_secret(self) -> None:
        """No text about a credential shows its signature."""
        claim = parse_claim(header(signature="Q" * 86))
        self.assertNotIn("signature=b", repr(claim) + repr(parse(header(), [SERVICE])))


class BuildTests(SynchronousTestCase):
    """Our own credential."""

    def test_roundTrip(self) -> None:
        """It is read as what it says, and signed as it has to be."""
        agent = Agent()
        proof = parse(agent.header(), [SERVICE])
        claim = parse_claim(agent.header())
        self.assertEqual((claim.version, claim.did, claim.key), ("1.0", ALICE, "key-1"))
        self.assertTrue(agent.key.public.verifies(proof.signature, proof.signed[0]))
        self.assertIn('v="1.0"', agent.header())

    def test_version(self) -> None:
        """The versions do not sign the same."""
        one, two = (Claim(version, ALICE, NONCE, TIMESTAMP, "key-1").digest(SERVICE) for version in ("1.0", "1.1"))
        self.assertNotEqual(one, two)
