"""Tests for L{anp_twisted.auth.httpsig}."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.httpsig import claims, parse
from anp_twisted.auth.identity import Credentials
from anp_twisted.errors import CredentialsRefused
from anp_twisted.test.didlab import ALICE, NONCE, NOW, SERVICE, Agent


class SignatureTests(SynchronousTestCase):
    """Requests that are signed."""

    def setUp(self) -> None:
        """Make somebody."""
        self.agent = Agent()

    def holds(self, credentials: Credentials, services: tuple[str, ...] = (SERVICE,)) -> bool:
        """Whether a request is signed by its key, as it came."""
        proof = parse(credentials, services)
        return any(self.agent.key.public.verifies(proof.signature, signed) for signed in proof.signed)

    def test_signed(self) -> None:
        """What it says is read, and what it covers is what was signed."""
        proof = parse(self.agent.signed(), [SERVICE])
        self.assertEqual((proof.did.text, proof.key, proof.nonce), (ALICE, "key-1", NONCE))
        self.assertEqual((proof.created, proof.expires, proof.short), (NOW, NOW + 60, False))
        self.assertTrue(self.holds(self.agent.signed()))
        self.assertTrue(claims(self.agent.signed()))
        self.assertFalse(claims(Credentials(b"GET", b"/", [])))

    def test_spelling(self) -> None:
        """A target may be spelled with C{wss} or C{https}; without TLS that may have ended at a proxy."""
        for scheme, secure, plain in (
            ("https", True, True),
            ("wss", True, True),
            ("ws", False, True),
            ("http", False, True),
        ):
            signed = self.agent.signed(url=f"{scheme}://{SERVICE}/ws?a=%20")
            self.assertEqual(self.holds(signed), secure, scheme)
            self.assertEqual(self.holds(replace(signed, secure=False)), plain, scheme)

    def test_covered(self) -> None:
        """Each thing that is covered counts: method, target, host, and fields."""
        fields = {"components": ["@method", "@target-uri", "@authority", "x-a"], "fields": {"x-a": "1, 2"}}
        signed = self.agent.signed(**fields)
        headers = [*signed.headers, (b"X-A", b" 1"), (b"x-a", b"2 ")]
        self.assertTrue(self.holds(replace(signed, headers=headers)))
        self.assertFalse(self.holds(replace(signed, headers=[*headers, (b"X-A", b"3")])))
        self.assertRaises(CredentialsRefused, parse, signed, [SERVICE])
        for changed in (
            replace(self.agent.signed(), method=b"POST"),
            replace(self.agent.signed(), target=b"/ws?a=%21"),
        ):
            self.assertFalse(self.holds(changed))

    def test_host(self) -> None:
        """The host has to be ours by the settings, whatever the request says; a port counts where they have one."""
        elsewhere = self.agent.signed(url="https://other.example/ws?a=%20", authority="other.example")
        self.assertRaises(CredentialsRefused, parse, replace(elsewhere, host=b"other.example"), [SERVICE])
        self.assertFalse(self.holds(elsewhere))
        host = f"{SERVICE}:8443"
        signed = self.agent.signed(url=f"https://{host}/ws?a=%20", authority=host)
        ported = replace(signed, host=host.encode())
        self.assertTrue(self.holds(ported, (SERVICE,)) and self.holds(ported, (host,)))
        self.assertRaises(CredentialsRefused, parse, ported, [f"{SERVICE}:9"])

    def test_least(self) -> None:
        """A signature that covers too little would be one for other requests, too."""
        for components in (
            ["@method", "@target-uri"],
            ["@method", "@authority"],
            ["@target-uri", "@authority"],
            ["@method"],
        ):
            self.assertRaises(CredentialsRefused, parse, self.agent.signed(components=components), [SERVICE])

    def test_missing(self) -> None:
        """It needs a time, a nonce and a key; what it names has to be of the right sort."""
        for params in (
            {"created": None},
            {"nonce": None},
            {"keyid": None},
            {"nonce": "short"},
            {"keyid": ALICE},
            {"created": "1790000000"},
            {"expires": "x"},
            {"nonce": 12345678901234567890},
            {"keyid": "did:wba:127.0.0.1#key-1"},
        ):
            self.assertRaises(CredentialsRefused, parse, self.agent.signed(params=params), [SERVICE])

    def test_malformed(self) -> None:
        """One signature in one form, described once."""
        good = self.agent.signed()
        (name, described), (other, signature) = good.headers
        for headers in (
            [(name, described)],
            [(other, signature)],
            [*good.headers, (name, described)],
            [*good.headers, (other, signature)],
            [(name, described + b", sig2=()"), (other, signature)],
            [(name, b"sig2" + described[4:]), (other, signature)],
            [(name, described.replace(b'"@method"', b'"@method";sf')), (other, signature)],
            [(name, described.replace(b'"@method"', b'"@method" "@method"')), (other, signature)],
            [(name, described + b';nonce="' + NONCE.encode() + b'"'), (other, signature)],
            [(name, described + b"x" * 5000), (other, signature)],
            [(name, b""), (other, signature)],
            [(name, described), (other, b"sig1=:!:")],
            [(name, described), (other, b"sig1=:AAA:")],
            [(name, described), (other, b"")],
            [(name, described.replace(b";", b" ;")), (other, signature)],
            [(name, b"\xff"), (other, signature)],
            [(name, described.replace(b'"@method"', b'"@status"')), (other, signature)],
        ):
            self.assertRaises(CredentialsRefused, parse, replace(good, headers=headers), [SERVICE])

    def test_algorithm(self) -> None:
        """What it says of the algorithm is kept, to be held against the key."""
        self.assertEqual(parse(self.agent.signed(params={"alg": "none"}), [SERVICE]).algorithm, "none")
        self.assertIsNone(parse(self.agent.signed(), [SERVICE]).algorithm)
