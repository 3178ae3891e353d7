"""
Proofs of DIDs, judged: the order of the checks is what keeps them safe.

Form and time come first, since they cost nothing. Then the document is fetched,
and with it the key and the signature are checked. What was proved is remembered
last: a nonce that anybody could use up would lock out those whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, fail

from anp_twisted.auth import didwba, httpsig
from anp_twisted.auth.document import Document
from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.auth.keys import ALGORITHMS, public_key
from anp_twisted.auth.proof import Proof
from anp_twisted.auth.replay import ReplayMemory
from anp_twisted.auth.resolver import Resolver
from anp_twisted.errors import CredentialsRefused
from anp_twisted.limits import Limits


class DidProofs:
    """An L{Authenticator<anp_twisted.auth.authenticator.Authenticator>} for C{DIDWba} fields and HTTP signatures."""

    def __init__(
        self,
        resolver: Resolver,
        memory: ReplayMemory,
        *,
        services: Sequence[str],
        wall: Callable[[], float],
        limits: Limits,
    ) -> None:
        """
        @param services: the hosts that we are, in lower case: proofs for any other are refused.
        @param wall: the time of day, in seconds since the epoch.
        """
        self._resolver = resolver
        self._memory = memory
        self._services = tuple(services)
        self._wall = wall
        self._limits = limits

    def claims(self, credentials: Credentials) -> bool:
        """
        @return: whether it is a C{DIDWba} field, or a signature and no other C{Authorization}.
        """
        return credentials.scheme == b"didwba" or (
            not credentials.values(b"authorization") and httpsig.claims(credentials)
        )

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """See L{Authenticator.authenticate<anp_twisted.auth.authenticator.Authenticator.authenticate>}."""
        try:
            proof = self._parse(credentials)
            proof.check_time(self._wall(), age=self._limits.proof_age, ahead=self._limits.proof_ahead)
        except CredentialsRefused as refusal:
            return fail(refusal)
        found = self._resolver.resolve(proof.did, credentials.address)
        return found.addCallback(self._judge, proof).addCallback(self._spent, proof)

    def _parse(self, credentials: Credentials) -> Proof:
        if credentials.scheme == b"didwba":
            value = str(credentials.authorization or b"", "latin-1")
            return didwba.parse(value, [_without_port(service) for service in self._services])
        return httpsig.parse(credentials, self._services)

    def _judge(self, document: Document, proof: Proof) -> Deferred[bool]:
        """Check the signature, and then use the proof up."""
        check_signature(document, proof)
        limits, now = self._limits, self._wall()
        # A second more than it could be shown again for, whatever is rounded where.
        until = proof.created + limits.proof_age + limits.proof_ahead + 1.0
        return self._memory.spend(proof.mark, now, until)

    def _spent(self, first: bool, proof: Proof) -> Identity:
        if not first:
            raise CredentialsRefused("the proof was used before")
        return Identity(Kind.DID, proof.did.text, credential=proof.key)


def check_signature(document: Document, proof: Proof) -> None:
    """
    @param document: that of the DID.
    @raise CredentialsRefused: the key may not prove the DID, or did not sign this.
    """
    key = public_key(document.method(proof.key))
    if proof.algorithm is not None and proof.algorithm not in ALGORITHMS[key.sort]:
        raise CredentialsRefused("the signature names an algorithm that is not that of its key")
    if not any(key.verifies(proof.signature, signed, short=proof.short) for signed in proof.signed):
        raise CredentialsRefused("the signature is wrong")


def _without_port(service: str) -> str:
    host, mark, port = service.rpartition(":")
    return host if mark and port.isdigit() else service
