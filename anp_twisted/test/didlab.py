"""DIDs in memory: whoever has one, and where documents come from."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from anp_twisted.auth import didwba
from anp_twisted.auth.did import Did, parse_did
from anp_twisted.auth.document import Document, parse_any_document
from anp_twisted.auth.identity import Credentials
from anp_twisted.auth.keys import SigningKey, Sort, new_key
from anp_twisted.errors import CredentialsRefused

NOW = 1_790_000_000.0
TIMESTAMP = "2026-09-21T14:13:20Z"
SERVICE = "gate.example.org"
NONCE = "0123456789abcdef0123456789abcdef"
ALICE = "did:wba:example.org:alice"

_TYPES = {
    Sort.SECP256K1: "EcdsaSecp256k1VerificationKey2019",
    Sort.P256: "JsonWebKey2020",
    Sort.ED25519: "Ed25519VerificationKey2020",
}


class Agent:
    """
    Somebody with a DID.

    @ivar document: as JSON would have it; a test may change it.
    """

    def __init__(self, did: str = ALICE, sort: Sort = Sort.SECP256K1, key: SigningKey | None = None) -> None:
        self.did = did
        self.sort = sort
        self.key = key or new_key(sort)
        method = {"id": f"{did}#key-1", "type": _TYPES[sort], "publicKeyJwk": self.key.public.jwk()}
        self.document: dict[str, Any] = {
            "@context": [],
            "id": did,
            "verificationMethod": [method],
            "authentication": [f"{did}#key-1"],
        }

    @property
    def method(self) -> dict[str, Any]:
        """The one key in the document."""
        method: dict[str, Any] = self.document["verificationMethod"][0]
        return method

    def parsed(self) -> Document:
        """Read the document."""
        return parse_any_document(self.body())

    def body(self) -> bytes:
        """Write the document."""
        return json.dumps(self.document).encode()

    def header(self, *, service: str = SERVICE, nonce: str = NONCE, timestamp: str = TIMESTAMP) -> str:
        """Make a C{DIDWba} credential."""
        return didwba.build(self.did, "key-1", service, nonce=nonce, timestamp=timestamp, sign=self.key.sign)

    def shown(self, header: str | None = None, address: str = "192.0.2.9") -> Credentials:
        """Show it."""
        value = (self.header() if header is None else header).encode("latin-1")
        return Credentials(b"GET", b"/ws", [(b"Authorization", value)], SERVICE.encode(), address)

    def signed(self, **changes: Any) -> Credentials:
        """
        Sign a request (RFC 9421).

        @param changes: C{url}, C{params}, C{components} and C{fields} instead of those of the request.
        """
        said = {"created": int(NOW), "expires": int(NOW) + 60, "nonce": NONCE, "keyid": f"{self.did}#key-1"}
        said |= changes.get("params", {})
        pairs = [(name, value) for name, value in said.items() if value is not None]
        rest = "".join(f';{name}="{value}"' if isinstance(value, str) else f";{name}={value}" for name, value in pairs)
        components = changes.get("components", ["@method", "@target-uri", "@authority"])
        params = "(" + " ".join(f'"{name}"' for name in components) + ")" + rest
        values = {
            "@method": "GET",
            "@target-uri": changes.get("url", f"https://{SERVICE}/ws?a=%20"),
            "@authority": changes.get("authority", SERVICE),
        } | changes.get("fields", {})
        lines = [f'"{name}": {values[name]}' for name in components]
        base = "\n".join([*lines, f'"@signature-params": {params}']).encode()
        headers = [
            (b"Signature-Input", f"sig1={params}".encode()),
            (b"Signature", b"sig1=:" + b64encode(self.key.sign(base)) + b":"),
        ]
        return Credentials(b"GET", b"/ws?a=%20", headers, SERVICE.encode(), "192.0.2.9", True)


class Library:
    """
    A resolver that knows some documents.

    @ivar asked: for which DIDs it was asked, by whom.
    """

    def __init__(self, *agents: Agent) -> None:
        self.agents = {agent.did: agent for agent in agents}
        self.asked: list[tuple[str, str]] = []
        self.held: Deferred[Document] | None = None

    def resolve(self, did: Did, peer: str) -> Deferred[Document]:
        """Find it."""
        self.asked.append((did.text, peer))
        if self.held is not None:
            return self.held
        agent = self.agents.get(did.text)
        return fail(CredentialsRefused("no such document")) if agent is None else succeed(agent.parsed())


def did_of(text: str = ALICE) -> Did:
    """Read a DID."""
    return parse_did(text)
