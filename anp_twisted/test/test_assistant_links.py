"""Tests for L{anp_twisted.assistant.links}."""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.links import Links
from anp_twisted.limits import Limits


class LinkTests(SynchronousTestCase):
    """What a link is good for, and how long."""

    def setUp(self) -> None:
        """Secrets are numbers here."""
        numbers = count()
        self.links = Links(Limits(link_lifetime=10.0, login_links=2), lambda: f"secret{next(numbers)}")

    def test_once(self) -> None:
        """A link works once."""
        secret, offer = self.links.make("ann", "user", 5.0)
        self.assertEqual((secret, offer), ("secret0", ("ann", "user", 15.0)))
        self.assertEqual((self.links.redeem(secret, 6.0), self.links.redeem(secret, 6.0)), (offer, None))

    def test_unknown(self) -> None:
        """What is no secret redeems nothing, whatever it is, and costs nobody his link."""
        secret, offer = self.links.make("ann", "user", 0.0)
        self.assertEqual([self.links.redeem(text, 0.0) for text in ("", "secret", "secret00", "\ud800")], [None] * 4)
        self.assertEqual(self.links.redeem(secret, 0.0), offer)

    def test_tooOld(self) -> None:
        """A link that is too old works no more, not even when the clock goes back."""
        secret, _ = self.links.make("ann", "user", 0.0)
        self.assertEqual((self.links.redeem(secret, 10.0), self.links.redeem(secret, 1.0)), (None, None))

    def test_cap(self) -> None:
        """The oldest is forgotten where there are too many."""
        secrets = [self.links.make("ann", "user", 0.0)[0] for _ in range(3)]
        self.assertEqual([self.links.redeem(one, 0.0) is not None for one in secrets], [False, True, True])

    def test_forget(self) -> None:
        """A principal that may no longer has no links either."""
        ann, bob = self.links.make("ann", "user", 0.0)[0], self.links.make("bob", "user", 0.0)[0]
        self.links.forget("ann")
        self.assertEqual((self.links.redeem(ann, 0.0), self.links.redeem(bob, 0.0) is not None), (None, True))

    def test_secretsAreNotKept(self) -> None:
        """What is kept of a link is not its secret."""
        self.links.make("ann", "user", 0.0)
        self.assertNotIn("secret0", repr(vars(self.links)))
