"""
The C{Authorization: Bearer} credential of a receiver (RFC 6750, 2.1).

Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

LONGEST_TOKEN: Final = 4096
"""Characters; it has to fit into one header field."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*")
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)")


def is_token(text: str) -> bool:
    """
    @return: whether C{text} can be sent as a bearer token at all.
    """
    return len(text) <= LONGEST_TOKEN and _TOKEN.fullmatch(text) is not None


def authorization(token: str) -> str:
    """
    @param token: the secret.
    @return: the value of the C{Authorization} field that presents it.
    """
    return f"Bearer {token}"


def presented(authorization_value: str) -> str | None:
    """
    @param authorization_value: the value of an C{Authorization} field, as it came.
    @return: the token in it, unjudged; C{None} when the scheme is another or the field is malformed.
    """
    if len(authorization_value) > LONGEST_TOKEN + len("Bearer "):
        return None
    match = _BEARER.fullmatch(authorization_value)
    return match[1] if match else None


def verify(presented_token: str | None, expected: str) -> bool:
    """
    Compare in a time that does not depend on where the two differ.

    @param presented_token: what a stranger sent, or C{None} when nothing came.
    @param expected: the secret; an empty one admits nobody.
    """
    if presented_token is None or not expected:
        return False
    return hmac.compare_digest(presented_token.encode("utf-8", "surrogatepass"), expected.encode("utf-8"))


def digest_of(token: str) -> str:
    """
    Make what may be stored of a token. It needs no salt: a token of 256 random bits is in no dictionary.

    @return: its SHA-256, in hexadecimal digits.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
