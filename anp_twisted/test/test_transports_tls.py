"""Rules of L{anp_twisted.transports.tls}, by handshakes in memory."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import trustme
from OpenSSL import SSL
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.protocols import tls
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import CredentialError
from anp_twisted.test.wires import Wire
from anp_twisted.transports.reasons import explain
from anp_twisted.transports.tls import client_options, server_options


class Heard(Protocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: BaseException | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value


@cache
def authority(name: str) -> trustme.CA:
    """Make an authority; each takes a while."""
    return trustme.CA(organization_name=name)


class TlsTestCase(SynchronousTestCase):
    """Files of certificates, and a wire."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.clock = Clock()
        self.patch(tls, "_get_default_clock", lambda: self.clock)
        self.ca = self.file("ca.pem", authority("ours").cert_pem.bytes())

    def file(self, name: str, data: bytes, mode: int = 0o600) -> str:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(data)
        path.chmod(mode)
        return str(path)

    def pair(self, host: str = "gw.example.org", ca: str = "ours", until: datetime | None = None) -> tuple[str, str]:
        """Write a certificate and its key."""
        issued = authority(ca).issue_cert(host, not_after=until)
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        return self.file("cert.pem", chain), self.file("key.pem", issued.private_key_pem.bytes())

    def shake(
        self, server: CertificateOptions, host: str = "gw.example.org", ca: str | None = None
    ) -> SSL.Connection | str:
        """Let the two sides speak; the connection if bytes got through, else what the client would say."""
        near, far = Heard(), Heard()
        client = TLSMemoryBIOProtocol(TLSMemoryBIOFactory(client_options(host, ca or self.ca), True, Factory()), near)
        wire = Wire(client, TLSMemoryBIOProtocol(TLSMemoryBIOFactory(server, False, Factory()), far))
        client.write(b"hello")
        for _ in range(20):
            self.clock.advance(0)
            wire.move()
        if far.data == b"hello":
            handle: SSL.Connection = client.getHandle()
            return handle
        return explain(near.reason)


class HandshakeTests(TlsTestCase):
    """What is accepted, and what is refused."""

    def test_right(self) -> None:
        """Name and chain are right: TLS 1.3, or 1.2 with forward secrecy and authenticated encryption."""
        for host in ("gw.example.org", "127.0.0.1"):
            made = self.shake(server_options(*self.pair(host)), host)
            assert isinstance(made, SSL.Connection)
            self.assertEqual(made.get_protocol_version_name(), "TLSv1.3")
        options = server_options(*self.pair())
        options.getContext().set_max_proto_version(SSL.TLS1_2_VERSION)
        made = self.shake(options)
        assert isinstance(made, SSL.Connection)
        self.assertEqual(made.get_protocol_version_name(), "TLSv1.2")
        self.assertRegex(made.get_cipher_name() or "", "^ECDHE-.*(GCM|CHACHA20)")

    def test_chain(self) -> None:
        """The certificates that lead to the authority are sent along."""
        issued = authority("ours").create_child_ca().issue_cert("gw.example.org")
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        key = self.file("key.pem", issued.private_key_pem.bytes())
        self.assertIsInstance(self.shake(server_options(self.file("cert.pem", chain), key)), SSL.Connection)
        alone = self.file("cert.pem", issued.cert_chain_pems[0].bytes())
        self.assertIn("--ca-file", str(self.shake(server_options(alone, key))))

    def test_wrongName(self) -> None:
        """A certificate for another name is refused, and so is one for a name where an address was dialled."""
        options = server_options(*self.pair())
        for host in ("other.example.org", "127.0.0.1"):
            self.assertEqual(self.shake(options, host), "the gateway's certificate is for another name")

    def test_wrongChain(self) -> None:
        """An authority that is not the one named is refused, the system's own ones included."""
        self.assertIn("--ca-file", str(self.shake(server_options(*self.pair(ca="theirs")))))

    def test_expired(self) -> None:
        """A certificate of the past is refused."""
        past = datetime(2020, 1, 1, tzinfo=UTC)
        self.assertIn("expired", str(self.shake(server_options(*self.pair(until=past)))))

    def test_oldVersions(self) -> None:
        """Neither side speaks TLS 1.1, even with a peer that knows nothing better."""
        options = server_options(*self.pair())
        options.getContext().set_max_proto_version(SSL.TLS1_1_VERSION)
        self.assertIsInstance(self.shake(options), str)

    def test_weakCiphers(self) -> None:
        """A cipher without authenticated encryption or forward secrecy is never agreed on."""
        for weak in (b"ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA256", b"AES128-GCM-SHA256"):
            options = server_options(*self.pair())
            context = options.getContext()
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            context.set_cipher_list(weak)
            self.assertIsInstance(self.shake(options), str)
        names = server_options(*self.pair()).getContext()
        offered = SSL.Connection(names).get_cipher_list()
        self.assertEqual([name for name in offered if not ("GCM" in name or "CHACHA20" in name or "CCM" in name)], [])


class FileTests(TlsTestCase):
    """Files that cannot be used are one clear line, before anything listens."""

    def test_missing(self) -> None:
        """A file that is not there is named."""
        cert, key = self.pair()
        with self.assertRaisesRegex(CredentialError, "certificate file .*nowhere.* cannot be read: No such file"):
            server_options("nowhere", key)
        with self.assertRaisesRegex(CredentialError, "key file nowhere cannot be read"):
            server_options(cert, "nowhere")
        with self.assertRaisesRegex(CredentialError, "nowhere"):
            client_options("gw.example.org", "nowhere")

    def test_readableByOthers(self) -> None:
        """A key that others can read is refused, with the remedy."""
        cert, key = self.pair()
        for mode in (0o640, 0o604, 0o620, 0o602):
            os.chmod(key, mode)
            with self.assertRaisesRegex(CredentialError, "can be read by others: chmod 600"):
                server_options(cert, key)
        os.chmod(key, 0o400)
        server_options(cert, key)
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o400)

    def test_notPem(self) -> None:
        """A file that holds something else is named, and nothing of it is shown."""
        cert, key = self.pair()
        other = self.file("other", b"a secret")
        for bad in (lambda: server_options(other, key), lambda: server_options(cert, other)):
            with self.assertRaisesRegex(CredentialError, "other holds no PEM") as caught:
                bad()
            self.assertNotIn("secret", str(caught.exception))
        with self.assertRaisesRegex(CredentialError, "holds no PEM certificate"):
            client_options("gw.example.org", other)

    def test_mismatch(self) -> None:
        """A key that belongs to another certificate is found at the start."""
        cert, _ = self.pair()
        other = self.file("other.pem", authority("ours").issue_cert("gw.example.org").private_key_pem.bytes())
        with self.assertRaisesRegex(CredentialError, "does not belong to the certificate"):
            server_options(cert, other)

    def test_encrypted(self) -> None:
        """A key with a passphrase is refused; nobody is asked on a terminal."""
        from cryptography.hazmat.primitives import serialization as form

        cert, key = self.pair()
        plain = form.load_pem_private_key(Path(key).read_bytes(), None)
        sealed = form.BestAvailableEncryption(b"word")
        pem = plain.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, sealed)
        with self.assertRaisesRegex(CredentialError, "encrypted"):
            server_options(cert, self.file("sealed.pem", pem))

    def test_system(self) -> None:
        """Without a file the authorities of the system are trusted, and ours is not one of them."""
        self.assertIsNotNone(client_options("gw.example.org"))
