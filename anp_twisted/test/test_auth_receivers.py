"""Tests for L{anp_twisted.auth.receivers}."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Credentials, DidRule, Identity, Kind
from anp_twisted.auth.receivers import Certificates, DidReceivers
from anp_twisted.errors import CredentialsRefused
from anp_twisted.test.didlab import ALICE

PLAIN = Credentials(b"GET", b"/ws", [], certificate="printer")


class Proved:
    """Believes that everybody is somebody."""

    def __init__(self, did: str) -> None:
        self._did = did

    def claims(self, credentials: Credentials) -> bool:
        """Whoever says something."""
        return bool(credentials.headers)

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """Say who it is."""
        return succeed(Identity(Kind.DID, self._did))


class CertificateTests(SynchronousTestCase):
    """Client certificates."""

    def test_name(self) -> None:
        """The name in it is the identity, unless something else was shown."""
        way = Certificates()
        self.assertTrue(way.claims(PLAIN))
        self.assertEqual(self.successResultOf(way.authenticate(PLAIN)), Identity(Kind.CERTIFICATE, "printer"))
        for name in (b"Authorization", b"Signature-Input"):
            self.assertFalse(way.claims(replace(PLAIN, headers=[(name, b"x")])))
        self.assertFalse(way.claims(replace(PLAIN, certificate="")))


class DidTests(SynchronousTestCase):
    """Which DIDs are welcome."""

    def judge(self, did: str, *rules: DidRule, registered: str = "") -> Identity | int:
        """Say who it is, or the status of the refusal."""
        way = DidReceivers(Proved(did), rules, lambda name: name == registered)
        self.assertFalse(way.claims(PLAIN))
        judged = way.authenticate(PLAIN)
        if isinstance(judged.result, Identity):
            return self.successResultOf(judged)
        refused = self.failureResultOf(judged, CredentialsRefused).value
        status: int = refused.status
        return status

    def test_nobody(self) -> None:
        """Anybody can have a DID, so nobody is welcome who is not named."""
        self.assertEqual(self.judge(ALICE), 403)
        self.assertEqual(self.judge(ALICE, DidRule("did:wba:example.org:bob")), 403)
        self.assertEqual(self.judge(ALICE + "x", DidRule(ALICE)), 403)

    def test_rules(self) -> None:
        """By name or by its beginning, with what it may serve: all rules about a DID together."""
        for rule in (DidRule(ALICE), DidRule("did:wba:example.org:", True)):
            identity = self.judge(ALICE, rule)
            assert isinstance(identity, Identity)
            self.assertIsNone(identity.paths)
        both = DidRule(ALICE, paths=frozenset({b"/a"})), DidRule("did:wba:example.org:", True, frozenset({b"/b"}))
        identity = self.judge(ALICE, *both)
        assert isinstance(identity, Identity)
        self.assertEqual(identity.paths, {b"/a", b"/b"})

    def test_change(self) -> None:
        """Rules may change; who is here is held against those that count now."""
        way = DidReceivers(Proved(ALICE), [DidRule(ALICE)])
        identity = self.successResultOf(way.authenticate(PLAIN))
        self.assertTrue(way.same(identity))
        way.change([DidRule(ALICE, paths=frozenset({b"/a"}))])
        self.assertFalse(way.same(identity))
        self.assertTrue(way.same(replace(identity, paths=frozenset({b"/a"}))))
        way.change([])
        self.assertFalse(way.same(identity))
        self.failureResultOf(way.authenticate(PLAIN), CredentialsRefused)

    def test_registered(self) -> None:
        """Who owns places may connect."""
        self.assertEqual(self.judge(ALICE, registered=ALICE), Identity(Kind.DID, ALICE))
        self.assertEqual(self.judge(ALICE, registered="did:wba:example.org"), 403)
