"""Rules of L{anp_twisted.cli.invocation}."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.cli.invocation import Invocation, read
from anp_twisted.errors import SettingsError


def asked(*arguments: str, **environment: str) -> Invocation:
    """Read a command line."""
    return read(arguments, environment)


class InvocationTests(SynchronousTestCase):
    """From one command line to another."""

    def refused(self, part: str, *arguments: str) -> None:
        """It is not understood, and the error says so."""
        self.assertIn(part, str(self.assertRaises(SettingsError, read, arguments, {})))

    def test_modes(self) -> None:
        """The examples of the command's own help."""
        found = asked("--mode", "gateway", "--gateway-host", "0.0.0.0", "--gateway-port=80", "--wss-port", "443")
        self.assertEqual(found.service, ("anp-gateway", "--host=0.0.0.0", "--port=80", "--wss-port=443"))
        found = asked("-m", "receiver", "--gateway-url", "wss://g:443", "--local-app", "a:b", "--debug")
        self.assertEqual(found.service, ("anp-receiver", "--gateway=wss://g:443", "--app=a:b", "--log-level=debug"))
        found = asked("--mode", "both", "--local-app", "a:b", "--gateway-port", "8080")
        self.assertEqual(found.service, ("anp-both", "--app=a:b", "--port=8080"))

    def test_commands(self) -> None:
        """Each is known by its first word; without one, it runs."""
        self.assertEqual((asked().command, asked().mode), ("run", "gateway"))
        for command in ("start", "stop", "restart", "status", "reload", "logs"):
            self.assertEqual(asked(command).command, command)
        self.refused("did you mean 'start'", "strat")

    def test_pass_through(self) -> None:
        """Options of the services are options here, flags and several of a kind too."""
        found = asked(
            "--mode=receiver", "--insecure", "--target", "/a=http://127.0.0.1:1", "--target=/b=http://127.0.0.1:2"
        )
        self.assertEqual(
            found.service[1:], ("--insecure", "--target=/a=http://127.0.0.1:1", "--target=/b=http://127.0.0.1:2")
        )

    def test_mode_of_the_file(self) -> None:
        """The settings file says what to run, unless the command line does."""
        path = Path(self.mktemp())
        path.write_text('mode = "both"\n')
        self.assertEqual(asked("-c", str(path)).mode, "both")
        self.assertEqual(asked(ANP_CONFIG=str(path)).mode, "both")
        self.assertEqual(asked("-c", str(path), "--mode", "gateway").mode, "gateway")
        self.assertEqual(asked("-c", str(path)).service, ("anp-both", f"--config={path}"))
        path.write_text("mode = 7\n")
        self.refused("--mode must be", "-c", str(path))

    def test_files(self) -> None:
        """The pid file is that of the mode, wherever the process goes; and the log has an end to be seen."""
        self.assertEqual(asked("start").pidfile, os.path.abspath("anp-gateway.pid"))
        self.assertEqual(asked("stop", "--pidfile=/run/x.pid").pidfile, "/run/x.pid")
        found = asked("logs", "-f", "--lines", "7")
        self.assertEqual((found.lines, found.follow), (7, True))

    def test_levels(self) -> None:
        """Levels have the names of both worlds."""
        for name, level in (("WARNING", "warn"), ("DEBUG", "debug"), ("info", "info"), ("CRITICAL", "critical")):
            self.assertEqual(asked("--log-level", name).service[1], f"--log-level={level}")

    def test_refused(self) -> None:
        """Everything that would have no effect."""
        self.refused("no effect in mode receiver", "--mode=receiver", "--gateway-port", "1")
        self.refused("no effect in mode gateway", "--local-app", "a:b")
        self.refused("unknown option '--gateway-prot'", "--gateway-prot", "1")
        self.refused("needs a value", "--gateway-port")
        self.refused("belongs to no option", "--debug", "x")
        self.refused("contradict", "--debug", "--log-level", "INFO")
        self.refused("--lines", "logs", "--lines", "many")
        self.refused("--mode must be", "--mode", "all")
