"""
Real processes for the tests of this folder: start, look into, end.

Everything waits for a condition with a deadline, never for a time.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
APPS = Path(__file__).resolve().parent / "apps"

#: Seconds within which anything that should happen soon happens.
SOON = 20.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = SOON) -> Any:
    """
    Ask until the answer is true.

    @raise AssertionError: if it is not within C{seconds}.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


class Program:
    """One process, its standard output line by line, and its log."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        name: str,
        environment: dict[str, str] | None = None,
        *,
        stdin: int = subprocess.DEVNULL,
    ):
        self.log_path = folder / f"{name}-{time.monotonic_ns()}.log"
        self._log = self.log_path.open("wb")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ANP_")}
        # Hundreds of processes: each would compile everything anew where nothing may be written beside the source.
        clean.pop("PYTHONDONTWRITEBYTECODE", None)
        clean["PYTHONPYCACHEPREFIX"] = str(ROOT / ".bytecode")
        self.process = subprocess.Popen(
            list(arguments),
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**clean, "PYTHONPATH": os.pathsep.join([str(APPS), str(ROOT)]), **(environment or {})},
        )

    def first_line(self) -> str:
        """Read what it says when it has started; one that does not is ended, since nobody else knows of it yet."""
        try:
            return self.line()
        except BaseException:
            self.end()
            raise

    def line(self, seconds: float = SOON) -> str:
        """Read one line of standard output."""
        stream = self.process.stdout
        assert stream is not None
        data = b""
        deadline = time.monotonic() + seconds
        while not data.endswith(b"\n"):
            piece = os.read(stream.fileno(), 1) if readable(stream, deadline - time.monotonic()) else b""
            if not piece:
                raise AssertionError(f"no line on standard output; log:\n{self.log()}")
            data += piece
        return data.decode().rstrip("\n")

    def log(self) -> str:
        """What was written to standard error."""
        return self.log_path.read_text(errors="replace")

    def wait(self, seconds: float = SOON) -> int:
        """Wait for the end and return the status."""
        return self.process.wait(seconds)

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it if it still runs, and close what belongs to it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def rss(self) -> int:
        """Resident bytes now."""
        return self._status("VmRSS")

    def peak_rss(self) -> int:
        """The most resident bytes there ever were."""
        return self._status("VmHWM")

    def _status(self, key: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith(key))
        return int(line.split()[1]) * 1024

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many file descriptors are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Gateway(Program):
    """C{twistd -n anp-gateway} on free ports, behind another command where one is given."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        port: int = 0,
        environment: dict[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ):
        management = free_port()
        command = [*wrapper, twistd(), "-n", "--pidfile=", "anp-gateway", f"--management-port={management}", *options]
        if not any(option.startswith("--listen=") for option in options):
            command.append(f"--port={port}")
        super().__init__(command, folder, "gateway", environment)
        self.management = f"http://127.0.0.1:{management}"
        self.url = self.first_line()
        self.port = int(self.url.rpartition(":")[2])

    @property
    def link(self) -> str:
        """Where receivers connect."""
        return f"{self.url.replace('http', 'ws', 1)}/ws"


class Receiver(Program):
    """C{twistd -n anp-receiver}, connected."""

    def __init__(
        self,
        folder: Path,
        gateway: str,
        app: str,
        *options: str,
        environment: dict[str, str] | None = None,
        connected: bool = True,
    ):
        command = [twistd(), "-n", "--pidfile=", "anp-receiver", f"--app={app}", f"--gateway={gateway}", *options]
        super().__init__(command, folder, "receiver", environment)
        self.url = self.first_line() if connected else ""


def readable(stream: Any, seconds: float) -> bool:
    """Wait until something can be read; C{select} knows no descriptors above 1023."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def free_port() -> int:
    """Find a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def twistd() -> str:
    """The script beside the interpreter that runs the tests."""
    return str(Path(sys.executable).with_name("twistd"))


class EndToEnd(SynchronousTestCase):
    """Gives each test a folder and ends whatever it started."""

    def setUp(self) -> None:
        """Make the folder."""
        holder = tempfile.TemporaryDirectory(prefix="anp-")
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def start_gateway(self, *options: str, **keywords: Any) -> Gateway:
        """Start a gateway that ends with the test."""
        gateway = Gateway(self.folder, *options, **keywords)
        self.addCleanup(gateway.end)
        return gateway

    def start_receiver(self, gateway: Gateway, app: str, *options: str, **keywords: Any) -> Receiver:
        """Start a receiver that ends with the test."""
        receiver = Receiver(self.folder, gateway.link, app, *options, **keywords)
        self.addCleanup(receiver.end)
        return receiver

    def start_program(self, *arguments: str, name: str = "program", **keywords: Any) -> Program:
        """Start any other process that ends with the test."""
        program = Program(arguments, self.folder, name, **keywords)
        self.addCleanup(program.end)
        return program

    def client(self, base: str, **keywords: Any) -> httpx.Client:
        """Make an HTTP client that is closed with the test."""
        client = httpx.Client(base_url=base, timeout=30, trust_env=False, **keywords)
        self.addCleanup(client.close)
        return client

    def terminate(self, program: Program, seconds: float = SOON) -> int:
        """Ask a process to stop and wait until it has."""
        program.signal(signal.SIGTERM)
        return program.wait(seconds)
