"""
TLS for both sides: 1.2 or newer, authenticated ciphers with forward secrecy only.

The curves are OpenSSL's own choice, X25519 first: there is no weak one among
those, and a list of ours would only grow old.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLContextFactory
from twisted.internet.ssl import (
    AcceptableCiphers,
    Certificate,
    CertificateOptions,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

from anp_twisted.errors import CredentialError

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK"
"""For TLS 1.2; every cipher of TLS 1.3 is of this kind."""


def server_options(cert_file: str, key_file: str, client_ca: str | None = None) -> CertificateOptions:
    """
    Make the context of a listener.

    @param cert_file: a PEM file: the certificate, then those that lead to its CA.
    @param key_file: a PEM file that only its owner may read.
    @param client_ca: a PEM file of the authorities whose client certificates are asked for; nobody needs to show one.
    @raise CredentialError: for files that are missing, unsafe or do not fit together.
    """
    chain = _certificates(cert_file)
    key = _private_key(key_file)
    options = CertificateOptions(
        privateKey=key,
        certificate=chain[0],
        extraCertChain=chain[1:],
        raiseMinimumTo=TLSVersion.TLSv1_2,
        acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
        **({} if client_ca is None else _asking(client_ca)),
    )
    try:
        options.getContext()
    except SSL.Error as error:
        raise CredentialError(f"the key in {key_file} does not belong to the certificate in {cert_file}") from error
    return options


@implementer(IOpenSSLContextFactory)
class ServerContext:
    """
    What listeners show, which may become something else while they listen.

    Twisted asks it for a context at each connection.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self._options = options

    @classmethod
    def read(cls, cert_file: str, key_file: str, client_ca: str | None = None) -> ServerContext:
        """
        @return: what L{server_options} makes.
        @raise CredentialError: see there.
        """
        return cls(server_options(cert_file, key_file, client_ca))

    def getContext(self) -> SSL.Context:
        """Give the context of a new connection."""
        return self._options.getContext()

    def become(self, other: ServerContext) -> None:
        """Show from now on what another one shows."""
        self._options = other._options


def context_of(cert_file: str | None, key_file: str | None, client_ca: str | None = None) -> ServerContext | None:
    """
    @return: what a listener shows; C{None} where it speaks no TLS.
    @raise CredentialError: see L{server_options}.
    """
    return ServerContext.read(cert_file, key_file, client_ca) if cert_file and key_file else None


def _asking(client_ca: str) -> dict[str, Any]:
    """Ask for a client certificate: what is shown has to be good, but callers show none."""
    return {"verify": True, "caCerts": _certificates(client_ca), "requireCertificate": False}


def client_options(
    host: str, ca_file: str | None = None, own: tuple[str, str] | None = None
) -> IOpenSSLClientConnectionCreator:
    """
    Make the context of a connection to a gateway; chain and name are verified.

    @param host: the name or address that the certificate must be for.
    @param ca_file: a PEM file of the only authorities to trust; without it, those of the system.
    @param own: the PEM files of a certificate chain and its key, for a gateway that asks who we are.
    @raise CredentialError: for a file that cannot be read.
    """
    options: dict[str, Any] = {
        "raiseMinimumTo": TLSVersion.TLSv1_2,
        "acceptableCiphers": AcceptableCiphers.fromOpenSSLCipherString(CIPHERS),
    }
    if own is not None:
        chain, key = _certificates(own[0]), _private_key(own[1])
        options |= {"privateKey": key, "certificate": chain[0], "extraCertChain": chain[1:]}
    return optionsForClientTLS(host, _trust(ca_file), extraCertificateOptions=options)


def _trust(ca_file: str | None) -> Any:
    """Find the authorities to trust; Twisted has no public name for what they are."""
    if ca_file is None:
        return platformTrust()
    return trustRootFromCertificates([Certificate(certificate) for certificate in _certificates(ca_file)])


def _read(path: str, what: str) -> bytes:
    """Read a file, or say which one and why not."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CredentialError(f"{what} {path} cannot be read: {error.strerror}") from error


def _certificates(path: str) -> list[crypto.X509]:
    """Read all certificates of a file."""
    data = _read(path, "the certificate file")
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise CredentialError(f"{path} holds no PEM certificate") from error
    return [crypto.X509.from_cryptography(certificate) for certificate in found]


def _private_key(path: str) -> crypto.PKey:
    """Read a key that nobody else can read."""
    data = _read(path, "the key file")
    if stat.S_IMODE(Path(path).stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise CredentialError(f"the key file {path} can be read by others: chmod 600 {path}")
    try:
        return crypto.load_privatekey(crypto.FILETYPE_PEM, data, _no_passphrase(path))
    except crypto.Error as error:
        raise CredentialError(f"{path} holds no PEM private key") from error


def _no_passphrase(path: str) -> Callable[..., bytes]:
    """Refuse an encrypted key: OpenSSL would ask for the passphrase on the terminal."""

    def ask(*_: object) -> bytes:
        raise CredentialError(f"the key in {path} is encrypted; a service needs it in the clear")

    return ask
