"""
Real database servers for tests, each in a folder and on a port of its own.

A server that is not installed is C{None}, and what needs it is skipped.
"""

from __future__ import annotations

import io
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.harness import SOON, Gateway, free_port, listening, wait_until


def program(name: str, *folders: str) -> str | None:
    """Find a program, also where it is not on the path."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))


class Server:
    """
    A database server: started, killed, stopped as by a debugger, and started again on what it has stored.

    @ivar url: of a database in it, for the setting C{database}.
    """

    url = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> None:
        """Run something to its end."""
        subprocess.run([*self.prefix(), *command], check=True, capture_output=True, timeout=60, cwd=self.folder)

    def prefix(self) -> Sequence[str]:
        """What commands begin with."""
        return ()

    def command(self) -> Sequence[str]:
        """What starts the server."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it listens."""
        log = (self.folder / "server.log").open("ab")
        command = [*self.prefix(), *self.command()]
        # A group of its own: one of them has processes for its connections.
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        log.close()
        wait_until(lambda: listening(self.port), f"{type(self).__name__} listens", 60)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        assert self.process is not None
        os.killpg(self.process.pid, number)

    def pause(self) -> None:
        """It answers nobody, and its connections stay."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It answers again."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """It is gone, without a word."""
        assert self.process is not None
        self.signal(signal.SIGKILL)
        self.process.wait(SOON)

    def end(self) -> None:
        """Kill it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class MariaDB(Server):
    """MariaDB, whose user has a password."""

    SERVER = program("mariadbd", "/usr/sbin")
    INSTALL = program("mariadb-install-db")
    CLIENT = program("mariadb")

    def make(self) -> None:
        """Make a database."""
        data = str(self.folder / "data")
        user = pwd.getpwuid(os.getuid()).pw_name
        self._user = f"--user={user}"
        assert self.INSTALL and self.CLIENT
        self.run(self.INSTALL, "--no-defaults", self._user, f"--datadir={data}", "--skip-test-db",
                 "--auth-root-authentication-method=normal")  # fmt: skip
        self.start()
        sql = "CREATE DATABASE gate; CREATE USER gate@'127.0.0.1' IDENTIFIED BY 'mdb-geheim'; " \
              "GRANT ALL ON gate.* TO gate@'127.0.0.1';"  # fmt: skip
        self.sql(sql, database="")
        self.url = f"mysql://gate:mdb-geheim@127.0.0.1:{self.port}/gate"

    def sql(self, text: str, database: str = "gate") -> None:
        """Change something as its root."""
        assert self.CLIENT
        self.run(
            self.CLIENT,
            "--no-defaults",
            f"--socket={self.folder}/sock",
            "-uroot",
            "-e",
            text,
            *filter(None, [database]),
        )

    def command(self) -> Sequence[str]:
        """Small and on loopback only."""
        assert self.SERVER
        return [self.SERVER, "--no-defaults", self._user, f"--datadir={self.folder}/data", f"--port={self.port}",
                f"--socket={self.folder}/sock", "--bind-address=127.0.0.1", "--skip-name-resolve",
                "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=2"]  # fmt: skip


class PostgreSQL(Server):
    """PostgreSQL, which does not run as root."""

    FOLDERS = tuple(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    SERVER = program("postgres", *FOLDERS)
    INSTALL = program("initdb", *FOLDERS)

    def prefix(self) -> Sequence[str]:
        """Be somebody else."""
        if os.getuid() != 0:
            return ()
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def make(self) -> None:
        """Make a database."""
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        secret = self.folder / "secret"
        secret.write_text("pg-geheim")
        secret.chmod(0o644)
        assert self.INSTALL
        self.run(self.INSTALL, "-D", f"{self.folder}/data", "-U", "gate", f"--pwfile={secret}", "-A", "scram-sha-256",
                 "--no-sync", "-E", "UTF8", "--no-locale")  # fmt: skip
        self.start()
        self.url = f"postgresql://gate:pg-geheim@127.0.0.1:{self.port}/postgres"

    def command(self) -> Sequence[str]:
        """Small and on loopback only."""
        assert self.SERVER
        return [self.SERVER, "-D", f"{self.folder}/data", "-p", str(self.port), "-k", str(self.folder),
                "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB"]  # fmt: skip

    def signal(self, number: int) -> None:
        """Its processes have groups of their own."""
        assert self.process is not None
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False
        )
        for pid in [self.process.pid, *map(int, children.stdout.split())]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


class Redis(Server):
    """Redis, which keeps what it was told."""

    SERVER = program("redis-server")

    def make(self) -> None:
        """Start it."""
        self.start()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """On loopback only."""
        assert self.SERVER
        return [self.SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                "--appendonly", "yes", "--appendfsync", "always", "--save", ""]  # fmt: skip


def started(kind: type[Any], case: Any) -> Any:
    """
    Start a server that ends with a test, with a database in it.

    @raise SkipTest: it is not installed.
    """
    from unittest import SkipTest

    if kind.SERVER is None:
        raise SkipTest(f"{kind.__name__} is not installed")
    # Below /tmp, whatever trial's folder is: a server may run as another user.
    folder = Path(tempfile.mkdtemp(prefix="anp-db-"))
    folder.chmod(0o755)
    server = kind(folder)
    case.addCleanup(server.end)
    server.make()
    return server


def command(which: Any, *arguments: str, **environment: str) -> str:
    """
    Run C{anp-proxy token} or C{anp-proxy route} in this process.

    @param which: its module.
    @param environment: the variables that begin with C{ANP_}.
    @return: what it prints.
    """
    out, said = io.StringIO(), io.StringIO()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANP_")}
    with patch.dict(os.environ, {**clean, **environment}, clear=True), redirect_stdout(out), redirect_stderr(said):
        status = which.main(list(arguments))
    if status:
        raise AssertionError(said.getvalue())
    return out.getvalue().strip()


def timed(function: Any) -> tuple[Any, float]:
    """Call something, and tell how long it took."""
    began = time.monotonic()
    result = function()
    return result, time.monotonic() - began


def shake(gateway: Gateway, authorization: str) -> int:
    """Begin to connect as a receiver with that C{Authorization}, and return the status."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as wire:
        wire.sendall(
            b"GET /ws HTTP/1.1\r\nHost: gate.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: anpx.2\r\nAuthorization: " + authorization.encode() + b"\r\n\r\n"
        )
        return int(wire.recv(64).split()[1])
