"""Tests for L{anp_twisted.auth.authenticator}."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.authenticator import SharedToken, Ways
from anp_twisted.auth.identity import RECEIVER, Credentials, Identity, Kind
from anp_twisted.errors import CredentialsRefused


def shown(value: bytes) -> Credentials:
    """Show an C{Authorization} field."""
    return Credentials(b"GET", b"/ws", [(b"Authorization", value)])


class Everybody:
    """Claims everything and is satisfied with it."""

    def claims(self, credentials: Credentials) -> bool:
        """It does."""
        return True

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """It is."""
        return succeed(Identity(Kind.TOKEN, "everybody"))


class SharedTokenTests(SynchronousTestCase):
    """One token for all."""

    def test_token(self) -> None:
        """The right token alone, whatever the spelling of the scheme."""
        way = SharedToken("right")
        for value in (b"Bearer right", b"bearer right", b"BEARER  right"):
            self.assertEqual(self.successResultOf(way.authenticate(shown(value))), RECEIVER)
        for value in (b"", b"right", b"Bearer", b"Bearer wrong", b"Bearer righ", b"Bearer rightx", b"\xff"):
            refused = self.failureResultOf(way.authenticate(shown(value)), CredentialsRefused)
            self.assertEqual(refused.value.status, 401, value)

    def test_none(self) -> None:
        """An empty token admits nobody."""
        self.failureResultOf(SharedToken("").authenticate(shown(b"Bearer ")), CredentialsRefused)


class WaysTests(SynchronousTestCase):
    """Several ways."""

    def test_first(self) -> None:
        """Who claims the credentials decides; nobody else is asked after a refusal."""
        ways = Ways([SharedToken("right"), Everybody()])
        self.assertEqual(self.successResultOf(ways.authenticate(shown(b"Bearer right"))), RECEIVER)
        self.failureResultOf(ways.authenticate(shown(b"Bearer wrong")), CredentialsRefused)
        self.assertEqual(self.successResultOf(ways.authenticate(shown(b"Basic x"))).name, "everybody")

    def test_nobody(self) -> None:
        """What nobody claims is refused."""
        ways = Ways([SharedToken("right")])
        for credentials in (shown(b"Basic right"), Credentials(b"GET", b"/", [])):
            self.assertFalse(ways.claims(credentials))
            self.failureResultOf(ways.authenticate(credentials), CredentialsRefused)
        self.assertTrue(ways.claims(shown(b"Bearer wrong")))
