"""Rules of L{anp_twisted.auth.changing}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.authenticator import SharedToken
from anp_twisted.auth.changing import ByToken
from anp_twisted.auth.identity import RECEIVER, Credentials
from anp_twisted.errors import CredentialsRefused


def shown(token: str) -> Credentials:
    """What a receiver shows."""
    return Credentials(b"GET", b"/ws", [(b"Authorization", f"Bearer {token}".encode())])


class ByTokenTests(SynchronousTestCase):
    """One token after the other."""

    def test_change(self) -> None:
        """The new one counts from then on, and the old one no longer."""
        judge = ByToken(SharedToken, "one")
        self.assertTrue(judge.claims(shown("x")))
        self.assertEqual(self.successResultOf(judge.authenticate(shown("one"))), RECEIVER)
        judge.change("two")
        self.assertEqual(judge.token, "two")
        self.assertEqual(self.successResultOf(judge.authenticate(shown("two"))), RECEIVER)
        self.failureResultOf(judge.authenticate(shown("one")), CredentialsRefused)
