"""
Encrypts what is said before it is written.

AES-256-GCM with a random nonce for each record, bound to the session and the place of
the record: one that was moved, or put into another session, cannot be read there.
What a session is called is not encrypted, nor when something was said, nor how long it is.
"""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from anp_twisted.errors import CredentialError

_KEY: Final = 32
_NONCE: Final = 12


class Sealer:
    """Holds a key."""

    def __init__(self, key: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        """
        @param key: 32 bytes.
        """
        self._cipher = AESGCM(key)
        self._random = random

    def seal(self, data: bytes, place: bytes) -> bytes:
        """
        @param place: what the data is bound to.
        @return: base64.
        """
        nonce = self._random(_NONCE)
        return b64encode(nonce + self._cipher.encrypt(nonce, data, place))

    def unseal(self, text: bytes, place: bytes) -> bytes:
        """
        @raise ValueError: it was not sealed with this key, or not for this place.
        """
        sealed = b64decode(text, validate=True)
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
        except InvalidTag:
            raise ValueError("sealed for another place, or with another key") from None


def read_key(path: str) -> bytes:
    """
    @param path: a file that holds 32 bytes in base64 and nothing else.
    @raise CredentialError: it is missing, others may read it, or what is in it is no key.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_KEY * 2)
    except OSError as error:
        raise CredentialError(f"cannot read the key in {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise CredentialError(f"{path} is not a file")
    if mode & 0o077:
        raise CredentialError(f"others can read the key in {path}: chmod 600 {path}")
    try:
        key = b64decode(data.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise CredentialError(f"{path} does not hold 32 bytes in base64, as openssl rand -base64 32 makes them")
    return key
