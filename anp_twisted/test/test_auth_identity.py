"""Tests for L{anp_twisted.auth.identity}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.paths import prefix_key


class IdentityTests(SynchronousTestCase):
    """Who somebody is, and what they may serve."""

    def test_same(self) -> None:
        """Kind and name make an identity; its credential and its scope do not."""
        one = Identity(Kind.TOKEN, "a", credential="1", paths=frozenset({b"/a"}), expires=5.0)
        self.assertEqual({one: 1}[Identity(Kind.TOKEN, "a", credential="2")], 1)
        self.assertNotEqual(one, Identity(Kind.CERTIFICATE, "a"))
        self.assertNotEqual(one, Identity(Kind.TOKEN, "b"))

    def test_name(self) -> None:
        """Two identities of one name by different ways do not look the same in a log."""
        names = {str(Identity(kind, "a")) for kind in (Kind.TOKEN, Kind.SHARED, Kind.CERTIFICATE)}
        self.assertEqual(names, {"a", "shared:a", "certificate:a"})
        self.assertEqual(str(Identity(Kind.DID, "did:wba:a")), "did:wba:a")

    def test_scope(self) -> None:
        """A prefix covers itself and what is below it, by whole segments."""
        anybody, one = Identity(Kind.TOKEN, "a"), Identity(Kind.TOKEN, "a", paths=frozenset({prefix_key("/a/b")}))
        root = Identity(Kind.TOKEN, "a", paths=frozenset({prefix_key("/")}))
        for path, within in (("/a/b", True), ("/a/b/c", True), ("/a/bc", False), ("/a", False), ("/", False)):
            self.assertEqual(one.may_serve(prefix_key(path)), within, path)
            self.assertTrue(anybody.may_serve(prefix_key(path)) and root.may_serve(prefix_key(path)))
        self.assertFalse(Identity(Kind.TOKEN, "a", paths=frozenset()).may_serve(b"/a"))


class CredentialsTests(SynchronousTestCase):
    """What somebody showed."""

    def test_authorization(self) -> None:
        """Two fields are as good as none, since no two parties agree which one counts."""
        one = Credentials(b"GET", b"/", [(b"AUTHORIZATION", b"DIDWba did=x")])
        self.assertEqual((one.authorization, one.scheme), (b"DIDWba did=x", b"didwba"))
        for headers in ([], [(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer b")]):
            none = Credentials(b"GET", b"/", headers)
            self.assertEqual((none.authorization, none.scheme), (None, b""))

    def test_secret(self) -> None:
        """What was shown is in no text about it."""
        self.assertNotIn("secret", repr(Credentials(b"GET", b"/", [(b"Authorization", b"Bearer secret")])))
