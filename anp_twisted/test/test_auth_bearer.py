"""Rules of L{anp_twisted.auth.bearer}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.bearer import LONGEST_TOKEN, authorization, digest_of, is_token, presented, verify

TOKENS = st.from_regex(r"[A-Za-z0-9._~+/-]{1,60}=*", fullmatch=True)


class BearerTests(SynchronousTestCase):
    """Only the right token opens."""

    @given(TOKENS)
    def test_right(self, token: str) -> None:
        """What is sent by L{authorization} is understood, and opens."""
        self.assertTrue(is_token(token))
        self.assertEqual(presented(authorization(token)), token)
        self.assertTrue(verify(presented(authorization(token)), token))

    @given(TOKENS, st.text())
    def test_wrong(self, token: str, other: str) -> None:
        """Nothing else does: another text, nothing, a part, or more."""
        for attempt in (other if other != token else None, None, "", token[:-1], token + "x", token.swapcase() + "y"):
            self.assertFalse(verify(attempt, token))

    def test_emptySecret(self) -> None:
        """An empty secret admits nobody, not even who sends an empty token."""
        for attempt in (None, "", "x"):
            self.assertFalse(verify(attempt, ""))

    def test_surrogates(self) -> None:
        """Bytes that are no text do not raise."""
        self.assertFalse(verify("\udcff", "x"))

    def test_scheme(self) -> None:
        """The scheme is read in any case; malformed fields present nothing."""
        self.assertEqual(presented("bEaReR   abc"), "abc")
        for value in ("", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "Bearer abc ", " Bearer abc",
                      "Bearer abc\n", "Bearer é", "Bearer " + "a" * (LONGEST_TOKEN + 1)):  # fmt: skip
            self.assertIsNone(presented(value), value[:20])

    def test_noToken(self) -> None:
        """What cannot stand in a header field is no token."""
        for text in ("", "a b", "a\n", "é", "=", "a" * (LONGEST_TOKEN + 1), "a=b"):
            self.assertFalse(is_token(text), text[:20])

    def test_digest(self) -> None:
        """What is stored is SHA-256; any text has one, also what no header can hold."""
        self.assertEqual(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        self.assertEqual(len(digest_of("\udce9")), 64)
