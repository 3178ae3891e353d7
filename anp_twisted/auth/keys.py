"""
Keys of DIDs: secp256k1, P-256 and Ed25519, to sign and to verify.

The type of a key decides its algorithm. What a credential or a document says of an
algorithm can only be refused, never obeyed.
"""

from __future__ import annotations

import os
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from anp_twisted.auth.base58 import decode as base58
from anp_twisted.auth.base58 import encode as to_base58
from anp_twisted.auth.document import Jwk, Method
from anp_twisted.errors import CredentialError, CredentialsRefused

HALF: Final = 32
"""Bytes of r, of s, and of a coordinate."""

LEAST_SHORT: Final = 2 * HALF - 4
"""A signature that lacks more leading zeros than these is not worth the tries; one in a thousand million does."""

MOST_KEY_FILE: Final = 16 * 1024

_PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Sort(Enum):
    """The sorts of keys, by what JWK calls their curves."""

    SECP256K1 = "secp256k1"
    P256 = "P-256"
    ED25519 = "Ed25519"


ALGORITHMS: Final = {
    Sort.SECP256K1: frozenset({"ecdsa-secp256k1-sha256"}),
    Sort.P256: frozenset({"ecdsa-p256-sha256"}),
    Sort.ED25519: frozenset({"ed25519"}),
}
"""What a signature may call the algorithm of each sort (RFC 9421, 6.2)."""

_CURVES: Final = {Sort.SECP256K1: ec.SECP256K1(), Sort.P256: ec.SECP256R1()}
_CODECS: Final = {b"\xe7\x01": Sort.SECP256K1, b"\x80\x24": Sort.P256, b"\xed\x01": Sort.ED25519}
_TYPES: Final = {
    "EcdsaSecp256k1VerificationKey2019": frozenset({Sort.SECP256K1}),
    "EcdsaSecp256r1VerificationKey2019": frozenset({Sort.P256}),
    "Ed25519VerificationKey2018": frozenset({Sort.ED25519}),
    "Ed25519VerificationKey2020": frozenset({Sort.ED25519}),
    "JsonWebKey2020": frozenset(Sort),
    "JsonWebKey": frozenset(Sort),
    "Multikey": frozenset(Sort),
}
"""Which sorts of keys a verification method of each type may hold."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """
    A key that verifies.

    @ivar sort: which sort it is.
    """

    sort: Sort
    _key: _PublicKey

    def verifies(self, signature: bytes, signed: bytes, *, short: bool = False) -> bool:
        """
        @param signature: 64 bytes: r and s, or what Ed25519 makes.
        @param signed: what the signature is of.
        @param short: r or s may lack leading zeros.
        """
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return _holds(self._key, signature, signed)
        if len(signature) == 2 * HALF:
            lengths = [HALF]
        elif short and LEAST_SHORT <= len(signature) < 2 * HALF:
            lengths = list(range(len(signature) - HALF, HALF + 1))
        else:
            return False
        return any(self._ecdsa(self._key, signature, length, signed) for length in lengths)

    def _ecdsa(self, key: ec.EllipticCurvePublicKey, signature: bytes, length: int, signed: bytes) -> bool:
        """Take the first C{length} bytes for r."""
        r, s = int.from_bytes(signature[:length], "big"), int.from_bytes(signature[length:], "big")
        try:
            key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> dict[str, str]:
        """
        @return: the key as a JWK.
        """
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return {"kty": "OKP", "crv": self.sort.value, "x": _base64url(self._key.public_bytes_raw())}
        numbers = self._key.public_numbers()
        x, y = (_base64url(number.to_bytes(HALF, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": self.sort.value, "x": x, "y": y}

    def multibase(self) -> str:
        """
        @return: the key as a Multikey has it.
        """
        codec = next(codec for codec, sort in _CODECS.items() if sort is self.sort)
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return "z" + to_base58(codec + self._key.public_bytes_raw())
        point = serialization.PublicFormat.CompressedPoint
        return "z" + to_base58(codec + self._key.public_bytes(serialization.Encoding.X962, point))


def _holds(key: ed25519.Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


# --- out of documents ------------------------------------------------------


def public_key(method: Method) -> PublicKey:
    """
    Read the key of a verification method.

    @raise CredentialsRefused: it has none, more than one, or one of a sort that its type may not hold.
    """
    forms = (method.public_key_jwk, method.public_key_multibase, method.public_key_base58)
    allowed = _TYPES.get(method.type)
    if allowed is None or sum(bool(form) for form in forms) != 1:
        raise CredentialsRefused("the key in the DID document is of a type that is not supported")
    try:
        key = _of_text(method, allowed) if method.public_key_jwk is None else _of_jwk(method.public_key_jwk)
    except (ValueError, KeyError, UnsupportedAlgorithm):
        raise CredentialsRefused("the key in the DID document is malformed") from None
    if key.sort not in allowed:
        raise CredentialsRefused("the key in the DID document is not of the type that it says")
    return key


def _of_jwk(jwk: Jwk) -> PublicKey:
    sort = Sort(jwk.crv)
    x = _number(jwk.x)
    if sort is Sort.ED25519:
        if jwk.kty != "OKP" or jwk.y:
            raise ValueError("not a key of this curve")
        return PublicKey(sort, ed25519.Ed25519PublicKey.from_public_bytes(x))
    if jwk.kty != "EC":
        raise ValueError("not a key of this curve")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(_number(jwk.y), "big"), _CURVES[sort]
    )
    return PublicKey(sort, numbers.public_key())


def _number(text: str) -> bytes:
    """Read up to 32 bytes; some clients leave leading zeros out."""
    data = urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    if not 0 < len(data) <= HALF or _base64url(data) != text.rstrip("="):
        raise ValueError("not a number")
    return data


def _of_text(method: Method, allowed: frozenset[Sort]) -> PublicKey:
    """Read base58, with or without the mark of multibase and the codec of a Multikey."""
    text = method.public_key_base58
    if method.public_key_multibase:
        if not method.public_key_multibase.startswith("z"):
            raise ValueError("not base58")
        text = method.public_key_multibase[1:]
    data = base58(text)
    sort = _CODECS.get(data[:2])
    if sort is not None and len(data) in (34, 35):
        data = data[2:]
    elif len(allowed) == 1:
        (sort,) = allowed
    else:
        raise ValueError("a key without a codec")
    if sort is Sort.ED25519:
        return PublicKey(sort, ed25519.Ed25519PublicKey.from_public_bytes(data))
    return PublicKey(sort, ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[sort], data))


# --- our own ----------------------------------------------------------------


class SigningKey:
    """
    A key that signs; it shows nothing of itself.

    @ivar public: the other half of it.
    """

    def __init__(self, key: _PrivateKey, sort: Sort) -> None:
        self._key = key
        self.public = PublicKey(sort, key.public_key())

    def sign(self, data: bytes) -> bytes:
        """
        @return: 64 bytes: r and s of ECDSA over the SHA-256 of the data, or what Ed25519 makes.
        """
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(HALF, "big") + s.to_bytes(HALF, "big")

    def pem(self) -> bytes:
        """
        @return: the key itself, unencrypted.
        """
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def new_key(sort: Sort) -> SigningKey:
    """
    @return: a new key.
    """
    if sort is Sort.ED25519:
        return SigningKey(ed25519.Ed25519PrivateKey.generate(), sort)
    return SigningKey(ec.generate_private_key(_CURVES[sort]), sort)


def load_key(path: str) -> SigningKey:
    """
    @param path: a PEM file that only its owner can read.
    @raise CredentialError: it is missing, unsafe, or holds no key of ours.
    """
    data = _read_private(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialError(f"{path} holds no unencrypted PEM private key") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return SigningKey(key, Sort.ED25519)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        for sort, curve in _CURVES.items():
            if key.curve.name == curve.name:
                return SigningKey(key, sort)
    raise CredentialError(f"the key in {path} is of no sort that proves a DID: secp256k1, P-256 or Ed25519")


def _read_private(path: str) -> bytes:
    try:
        # Without O_NONBLOCK a named pipe in this place would hold the whole process.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CredentialError(f"the key file {path} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise CredentialError(f"the key file {path} is not a file")
        if found.st_mode & 0o077:
            raise CredentialError(f"the key file {path} can be read by others: chmod 600 {path}")
        return os.read(descriptor, MOST_KEY_FILE)
    finally:
        os.close(descriptor)
