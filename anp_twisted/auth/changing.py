"""
Judges with a token that may change while a gateway runs.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from anp_twisted.auth.authenticator import Authenticator
from anp_twisted.auth.identity import Credentials, Identity


class ByToken:
    """
    Judges with a token that may change; an L{Authenticator<anp_twisted.auth.authenticator.Authenticator>}.

    @ivar token: the one that counts.
    """

    def __init__(self, make: Callable[[str], Authenticator], token: str) -> None:
        """
        @param make: makes what judges with a token.
        """
        self.token = token
        self._make = make
        self._inner = make(token)

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: see L{Authenticator.claims<anp_twisted.auth.authenticator.Authenticator.claims>}.
        """
        return self._inner.claims(credentials)

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @return: see L{Authenticator.authenticate<anp_twisted.auth.authenticator.Authenticator.authenticate>}.
        """
        return self._inner.authenticate(credentials)

    def change(self, token: str) -> None:
        """Judge with another token from now on."""
        self.token = token
        self._inner = self._make(token)
