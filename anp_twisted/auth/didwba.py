"""
The C{DIDWba} credential: a proof for one service in one C{Authorization} field.

Pure. C{docs/protocol/anpx.md}, "Authentication". The versions differ in one word:
1.0, which is meant when none is said, signs C{service}, and 1.1 signs C{aud}.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

from anp_twisted.auth.did import InvalidDid, is_fragment, parse_did
from anp_twisted.auth.proof import NONCE, Proof
from anp_twisted.errors import CredentialsRefused

LONGEST: Final = 2048
"""Characters of a credential: a long DID, and all that is said of it."""

_PARAMETER = r'[a-z_]+="[!#-\[\]-~]*"'
_SHAPE = re.compile(rf"[Dd][Ii][Dd][Ww][Bb][Aa] +({_PARAMETER}(?: *, *{_PARAMETER})*)")
_PAIR = re.compile(r'([a-z_]+)="([^"]*)"')
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{2,88}")
_REQUIRED: Final = frozenset({"did", "nonce", "timestamp", "verification_method", "signature"})
_AUDIENCE: Final = {"1.0": "service", "1.1": "aud"}


@dataclass(frozen=True, slots=True)
class Claim:
    """
    What a credential says before anything of it was checked.

    @ivar version: C{1.0} or C{1.1}.
    @ivar did: as it was written.
    @ivar timestamp: as it was written.
    @ivar key: the name of the key behind C{#}.
    """

    version: str
    did: str
    nonce: str
    timestamp: str
    key: str
    signature: bytes = field(repr=False, default=b"")

    def digest(self, service: str) -> bytes:
        """
        @param service: the host that the proof is for.
        @return: what was signed: the SHA-256 of the claim in the form of RFC 8785 (JCS).
        """
        said = {
            "did": self.did,
            "nonce": self.nonce,
            "timestamp": self.timestamp,
            _AUDIENCE[self.version]: service,
        }
        # The characters of all values are such that nothing has to be escaped: sorting is all that JCS asks for.
        text = ",".join(f'"{name}":"{said[name]}"' for name in sorted(said))
        return sha256(f"{{{text}}}".encode()).digest()


def parse_claim(value: str) -> Claim:
    """
    @param value: of an C{Authorization} field.
    @raise CredentialsRefused: it is none of ours, or not in the one form it may have.
    """
    match = _SHAPE.fullmatch(value) if len(value) <= LONGEST else None
    pairs = _PAIR.findall(match[1]) if match else []
    said = dict(pairs)
    if len(said) != len(pairs) or not _REQUIRED <= said.keys() <= _REQUIRED | {"v"}:
        raise CredentialsRefused("the DIDWba field is malformed")
    version, key, signature = said.get("v", "1.0"), said["verification_method"], said["signature"]
    well = version in _AUDIENCE and is_fragment(key) and NONCE.fullmatch(said["nonce"])
    if not well or not _TIME.fullmatch(said["timestamp"]) or not _BASE64URL.fullmatch(signature):
        raise CredentialsRefused("a value in the DIDWba field is malformed")
    return Claim(version, said["did"], said["nonce"], said["timestamp"], key, _decoded(signature))


def _decoded(signature: str) -> bytes:
    data = urlsafe_b64decode(signature + "=" * (-len(signature) % 4)) if len(signature) % 4 != 1 else b""
    # The last character may hold bits that stand for nothing; one signature has one spelling.
    if _base64url(data) != signature:
        raise CredentialsRefused("the signature is no base64url")
    return data


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def parse(value: str, services: Sequence[str]) -> Proof:
    """
    @param value: of an C{Authorization} field.
    @param services: the hosts that we are, any of which the proof may be for.
    @raise CredentialsRefused: it is malformed.
    """
    claim = parse_claim(value)
    try:
        did = parse_did(claim.did)
        created = datetime.fromisoformat(claim.timestamp).timestamp()
    except InvalidDid as error:
        raise CredentialsRefused(f"the DID {error}") from None
    except (ValueError, OverflowError):
        raise CredentialsRefused("the timestamp is no time") from None
    signed = tuple(claim.digest(service) for service in services)
    return Proof(did, claim.key, claim.nonce, created, None, signed, claim.signature, short=True)


def build(did: str, key: str, service: str, *, nonce: str, timestamp: str, sign: Callable[[bytes], bytes]) -> str:
    """
    Make a credential.

    It says its version, since some who check it assume 1.0 without, and others 1.1.

    @param key: the name of the key behind C{#}.
    @param service: the host that is dialled, without port.
    @param nonce: fresh, 32 hexadecimal digits.
    @param timestamp: now, as C{2026-01-31T12:00:00Z}.
    @param sign: makes a signature, r and s for ECDSA.
    @return: the value of an C{Authorization} field.
    """
    claim = Claim("1.0", did, nonce, timestamp, key)
    signature = _base64url(sign(claim.digest(service)))
    return (
        f'DIDWba v="1.0", did="{did}", nonce="{nonce}", timestamp="{timestamp}", '
        f'verification_method="{key}", signature="{signature}"'
    )
