"""Tests of L{anp_twisted.receiver.tap}."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path

from twisted.application.service import IServiceCollection
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.receiver.crew import CrewService
from anp_twisted.receiver.reload import ReloadWatch
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
        (receiver,) = [one for one in IServiceCollection(makeService(options)) if isinstance(one, ReceiverService)]
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

    def crew(self, *arguments: str, app: str = "anp_test_tap_app:app") -> tuple[CrewService, list[ReloadWatch]]:
        """
        @return: what was made to run workers, and to watch files.
        """
        options = Options({})
        options.parseOptions(["--app", app, *arguments])
        services = list(IServiceCollection(makeService(options)))
        (crew,) = [one for one in services if isinstance(one, CrewService)]
        return crew, [one for one in services if isinstance(one, ReloadWatch)]

    def test_workers(self) -> None:
        """With workers this process does not import the application; what is wrong with the rest is said at once."""
        crew, watches = self.crew("--workers=2", app="not_there:app")
        self.assertEqual((watches, crew.post.folder), ([], os.getcwd()))
        self.assertIn("no token", self.refused("--workers=2", "--state-dir=other"))
        self.assertIn("insecure", self.refused("--workers=2", "--gateway=ws://192.0.2.1/ws"))

    def test_reload(self) -> None:
        """The current folder is watched, or those that are named."""
        os.mkdir("b")
        for arguments, folder in (((), os.getcwd()), (("--reload-dir=b",), os.path.abspath("b"))):
            _, (watch,) = self.crew("--reload", *arguments)
            self.assertEqual(watch._folders, (folder,))
        self.assertIn("--reload-dir", self.refused("--reload", "--reload-dir=missing"))
        self.assertIn("reload-dir", self.refused("--reload-dir=b"))

    def test_defaults(self) -> None:
        """The application of the current folder, the token beside it, the gateway of this machine."""
        receiver = self.make()
        ((gateway,),) = [lane.gateways for lane in receiver.lanes]
        self.assertEqual(
            (gateway.url, gateway.paths, gateway.attempts, gateway.headers()),
            ("ws://127.0.0.1:9877/ws", ("/",), 0, {"Authorization": "Bearer secret"}),
        )

    def test_settings(self) -> None:
        """Each setting arrives where it is obeyed."""
        self.token("other.token")
        receiver = self.make(
            "--gateway=wss://gate.example",
            "--gateway=wss://other.example:8443/x",
            "--links=2",
            "--path=/a",
            "--path=/b",
            "--capacity=7",
            "--cancel-grace=2",
            "--drain=3",
            "--max-reconnect-attempts=4",
            "--token-file=other.token",
        )
        self.assertEqual([lane.number for lane in receiver.lanes], [0, 1, 0, 1])
        ((gateway,), _, (other,), _), limits = [lane.gateways for lane in receiver.lanes], receiver.bridge.limits
        self.assertEqual((other.url, other.instance), ("wss://other.example:8443/x", gateway.instance))
        self.assertEqual((gateway.url, gateway.paths, gateway.attempts), ("wss://gate.example:443/ws", ("/a", "/b"), 4))
        self.assertEqual((limits.in_flight, limits.cancel_grace, limits.drain), (7, 2.0, 3.0))

    def test_bad_app(self) -> None:
        """An application that cannot be had is named with the reason."""
        self.assertEqual(self.refused(app="anp_test_tap_app:other"), "module anp_test_tap_app has no attribute 'other'")
        self.assertIn("there is no module 'anp_test_nowhere'", self.refused(app="anp_test_nowhere:app"))

    def test_first_gateway(self) -> None:
        """Several gateways are a choice where the operator says so."""
        receiver = self.make("--gateway=wss://a.example", "--gateway=wss://b.example", "--gateways=first", "--links=2")
        self.assertEqual([len(lane.gateways) for lane in receiver.lanes], [2, 2])
        line = self.refused("--gateway=wss://a.example", "--gateway=wss://a.example:443/ws")
        self.assertEqual(line, "a gateway is named twice; more links to one are asked for with --links")

    def test_proxy_password(self) -> None:
        """The password of a proxy does not come where others can read it."""
        line = self.refused("--proxy=http://me:hunter2@proxy.example:3128")
        self.assertIn("ANP_PROXY", line)
        self.assertNotIn("hunter2", line)

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
