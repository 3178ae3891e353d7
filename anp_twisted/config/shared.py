"""
Settings about the secret that a gateway and its receivers share. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from anp_twisted.config import kinds
from anp_twisted.config.schema import Places, setting
from anp_twisted.limits import DEFAULT_LIMITS


@dataclass(frozen=True, kw_only=True)
class SecretSettings:
    """A secret that proves a receiver and is never sent."""

    shared_secret: str | None = setting(
        kinds.SECRET,
        "A secret that gateway and receivers share; it proves receivers, and is never sent. Never an option.",
        None,
        Places.NOT_BY_ARGV,
    )
    shared_secret_file: str | None = setting(kinds.FILE, "Reads the shared secret from this file.", None)

    @property
    def shares_secret(self) -> bool:
        """Whether there is such a secret."""
        return self.shared_secret is not None or self.shared_secret_file is not None


@dataclass(frozen=True, kw_only=True)
class SecretProofSettings(SecretSettings):
    """The same, for the gateway."""

    token_expiry: float = setting(
        kinds.SOME_SECONDS,
        "For how long a proof of the shared secret is good; it opens once.",
        DEFAULT_LIMITS.proof_age,
    )
