"""Tests for L{anp_twisted.gateway.management}."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.management import ManagementPages
from anp_twisted.gateway.registryapi import RegistryApi
from anp_twisted.test.registrylab import RegistryLab


class ManagementTests(SynchronousTestCase):
    """The pages of the gateway itself."""

    def setUp(self) -> None:
        """Make the pages of a gateway whose state the test decides."""
        self.condition = "ok"
        self.extra = ""
        self.pages = ManagementPages(lambda: {"requests": {"running": 3}}, lambda: self.condition)

    def get(self, path: str, method: str = "GET") -> tuple[int, dict[bytes, bytes], bytes]:
        """Ask for a page over a connection in memory."""
        site: Any = self.pages.site()
        site.startFactory()
        self.addCleanup(site.stopFactory)
        protocol = site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.addCleanup(protocol.connectionLost, Failure(ConnectionDone()))
        protocol.dataReceived(f"{method} {path} HTTP/1.1\r\nHost: h\r\n{self.extra}\r\n".encode())
        head, _, body = transport.value().partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = dict(line.split(b": ", 1) for line in lines)
        return int(first.split()[1]), fields, body

    def test_health(self) -> None:
        """It is 200 while the gateway is there, overloaded or not, and 503 while it drains."""
        status, fields, body = self.get("/health")
        self.assertEqual((status, json.loads(body)), (200, {"status": "ok"}))
        self.assertEqual((fields[b"Content-Type"], fields[b"Cache-Control"]), (b"application/json", b"no-store"))
        for condition, expected in (("overloaded", 200), ("draining", 503)):
            self.condition = condition
            status, _, body = self.get("/health")
            self.assertEqual((status, json.loads(body)), (expected, {"status": condition}))

    def test_stats(self) -> None:
        """The figures as JSON."""
        status, fields, body = self.get("/stats")
        self.assertEqual((status, json.loads(body)), (200, {"requests": {"running": 3}}))
        self.assertEqual(fields[b"Content-Length"], str(len(body)).encode())

    def test_other(self) -> None:
        """Nothing else is there, and nothing can be changed."""
        self.assertEqual(self.get("/other")[0], 404)
        self.assertEqual(self.get("/stats", "POST")[0], 405)

    def test_noRegistry(self) -> None:
        """Where there is no registry there is no page for it."""
        self.assertEqual(self.get("/registry/tokens")[0], 404)

    def test_registry(self) -> None:
        """Whoever has the token is answered; the token is in no query."""
        lab = RegistryLab()
        self.pages = ManagementPages(dict, lambda: "ok", RegistryApi(lab.registry, lambda: "geheim", lambda: 0.0))
        status, fields, body = self.get("/registry/tokens")
        self.assertEqual((status, fields[b"WWW-Authenticate"], json.loads(body)["status"]), (401, b"Bearer", 401))
        self.assertEqual(self.get("/registry/tokens?access_token=geheim")[0], 401)
        self.extra = "Authorization: Bearer geheim\r\n"
        self.assertEqual(self.get("/registry/nothing/at/all")[0], 404)
        self.assertEqual(self.get("/registry/tokens", "PUT")[0], 405)
