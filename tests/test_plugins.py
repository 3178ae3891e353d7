"""
What C{twistd} does with the plugins, in processes of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

COMMANDS = ("anp-gateway", "anp-receiver", "anp-both", "anp-assistant")
PATIENCE = 60.0
"""Seconds for a command that only prints something."""


class PluginTests(SynchronousTestCase):
    """Four commands, found and refused as they should be."""

    def setUp(self) -> None:
        """A folder of its own for each test."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def twistd(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run twistd until it ends."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANP_")}
        return subprocess.run(
            [str(Path(sys.executable).parent / "twistd"), *arguments],
            cwd=self.folder,
            env={**clean, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def one_line(self, *arguments: str, **environment: str) -> str:
        """The only line of a command that fails."""
        done = self.twistd(*arguments, **environment)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def test_listed(self) -> None:
        """C{twistd --help} names the four."""
        done = self.twistd("--help")
        self.assertEqual(done.returncode, 0)
        words = done.stdout.split()
        for command in COMMANDS:
            self.assertIn(command, words)

    def test_help(self) -> None:
        """Each tells its options, and starts nothing."""
        for command in COMMANDS:
            done = self.twistd("-n", command, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("--token-file=", done.stdout)
        self.assertEqual(os.listdir(self.folder), [])

    def test_listingInstallsNothing(self) -> None:
        """Who lists the plugins gets no reactor by it, and none of our modules but the package."""
        code = (
            "import sys\n"
            "from twisted.plugin import getPlugins\n"
            "from twisted.application.service import IServiceMaker\n"
            "list(getPlugins(IServiceMaker))\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
            "print([name for name in sys.modules if name.startswith('anp_twisted')])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True, cwd=self.folder
        )
        self.assertEqual(done.stdout.strip(), "[]")

    def test_wrongReactor(self) -> None:
        """Another reactor is refused, with the command that works."""
        line = self.one_line("-n", "--reactor=select", "anp-gateway")
        self.assertIn("leave --reactor out", line)

    def test_mistakes(self) -> None:
        """The usual mistakes are one line each, on standard error, with status 1."""
        for arguments, environment, words in (
            (("--prot", "1"), {}, "did you mean '--port'"),
            ((), {"ANP_PROT": "1"}, "did you mean 'ANP_PORT'"),
            (("--config", "missing.toml"), {}, "missing.toml"),
            (("--token", "geheim"), {}, "--token-file"),
            (("--tls-cert", "only.pem"), {}, "tls-key"),
        ):
            line = self.one_line("-n", "anp-gateway", *arguments, **environment)
            self.assertIn(words, line)
            self.assertNotIn("geheim", line)
