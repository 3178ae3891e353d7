"""What the operator sees: the first line, the log, the token, and one clear line for each usual mistake."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import httpx
import trustme

from tests.harness import SOON, EndToEnd, Gateway, Program, Receiver, free_port, twistd, wait_until


class StartTests(EndToEnd):
    """Starting without any configuration."""

    def test_first_line(self) -> None:
        """The first line of standard output is the URL alone, and there is no other."""
        command = f"{twistd()} -n --pidfile= anp-both --port=0 | head -1"
        done = self.start_program("timeout", "-k", "5", "4", "sh", "-c", command, name="both")
        url = done.line()
        self.assertRegex(url, r"^http://127\.0\.0\.1:\d+/$")
        self.assertEqual(httpx.get(url, trust_env=False).json()["path"], "/")
        done.process.wait(SOON)
        assert done.process.stdout is not None
        self.assertEqual(done.process.stdout.read(), b"")

    def test_usable_at_the_first_line(self) -> None:
        """Whoever has read a receiver's first line can use the URL at once."""
        gateway = self.start_gateway()
        for _ in range(5):
            receiver = self.start_receiver(gateway, "lab:app")
            self.assertEqual(httpx.get(f"{receiver.url}small", trust_env=False).status_code, 200)
            receiver.end()
            wait_until(lambda: "is gone" in gateway.log(), "the receiver is gone")

    def test_token(self) -> None:
        """A gateway makes the token for its owner's eyes only, says where, and never shows it."""
        gateway = self.start_gateway()
        self.start_receiver(gateway, "lab:app")
        folder = self.folder / "anp-state"
        path = folder / "receiver.token"
        self.assertEqual((stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(path.stat().st_mode)), (0o700, 0o600))
        token = path.read_text().strip()
        self.assertIn("anp-state/receiver.token", gateway.log())
        shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        stats = httpx.get(f"{gateway.management}/stats", trust_env=False).text
        for text in (shown, stats, gateway.log()):
            self.assertNotIn(token, text)

    def test_log_line(self) -> None:
        """Each request is one line of JSON, whatever is in its target."""
        gateway = self.start_gateway()
        self.start_receiver(gateway, "lab:app")
        httpx.get(f"{gateway.url}/show?x=%0a%1b[31m\u202e", trust_env=False)

        def lines() -> list[str]:
            return [line for line in gateway.log().splitlines() if line.startswith("{")]

        wait_until(lines, "the line is written")
        (line,) = lines()
        record = json.loads(line)
        self.assertEqual((record["method"], record["status"], record["caller"]), ("GET", 200, "127.0.0.1"))
        self.assertEqual((record["sent"] > 0, record["received"], record["source"]), (True, 0, "app"))
        self.assertTrue(line.isascii() and record["receiver"] and record["id"] and record["duration"] > 0)

    def test_log_file(self) -> None:
        """The log can go to a file."""
        gateway = self.start_gateway("--log-file=here.log")
        httpx.get(f"{gateway.url}/x", trust_env=False)
        wait_until(lambda: '"target":"/x"' in (self.folder / "here.log").read_text(), "the line is in the file")
        self.assertEqual(gateway.log(), "")

    def test_daemon(self) -> None:
        """It runs as a daemon too, by the very line of the README, and stops by its pid file."""
        gateway = self.start_gateway()
        environment = {"ANP_GATEWAY": gateway.link}
        receiver = self.start_program(
            twistd(), "anp-receiver", "--app", "lab:app", name="daemon", environment=environment
        )
        self.assertEqual(receiver.wait(), 0)
        pid = self.folder / "anp-receiver.pid"
        wait_until(lambda: httpx.get(f"{gateway.url}/small", trust_env=False).status_code == 200, "it serves")
        subprocess.run(["kill", pid.read_text()], check=True)
        wait_until(lambda: not pid.exists(), "it has stopped")

    def test_one_folder(self) -> None:
        """Both commands run in one folder without a word about pid files, in the foreground and as daemons."""
        ports = [f"--port={free_port()}", f"--management-port={free_port()}"]
        gateway = self.start_program(twistd(), "-n", "anp-gateway", *ports, name="gateway")
        url = gateway.line()
        environment = {"ANP_GATEWAY": url.replace("http", "ws", 1) + "/ws"}
        receiver = self.start_program(twistd(), "anp-receiver", "--app", "lab:app", environment=environment)
        self.assertEqual(receiver.wait(), 0)
        wait_until(lambda: httpx.get(f"{url}/small", trust_env=False).status_code == 200, "it serves")
        names = sorted(path.name for path in self.folder.iterdir() if path.name.startswith("anp-"))
        self.assertEqual(names, ["anp-gateway.pid", "anp-receiver.log", "anp-receiver.pid", "anp-state"])
        subprocess.run(["kill", (self.folder / "anp-receiver.pid").read_text()], check=True)
        wait_until(lambda: not (self.folder / "anp-receiver.pid").exists(), "it has stopped")


class MistakeTests(EndToEnd):
    """Each usual mistake is one line, and the process ends with a status that says so, or goes on where it can."""

    def refused(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """Start a command that must not start; return its one line."""
        program = self.start_program(twistd(), "-n", "--pidfile=", *arguments, environment=environment)
        self.assertEqual(program.wait(), 1, program.log())
        lines = program.log().splitlines()
        named = [line for line in lines if f"{arguments[0]}: " in line]
        self.assertEqual((len(named), "Traceback" in program.log()), (1, False), lines)
        return named[0]

    def test_port_taken(self) -> None:
        """A port that is taken."""
        gateway = self.start_gateway()
        line = self.refused("anp-gateway", f"--port={gateway.port}", "--management-port=off")
        self.assertIn(f"port {gateway.port}: Address already in use", line)

    def test_app(self) -> None:
        """An application that cannot be imported, each with the real reason."""
        (self.folder / "broken.py").write_text("import not_there_at_all\n")
        (self.folder / "raising.py").write_text("raise ValueError('what is wrong with it')\n")
        self.start_gateway()
        for app, reason in (
            ("nothing:app", "nothing"),
            ("broken:app", "not_there_at_all"),
            ("raising:app", "what is wrong with it"),
            ("lab:no_app", "no_app"),
            ("lab:BLOCK", "BLOCK"),
        ):
            line = self.refused("anp-receiver", f"--app={app}")
            self.assertIn(reason, line)

    def test_unknown(self) -> None:
        """An unknown key anywhere, with the nearest valid one."""
        (self.folder / "bad.toml").write_text("[gateway]\nprot = 1\n")
        for line in (
            self.refused("anp-gateway", "--prot=1"),
            self.refused("anp-gateway", environment={"ANP_PROT": "1"}),
            self.refused("anp-gateway", "--config=bad.toml"),
        ):
            self.assertIn("port", line.lower())

    def test_ws_beyond_loopback(self) -> None:
        """A token never leaves this machine in the clear unasked."""
        line = self.refused("anp-receiver", "--app=lab:app", "--gateway=ws://192.0.2.1/ws")
        self.assertIn("--insecure", line)

    def test_no_token(self) -> None:
        """A receiver without token, and one whose token others can read."""
        self.assertIn("receiver.token", self.refused("anp-receiver", "--app=lab:app"))
        loose = self.folder / "loose"
        loose.write_text("x" * 43)
        loose.chmod(0o644)
        self.assertIn("chmod 600", self.refused("anp-receiver", "--app=lab:app", "--token-file=loose"))

    def test_unreachable(self) -> None:
        """A gateway that is not there: the receiver says so and goes on, or gives up if it was told to."""
        (self.folder / "token").write_text("t" * 43)
        (self.folder / "token").chmod(0o600)
        options = ["--app=lab:app", f"--gateway=ws://127.0.0.1:{free_port()}/ws", "--token-file=token"]
        line = self.refused("anp-receiver", *options, "--max-reconnect-attempts=2")
        self.assertIn("nothing listens", line)
        patient = self.start_program(twistd(), "-n", "--pidfile=", "anp-receiver", *options)
        wait_until(lambda: patient.log().count("next attempt in") >= 2, "it tries again")
        self.assertIsNone(patient.process.poll())

    def test_wrong_token(self) -> None:
        """A wrong token is a 401, told apart from everything else."""
        gateway = self.start_gateway()
        for value in ("wrong" * 5, (self.folder / "anp-state" / "receiver.token").read_text().strip()[:-1]):
            receiver = Receiver(self.folder, gateway.link, "lab:app", environment={"ANP_TOKEN": value}, connected=False)
            self.addCleanup(receiver.end)
            wait_until(lambda one=receiver: "refused the token (401)" in one.log(), "it says why")  # type: ignore[misc]
            self.assertNotIn(value, receiver.log() + gateway.log())
        self.assertIn("refused: the token is missing or wrong", gateway.log())


class TokenTests(EndToEnd):
    """Each way to give the token to either side."""

    def test_ways(self) -> None:
        """Environment, option and settings file: the right one connects."""
        token = "k" * 43
        path = self.folder / "token"
        path.write_text(token + "\n")
        path.chmod(0o600)
        config = self.folder / "anp.toml"
        config.write_text(f'[gateway]\ntoken = "{token}"\n[receiver]\ntoken = "{token}"\n')
        config.chmod(0o600)
        ways: list[tuple[list[str], dict[str, str]]] = [
            ([f"--token-file={path}"], {}),
            ([], {"ANP_TOKEN": token}),
            ([f"--config={config}"], {}),
        ]
        for options, environment in ways:
            gateway = self.start_gateway(*options, environment=environment)
            receiver = self.start_receiver(gateway, "lab:app", *options, environment=environment)
            self.assertEqual(httpx.get(f"{receiver.url}small", trust_env=False).status_code, 200)
            gateway.end()
            receiver.end()
        self.assertFalse((self.folder / "anp-state").exists())


class TlsTests(EndToEnd):
    """TLS on both listeners, verified by the receiver."""

    def setUp(self) -> None:
        """Make an authority and a certificate for this machine."""
        super().setUp()
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        self.issue("localhost", "localhost", "127.0.0.1")

    def issue(self, name: str, *hosts: str, authority: trustme.CA | None = None) -> tuple[Path, Path]:
        """Write a certificate for those hosts, and its key."""
        certificate = (authority or self.authority).issue_cert(*hosts)
        chain, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        return chain, key

    def secure_gateway(self, name: str = "localhost", *options: str) -> Gateway:
        """Start a gateway with TLS."""
        return self.start_gateway(f"--tls-cert={name}.pem", f"--tls-key={name}.key", *options)

    def refusing(self, link: str, *options: str) -> Program:
        """Start a receiver that cannot connect."""
        receiver = Receiver(self.folder, link, "lab:app", *options, connected=False)
        self.addCleanup(receiver.end)
        wait_until(lambda: "cannot connect" in receiver.log(), "it says that it cannot connect")
        return receiver

    def test_both_listeners(self) -> None:
        """Callers and receivers over TLS, on one port or on two, by option or by endpoint string."""
        second = free_port()
        ssl = "ssl:0:privateKey=localhost.key:certKey=localhost.pem:interface=127.0.0.1"
        for gateway in (
            self.secure_gateway("localhost", f"--wss-port={second}"),
            Gateway(self.folder, f"--listen={ssl}"),
        ):
            self.addCleanup(gateway.end)
            self.assertTrue(gateway.url.startswith("https://"))
            port = second if second else gateway.port
            for link in (f"wss://localhost:{gateway.port}/ws", f"wss://localhost:{port}/ws"):
                receiver = Receiver(self.folder, link, "lab:app", "--ca-file=ca.pem")
                self.addCleanup(receiver.end)
                context = httpx.create_ssl_context(verify=str(self.folder / "ca.pem"))
                with httpx.Client(verify=context, trust_env=False) as client:
                    self.assertEqual(client.get(f"https://localhost:{gateway.port}/small").status_code, 200)
                    self.assertEqual(
                        len(client.get(f"https://localhost:{gateway.port}/down?bytes=5000000").content), 5_000_000
                    )
                receiver.end()
            second = 0

    def test_unknown_authority(self) -> None:
        """A certificate of nobody the receiver trusts."""
        gateway = self.secure_gateway()
        receiver = self.refusing(f"wss://localhost:{gateway.port}/ws")
        self.assertIn("certificate", receiver.log())

    def test_wrong_name(self) -> None:
        """A certificate for another host."""
        self.issue("other", "other.example")
        gateway = self.secure_gateway("other")
        receiver = self.refusing(f"wss://localhost:{gateway.port}/ws", "--ca-file=ca.pem")
        self.assertIn("certificate", receiver.log())

    def test_loose_key(self) -> None:
        """A key that others can read is not used."""
        (self.folder / "localhost.key").chmod(0o640)
        program = self.start_program(
            twistd(),
            "-n",
            "--pidfile=",
            "anp-gateway",
            "--port=0",
            "--tls-cert=localhost.pem",
            "--tls-key=localhost.key",
        )
        self.assertEqual(program.wait(), 1)
        self.assertIn("chmod 600", program.log())

    def test_old_protocol(self) -> None:
        """TLS 1.1 is not spoken."""
        gateway = self.secure_gateway()
        url = f"https://localhost:{gateway.port}/health"
        for version in ("1.0", "1.1"):
            flags = ["-sSk", "--tlsv1.0", "--tls-max", version, "--ciphers", "DEFAULT:@SECLEVEL=0"]
            done = subprocess.run(["curl", *flags, url], capture_output=True, check=False)
            self.assertNotEqual(done.returncode, 0)
        done = subprocess.run(["curl", "-sSk", url], capture_output=True, check=False)
        self.assertEqual(done.stdout, b'{"status":"ok"}')
