"""Rules of L{anp_twisted.gateway.registryapi}, with a registry on SQLite."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import CredentialError
from anp_twisted.gateway.registryapi import MOST_BODY, RegistryApi, Reply
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.registry.service import Registry
from anp_twisted.registry.source import Source
from anp_twisted.test.registrylab import LateThreads


class ApiTests(SynchronousTestCase):
    """Questions and answers."""

    def setUp(self) -> None:
        """Begin without a registry, at the time of the tests' clock."""
        folder = self.mktemp()
        os.mkdir(folder)
        self.unreadable = False
        self.clock, self.threads = Clock(), LateThreads()
        source = Source(None, folder)
        self.registry = Registry(source, self.threads, self.clock, DEFAULT_LIMITS)
        self.addCleanup(source.close)
        self.api = RegistryApi(self.registry, self.secret, lambda: 4_000_000_000.0)

    def secret(self) -> str:
        """What opens."""
        if self.unreadable:
            raise CredentialError("others can read it")
        return "geheim"

    def raw(self, method: str, path: str, body: bytes, authorization: str = "Bearer geheim") -> Reply:
        """Ask, and let the database answer."""
        done = self.api.answer(method, path, authorization, body)
        for _ in range(10):
            self.threads.work()
            self.clock.advance(0.125)
        return self.successResultOf(done)

    def ask(self, path: str, **question: Any) -> Any:
        """Ask what is answered well, and return the answer."""
        method = "POST" if question or path == "reload" else "GET"
        reply = self.raw(method, path, json.dumps(question).encode())
        self.assertIn(reply.status, (200, 201, 204), reply)
        return reply.value

    def status(self, path: str, **question: Any) -> int:
        """Ask what is refused."""
        reply = self.raw("POST", path, json.dumps(question).encode())
        assert reply.value is not None
        self.assertEqual(reply.value["status"], reply.status)
        self.assertTrue(reply.value["title"])
        return reply.status

    def test_tokens(self) -> None:
        """Made, shown without what opens, rotated, revoked; each is in effect here when it is answered."""
        made = self.ask("tokens", identity="ann", allow=["/a"], expires_in=50)
        self.assertEqual((made["identity"], made["created"], made["expires"]), ("ann", 4_000_000_000, 4_000_000_050))
        self.assertIsNotNone(self.registry.book.holder(made["token"], 4.0e9))
        other = self.ask("tokens/rotate", identity="ann", overlap=10)
        shown = self.ask("tokens")["tokens"]
        self.assertEqual({row["id"]: row["expires"] is None for row in shown}, {made["id"]: False, other["id"]: True})
        self.assertNotIn("digest", json.dumps(shown))
        self.assertEqual(self.ask("tokens/revoke", name="ann"), {"revoked": 2})
        self.assertIsNone(self.registry.book.holder(other["token"], 4.0e9))

    def test_routes(self) -> None:
        """Given, changed, taken away."""
        self.ask("routes", place="H.example/a/", owner="ann", options={"concurrency": 5})
        self.ask("routes", place="h.example/a", owner="ann")
        expected = {"place": "h.example/a", "owner": "ann", "options": {"concurrency": 5}}
        self.assertEqual(self.ask("routes"), {"routes": [expected]})
        self.assertEqual(self.registry.book.routes, 1)
        self.ask("routes/remove", place="h.example/a")
        self.assertEqual((self.ask("routes"), self.registry.book.routes), ({"routes": []}, 0))
        self.ask("reload")

    def test_refused(self) -> None:
        """What cannot be done has a status, and nothing has changed."""
        self.ask("tokens", identity="ann", allow=["/a"])
        rows: list[tuple[int, str, dict[str, Any]]] = [
            (409, "tokens", {"identity": "bob", "allow": ["/a"]}),
            (409, "tokens", {"identity": "ann"}),
            (409, "routes", {"place": "/a", "owner": "bob"}),
            (409, "tokens/rotate", {"identity": "bob"}),
            (404, "routes/remove", {"place": "/b"}),
            (400, "tokens", {"identity": "receiver", "allow": ["/b"]}),
            (400, "tokens", {"identity": "bob", "allow": ["b"]}),
            (400, "tokens", {"identity": "bob", "alow": ["/b"]}),
            (400, "tokens", {"identity": "bob", "allow": ["/b"], "expires_in": -1}),
            (400, "tokens/rotate", {"identity": "ann", "overlap": -1}),
            (400, "routes", {"place": "/b", "owner": "bob", "options": {"concurency": 5}}),
            (400, "routes", {"place": "/b", "owner": "b ob"}),
        ]
        self.assertEqual([self.status(path, **question) for _, path, question in rows], [row[0] for row in rows])
        self.assertEqual((self.registry.book.routes, self.registry.book.tokens), (1, 1))

    def test_strangers(self) -> None:
        """Without the token nothing is told, not even what there is."""
        for authorization in ("", "Bearer", "Bearer wrong", "Bearer geheimx", "Basic geheim", "geheim"):
            for path in ("tokens", "nothing"):
                self.assertEqual(self.raw("GET", path, b"", authorization).status, 401, authorization)

    def test_unreadable(self) -> None:
        """A token that is not safe to use opens nothing."""
        self.unreadable = True
        self.assertEqual(self.raw("GET", "tokens", b"").status, 503)

    def test_form(self) -> None:
        """Another method, another page, no JSON, too much of it."""
        self.assertEqual(self.raw("DELETE", "tokens", b"").status, 405)
        self.assertEqual(self.raw("GET", "token", b"").status, 404)
        for body in (b"", b"[]", b"\xff", b"[" * 5000, b'{"name": 5}'):
            self.assertEqual(self.raw("POST", "tokens/revoke", body).status, 400, body[:20])
        self.assertEqual(self.raw("POST", "tokens", b" " * (MOST_BODY + 1)).status, 413)

    def test_away(self) -> None:
        """A database that cannot be used is 503, in words for the operator."""
        self.ask("tokens", identity="ann", allow=["/a"])
        path = self.registry._source._file
        assert path is not None
        self.registry._source.store().close()
        with open(path, "wb") as file:
            file.write(b"this is no database" * 1000)
        self.assertEqual(self.status("tokens", identity="bob", allow=["/b"]), 503)
