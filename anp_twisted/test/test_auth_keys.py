"""Tests for L{anp_twisted.auth.keys}."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.base58 import decode as base58
from anp_twisted.auth.base58 import encode
from anp_twisted.auth.document import Jwk, Method
from anp_twisted.auth.keys import Sort, load_key, new_key, public_key
from anp_twisted.errors import CredentialError, CredentialsRefused

KEYS = {sort: new_key(sort) for sort in Sort}


def method(sort: Sort, kind: str = "JsonWebKey2020", **changes: str) -> Method:
    """Make a verification method out of a JWK."""
    return Method("#k", kind, Jwk(**(KEYS[sort].public.jwk() | changes)))


class VerifyTests(SynchronousTestCase):
    """A signature, and what is none."""

    def test_sorts(self) -> None:
        """Each sort of key verifies what it signed, and nothing else."""
        for sort, key in KEYS.items():
            signature = key.sign(b"data")
            self.assertEqual(len(signature), 64)
            self.assertTrue(key.public.verifies(signature, b"data"))
            self.assertFalse(key.public.verifies(signature, b"date"))
            for other in KEYS.values():
                self.assertEqual(other.public.verifies(signature, b"data"), other is key, sort)

    @given(st.binary(max_size=80))
    def test_garbage(self, signature: bytes) -> None:
        """Bytes that are no signature verify nothing and raise nothing."""
        for key in KEYS.values():
            self.assertFalse(key.public.verifies(signature, b"data", short=True))

    def test_tampered(self) -> None:
        """Every single bit of a signature counts."""
        for key in KEYS.values():
            signature = key.sign(b"data")
            for bit in range(0, 512, 7):
                wrong = bytearray(signature)
                wrong[bit // 8] ^= 1 << bit % 8
                self.assertFalse(key.public.verifies(bytes(wrong), b"data", short=True), bit)

    def test_short(self) -> None:
        """Some clients drop leading zeros of r and s; they are found again where that is allowed."""
        key, seen = KEYS[Sort.SECP256K1], set()
        for number in range(4000):
            data = b"%d" % number
            signature = key.sign(data)
            r, s = signature[:32].lstrip(b"\0"), signature[32:].lstrip(b"\0")
            if len(r) + len(s) < 64:
                seen.add((len(r) < 32, len(s) < 32))
                self.assertTrue(key.public.verifies(r + s, data, short=True))
                self.assertFalse(key.public.verifies(r + s, data))
                self.assertFalse(key.public.verifies(r + s, data + b"x", short=True))
            if len(seen) > 1:
                return
        self.fail("no short signature among 4000")


class DocumentKeyTests(SynchronousTestCase):
    """Keys as documents have them."""

    def test_forms(self) -> None:
        """JWK, Multikey, and what older documents have."""
        forms = [(sort, method(sort)) for sort in Sort]
        forms += [(sort, Method("#k", "Multikey", public_key_multibase=KEYS[sort].public.multibase())) for sort in Sort]
        raw = base58(KEYS[Sort.ED25519].public.multibase()[1:])[2:]
        forms += [
            (Sort.ED25519, Method("#k", "Ed25519VerificationKey2018", public_key_base58=encode(raw))),
            (Sort.ED25519, Method("#k", "Ed25519VerificationKey2020", public_key_multibase="z" + encode(raw))),
            (Sort.SECP256K1, method(Sort.SECP256K1, "EcdsaSecp256k1VerificationKey2019")),
            (Sort.P256, method(Sort.P256, "EcdsaSecp256r1VerificationKey2019")),
        ]
        for sort, one in forms:
            self.assertTrue(public_key(one).verifies(KEYS[sort].sign(b"x"), b"x"), one)

    def test_shortCoordinate(self) -> None:
        """A coordinate may lack a leading zero."""
        while True:
            key = new_key(Sort.SECP256K1)
            x = urlsafe_b64decode(key.public.jwk()["x"] + "=")
            if x[0] == 0:
                break
        text = urlsafe_b64encode(x[1:]).rstrip(b"=").decode()
        jwk = Jwk("EC", "secp256k1", text, key.public.jwk()["y"])
        self.assertTrue(public_key(Method("#k", "JsonWebKey2020", jwk)).verifies(key.sign(b"x"), b"x"))

    def test_refused(self) -> None:
        """A key of another type than it says, or none at all."""
        k1, ed = KEYS[Sort.SECP256K1].public, KEYS[Sort.ED25519].public
        both = Method("#k", "JsonWebKey2020", Jwk(**k1.jwk()), k1.multibase())
        for one in (
            Method("#k", "JsonWebKey2020"),
            both,
            method(Sort.SECP256K1, "RsaVerificationKey2018"),
            method(Sort.SECP256K1, ""),
            method(Sort.P256, "EcdsaSecp256k1VerificationKey2019"),
            method(Sort.SECP256K1, "Ed25519VerificationKey2020"),
            method(Sort.SECP256K1, crv="P-256"),
            method(Sort.SECP256K1, kty="RSA"),
            method(Sort.SECP256K1, crv="P-521"),
            method(Sort.SECP256K1, x=""),
            method(Sort.SECP256K1, x="!!!!"),
            method(Sort.SECP256K1, y="AQ"),
            method(Sort.ED25519, y="AQ"),
            method(Sort.ED25519, kty="EC"),
            method(Sort.ED25519, x="AQ"),
            Method("#k", "Multikey", public_key_multibase=k1.multibase()[:-1]),
            Method("#k", "Multikey", public_key_multibase="m" + k1.multibase()[1:]),
            Method("#k", "Multikey", public_key_multibase="z" + encode(b"\x12" * 33)),
            Method("#k", "Ed25519VerificationKey2020", public_key_multibase=k1.multibase()),
            Method("#k", "EcdsaSecp256k1VerificationKey2019", public_key_multibase=ed.multibase()),
        ):
            self.assertRaises(CredentialsRefused, public_key, one)


class FileTests(SynchronousTestCase):
    """Keys in files."""

    def write(self, data: bytes, mode: int = 0o600) -> str:
        """Write a key file."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, mode)
        return path

    def test_load(self) -> None:
        """Each sort is read as what it is."""
        for sort, key in KEYS.items():
            loaded = load_key(self.write(key.pem()))
            self.assertEqual((loaded.public.sort, loaded.public.jwk()), (sort, key.public.jwk()))

    def test_refused(self) -> None:
        """A key that others can read, another sort, or no key; in one line, without a word of the key."""
        pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
        foreign = rsa.generate_private_key(65537, 2048).private_bytes(*pkcs8, serialization.NoEncryption())
        curve = ec.generate_private_key(ec.SECP384R1()).private_bytes(*pkcs8, serialization.NoEncryption())
        locked = ec.generate_private_key(ec.SECP256R1())
        encrypted = locked.private_bytes(*pkcs8, serialization.BestAvailableEncryption(b"x"))
        good = KEYS[Sort.P256].pem()
        paths = [self.write(data) for data in (foreign, curve, encrypted, b"", good[:60])]
        paths += [self.write(good, 0o640), self.write(good, 0o604), "missing", os.curdir]
        for path in paths:
            error = self.assertRaises(CredentialError, load_key, path)
            self.assertNotIn("\n", str(error))

    def test_secret(self) -> None:
        """No text about a key shows it."""
        for key in KEYS.values():
            self.assertNotIn(key.pem().split(b"\n")[1].decode(), repr(key) + str(vars(key)))
