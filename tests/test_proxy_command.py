"""The command anp-proxy with the settings files of existing deployments, as a daemon and in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.harness import APPS, ROOT, EndToEnd, free_port, wait_until

FIRST = """
mode = "both"

[gateway]
host = "127.0.0.1"
port = {port}
wss_host = "127.0.0.1"
wss_port = {wss}
max_connections = 100
timeout = 30.0
chunk_size = 65536

[gateway.auth]
enabled = false

[receiver]
gateway_url = "ws://127.0.0.1:{wss}"
local_app_module = "lab:app"

[receiver.auth]
enabled = false

[logging]
level = "INFO"
file = "proxy.log"
max_size = "1MB"
backup_count = 2
"""


class CommandCase(EndToEnd):
    """Runs anp-proxy in the folder of the test."""

    def proxy(self, *arguments: str, status: int = 0) -> str:
        """Run it to its end; what it printed, errors too."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ANP_")}
        done = subprocess.run(
            [sys.executable, "-m", "anp_twisted.cli.main", *arguments],
            cwd=self.folder,
            env={**clean, "PYTHONPATH": os.pathsep.join([str(APPS), str(ROOT)])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def write(self, text: str) -> str:
        """Write a settings file."""
        path = self.folder / "config.toml"
        path.write_text(text)
        path.chmod(0o600)
        return f"--config={path}"


class DaemonTests(CommandCase):
    """From start to stop."""

    def test_life(self) -> None:
        """The older example, as a daemon: it starts, serves, reloads, restarts and ends, and says so."""
        port = free_port()
        config = self.write(FIRST.format(port=port, wss=free_port()))
        self.assertIn("does not run", self.proxy("status", config, status=3))
        self.assertIn(f"http://127.0.0.1:{port}", self.proxy("start", config))
        self.addCleanup(self.end)
        http = self.client(f"http://127.0.0.1:{port}")
        wait_until(lambda: http.get("/small").status_code == 200, "served")
        self.assertIn("anp-both runs as process", self.proxy("status", config))
        self.assertIn("runs already", self.proxy("start", config, status=1))
        self.proxy("reload", config)
        wait_until(lambda: "in effect" in (self.folder / "proxy.log").read_text(), "reloaded")
        self.assertIn("in effect", self.proxy("logs", config, "--lines=3"))
        before = (self.folder / "anp-both.pid").read_text()
        self.proxy("restart", config)
        wait_until(lambda: (self.folder / "anp-both.pid").read_text() not in ("", before), "another one")
        wait_until(lambda: http.get("/small").status_code == 200, "served again")
        self.assertIn("has ended", self.proxy("stop", config))
        self.assertFalse((self.folder / "anp-both.pid").exists())
        self.proxy("status", config, status=3)

    def end(self) -> None:
        """End what a failed test left."""
        pidfile = self.folder / "anp-both.pid"
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGKILL)


class ForegroundTests(CommandCase):
    """Two commands, one for each end."""

    def test_two_commands(self) -> None:
        """The options of existing deployments start a gateway and a receiver that find each other."""
        port, wss = free_port(), free_port()
        command = (sys.executable, "-m", "anp_twisted.cli.main", "--mode")
        gateway = self.start_program(
            *(*command, "gateway", "--gateway-host", "127.0.0.1", "--gateway-port", str(port), "--wss-port", str(wss)),
            *("--management-port", "off"),
            name="gateway",
        )
        self.assertEqual(gateway.line(), f"http://127.0.0.1:{port}")
        receiver = self.start_program(
            *(*command, "receiver", "--gateway-url", f"ws://127.0.0.1:{wss}", "--local-app", "lab:app", "--debug"),
            name="receiver",
        )
        self.assertEqual(receiver.line(), f"http://127.0.0.1:{port}/")
        self.assertEqual(self.client(f"http://127.0.0.1:{port}").get("/small").status_code, 200)
        # twistd ends by the signal that it got, when all is done.
        self.assertEqual((self.terminate(receiver), self.terminate(gateway)), (-signal.SIGTERM, -signal.SIGTERM))

    def test_refused(self) -> None:
        """What cannot be obeyed is named, all of it in one line, and nothing is started."""
        config = self.write('mode = "gateway"\n[logging]\nformat = "x"\n[gateway]\nenable_smart_routing = false\n')
        said = self.proxy(config, status=1)
        self.assertIn("format in [logging]", said)
        self.assertIn("enable_smart_routing in [gateway]", said)
        self.assertEqual(said.count("\n"), 1)
        self.assertIn("unknown option '--gateway-prt'", self.proxy("--gateway-prt=1", status=1))
