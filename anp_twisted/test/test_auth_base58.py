"""Tests for L{anp_twisted.auth.base58}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.base58 import LONGEST, decode, encode


class Base58Tests(SynchronousTestCase):
    """Text for bytes."""

    def test_vectors(self) -> None:
        """Those of draft-msporny-base58-03, section 5."""
        for data, text in (
            (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
            (bytes.fromhex("0000287fb4cd"), "11233QC4"),
            (
                b"The quick brown fox jumps over the lazy dog.",
                "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
            ),
        ):
            self.assertEqual((encode(data), decode(text)), (text, data))

    @given(st.binary(min_size=1, max_size=80))
    def test_roundTrip(self, data: bytes) -> None:
        """What was written is read."""
        self.assertEqual(decode(encode(data)), data)

    def test_refused(self) -> None:
        """Other characters, nothing, and what would cost too much."""
        for text in ("", "0", "O", "I", "l", "a b", "é", "2" * (LONGEST + 1)):
            self.assertRaises(ValueError, decode, text)
