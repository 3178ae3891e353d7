"""
Both ends of the proof of a shared secret: the receiver that makes it, and the gateway that judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail

from anp_twisted.auth import shared
from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.auth.replay import ReplayMemory
from anp_twisted.errors import CredentialsRefused, SettingsError

KNOWN = Identity(Kind.SHARED, "receiver")
"""Everybody who knows the secret."""


def check_secret(secret: str) -> str:
    """
    @return: the same.
    @raise SettingsError: it can be guessed, or is none.
    """
    if not shared.SHORTEST <= len(secret) <= shared.LONGEST:
        raise SettingsError(f"shared-secret must have {shared.SHORTEST} to {shared.LONGEST} characters")
    return secret


class SharedSigner:
    """Somebody who knows the secret."""

    def __init__(self, secret: str, *, wall: Callable[[], float], nonce: Callable[[], str]) -> None:
        """
        @param wall: the time of day, in seconds since the epoch.
        @param nonce: 32 random hexadecimal digits each time.
        @raise SettingsError: the secret can be guessed.
        """
        self._secret = check_secret(secret)
        self._wall = wall
        self._nonce = nonce

    def authorization(self, service: str) -> str:
        """
        @param service: the host that is dialled.
        @return: the value of an C{Authorization} field that opens there, once.
        """
        return shared.build(self._secret, service, nonce=self._nonce(), now=self._wall())


class SharedSecretProofs:
    """An L{Authenticator<anp_twisted.auth.authenticator.Authenticator>} for those who know a secret."""

    def __init__(
        self,
        secret: str,
        memory: ReplayMemory,
        *,
        services: Sequence[str],
        wall: Callable[[], float],
        expiry: float,
        ahead: float,
    ) -> None:
        """
        @param memory: of the proofs that were used.
        @param services: the hosts that we are: proofs for any other are refused.
        @param wall: the time of day, in seconds since the epoch.
        @param expiry: seconds for which a proof is good.
        @param ahead: seconds that the clock of its maker may be ahead.
        @raise SettingsError: the secret can be guessed.
        """
        self._secret = check_secret(secret)
        self._memory = memory
        self._services = tuple({_without_port(service) for service in services})
        self._wall = wall
        self._expiry = expiry
        self._ahead = ahead

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether it is such a proof.
        """
        return credentials.scheme == shared.SCHEME.lower().encode("ascii")

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """See L{Authenticator.authenticate<anp_twisted.auth.authenticator.Authenticator.authenticate>}."""
        now = self._wall()
        try:
            proof = shared.parse(str(credentials.authorization or b"", "latin-1"))
            if not -self._ahead <= now - proof.created <= self._expiry:
                raise CredentialsRefused("the proof is too old, or a clock is wrong")
            shared.check_code(proof, self._secret, self._services)
        except CredentialsRefused as refusal:
            return fail(refusal)
        # What is wrong is not remembered: a nonce that strangers could use up would lock out those whose it is.
        until = proof.created + self._expiry + self._ahead + 1.0
        return self._memory.spend(proof.mark, now, until).addCallback(_spent)


def _spent(first: bool) -> Identity:
    if not first:
        raise CredentialsRefused("the proof was used before")
    return KNOWN


def _without_port(service: str) -> str:
    host, mark, port = service.lower().rpartition(":")
    return host if mark and port.isdigit() else service.lower()
