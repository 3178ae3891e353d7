"""Certificates of any shape, signed by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def certificate_for(name: str | None, alternatives: list[x509.GeneralName]) -> x509.Certificate:
    """
    Make a certificate.

    @param name: its common name.
    @param alternatives: its other names.
    """
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    subject = x509.Name([] if name is None else [x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, _DAY, _DAY + timedelta(days=1))
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, None)
