"""Reads the TOML file of C{--config}."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from anp_twisted.errors import CredentialError, SettingsError

_LARGEST = 1024 * 1024
"""Bytes; a settings file is a few KiB."""

_SECRETS = {"token": "a token", "shared_secret": "a secret", "password": "a password"}
_WITH_PASSWORD = {"proxy": "the password of a proxy", "database": "the password of a database"}
"""What is secret in them stands before an at sign."""


def read_document(path: str) -> dict[str, Any]:
    """
    @param path: the file.
    @return: what is in it.
    @raise SettingsError: it cannot be read or is not TOML; one line that names the file.
    @raise CredentialError: it holds a token or a password, and others than its owner can read it.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    document = _parse(path, data)
    if stat.S_IMODE(mode) & 0o077:
        for key, value in _items(document):
            what = _secret(key.replace("-", "_"), value)
            if what:
                raise CredentialError(f"{path} holds {what} and others can read it: chmod 600 {path}")
    return document


def _secret(key: str, value: Any) -> str:
    """Name the secret in a value, if there is one."""
    if key in _SECRETS:
        return _SECRETS[key] if value else ""
    return _WITH_PASSWORD.get(key, "") if isinstance(value, str) and "@" in value else ""


def _parse(path: str, data: bytes) -> dict[str, Any]:
    if len(data) > _LARGEST:
        raise SettingsError(f"{path} is larger than {_LARGEST} bytes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def _items(document: Mapping[str, Any], depth: int = 3) -> Iterator[tuple[str, Any]]:
    """What is at the top, in the sections, and in the tables in those."""
    for key, value in document.items():
        yield key, value
        if depth and isinstance(value, dict):
            yield from _items(value, depth - 1)
