"""Tests of L{anp_twisted.receiver.backends}."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.trial.unittest import TestCase

from anp_twisted.config.tables import BackendSettings
from anp_twisted.errors import AppImportError, CredentialError
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.backends import load_backend, target_endpoint
from anp_twisted.receiver.mounts import Mounts
from anp_twisted.receiver.target import HttpTarget
from anp_twisted.receiver.wsgi import WsgiBackend
from anp_twisted.targets import parse_target


def the_reactor() -> Any:
    """The one of the tests."""
    from twisted.internet import reactor

    return reactor


SOURCE = """
async def app(scope, receive, send): ...
def wsgi(environ, start_response): ...
"""


class BackendTests(TestCase):
    """From settings to one application."""

    def setUp(self) -> None:
        self.folder = self.mktemp()
        os.makedirs(self.folder)
        Path(self.folder, "anp_test_backend.py").write_text(SOURCE)
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "dont_write_bytecode", True)
        self.addCleanup(sys.modules.pop, "anp_test_backend", None)

    def load(self, **settings: Any) -> App:
        return load_backend(the_reactor(), BackendSettings(**settings), self.folder, DEFAULT_LIMITS)

    def test_one(self) -> None:
        """One alone is served without anything around it."""
        self.assertEqual(self.load(app=("anp_test_backend:app",)), sys.modules["anp_test_backend"].app)
        self.assertIsInstance(self.load(wsgi=("anp_test_backend:wsgi",)), WsgiBackend)
        target = self.load(target=("http://127.0.0.1:3000/a",))
        assert isinstance(target, HttpTarget)
        self.assertEqual(target.target.url, "http://127.0.0.1:3000/a")

    def test_several(self) -> None:
        """Several are one."""
        self.assertIsInstance(self.load(app=("/a=anp_test_backend:app",), target=("unix:/x",)), Mounts)

    def test_mixed_up(self) -> None:
        """An application of the other kind is recognised."""
        error = self.assertRaises(AppImportError, self.load, app=("anp_test_backend:wsgi",))
        self.assertIn("if it is a WSGI application, say --wsgi", str(error))
        error = self.assertRaises(AppImportError, self.load, wsgi=("anp_test_backend:app",))
        self.assertIn("if it is an ASGI application, say --app", str(error))

    def test_endpoints(self) -> None:
        """Addresses are dialled as such, names are resolved, a file is a socket."""
        kinds = {
            "http://127.0.0.1:1": TCP4ClientEndpoint,
            "http://[::1]:1": TCP6ClientEndpoint,
            "http://app.lan:1": HostnameEndpoint,
            "unix:/run/app.sock": UNIXClientEndpoint,
        }
        reactor = the_reactor()
        for text, kind in kinds.items():
            self.assertIsInstance(target_endpoint(reactor, parse_target(text)), kind)
        secure = parse_target("https://127.0.0.1:1")
        self.assertNotIsInstance(target_endpoint(reactor, secure), TCP4ClientEndpoint)
        self.assertRaises(CredentialError, target_endpoint, reactor, secure, ca_file="nowhere.pem")
