"""
Proofs of identity that need the registry.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from anp_twisted.auth.authenticator import Authenticator
from anp_twisted.auth.bearer import presented, verify
from anp_twisted.auth.identity import RECEIVER, Credentials, Identity
from anp_twisted.errors import CredentialsRefused, RegistryError
from anp_twisted.registry.service import Registry


def _unavailable(reason: Failure) -> Failure:
    """Nobody knows: that is neither a yes nor a no, and another attempt makes sense."""
    reason.trap(RegistryError)
    text = f"the registry cannot be asked: {reason.value}"
    return Failure(CredentialsRefused(text, 503, title="the proof cannot be checked now", retry_after=1.0))


class BearerTokens:
    """
    The tokens of the registry, and beside them the one that all receivers of a gateway may show.

    One that is not known may have been made a moment ago, so the database is
    asked before it is refused.
    """

    def __init__(self, shared: str, registry: Registry, wall: Callable[[], float]) -> None:
        """
        @param shared: the one token; an empty one admits nobody.
        @param wall: the time of day, in seconds since the epoch.
        """
        self._shared = shared
        self._registry = registry
        self._wall = wall

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether it is a bearer token.
        """
        return credentials.scheme == b"bearer"

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @return: see L{Authenticator.authenticate}; it fails after C{Limits.registry_patience} where
            the database does not answer.
        """
        shown = presented(str(credentials.authorization or b"", "latin-1"))
        if shown is None:
            return fail(CredentialsRefused("the token is malformed"))
        if verify(shown, self._shared):
            return succeed(RECEIVER)
        known = self._registry.book.holder(shown, self._wall())
        if known is not None:
            return succeed(known)
        return self._registry.refresh().addCallbacks(lambda _: self._again(shown), _unavailable)

    def _again(self, shown: str) -> Identity:
        known = self._registry.book.holder(shown, self._wall())
        if known is None:
            raise CredentialsRefused("the token is missing or wrong")
        return known


class AfterRegistry:
    """
    Judges nobody before it is known whose the places are.

    Without it, whoever comes first after a start could take what belongs to another.
    """

    def __init__(self, inner: Authenticator, registry: Registry) -> None:
        """
        @param inner: judges, once that is known.
        """
        self._inner = inner
        self._registry = registry

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether the other one does.
        """
        return self._inner.claims(credentials)

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @return: see L{Authenticator.authenticate}.
        """
        if self._registry.known:
            return self._inner.authenticate(credentials)
        asked = self._registry.refresh().addErrback(_unavailable)
        return asked.addCallback(lambda _: self._inner.authenticate(credentials))
