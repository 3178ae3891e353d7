"""
The seam between who asks for a proof and the ways to give one.

The gateway asks one L{Authenticator} at each handshake of a receiver, and at
each request of a route that wants to know its callers. It is usually a
L{Ways}, which lets the first way that knows the credentials judge them, alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred, fail, succeed

from anp_twisted.auth.bearer import presented, verify
from anp_twisted.auth.identity import RECEIVER, Credentials, Identity
from anp_twisted.errors import CredentialsRefused


class Authenticator(Protocol):
    """Judges credentials."""

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether these are credentials of a sort that it judges; costs nothing and proves nothing.
        """

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @param credentials: such as it claims.
        @return: fires with who showed them, often at once; fails with
            L{CredentialsRefused<anp_twisted.errors.CredentialsRefused>}. It may be cancelled.
        """


class Ways:
    """
    Several ways to prove an identity.

    The first that claims the credentials decides. To ask the next one after a
    refusal would let the weakest of them decide.
    """

    def __init__(self, ways: Sequence[Authenticator]) -> None:
        """
        @param ways: in the order in which they are asked.
        """
        self._ways = tuple(ways)

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether one of them does.
        """
        return any(way.claims(credentials) for way in self._ways)

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @return: see L{Authenticator.authenticate}.
        """
        for way in self._ways:
            if way.claims(credentials):
                return way.authenticate(credentials)
        return fail(CredentialsRefused())


class SharedToken:
    """The one token that all receivers of a gateway show (RFC 6750)."""

    def __init__(self, token: str) -> None:
        """
        @param token: the secret; an empty one admits nobody.
        """
        self._token = token

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether it is a bearer token.
        """
        return credentials.scheme == b"bearer"

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @return: has fired with L{RECEIVER}, or failed with L{CredentialsRefused}.
        """
        shown = presented(str(credentials.authorization or b"", "latin-1"))
        return succeed(RECEIVER) if verify(shown, self._token) else fail(CredentialsRefused())
