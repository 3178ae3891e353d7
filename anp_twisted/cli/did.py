"""The command C{anp-proxy did}: makes a DID for a host and a path."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from anp_twisted.auth.did import HTTPS, InvalidDid, make_did
from anp_twisted.auth.keys import Sort
from anp_twisted.auth.newdid import create
from anp_twisted.errors import CredentialError

_SORTS = {"secp256k1": Sort.SECP256K1, "p256": Sort.P256, "ed25519": Sort.ED25519}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anp-proxy did", description="Make and show DIDs of the method did:wba.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = commands.add_parser(
        "create",
        help="make a key and a DID document",
        description="Make a key and a DID document. The document belongs to the address that is printed; "
        "the key belongs to whoever shall be able to prove the DID, and to nobody else.",
    )
    made.add_argument("host", help="host that the document will be on, such as agents.example.org")
    made.add_argument("path", nargs="?", default="", help="path in front of did.json, such as /alice")
    made.add_argument("--port", type=int, default=HTTPS, help="port of that host (default: 443)")
    made.add_argument("--key", choices=sorted(_SORTS), default="secp256k1", help="sort of the key (default: secp256k1)")
    made.add_argument("--out", default="did", metavar="DIR", help="folder for did.json and key.pem (default: did)")
    return parser


def main(argv: Sequence[str]) -> int:
    """
    Run the command.

    @param argv: what is behind C{anp-proxy did}.
    @return: the status of the process.
    """
    asked = _parser().parse_args(list(argv))
    segments = tuple(part for part in asked.path.split("/") if part)
    try:
        did = make_did(asked.host, asked.port, segments)
        document, key = create(did, _SORTS[asked.key], asked.out)
    except InvalidDid as error:
        return _refuse(f"the DID {error}")
    except CredentialError as error:
        return _refuse(str(error))
    sys.stdout.write(f"{did}\ndocument: {document}; it belongs at {did.url}\nkey:      {key}; keep it to yourself\n")
    return 0


def _refuse(text: str) -> int:
    sys.stderr.write(f"anp-proxy did: {text}\n")
    return 1
