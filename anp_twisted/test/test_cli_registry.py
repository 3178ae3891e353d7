"""Rules of L{anp_twisted.cli.registry}, L{anp_twisted.cli.token} and L{anp_twisted.cli.route} together."""

from __future__ import annotations

import argparse
import io
import os
import stat
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.cli import route, token
from anp_twisted.cli.registry import carry_out, duration, where
from anp_twisted.registry.source import Source


class CommandTestCase(SynchronousTestCase):
    """Runs the commands in a folder of their own."""

    def setUp(self) -> None:
        """Name the folder; the first command makes it."""
        self.folder = self.mktemp()
        self.error = ""

    def run_command(self, module: Any, *arguments: str, status: int = 0) -> list[str]:
        """Run a command and return the lines it prints."""
        out, error = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(error):
            found = module.main([*arguments, "--state-dir", self.folder])
        self.error = error.getvalue()
        self.assertEqual(found, status, self.error)
        return out.getvalue().splitlines()

    def refused(self, module: Any, *arguments: str) -> str:
        """Run a command that cannot be carried out, and return the one line that says why."""
        self.assertEqual(self.run_command(module, *arguments, status=1), [])
        self.assertEqual(self.error.count("\n"), 1)
        return self.error.rstrip("\n")


class CommonTests(CommandTestCase):
    """Where the registry is."""

    def test_durations(self) -> None:
        """A number and a unit, together."""
        rows = {"90s": 90, "15m": 900, "12h": 43200, "30d": 2592000, "0s": 0}
        self.assertEqual({text: duration(text) for text in rows}, rows)
        for text in ("", "90", "-1s", "1w", "1.5h", "1h30m", "s", "\u0661s"):
            self.assertRaises(argparse.ArgumentTypeError, duration, text)

    def find(self, environment: dict[str, str], *arguments: str) -> str:
        """The database that is meant."""
        parser = argparse.ArgumentParser(parents=[where()])
        parser.set_defaults(work=lambda store, asked: store.name)
        with redirect_stderr(io.StringIO()) as said, redirect_stdout(said):
            carry_out(parser, arguments, environment)
        return said.getvalue()

    def test_places(self) -> None:
        """Options, variables and the file of the gateway, in this order."""
        file = self.mktemp()
        with open(file, "w") as stream:
            stream.write('[gateway]\nstate_dir = "in-file"\n')
        inside = os.path.abspath("in-file")
        self.assertEqual(self.find({}, "--config", file), f"sqlite:///{inside}/registry.sqlite")
        self.assertEqual(self.find({"ANP_CONFIG": file}), f"sqlite:///{inside}/registry.sqlite")
        self.assertEqual(self.find({"ANP_CONFIG": file, "ANP_DATABASE": "sqlite:///x.db"}), "sqlite:///x.db")
        both = {"ANP_DATABASE": "sqlite:///x.db"}
        self.assertEqual(self.find(both, "--database", "sqlite:///y.db"), "sqlite:///y.db")

    def test_secrets(self) -> None:
        """A password is not taken from the arguments."""
        self.assertIn("must not contain a password", self.find({}, "--database", "mysql://u:hunter2@h/d"))

    def test_private(self) -> None:
        """A folder that others can write into is refused; one that is missing is made."""
        self.assertEqual(self.run_command(token, "list"), [])
        self.assertEqual(stat.S_IMODE(os.stat(self.folder).st_mode), 0o700)
        os.chmod(self.folder, 0o777)
        self.assertIn("others can write", self.refused(token, "list"))


class TogetherTests(CommandTestCase):
    """What one command writes the other shows, and a gateway reads."""

    def test_together(self) -> None:
        """The token that is printed is the one that is known, in the place that is listed."""
        (secret,) = self.run_command(token, "create", "ann", "--allow=/a")
        source = Source(None, self.folder)
        self.addCleanup(source.close)
        book = source.read_after(None)
        assert book is not None
        identity = book.holder(secret, 0.0)
        assert identity is not None
        self.assertEqual((str(identity), self.run_command(route, "list")), ("ann", ["/a  ann"]))
