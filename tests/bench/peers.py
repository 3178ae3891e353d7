"""
What is measured: ways to reach one ASGI application, each a class with start, url, pids and stop.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness import Gateway, Program, Receiver, free_port, listening, twistd, wait_until

APP = "lab:app"


class Peer:
    """
    A way to reach the application.

    @cvar name: in the table.
    @ivar url: where the load goes.
    @ivar programs: the processes of the path.
    """

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.programs: list[Program] = []

    @staticmethod
    def possible() -> bool:
        """Whether this machine has what it needs."""
        return True

    def start(self) -> None:
        """Start everything and set L{url}."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The processes of the path."""
        return [program.process.pid for program in self.programs]

    def cpu(self) -> float:
        """Seconds of processor time of the path so far."""
        return sum(cpu_of(pid) for pid in self.pids() if os.path.exists(f"/proc/{pid}"))

    def stop(self) -> None:
        """End everything."""
        for program in self.programs:
            program.end()


def cpu_of(pid: int) -> float:
    """Seconds of processor time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Direct(Peer):
    """The application on uvicorn, no tunnel: the limit."""

    name = "direct"

    def start(self) -> None:
        """Start uvicorn."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", APP, "--port", str(port), "--no-access-log", "--log-level=warning"]
        self.programs.append(Program([*command, "--loop=uvloop", "--http=httptools"], self.folder, "uvicorn"))
        wait_until(lambda: listening(port), "uvicorn listens")
        self.url = f"http://127.0.0.1:{port}"


class SshReverse(Direct):
    """C{ssh -R} in front of the same uvicorn: what people use who have nothing else."""

    name = "ssh -R"

    @staticmethod
    def possible() -> bool:
        """Whether there is an OpenSSH server."""
        return shutil.which("ssh") is not None and Path("/usr/sbin/sshd").exists()

    def start(self) -> None:
        """Start uvicorn, a server of OpenSSH with a key of its own, and the reverse tunnel."""
        super().start()
        server_port, public = free_port(), free_port()
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True, timeout=30
            )
        keys = self.folder / "authorized"
        keys.write_text((self.folder / "user.pub").read_text())
        keys.chmod(0o600)
        os.makedirs("/run/sshd", exist_ok=True)
        server = ["/usr/sbin/sshd", "-D", "-e", "-p", str(server_port), "-h", str(self.folder / "host")]
        options = [f"AuthorizedKeysFile={keys}", "StrictModes=no", "PidFile=none", "ListenAddress=127.0.0.1"]
        self.programs.append(Program([*server, *(f"-o{option}" for option in options)], self.folder, "sshd"))
        wait_until(lambda: listening(server_port), "sshd listens")
        client = ["ssh", "-N", "-p", str(server_port), "-i", str(self.folder / "user"), "127.0.0.1"]
        quiet = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ExitOnForwardFailure=yes"]
        forward = ["-R", f"127.0.0.1:{public}:127.0.0.1:{self.url.rpartition(':')[2]}"]
        self.programs.append(Program([*client, *forward, *(f"-o{option}" for option in quiet)], self.folder, "ssh"))
        wait_until(lambda: listening(public), "the reverse tunnel listens")
        self.url = f"http://127.0.0.1:{public}"

    def pids(self) -> list[int]:
        """Those of the path, with the children that sshd makes for a session."""
        found = super().pids()
        for pid in found:
            found += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found


class Tunnel(Peer):
    """Our gateway and our receiver, the application in process."""

    name = "anp"
    gateway_options: tuple[str, ...] = ()
    receiver_options: tuple[str, ...] = ()

    def start(self) -> None:
        """Start both."""
        gateway = Gateway(self.folder, "--log-level=warn", "--in-flight=400", *self.gateway_options)
        self.programs.append(gateway)
        options = ("--log-level=warn", "--capacity=400", *self.receiver_options)
        self.programs.append(Receiver(self.folder, gateway.link, APP, *options))
        self.url = gateway.url


class TunnelToTarget(Direct):
    """Our gateway and our receiver, the application on uvicorn behind C{--target}."""

    name = "anp target"

    def start(self) -> None:
        """Start uvicorn, then both."""
        super().start()
        gateway = Gateway(self.folder, "--log-level=warn", "--in-flight=400")
        self.programs.append(gateway)
        command = [twistd(), "-n", "--pidfile=", "anp-receiver", f"--target={self.url}", f"--gateway={gateway.link}"]
        receiver = Program([*command, "--log-level=warn", "--capacity=400"], self.folder, "receiver")
        self.programs.append(receiver)
        receiver.line()
        self.url = gateway.url


class TunnelOverTls(Tunnel):
    """The same, with TLS between receiver and gateway."""

    name = "anp wss"

    def start(self) -> None:
        """Make a certificate authority and start both; callers come without TLS on the other listener."""
        import trustme

        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        key, chain = self.folder / "key.pem", self.folder / "cert.pem"
        certificate.private_key_pem.write_to_path(str(key))
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        key.chmod(0o600)
        port = free_port()
        endpoint = f"ssl:{port}:privateKey={key}:certKey={chain}:interface=127.0.0.1"
        gateway = Gateway(self.folder, "--log-level=warn", "--in-flight=400", f"--wss-listen={endpoint}")
        self.programs.append(gateway)
        options = ("--log-level=warn", "--capacity=400", f"--ca-file={self.folder / 'ca.pem'}")
        self.programs.append(Receiver(self.folder, f"wss://localhost:{port}/ws", APP, *options))
        self.url = gateway.url


PEERS: list[type[Peer]] = [Direct, SshReverse, Tunnel, TunnelToTarget, TunnelOverTls]
