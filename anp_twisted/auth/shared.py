"""
A proof that somebody knows a secret, which itself is never sent. Pure.

C{Authorization: ANPShared nonce="…", timestamp="…", mac="…"}: the code is an
HMAC-SHA256 over the host that is dialled, the nonce and the time, so that a proof
opens one gateway, once, and for a while.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from anp_twisted.errors import CredentialsRefused

SCHEME: Final = "ANPShared"

SHORTEST: Final = 16
"""Characters of a secret: whoever sees one proof can try shorter ones out in peace."""

LONGEST: Final = 4096

_FIELD = re.compile(
    r'ANPShared +nonce="([0-9a-f]{32})", *timestamp="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)", *mac="([A-Za-z0-9_-]{43})"',
    re.ASCII | re.IGNORECASE,
)
_STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
_PURPOSE: Final = b"anp receiver 1"
"""Begins what is signed, so that no other code with the same secret can be passed off as a proof."""


@dataclass(frozen=True, slots=True)
class SharedProof:
    """
    What was shown.

    @ivar nonce: used for this proof only.
    @ivar stamp: the time as it was written.
    @ivar created: the same in seconds since the epoch.
    @ivar mac: the code.
    """

    nonce: str
    stamp: str
    created: float
    mac: str

    @property
    def mark(self) -> bytes:
        """What is remembered of a proof that was used, in 32 bytes."""
        return sha256(f"{SCHEME}\n{self.nonce}".encode("ascii")).digest()


def code(secret: str, service: str, nonce: str, stamp: str) -> str:
    """
    @param service: the host that is dialled, in lower case and without a port.
    @return: what only those who know the secret can say of the rest.
    """
    signed = b"\n".join([_PURPOSE, service.encode(), nonce.encode(), stamp.encode()])
    return urlsafe_b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode().rstrip("=")


def build(secret: str, service: str, *, nonce: str, now: float) -> str:
    """
    @param service: the host that is dialled.
    @param nonce: 32 random hexadecimal digits.
    @param now: seconds since the epoch.
    @return: the value of an C{Authorization} field that opens there, once.
    """
    stamp = datetime.fromtimestamp(int(now), UTC).strftime(_STAMP)
    return f'{SCHEME} nonce="{nonce}", timestamp="{stamp}", mac="{code(secret, service.lower(), nonce, stamp)}"'


def parse(value: str) -> SharedProof:
    """
    @param value: that of an C{Authorization} field.
    @raise CredentialsRefused: it is malformed.
    """
    match = _FIELD.fullmatch(value)
    if match is None:
        raise CredentialsRefused("the proof of a shared secret is malformed")
    try:
        created = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise CredentialsRefused("the proof of a shared secret has a time that is none") from None
    return SharedProof(match[1], match[2], created, match[3])


def check_code(proof: SharedProof, secret: str, services: tuple[str, ...]) -> None:
    """
    @param services: the hosts that we are, in lower case and without ports.
    @raise CredentialsRefused: whoever made the proof does not know the secret, or meant somebody else.
    """
    right = [hmac.compare_digest(proof.mac, code(secret, one, proof.nonce, proof.stamp)) for one in services]
    if not any(right):
        raise CredentialsRefused("the proof of a shared secret is wrong, or for another host")
