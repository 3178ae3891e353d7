"""
Ways in which receivers prove who they are, besides tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed

from anp_twisted.auth.authenticator import Authenticator
from anp_twisted.auth.identity import Credentials, DidRule, Identity, Kind, scope_of
from anp_twisted.errors import CredentialsRefused


class Certificates:
    """The name in a client certificate, which TLS has verified before anything of the request was read."""

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether a certificate was shown, and nothing else.
        """
        return bool(credentials.certificate) and not any(
            credentials.values(name) for name in (b"authorization", b"signature-input")
        )

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """See L{Authenticator.authenticate<anp_twisted.auth.authenticator.Authenticator.authenticate>}."""
        return succeed(Identity(Kind.CERTIFICATE, credentials.certificate))


class DidReceivers:
    """
    Those DIDs that may connect.

    That somebody has a DID says who they are, not that they are welcome: anybody can make one.
    """

    def __init__(
        self, proofs: Authenticator, rules: Iterable[DidRule], registered: Callable[[str], bool] = lambda _: False
    ) -> None:
        """
        @param proofs: judges proofs of DIDs.
        @param rules: who may connect, and what they may serve.
        @param registered: whether places belong to a DID: then it may connect, too.
        """
        self._proofs = proofs
        self._rules = tuple(rules)
        self._registered = registered

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether it is a proof of a DID.
        """
        return self._proofs.claims(credentials)

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """See L{Authenticator.authenticate<anp_twisted.auth.authenticator.Authenticator.authenticate>}."""
        return self._proofs.authenticate(credentials).addCallback(self._welcome)

    def change(self, rules: Iterable[DidRule]) -> None:
        """Go over to other rules; who is here already is for the caller to look at, with L{same}."""
        self._rules = tuple(rules)

    def same(self, identity: Identity) -> bool:
        """
        @return: whether somebody who is here would be let in now, with the same scope.
        """
        allowed, paths = self._scope(identity.name)
        return allowed and paths == identity.paths

    def _scope(self, did: str) -> tuple[bool, frozenset[bytes] | None]:
        allowed, paths = scope_of(self._rules, did)
        return (allowed, paths) if allowed else (self._registered(did), None)

    def _welcome(self, identity: Identity) -> Identity:
        allowed, paths = self._scope(identity.name)
        if allowed:
            return replace(identity, paths=paths)
        raise CredentialsRefused(f"{identity} may not connect here", 403, title="this DID may not connect here")
