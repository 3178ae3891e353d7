"""Rules of L{anp_twisted.gateway.territory}; who is where is tested with L{anp_twisted.gateway.receivers}."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import RECEIVER, Identity, Kind
from anp_twisted.gateway.territory import CredentialsEnded, Territory
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.places import parse_place
from anp_twisted.registry.book import PlaceRefused
from anp_twisted.test.registrylab import book, holder


class TerritoryTests(SynchronousTestCase):
    """What the registry says, within the caps."""

    def setUp(self) -> None:
        """Begin at a time that can be moved."""
        self.now = 0.0
        self.territory = Territory(lambda: self.now, replace(DEFAULT_LIMITS, registered_places=2))
        self.territory.book = book({"ann": ["/a", "/b"], "eve": ["/1", "/2", "/3"]}, {"x": ("ann", 10.0), "y": "eve"})

    def test_check(self) -> None:
        """A token has to be in the registry and not to have ended; other proofs only not to have ended."""
        self.territory.check(holder("ann"))
        self.territory.check(RECEIVER)
        self.assertRaises(CredentialsEnded, self.territory.check, holder("bob"))
        self.assertRaises(CredentialsEnded, self.territory.check, holder("ann", "t5"))
        self.now = 10.0
        self.assertRaises(CredentialsEnded, self.territory.check, holder("ann"))
        self.assertRaises(CredentialsEnded, self.territory.check, Identity(Kind.CERTIFICATE, "c", expires=9.0))

    def test_caps(self) -> None:
        """No place is as bad as too many."""
        self.assertEqual(list(map(str, self.territory.places(holder("ann"), []))), ["/a", "/b"])
        self.assertRaises(PlaceRefused, self.territory.places, holder("eve", "t1"), [])
        only = Identity(Kind.DID, "ann", paths=frozenset({b"/c"}))
        self.assertRaises(PlaceRefused, self.territory.places, only, [])

    def test_owns(self) -> None:
        """What is below a place belongs to its owner."""
        self.assertTrue(self.territory.owns(holder("ann"), parse_place("/a/x")))
        self.assertFalse(self.territory.owns(holder("ann"), parse_place("/1")))
        self.assertFalse(self.territory.owns(holder("ann"), parse_place("h/a")))
