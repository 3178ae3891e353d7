"""
The registry in real database servers: killed, stopped and brought back under load.

C{ANP_DATABASES=full} makes each condition last longer, for figures; they are printed.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import httpx

from anp_twisted.cli import route, token
from tests.databases import MariaDB, PostgreSQL, Server, command, shake, started, timed
from tests.harness import EndToEnd, Gateway, wait_until

#: Seconds that each condition lasts.
LASTS = 10.0 if os.environ.get("ANP_DATABASES") == "full" else 1.5

#: A token that nobody has.
UNKNOWN = "Bearer nobody-knows-me"

LEGACY = """
CREATE TABLE did_proxy_path (
    id INT AUTO_INCREMENT PRIMARY KEY, did VARCHAR(255) NOT NULL, proxy_path VARCHAR(512) NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    UNIQUE KEY one (did, proxy_path));
INSERT INTO did_proxy_path (did, proxy_path) VALUES ('ann', '/agents/ann/ad.json');
"""
"""The table of existing deployments."""


class Load(Thread):
    """
    Callers who do not stop calling.

    @ivar failed: what went wrong.
    @ivar seconds: how long each request took.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.failed: list[str] = []
        self.seconds: list[float] = []
        self.over = Event()

    def run(self) -> None:
        """Call."""
        with httpx.Client(trust_env=False, timeout=10) as client:
            while not self.over.is_set():
                try:
                    answer, seconds = timed(lambda: client.get(self.url))
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                self.seconds.append(seconds)
                if answer.text != "ann":
                    self.failed.append(f"{answer.status_code}")
                time.sleep(0.002)

    def figures(self) -> str:
        """Stop, and say how it went."""
        self.over.set()
        self.join(20)
        ordered = sorted(self.seconds)
        return (
            f"{len(ordered)} requests, {len(self.failed)} failed, median {1000 * statistics.median(ordered):.1f} ms, "
            f"p99 {1000 * ordered[len(ordered) * 99 // 100]:.1f} ms, most {1000 * ordered[-1]:.0f} ms"
        )


class DatabaseTests(EndToEnd):
    """Whatever becomes of the server, who is known goes on, and who is new stays out until it is back."""

    def command(self, server: Server, which: Any, *arguments: str) -> str:
        """Run a command on the registry."""
        return command(which, *arguments, ANP_DATABASE=server.url)

    def away(self, gateway: Gateway, bring_back: Callable[[], None]) -> str:
        """
        The server is away: nobody new gets in, and hears so soon. Then it is back.

        @return: how long that took.
        """
        waits = []
        until = time.monotonic() + LASTS
        while time.monotonic() < until or len(waits) < 2:
            status, seconds = timed(lambda: shake(gateway, UNKNOWN))
            self.assertEqual(status, 503)
            waits.append(seconds)
        self.assertLess(max(waits), 2.5)
        bring_back()
        _, back = timed(
            lambda: wait_until(lambda: shake(gateway, "Bearer nobody-knows-me") == 401, "it is back by itself")
        )
        return f"a no after {max(waits):.2f} s at most, back {back:.2f} s after the server"

    def check(self, server: Server) -> None:
        """The whole story of one server."""
        ann = self.folder / "ann.token"
        self.command(server, token, "create", "ann", "--allow=/a", "--out", str(ann))
        gateway = self.start_gateway(
            "--host=127.0.0.1", "--connect-timeout=0.3", environment={"ANP_DATABASE": server.url}
        )
        options = {"NAME_OF_APP": "ann"}
        receiver = self.start_receiver(gateway, "whoami:app", f"--token-file={ann}", environment=options)
        if isinstance(server, MariaDB):
            self.legacy(server, gateway)
        load = Load(f"{gateway.url}/a")
        load.start()
        self.addCleanup(load.over.set)
        server.pause()
        stopped = self.away(gateway, server.go_on)
        server.kill()
        killed = self.away(gateway, server.start)
        bob = self.command(server, token, "create", "bob", "--allow=/b")
        self.assertEqual(shake(gateway, f"Bearer {bob}"), 101)
        self.command(server, token, "revoke", "ann")
        _, revoked = timed(lambda: wait_until(lambda: "(4003)" in receiver.log(), "what is revoked there ends here"))
        text = load.figures()
        self.assertEqual([why for why in load.failed if why not in ("503", "502")], [])
        self.assertLess(len(load.failed), 200, "only after the end of its token")
        self.assertEqual(gateway.log().count("database answers again"), 2)
        for secret in ("mdb-geheim", "pg-geheim", ann.read_text().strip()):
            self.assertNotIn(secret, gateway.log() + receiver.log())
        print(f"{type(server).__name__}: stopped: {stopped}; killed: {killed}; revoked in {revoked:.2f} s; {text}")

    def test_mariadb(self) -> None:
        """MariaDB, stopped, killed and back."""
        server = started(MariaDB, self)
        server.sql(LEGACY)
        self.check(server)

    def test_postgresql(self) -> None:
        """PostgreSQL, stopped, killed and back."""
        self.check(started(PostgreSQL, self))

    def legacy(self, server: MariaDB, gateway: Gateway) -> None:
        """A table that another program keeps is read as it is, and its changes are found."""

        def ask(path: str) -> str:
            return httpx.get(gateway.url + path, trust_env=False, timeout=20).text

        self.assertEqual(ask("/agents/ann/ad.json"), "ann")
        server.sql("INSERT INTO did_proxy_path (did, proxy_path) VALUES ('ann', 'more/')")
        wait_until(lambda: ask("/more/x") == "ann", "a row that was added is a route")
        self.assertIn("/agents/ann  ann", self.command(server, route, "list"))
