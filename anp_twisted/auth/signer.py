"""
Our own proof of a DID, made anew for every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from anp_twisted.auth import didwba
from anp_twisted.auth.did import InvalidDid, parse_did
from anp_twisted.auth.document import Document, parse_any_document
from anp_twisted.auth.keys import SigningKey, load_key, public_key
from anp_twisted.errors import CredentialError, CredentialsRefused


class DidSigner:
    """
    Somebody who can prove a DID.

    @ivar did: the DID.
    @ivar key: the name of the key behind C{#}.
    """

    def __init__(
        self, document: Document, signing: SigningKey, *, wall: Callable[[], float], nonce: Callable[[], str]
    ) -> None:
        """
        @param wall: the time of day, in seconds since the epoch.
        @param nonce: 32 random hexadecimal digits each time.
        @raise CredentialError: the key is none that the document has under C{authentication}.
        """
        self.did = document.id
        self.key = _name_of(document, signing)
        self._signing = signing
        self._wall = wall
        self._nonce = nonce

    def authorization(self, service: str) -> str:
        """
        @param service: the host that is dialled.
        @return: the value of an C{Authorization} field that opens there, once.
        """
        now = datetime.fromtimestamp(int(self._wall()), UTC)
        return didwba.build(
            self.did,
            self.key,
            service,
            nonce=self._nonce(),
            timestamp=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            sign=self._signing.sign,
        )

    def sign(self, data: bytes) -> bytes:
        """
        @return: a signature of something else.
        """
        return self._signing.sign(data)


def _name_of(document: Document, signing: SigningKey) -> str:
    """Find the key in the document."""
    for fragment in document.fragments():
        try:
            if public_key(document.method(fragment)).jwk() == signing.public.jwk():
                return fragment
        except CredentialsRefused:
            continue
    raise CredentialError(f"did-key is none that the document of {document.id} has under authentication")


def load_document(path: str) -> Document:
    """
    @param path: a JSON file.
    @return: the document in it.
    @raise CredentialError: there is none, or it is that of no C{did:wba}.
    """
    try:
        document = parse_any_document(Path(path).read_bytes())
        parse_did(document.id)
    except OSError as error:
        raise CredentialError(f"the DID document {path} cannot be read: {error.strerror}") from None
    except CredentialsRefused:
        raise CredentialError(f"{path} holds no DID document") from None
    except InvalidDid as error:
        raise CredentialError(f"the DID in {path} {error}") from None
    return document


def load_signer(document: str, key: str, *, wall: Callable[[], float], nonce: Callable[[], str]) -> DidSigner:
    """
    @param document: the file of the document.
    @param key: the PEM file of the key.
    @raise CredentialError: they are missing, unsafe, or do not fit together.
    """
    return DidSigner(load_document(document), load_key(key), wall=wall, nonce=nonce)
