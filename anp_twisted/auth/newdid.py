"""
A new DID: its key, and the document that names it.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final

from anp_twisted.auth.did import Did
from anp_twisted.auth.keys import Sort, new_key
from anp_twisted.errors import CredentialError

DOCUMENT_FILE: Final = "did.json"
KEY_FILE: Final = "key.pem"
KEY_NAME: Final = "key-1"

_CONTEXT: Final = "https://www.w3.org/ns/did/v1"
_TYPES: Final = {
    Sort.SECP256K1: ("EcdsaSecp256k1VerificationKey2019", "https://w3id.org/security/suites/secp256k1-2019/v1"),
    Sort.P256: ("JsonWebKey2020", "https://w3id.org/security/suites/jws-2020/v1"),
    Sort.ED25519: ("Ed25519VerificationKey2020", "https://w3id.org/security/suites/ed25519-2020/v1"),
}
"""What existing clients call each sort of key, and the context that says so."""


def create(did: Did, sort: Sort, folder: str) -> tuple[str, str]:
    """
    Make a key and a document, the key so that only its owner can read it.

    @param folder: where they go; made with mode 0700 if it is not there.
    @return: the paths of document and key.
    @raise CredentialError: one of them is there already, or the folder cannot be used.
    """
    key = new_key(sort)
    kind, context = _TYPES[sort]
    method: dict[str, Any] = {"id": f"{did}#{KEY_NAME}", "type": kind, "controller": did.text}
    if sort is Sort.ED25519:
        method["publicKeyMultibase"] = key.public.multibase()
    else:
        method["publicKeyJwk"] = key.public.jwk()
    document = {
        "@context": [_CONTEXT, context],
        "id": did.text,
        "verificationMethod": [method],
        "authentication": [method["id"]],
    }
    paths = os.path.join(folder, DOCUMENT_FILE), os.path.join(folder, KEY_FILE)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _write(paths[1], key.pem(), 0o600)
        _write(paths[0], json.dumps(document, indent=2).encode("ascii") + b"\n", 0o644)
    except FileExistsError as error:
        raise CredentialError(f"{error.filename} is there already; a DID is not replaced by accident") from None
    except OSError as error:
        raise CredentialError(f"cannot write to {folder}: {error.strerror}") from None
    return paths


def _write(path: str, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
