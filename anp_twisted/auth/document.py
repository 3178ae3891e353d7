"""
DID documents: the little of them that says which key proves a DID.

Pure. C{https://www.w3.org/TR/did-core/}, section 5. Whatever else a document has is
not looked at.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from anp_twisted.errors import CredentialsRefused

MOST_METHODS: Final = 64
"""Keys of one document."""

_Text = Annotated[str, Meta(max_length=1024)]


class Jwk(Struct, frozen=True, gc=False):
    """A public key (RFC 7517); only what the keys of signatures have."""

    kty: _Text
    crv: _Text
    x: _Text
    y: _Text = ""


class Method(Struct, frozen=True, rename="camel", gc=False):
    """
    A key of a document.

    @ivar id: its name, C{did#fragment}, or C{#fragment}.
    @ivar type: which sort of key it is.
    """

    id: _Text
    type: _Text
    public_key_jwk: Jwk | None = None
    public_key_multibase: _Text = ""
    public_key_base58: _Text = ""


class Document(Struct, frozen=True, rename="camel"):
    """
    A document.

    @ivar id: whose it is.
    @ivar verification_method: its keys.
    @ivar authentication: those that prove the DID, or their names.
    """

    id: _Text
    verification_method: Annotated[list[Method], Meta(max_length=MOST_METHODS)] = []
    authentication: Annotated[list[Method | _Text], Meta(max_length=MOST_METHODS)] = []

    def method(self, fragment: str) -> Method:
        """
        Find a key that may prove the DID.

        A key that stands in the document for another purpose, such as agreeing on
        secrets, proves nothing.

        @param fragment: its name behind C{#}.
        @raise CredentialsRefused: there is none, or more than one.
        """
        names = (f"{self.id}#{fragment}", f"#{fragment}")
        found: list[Method] = []
        for entry in self.authentication:
            if isinstance(entry, Method):
                found += [entry] if entry.id in names else []
            elif entry in names:
                found += [method for method in self.verification_method if method.id in names]
        if len(found) != 1:
            raise CredentialsRefused("the DID document has no such key, or has two, under authentication")
        return found[0]

    def fragments(self) -> list[str]:
        """
        @return: the names, behind C{#}, of the keys that may prove the DID.
        """
        names = [entry.id if isinstance(entry, Method) else entry for entry in self.authentication]
        return [name.rpartition("#")[2] for name in names if name.rpartition("#")[0] in ("", self.id)]


_decoder = msgspec.json.Decoder(Document)


def parse_any_document(data: bytes) -> Document:
    """
    @param data: JSON, its size bounded already.
    @raise CredentialsRefused: it is no document.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise CredentialsRefused("what is at the URL of the DID is no DID document") from None


def parse_document(data: bytes, did: str) -> Document:
    """
    @param data: JSON, its size bounded already.
    @param did: whose document it has to be, to the letter.
    @raise CredentialsRefused: it is no document, or that of another DID.
    """
    document = parse_any_document(data)
    if document.id != did:
        raise CredentialsRefused("the DID document is that of another DID")
    return document
