"""Tests for L{anp_twisted.auth.did}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.did import InvalidDid, is_fragment, make_did, parse_did, split_key_id

NAMES = [
    ("did:wba:example.org", "https://example.org/.well-known/did.json"),
    ("did:wba:example.org:a:b", "https://example.org/a/b/did.json"),
    ("did:wba:example.org%3A8443:a", "https://example.org:8443/a/did.json"),
    ("did:wba:example.org%3a443", "https://example.org/.well-known/did.json"),
    ("did:wba:Example.ORG:A", "https://example.org/A/did.json"),
    ("did:wba:localhost%3A9:user", "https://localhost:9/user/did.json"),
    ("did:wba:xn--bcher-kva.example:k1_a-b_c~d.e", "https://xn--bcher-kva.example/k1_a-b_c~d.e/did.json"),
]

HOSTILE = [
    "",
    "did:wba:",
    "did:web:example.org",
    "DID:wba:example.org",
    " did:wba:example.org",
    "did:wba:example.org\n",
    "did:wba:127.0.0.1",
    "did:wba:127.1",
    "did:wba:2130706433",
    "did:wba:0x7f.1",
    "did:wba:0x7f000001",
    "did:wba:017700000001",
    "did:wba:a.0x1",
    "did:wba:[::1]",
    "did:wba:%5B::1%5D",
    "did:wba:::1",
    "did:wba:::ffff:127.0.0.1",
    "did:wba:169.254.169.254:latest:meta-data",
    "did:wba:metadata",
    "did:wba:a..b",
    "did:wba:.example.org",
    "did:wba:example.org.",
    "did:wba:-a.example",
    "did:wba:a_b.example",
    "did:wba:user@example.org",
    "did:wba:user%40example.org",
    "did:wba:example.org/a",
    "did:wba:example.org%2Fa",
    "did:wba:example.org?x",
    "did:wba:example.org%3Fx",
    "did:wba:example.org#key",
    "did:wba:example.org%23a",
    "did:wba:example.org:..",
    "did:wba:example.org:.",
    "did:wba:example.org:%2e%2e",
    "did:wba:example.org:%2E",
    "did:wba:example.org:a:..:b",
    "did:wba:example.org:a%2Fb",
    "did:wba:example.org:a/b",
    "did:wba:example.org:",
    "did:wba:example.org::a",
    "did:wba:example.org%3A0",
    "did:wba:example.org%3A65536",
    "did:wba:example.org%3A",
    "did:wba:example.org%3A+80",
    "did:wba:example.org%3A80%3A81",
    "did:wba:example.org%253A80",
    "did:wba:exämple.org",
    "did:wba:example.org\\a",
    "did:wba:example.org:a b",
    "did:wba:" + "a." * 300 + "org",
    "did:wba:example.org:" + "a" * 500,
]


class DidTests(SynchronousTestCase):
    """What a DID is, and where its document is."""

    def test_url(self) -> None:
        """Host, port and path make the address."""
        for text, url in NAMES:
            self.assertEqual((parse_did(text).url, str(parse_did(text))), (url, text))

    def test_hostile(self) -> None:
        """What is an address, has a way out of its path, or could be read twice is no DID: no byte is sent for it."""
        for text in HOSTILE:
            self.assertRaises(InvalidDid, parse_did, text)

    @given(st.text(max_size=80))
    def test_never(self, rest: str) -> None:
        """Whatever is taken has an address with no more than a host, a port and plain segments."""
        try:
            did = parse_did("did:wba:" + rest)
        except InvalidDid:
            return
        self.assertRegex(did.url, r"\Ahttps://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~-]+)+\Z")
        self.assertNotIn("/../", did.url)

    def test_make(self) -> None:
        """The other way round."""
        self.assertEqual(str(make_did("example.org")), "did:wba:example.org")
        self.assertEqual(str(make_did("localhost", 8443, ("a", "b"))), "did:wba:localhost%3A8443:a:b")
        self.assertRaises(InvalidDid, make_did, "127.0.0.1")
        self.assertRaises(InvalidDid, make_did, "example.org", 443, ("..",))

    def test_keyBound(self) -> None:
        """The last segment may be the fingerprint of a key."""
        bound = [parse_did(f"did:wba:example.org:{end}").key_bound for end in ("a:e1_x", "k1_x", "a", "k1_x:a")]
        self.assertEqual(bound, [True, True, False, False])
        self.assertFalse(parse_did("did:wba:example.org").key_bound)

    def test_keyId(self) -> None:
        """The name of a key is a DID and a fragment."""
        did, fragment = split_key_id("did:wba:example.org:a#key-1")
        self.assertEqual((did.text, fragment), ("did:wba:example.org:a", "key-1"))
        for text in ("did:wba:example.org", "did:wba:example.org#", "#key-1", "did:wba:example.org#a#b"):
            self.assertRaises(InvalidDid, split_key_id, text)
        self.assertFalse(is_fragment('a"b'))
