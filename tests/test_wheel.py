"""
The built wheel, in an environment of its own.

Needs a network or a package cache: the environment is filled from nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
"""Seconds for the slowest step, which is the installation."""


class WheelTests(SynchronousTestCase):
    """What is released is what is tested."""

    timeout = 900

    def run_in(self, folder: Path, *arguments: str) -> str:
        """Run a command to its end, which has to be a good one."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANP_", "PYTHON"))}
        done = subprocess.run(
            arguments, cwd=folder, env=clean, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_wheel(self) -> None:
        """It has the plugin and no __init__ in Twisted's place; installed, it gives twistd its four commands."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        python = str(folder / "venv" / "bin" / "python")
        self.run_in(folder, sys.executable, "-m", "venv", "venv")
        self.run_in(folder, python, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "dist", str(ROOT))
        (wheel,) = (folder / "dist").glob("anp_twisted-*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        in_twisted = [name for name in names if name.startswith("twisted/")]
        self.assertEqual(in_twisted, ["twisted/plugins/anp_twisted_plugins.py"])
        self.assertIn("anp_twisted/py.typed", names)
        self.assertIn("anp_twisted/assistant/page/static/chat.js", names)
        self.assertFalse([name for name in names if name.startswith("tests/")])
        self.run_in(folder, python, "-m", "pip", "install", "-q", str(wheel))
        self.assertIn("anp-chat", self.run_in(folder, str(folder / "venv" / "bin" / "anp-chat"), "--version"))
        words = self.run_in(folder, str(folder / "venv" / "bin" / "twistd"), "--help").split()
        for command in ("anp-gateway", "anp-receiver", "anp-both", "anp-assistant"):
            self.assertIn(command, words)
            self.assertIn(
                "--token-file=", self.run_in(folder, str(folder / "venv/bin/twistd"), "-n", command, "--help")
            )
