"""Tests of L{anp_twisted.receiver.tap}."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

from twisted.application.service import IServiceCollection
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.receiver.service import ReceiverService
from anp_twisted.receiver.tap import Options, makeService

APP = "async def app(scope, receive, send): ...\n"


class MakeServiceTests(SynchronousTestCase):
    """From a command line to a service."""

    def setUp(self) -> None:
        folder = self.mktemp()
        os.makedirs(folder)
        before = os.getcwd()
        os.chdir(folder)
        self.addCleanup(os.chdir, before)
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "dont_write_bytecode", True)
        self.patch(sys, "excepthook", sys.excepthook)
        registered: list[object] = []
        self.patch(atexit, "register", registered.append)
        Path("anp_test_tap_app.py").write_text(APP)
        self.addCleanup(sys.modules.pop, "anp_test_tap_app", None)
        self.token("anp-state/receiver.token")

    def token(self, path: str) -> None:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("secret")

    def make(self, *arguments: str, app: str = "anp_test_tap_app:app") -> ReceiverService:
        options = Options({})
        options.parseOptions(["--app", app, *arguments])
        (receiver,) = IServiceCollection(makeService(options))
        assert isinstance(receiver, ReceiverService)
        return receiver

    def refused(self, *arguments: str, app: str = "anp_test_tap_app:app") -> str:
        """
        @return: the line that the operator reads.
        """
        error = self.assertRaises(SystemExit, self.make, *arguments, app=app)
        line = str(error.code)
        self.assertNotIn("secret", line)
        self.assertTrue(line.startswith("anp-receiver: "), line)
        return line.removeprefix("anp-receiver: ")

    def test_defaults(self) -> None:
        """The application of the current folder, the token beside it, the gateway of this machine."""
        receiver = self.make()
        gateway = receiver.gateway
        self.assertEqual(
            (gateway.url, gateway.paths, gateway.attempts, gateway.headers()),
            ("ws://127.0.0.1:9877/ws", ("/",), 0, {"Authorization": "Bearer secret"}),
        )

    def test_settings(self) -> None:
        """Each setting arrives where it is obeyed."""
        self.token("other.token")
        receiver = self.make(
            "--gateway=wss://gate.example",
            "--path=/a",
            "--path=/b",
            "--capacity=7",
            "--cancel-grace=2",
            "--drain=3",
            "--max-reconnect-attempts=4",
            "--token-file=other.token",
        )
        gateway, limits = receiver.gateway, receiver.bridge.limits
        self.assertEqual((gateway.url, gateway.paths, gateway.attempts), ("wss://gate.example:443/ws", ("/a", "/b"), 4))
        self.assertEqual((limits.in_flight, limits.cancel_grace, limits.drain), (7, 2.0, 3.0))

    def test_bad_app(self) -> None:
        """An application that cannot be had is named with the reason."""
        self.assertEqual(self.refused(app="anp_test_tap_app:other"), "module anp_test_tap_app has no attribute 'other'")
        self.assertIn("there is no module 'anp_test_nowhere'", self.refused(app="anp_test_nowhere:app"))

    def test_no_token(self) -> None:
        """Without token, the ways to give one are named."""
        line = self.refused("--state-dir=elsewhere")
        self.assertIn("there is no token in elsewhere/receiver.token", line)
        self.assertIn("--token-file", line)
        self.assertIn("cannot read", self.refused("--token-file=missing"))

    def test_clear_text(self) -> None:
        """The token does not leave this machine in the clear."""
        self.assertIn("--insecure", self.refused("--gateway=ws://gate.example/ws"))
        self.make("--gateway=ws://gate.example/ws", "--insecure")

    def test_bad_authorities(self) -> None:
        """A file of authorities that cannot be read is named."""
        self.assertIn("nowhere.pem", self.refused("--gateway=wss://gate.example", "--ca-file=nowhere.pem"))
