"""Rules of L{anp_twisted.cli.main}."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import __version__
from anp_twisted.cli import did
from anp_twisted.cli.main import main


class MainTests(SynchronousTestCase):
    """What becomes of a command line."""

    def setUp(self) -> None:
        """Run nothing, in a folder of its own."""
        folder = self.mktemp()
        os.makedirs(folder)
        before = os.getcwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, before)
        self.ran: list[list[str]] = []
        self.out, self.errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.errors)
        self.patch(os, "environ", {})

    def run_it(self, arguments: Sequence[str]) -> None:
        """Stand in for twistd."""
        self.ran.append(list(arguments))

    def main(self, *arguments: str) -> int:
        """Run a command."""
        return main(arguments, self.run_it)

    def test_foreground(self) -> None:
        """Without a command it runs in the foreground, without a pid file."""
        self.assertEqual(self.main("--gateway-port", "1"), 0)
        self.assertEqual(self.ran, [["-n", "--pidfile=", "anp-gateway", "--port=1"]])

    def test_daemon(self) -> None:
        """As a daemon it has one."""
        self.assertEqual(self.main("start", "--pidfile=x.pid"), 0)
        self.assertEqual(self.ran, [[f"--pidfile={os.path.abspath('x.pid')}", "anp-gateway"]])
        self.assertEqual(self.main("restart", "--pidfile=x.pid"), 0)
        self.assertEqual(len(self.ran), 2)

    def test_nothing_there(self) -> None:
        """What needs a daemon says that there is none."""
        self.assertEqual(self.main("status"), 3)
        self.assertEqual(self.main("stop"), 0)
        self.assertEqual(self.main("reload"), 1)
        self.assertIn("anp-proxy: anp-gateway does not run\n", self.errors.getvalue())
        self.assertEqual(self.out.getvalue().count("does not run"), 2)
        self.assertEqual(self.ran, [])

    def test_tools(self) -> None:
        """The other commands get what is behind their names."""
        seen: list[list[str]] = []

        def tool(argv: Sequence[str]) -> int:
            seen.append(list(argv))
            return 5

        self.patch(did, "main", tool)
        self.assertEqual(self.main("did", "create", "h"), 5)
        self.assertEqual(seen, [["create", "h"]])

    def test_words(self) -> None:
        """Help, version, and one line for a mistake."""
        self.assertEqual(self.main("--help"), 0)
        self.assertIn("--gateway-url", self.out.getvalue())
        self.assertEqual(self.main("--version"), 0)
        self.assertIn(__version__, self.out.getvalue())
        self.assertEqual(self.main("--no-such"), 1)
        self.assertEqual(self.errors.getvalue().count("\n"), 1)
