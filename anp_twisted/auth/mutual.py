"""
The other direction: a gateway proves itself to a receiver that asks.

The receiver's HELLO has a challenge, and the gateway's HELLO answers it, with its
own DID or with the secret that both know. What is signed names the receiver, where
that has a DID: so a gateway cannot pass the answer of another one off as its own.
C{docs/protocol/anpx.md}, "Authentication".
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from anp_twisted.auth.document import Document
from anp_twisted.auth.identity import Identity, Kind
from anp_twisted.auth.keys import public_key
from anp_twisted.auth.signer import DidSigner
from anp_twisted.errors import CredentialsRefused, GatewayUnproved
from anp_twisted.wire.heads import GatewayProof, Hello

_PURPOSE = b"anp gateway 1"
"""Begins what is signed, so that nothing else that the key signs can be passed off as this."""

Judge = Callable[[str, Hello], None]
"""Takes the challenge and the gateway's HELLO, and raises L{GatewayUnproved} if that is no answer."""


def signed(challenge: str, receiver: str) -> bytes:
    """
    @param receiver: its DID; nothing for one without.
    @return: what the gateway signs.
    """
    return b"\n".join([_PURPOSE, challenge.encode(), receiver.encode()])


def mac(secret: str, challenge: str) -> str:
    """
    @return: what only those who know the secret can say to a challenge.
    """
    digest = hmac.digest(secret.encode(), signed(challenge, ""), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


class GatewayProver:
    """A gateway that can prove itself."""

    def __init__(self, signer: DidSigner | None, secret: str | None) -> None:
        """
        @param signer: proves its DID.
        @param secret: proves it to receivers that know it, too.
        """
        self._signer = signer
        self._secret = secret

    def answer(self, challenge: str, receiver: Identity) -> GatewayProof | None:
        """
        @param receiver: who asks.
        @return: the proof; C{None} for one that does not ask, or asks for what there is not.
        """
        if not challenge:
            return None
        if receiver.kind is Kind.SHARED and self._secret is not None:
            return GatewayProof("", mac(self._secret, challenge))
        if self._signer is None:
            return None
        name = receiver.name if receiver.kind is Kind.DID else ""
        signature = urlsafe_b64encode(self._signer.sign(signed(challenge, name))).rstrip(b"=").decode("ascii")
        return GatewayProof(f"{self._signer.did}#{self._signer.key}", signature)


class DidJudge:
    """Takes one gateway: that of a DID."""

    def __init__(self, document: Document, receiver: str) -> None:
        """
        @param document: that of the gateway.
        @param receiver: our own DID; nothing if we show something else.
        """
        self._document = document
        self._receiver = receiver

    def __call__(self, challenge: str, hello: Hello) -> None:
        """
        @raise GatewayUnproved: it is another one.
        """
        proof = hello.proof
        if proof is None:
            raise GatewayUnproved("the gateway did not prove its DID")
        did, _, fragment = proof.key.partition("#")
        if did != self._document.id:
            raise GatewayUnproved("the gateway has another DID")
        try:
            key = public_key(self._document.method(fragment))
            signature = urlsafe_b64decode(proof.signature + "=" * (-len(proof.signature) % 4))
        except (CredentialsRefused, binascii.Error):
            raise GatewayUnproved("the gateway's proof of its DID is malformed") from None
        if not key.verifies(signature, signed(challenge, self._receiver)):
            raise GatewayUnproved("the gateway's proof of its DID is wrong")


class SecretJudge:
    """Takes gateways that know a secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, challenge: str, hello: Hello) -> None:
        """
        @raise GatewayUnproved: it does not know it.
        """
        proof = hello.proof
        right = mac(self._secret, challenge)
        if proof is None or proof.key or not hmac.compare_digest(proof.signature, right):
            raise GatewayUnproved("the gateway did not prove that it knows the secret")
