"""
The name in the certificate that a peer showed and TLS has verified.
"""

from __future__ import annotations

from typing import Any, Final

from cryptography.x509 import (
    Certificate,
    DNSName,
    ExtensionNotFound,
    SubjectAlternativeName,
    UniformResourceIdentifier,
)
from cryptography.x509.oid import NameOID

MOST_NAME: Final = 255
"""Characters; a certificate can hold longer ones, and logs should not."""


def peer_name(transport: Any) -> str:
    """
    @param transport: Twisted's, over TLS.
    @return: whom the peer's certificate is for; nothing if it showed none, or one without a plain name.
    """
    shown = transport.getPeerCertificate()
    return "" if shown is None else certificate_name(shown.to_cryptography())


def certificate_name(certificate: Certificate) -> str:
    """
    @return: its common name, else the first URI or DNS name that it is for; nothing for one without,
        or if that is no short text of visible ASCII.
    """
    names = [str(entry.value) for entry in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    name = (names or _alternatives(certificate) or [""])[0]
    fits = 0 < len(name) <= MOST_NAME and name.isascii() and name.isprintable()
    return name if fits else ""


def _alternatives(certificate: Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except (ExtensionNotFound, ValueError):
        return []
    return found.get_values_for_type(UniformResourceIdentifier) + found.get_values_for_type(DNSName)
