"""Rules of L{anp_twisted.auth.shared}."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.shared import SharedProof, build, check_code, code, parse
from anp_twisted.errors import CredentialsRefused

SECRET = "a-secret-of-sixteen"
NONCE = "0123456789abcdef0123456789abcdef"
HOSTS = ("gate.example",)
NOW = 1_800_000_000.0


def good(host: str = "gate.example") -> str:
    """A proof."""
    return build(SECRET, host, nonce=NONCE, now=NOW)


class ProofTests(SynchronousTestCase):
    """What is built is what is read, and nothing else."""

    def test_form(self) -> None:
        """The code is an HMAC over purpose, host, nonce and time; the secret is in no part of the field."""
        signed = b"anp receiver 1\ngate.example\n" + NONCE.encode() + b"\n2027-01-15T08:00:00Z"
        mac = urlsafe_b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode().rstrip("=")
        self.assertEqual(
            good("Gate.Example"), f'ANPShared nonce="{NONCE}", timestamp="2027-01-15T08:00:00Z", mac="{mac}"'
        )
        self.assertNotIn(SECRET, good())

    def test_read(self) -> None:
        """Every part comes back; what was used is remembered by its nonce."""
        proof = parse(good())
        self.assertEqual((proof.nonce, proof.created), (NONCE, NOW))
        check_code(proof, SECRET, ("other.example", *HOSTS))
        other = SharedProof(proof.nonce, "x", 0.0, "y")
        self.assertEqual((len(proof.mark), proof.mark), (32, other.mark))

    def test_wrong(self) -> None:
        """Another host, another secret, no host at all."""
        proof = parse(good())
        for secret, hosts in ((SECRET, ("gate.example.org",)), (SECRET + "x", HOSTS), ("", HOSTS), (SECRET, ())):
            self.assertRaises(CredentialsRefused, check_code, proof, secret, hosts)

    def test_malformed(self) -> None:
        """One form only."""
        changes: list[Callable[[str], str]] = [
            lambda value: value.replace("ANPShared", "Bearer"),
            lambda value: value.replace(NONCE, NONCE[:-1]),
            lambda value: value.replace(NONCE, "g" * 32),
            lambda value: value.replace("2027", "\u0662027"),
            lambda value: value.replace("2027-01-15", "2027-02-30"),
            lambda value: value + ", x=1",
            lambda value: value + "\n",
            lambda value: value[:-2] + '"',
            lambda value: value.replace('mac="', 'mac="A'),
            lambda value: "",
        ]
        for change in changes:
            self.assertRaises(CredentialsRefused, parse, change(good()))

    @given(st.integers(0, len(good()) - 1), st.characters(min_codepoint=32, max_codepoint=126))
    def test_tampered(self, index: int, character: str) -> None:
        """No character can be changed, but for the case of the scheme and of the field names."""
        changed = good()[:index] + character + good()[index + 1 :]
        try:
            proof = parse(changed)
            check_code(proof, SECRET, HOSTS)
        except CredentialsRefused:
            return
        self.assertEqual(proof, parse(good()))
        self.assertEqual(changed.lower(), good().lower())

    @given(st.text(st.sampled_from("ab.\n"), max_size=4), st.text(st.sampled_from("ab.\n"), max_size=4))
    def test_noTwoReadings(self, one: str, other: str) -> None:
        """Two hosts have two codes."""
        if one != other:
            self.assertNotEqual(code(SECRET, one, NONCE, "t"), code(SECRET, other, NONCE, "t"))
