"""Tests for L{anp_twisted.auth.proof}."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.proof import Proof
from anp_twisted.errors import CredentialsRefused
from anp_twisted.test.didlab import NONCE, NOW, did_of


class ProofTests(SynchronousTestCase):
    """When a proof holds, and what is remembered of it."""

    proof = Proof(did_of(), "key-1", NONCE, NOW, None, (b"x",), b"y")

    def holds(self, proof: Proof, now: float) -> bool:
        """Whether it is of now."""
        try:
            proof.check_time(now, age=300.0, ahead=60.0)
        except CredentialsRefused:
            return False
        return True

    def test_window(self) -> None:
        """Not older than the window, not further ahead than clocks are wrong."""
        times = (-61.0, -60.0, 0.0, 300.0, 301.0)
        self.assertEqual([self.holds(self.proof, NOW + late) for late in times], [False, True, True, True, False])

    def test_expires(self) -> None:
        """It may end earlier by its own words, and never later."""
        short, late = replace(self.proof, expires=NOW + 10), replace(self.proof, expires=NOW + 9999)
        self.assertTrue(self.holds(short, NOW + 9))
        self.assertFalse(self.holds(short, NOW + 10))
        self.assertFalse(self.holds(late, NOW + 301))
        self.assertFalse(self.holds(replace(self.proof, expires=NOW), NOW - 1))

    def test_mark(self) -> None:
        """The same nonce of another DID is another proof; nothing else makes it another."""
        same = replace(self.proof, created=NOW + 1, key="key-2", signature=b"z")
        self.assertEqual(self.proof.mark, same.mark)
        self.assertNotEqual(self.proof.mark, replace(self.proof, nonce=NONCE[::-1]).mark)
        self.assertNotEqual(self.proof.mark, replace(self.proof, did=did_of("did:wba:example.org:bob")).mark)
