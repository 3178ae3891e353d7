"""Tests of the table of tokens."""

from __future__ import annotations

from itertools import count

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.errors import NotFound, Overloaded
from anp_twisted.assistant.tokens import Tokens


class TokenTests(SynchronousTestCase):
    """Secrets and whose they are."""

    def setUp(self) -> None:
        """Make a table of three, with an overlap of 60 s."""
        self.numbers = count(1)
        self.tokens = self.table()

    def table(self) -> Tokens:
        """Make a table."""
        return Tokens(lambda: f"secret-{next(self.numbers)}", lambda: f"{next(self.numbers)}", most=3, overlap=60.0)

    def test_identify(self) -> None:
        """A secret is its principal's, and nothing near it is anybody's."""
        _, secret = self.tokens.create("bob", "user", 0.0)
        found = self.tokens.identify(secret, 1.0)
        assert found is not None
        self.assertEqual((found.name, found.role, found.is_admin), ("bob", "user", False))
        for wrong in ("", secret[:-1], secret + "x", secret.upper(), "\ud800"):
            self.assertIsNone(self.tokens.identify(wrong, 1.0))

    def test_rotation(self) -> None:
        """Two secrets work for a while, after another rotation the two latest."""
        token, first = self.tokens.create("bob", "user", 0.0)
        _, second = self.tokens.rotate(token.id, 10.0)
        self.assertIsNotNone(self.tokens.identify(first, 69.0))
        self.assertIsNone(self.tokens.identify(first, 70.0))
        self.assertIsNotNone(self.tokens.identify(second, 70.0))
        _, third = self.tokens.rotate(token.id, 20.0)
        self.assertEqual([self.tokens.identify(one, 21.0) is not None for one in (first, second, third)], [0, 1, 1])

    def test_revoke(self) -> None:
        """Both secrets end."""
        token, first = self.tokens.create("bob", "user", 0.0)
        _, second = self.tokens.rotate(token.id, 0.0)
        self.tokens.revoke(token.id)
        self.assertIsNone(self.tokens.identify(first, 1.0))
        self.assertIsNone(self.tokens.identify(second, 1.0))
        self.assertRaises(NotFound, self.tokens.revoke, token.id)
        self.assertRaises(NotFound, self.tokens.rotate, token.id, 1.0)

    def test_kept(self) -> None:
        """What is kept has no secret in it, and is all that is needed; the operator's is kept elsewhere."""
        self.tokens.own("mine", 0.0)
        token, first = self.tokens.create("bob", "user", 0.0)
        _, second = self.tokens.rotate(token.id, 0.0)
        data = self.tokens.encode()
        for secret in (first, second, "mine", "admin"):
            self.assertNotIn(secret.encode(), data)
        again = self.table()
        again.load(data)
        self.assertEqual(again.identify(first, 1.0), self.tokens.identify(first, 1.0))
        self.assertEqual(again.identify(second, 1.0), self.tokens.identify(second, 1.0))
        self.assertRaises(msgspec.DecodeError, self.table().load, b"{}")

    def test_capped(self) -> None:
        """There are so many and no more."""
        for _ in range(3):
            self.tokens.create("bob", "user", 0.0)
        self.assertRaises(Overloaded, self.tokens.create, "bob", "user", 0.0)
