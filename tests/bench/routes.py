"""
What 100,000 routes in a registry cost: C{python -m tests.bench.routes}.

Everything is measured twice in the same run, with 10 routes and with 100,000.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import insert, update

from anp_twisted.gateway.routes import RouteTable
from anp_twisted.places import Place
from anp_twisted.registry.rows import TokenRow
from anp_twisted.registry.schema import ROUTES, STATE
from anp_twisted.registry.source import Source
from anp_twisted.registry.sql import place_digest
from tests.harness import EndToEnd, Gateway, Receiver, wait_until

_LOOKUPS = 200_000
_REQUESTS = 2000


def fill(folder: Path, count: int) -> str:
    """
    Make a registry.

    @return: a token for the first place.
    """
    from anp_twisted.auth.bearer import digest_of

    folder.mkdir(mode=0o700)
    source = Source(None, str(folder))
    store = source.store()
    places = [Place(b"", b"/agents/%d/service" % number) for number in range(count)]
    store.add_token(TokenRow("t0", "owner-0", digest_of("secret"), 0), places[:1])
    rows = [
        {"digest": place_digest(place), "identity": f"owner-{number}", "host": "", "path": place.key.decode(),
         "options": "", "created_at": 0, "updated_at": 0}
        for number, place in enumerate(places[1:], 1)
    ]  # fmt: skip
    with store._begin() as connection:
        connection.execute(insert(ROUTES), rows)
        connection.execute(update(STATE).values(version=STATE.c.version + 1))
    source.close()
    return "secret"


def lookups(folder: Path, count: int) -> tuple[float, float]:
    """
    @return: seconds to read the registry, and nanoseconds for one lookup.
    """
    source = Source(None, str(folder))
    began = time.perf_counter()
    book = source.read_after(None)
    read = time.perf_counter() - began
    assert book is not None
    table = RouteTable()
    table.adopt(book)
    targets = [b"/agents/%d/service/more?x=1" % (number * 7919 % count) for number in range(1000)]
    for number in range(count if count < 1000 else 1000):
        table.pool(Place(b"", b"/agents/%d/service" % (number * 7919 % count)))
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(_LOOKUPS // 5000):
            for target in targets:
                table.match(b"gate.test", target)
        best = min(best, time.perf_counter() - began)
    source.close()
    return read, best / (_LOOKUPS // 5000 * len(targets)) * 1e9


class Bench(EndToEnd):
    """Has what is needed to start programs."""

    def runTest(self) -> None:
        """Nothing: what it has is used from outside."""

    def measure(self, count: int) -> dict[str, Any]:
        """Start a gateway with so many routes, and use it."""
        folder = self.folder / f"gate-{count}"
        secret = fill(folder, count)
        read, lookup = lookups(folder, count)
        began = time.monotonic()
        gateway = Gateway(self.folder, f"--state-dir={folder}", "--host=127.0.0.1")
        started = time.monotonic() - began
        client = httpx.Client(trust_env=False, timeout=30)

        def known() -> bool:
            registry = client.get(f"{gateway.management}/stats").json()["registry"]
            return bool(registry["routes"] == count)

        wait_until(known, "the routes are known")
        ready = time.monotonic() - began
        file = self.folder / "token"
        file.write_text(secret)
        file.chmod(0o600)
        receiver = Receiver(self.folder, gateway.link, "whoami:app", f"--token-file={file}",
                            environment={"NAME_OF_APP": "x"})  # fmt: skip
        url = f"{gateway.url}/agents/0/service/x"
        assert client.get(url).text == "x"
        cpu, times = gateway.cpu(), []
        for _ in range(_REQUESTS):
            one = time.perf_counter()
            client.get(url)
            times.append(time.perf_counter() - one)
        row = {
            "read": read,
            "lookup": lookup,
            "line": started,
            "ready": ready,
            "rss": gateway.rss() / 2**20,
            "cpu": (gateway.cpu() - cpu) / _REQUESTS * 1e6,
            "median": statistics.median(times) * 1e3,
        }
        receiver.end()
        gateway.end()
        return row


def main() -> None:
    """Print the figures."""
    bench = Bench()
    bench.setUp()
    try:
        rows = {count: bench.measure(count) for count in (10, 100_000)}
    finally:
        bench.doCleanups()
    few, many = rows.values()
    names = {
        "read": "read and index the registry, s",
        "lookup": "one lookup, ns",
        "line": "gateway announces its address, s",
        "ready": "all routes in effect, s",
        "rss": "memory of the gateway, MiB",
        "cpu": "CPU of the gateway per request, microseconds",
        "median": "one request, median, ms",
    }
    print(f"{'':46} {'10':>10} {'100,000':>10}")
    for key, name in names.items():
        print(f"{name:46} {few[key]:10.3f} {many[key]:10.3f}   x{many[key] / few[key]:.2f}")


if __name__ == "__main__":
    sys.exit(main())
