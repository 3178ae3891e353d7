"""SIGHUP: a gateway takes new settings while it runs, all of them or none."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import trustme

from tests.harness import EndToEnd, Gateway, wait_until


class HangupTests(EndToEnd):
    """One process, and several."""

    def setUp(self) -> None:
        """Keep the settings in a file."""
        super().setUp()
        self.config = self.folder / "anp.toml"

    def write(self, text: str) -> None:
        """Write the settings."""
        self.config.write_text(text)
        self.config.chmod(0o600)

    def hang_up(self, gateway: Gateway, word: str = "in effect") -> None:
        """Send the signal, and wait until the log has one more line with a word."""
        before = gateway.log().count(word)
        gateway.signal(signal.SIGHUP)
        wait_until(lambda: gateway.log().count(word) > before, word)

    def start(self, *options: str) -> Gateway:
        """Start gateway and receiver."""
        gateway = self.start_gateway(f"--config={self.config}", *options)
        self.start_receiver(gateway, "lab:app")
        self.http = self.client(gateway.url)
        wait_until(lambda: self.http.get("/small").status_code == 200, "served")
        return gateway

    def test_rules(self) -> None:
        """Rules and caps change between two requests; none that runs meanwhile notices."""
        self.write("[gateway]\n")
        gateway = self.start()
        statuses: list[int] = []
        stop, client = threading.Event(), self.client(gateway.url)

        def ask() -> None:
            while not stop.is_set():
                statuses.append(client.get("/small").status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: statuses, "requests")
        for number in range(5):
            self.write(f"[gateway]\nin_flight = {10 + number}\n")
            self.hang_up(gateway)
        stop.set()
        asking.join()
        self.assertEqual(set(statuses), {200})
        self.write('[gateway]\n[gateway.routes."/small"]\ndeny = ["127.0.0.0/8"]\n')
        self.hang_up(gateway)
        self.assertEqual((self.http.get("/small").status_code, self.http.get("/show").status_code), (403, 200))

    def test_broken(self) -> None:
        """A file with a mistake changes nothing, and the log says what is wrong; so does one that needs a restart."""
        self.write('[gateway]\n[gateway.routes."/small"]\ndeny = ["127.0.0.0/8"]\n')
        gateway = self.start_gateway(f"--config={self.config}")
        self.start_receiver(gateway, "lab:app")
        http = self.client(gateway.url)
        wait_until(lambda: http.get("/show").status_code == 200, "served")
        for text, why in (
            ("[gateway]\nin_flight = 'many'\n", "in_flight"),
            ("[gateway\n", "not TOML"),
            ("[gateway]\nworkers = 2\n", "needs a restart has changed: workers"),
            ("[gateway]\ntoken_file = 'nowhere'\n", "nowhere"),
        ):
            self.write(text)
            self.hang_up(gateway, "the old settings stay in effect")
            self.assertIn(why, gateway.log().rpartition("the old settings stay in effect")[2])
            self.assertEqual((http.get("/small").status_code, http.get("/show").status_code), (403, 200))

    def test_token(self) -> None:
        """A new token sends those away who have the old one; who reads the same file is back by itself."""
        token_file = self.folder / "token"
        token_file.write_text("the-first")
        token_file.chmod(0o600)
        self.write(f"[gateway]\ntoken_file = '{token_file}'\n")
        gateway = self.start_gateway(f"--config={self.config}")
        reading = self.start_receiver(gateway, "lab:app", f"--token-file={token_file}", "--path=/reading")
        fixed = self.start_receiver(gateway, "lab:app", "--path=/fixed", environment={"ANP_TOKEN": "the-first"})
        token_file.write_text("the-second")
        self.hang_up(gateway)
        http = self.client(gateway.url)
        wait_until(lambda: reading.log().count("connected to") >= 2, "back with the new token")
        self.assertEqual(http.get("/reading/small").status_code, 200)
        wait_until(lambda: "401" in fixed.log(), "the other is refused")
        self.assertNotIn("the-second", gateway.log() + reading.log())

    def certificate(self, ca: trustme.CA, name: str) -> None:
        """Write a certificate."""
        issued = ca.issue_cert("127.0.0.1", organization_name=name)
        issued.cert_chain_pems[0].write_to_path(str(self.folder / "cert.pem"))
        issued.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        (self.folder / "key.pem").chmod(0o600)

    def shown(self, gateway: Gateway, ca: Path) -> str:
        """Whose certificate a new connection sees."""
        context = ssl.create_default_context(cafile=str(ca))
        with (
            socket.create_connection(("127.0.0.1", gateway.port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            found: Any = secure.getpeercert()
            return str(dict(pair[0] for pair in found["subject"])["organizationName"])

    def check_certificates(self, *options: str) -> None:
        """A renewed certificate is shown from the next connection on, a broken one never."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        self.certificate(ca, "first")
        self.write("[gateway]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n")
        gateway = self.start_gateway(f"--config={self.config}", *options)
        authority = self.folder / "ca.pem"
        self.assertEqual(self.shown(gateway, authority), "first")
        self.certificate(ca, "second")
        self.hang_up(gateway)
        wait_until(lambda: self.shown(gateway, authority) == "second", "the new one")
        (self.folder / "cert.pem").write_text("nonsense")
        self.hang_up(gateway, "the old settings stay in effect")
        self.assertEqual(self.shown(gateway, authority), "second")

    def test_certificates(self) -> None:
        """One process."""
        self.check_certificates()

    def test_workers(self) -> None:
        """Several processes: each goes over."""
        self.check_certificates("--workers=2")

    def test_workers_rules(self) -> None:
        """The rules of several processes change as well, also for one that is started later."""
        self.write("[gateway]\n")
        gateway = self.start("--workers=2")
        self.write('[gateway]\ndeny = ["127.0.0.0/8"]\n')
        self.hang_up(gateway, "worker 1: the settings were read again")
        wait_until(lambda: "worker 2: the settings were read again" in gateway.log(), "both")
        self.assertEqual({self.client(gateway.url).get("/small").status_code for _ in range(12)}, {403})

    def test_receiver(self) -> None:
        """A receiver outlives it, and says what it does without."""
        self.write("[gateway]\n")
        gateway = self.start_gateway(f"--config={self.config}")
        receiver = self.start_receiver(gateway, "lab:app")
        receiver.signal(signal.SIGHUP)
        wait_until(lambda: "reads its token before each attempt" in receiver.log(), "told")
        time.sleep(0.1)
        self.assertIsNone(receiver.process.poll())
