"""What the tests about identities have in common: a private CA, DIDs in files, and raw handshakes."""

from __future__ import annotations

import secrets
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import trustme

from anp_twisted.auth import didwba
from anp_twisted.auth.keys import load_key
from anp_twisted.auth.signer import load_document

CREATE = "import sys; from anp_twisted.cli.did import main; sys.exit(main(sys.argv[1:]))"


class PrivateCa:
    """
    A CA of the test's own, and a certificate of it for this machine.

    @ivar ca_file: whom clients trust.
    @ivar options: of a gateway that uses the certificate.
    """

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))
        cert, key = self.issue(folder, "server", "localhost", "127.0.0.1")
        self.options = [f"--tls-cert={cert}", f"--tls-key={key}"]

    def issue(self, folder: Path, file: str, *names: str, common_name: str | None = None) -> tuple[Path, Path]:
        """Make a certificate and its key, in files."""
        issued = self.ca.issue_cert(*names, common_name=common_name)
        cert, key = folder / f"{file}.pem", folder / f"{file}.key"
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.touch(mode=0o600)
        key.write_bytes(issued.private_key_pem.bytes())
        return cert, key

    def context(self) -> ssl.SSLContext:
        """Trust it alone."""
        return ssl.create_default_context(cafile=str(self.ca_file))


class Did:
    """A DID that C{anp-proxy did create} made."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        out = folder / name
        command = [sys.executable, "-c", CREATE, "create", "localhost", f"/{name}", f"--out={out}", *options]
        self.text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
        self.document, self.key = out / "did.json", out / "key.pem"
        self._signing = load_key(str(self.key))
        self._name = load_document(str(self.document)).fragments()[0]

    @property
    def options(self) -> list[str]:
        """Of a receiver that proves it."""
        return [f"--did-document={self.document}", f"--did-key={self.key}"]

    def header(self, service: str = "localhost", *, did: str = "", ago: float = 0.0) -> str:
        """Sign a credential."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))
        nonce = secrets.token_hex(16)
        return didwba.build(
            did or self.text, self._name, service, nonce=nonce, timestamp=stamp, sign=self._signing.sign
        )


def handshake(port: int, authorization: str, seconds: float = 20.0) -> int:
    """
    Ask to be let in as a receiver.

    @return: the status.
    """
    lines = [
        "GET /ws HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: anpx.2",
        *([f"Authorization: {authorization}"] if authorization else []),
    ]
    with socket.create_connection(("127.0.0.1", port), seconds) as peer:
        peer.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        data = b""
        while b"\r\n" not in data:
            piece = peer.recv(4096)
            if not piece:
                return 0
            data += piece
    return int(data.split(b" ", 2)[1])


def handshakes(port: int, authorizations: list[str], at_once: int = 100) -> list[int]:
    """Ask for many, so many at a time."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda value: handshake(port, value), authorizations))
