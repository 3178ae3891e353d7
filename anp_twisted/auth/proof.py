"""
A proof of a DID, whichever way it was given: what is left to check is the same.

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from anp_twisted.auth.did import Did
from anp_twisted.errors import CredentialsRefused

NONCE: Final = re.compile(r"[A-Za-z0-9_.~-]{16,128}")
"""What a nonce may be; ours have 32 hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Proof:
    """
    What somebody says, and a signature of it.

    @ivar did: who they say they are.
    @ivar key: the name of the key behind C{#}.
    @ivar nonce: used for this proof only.
    @ivar created: when it was made, in seconds since the epoch.
    @ivar expires: when it ends by its own words, C{None} if it does not say.
    @ivar signed: what the signature may be of, since a host can be spelled in several ways.
    @ivar signature: the signature.
    @ivar short: an ECDSA signature may lack leading zeros, as some clients write it.
    @ivar algorithm: the one that was named, C{None} if none was.
    """

    did: Did
    key: str
    nonce: str
    created: float
    expires: float | None
    signed: tuple[bytes, ...] = field(repr=False)
    signature: bytes = field(repr=False)
    short: bool = False
    algorithm: str | None = None

    @property
    def mark(self) -> bytes:
        """What is remembered of a proof that was used: its DID and nonce, in 32 bytes."""
        return sha256(f"{self.did}\n{self.nonce}".encode()).digest()

    def check_time(self, now: float, *, age: float, ahead: float) -> None:
        """
        @param now: seconds since the epoch.
        @param age: seconds that a proof may be old.
        @param ahead: seconds that the clock of its maker may be ahead.
        @raise CredentialsRefused: it is not of now.
        """
        if not -ahead <= now - self.created <= age:
            raise CredentialsRefused("the proof is too old, or a clock is wrong")
        if self.expires is not None and not self.created < self.expires > now:
            raise CredentialsRefused("the proof has expired")
