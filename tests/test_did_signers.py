"""
Proofs made by the signers that exist today, taken by ours.

agent-connect 0.3.7 is what clients have; anp is what newer ones have. Set
C{ANP_DID=full} for 10,000 signatures instead of 1,500.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any

from agent_connect.authentication import did_wba as old
from anp.authentication import did_wba as new
from anp.authentication import http_signatures
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.did import Did
from anp_twisted.auth.didauth import DidProofs
from anp_twisted.auth.didwba import parse_claim
from anp_twisted.auth.document import Document, parse_any_document
from anp_twisted.auth.identity import Credentials, Identity
from anp_twisted.auth.replay import OwnMemory
from anp_twisted.limits import DEFAULT_LIMITS

SERVICE = "gate.example.org"
MANY = 10_000 if os.environ.get("ANP_DID") == "full" else 1_500


class Holder:
    """A resolver that knows one document."""

    def __init__(self, document: dict[str, Any]) -> None:
        import json

        self.document = parse_any_document(json.dumps(document).encode())

    def resolve(self, did: Did, peer: str) -> Deferred[Document]:
        """Give it."""
        assert did.text == self.document.id
        return succeed(self.document)


class SignerTests(SynchronousTestCase):
    """Real headers."""

    def setUp(self) -> None:
        """The other implementations log each header they make."""
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)

    def judge_with(self, document: dict[str, Any]) -> Any:
        """Make a gateway's judge that finds this document."""
        proofs = DidProofs(
            Holder(document), OwnMemory(MANY * 2), services=[SERVICE], wall=time.time, limits=DEFAULT_LIMITS
        )

        def judge(*headers: tuple[bytes, bytes]) -> bool:
            results: list[Any] = []
            credentials = Credentials(b"GET", b"/ws", list(headers), SERVICE.encode(), "192.0.2.1", True)
            assert proofs.claims(credentials)
            proofs.authenticate(credentials).addBoth(results.append)
            return isinstance(results[0], Identity)

        return judge

    def test_old(self) -> None:
        """Each header of the old signer is taken, those with short signatures too, and none of them twice."""
        document, keys = old.create_did_wba_document("example.org", path_segments=["agent"])
        private: Any = serialization.load_pem_private_key(keys["key-1"][0], None)
        judge = self.judge_with(document)

        def sign(content: bytes, fragment: str) -> bytes:
            signature: bytes = private.sign(content, ec.ECDSA(hashes.SHA256()))
            return signature

        taken = again = short = 0
        last = ""
        for _ in range(MANY):
            last = old.generate_auth_header(document, SERVICE, sign)
            short += len(parse_claim(last).signature) < 64
            taken += judge((b"Authorization", last.encode()))
            again += judge((b"Authorization", last.encode()))
        print(f"agent-connect 0.3.7: {taken} of {MANY} taken, {short} of them short, {again} a second time")
        self.assertEqual((taken, again), (MANY, 0))
        self.assertGreater(short, 0)
        self.tampered(judge, document, sign)

    def tampered(self, judge: Any, document: dict[str, Any], sign: Any) -> None:
        """Each value of a header counts: one character of it changed, and it is refused."""
        refused = tried = 0
        good = old.generate_auth_header(document, SERVICE, sign)
        for match in re.finditer(r'([a-z_]+)="([^"]+)"', good):
            start, end = match.span(2)
            for place in range(start, end):
                other = "A" if good[place] != "A" else "B"
                tried += 1
                try:
                    refused += not judge((b"Authorization", (good[:place] + other + good[place + 1 :]).encode()))
                except AssertionError:
                    refused += 1  # another DID: there is no document for it
        print(f"tampered: {refused} of {tried} refused")
        self.assertEqual(refused, tried)
        self.assertTrue(judge((b"Authorization", good.encode())))
        self.assertFalse(judge((b"Authorization", old.generate_auth_header(document, "other.example", sign).encode())))

    def test_new(self) -> None:
        """The newer signer: both versions, both profiles, and HTTP Message Signatures."""
        for profile in ("e1", "k1"):
            document, keys = new.create_did_wba_document("example.org", path_segments=["agent"], did_profile=profile)
            private: Any = serialization.load_pem_private_key(keys["key-1"][0], None)

            def sign(content: bytes, fragment: str, key: Any = private) -> bytes:
                curve = [ec.ECDSA(hashes.SHA256())] if isinstance(key, ec.EllipticCurvePrivateKey) else []
                signature: bytes = key.sign(content, *curve)
                return signature

            judge = self.judge_with(document)
            for version in ("1.0", "1.1"):
                header = new.generate_auth_header(document, SERVICE, sign, version=version)
                self.assertTrue(judge((b"Authorization", header.encode())), (profile, version))
            for scheme in ("https", "wss"):
                fields = http_signatures.generate_http_signature_headers(
                    document, f"{scheme}://{SERVICE}/ws", "GET", sign
                )
                headers = [(name.encode(), value.encode()) for name, value in fields.items()]
                self.assertTrue(judge(*headers), (profile, scheme))
                self.assertFalse(judge(*headers), "a second time")

    def test_ours(self) -> None:
        """What we write is taken by both of them."""
        from anp_twisted.auth.didwba import build
        from anp_twisted.auth.keys import Sort
        from anp_twisted.test.didlab import Agent

        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for sort in (Sort.SECP256K1, Sort.ED25519):
            agent = Agent(sort=sort)
            header = build(agent.did, "key-1", SERVICE, nonce="0" * 32, timestamp=stamp, sign=agent.key.sign)
            for other in (old, new):
                if sort is Sort.ED25519 and other is old:
                    continue  # it reads base64 of JWK with padding only
                self.assertTrue(other.verify_auth_header_signature(header, agent.document, SERVICE)[0], (sort, other))
