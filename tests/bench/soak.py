"""
A mixed load for as long as one likes: does anything fail, and does anything grow?

C{python -m tests.bench.soak --minutes 30}. Small GETs, 64 KiB POSTs, streams of
events, WebSockets and callers who leave go on beside each other at a moderate
rate. Each answer is checked to the byte; memory and descriptors of gateway and
receiver are noted every ten seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from websockets.asyncio.client import connect

from tests.harness import Gateway, Program, Receiver

EVERY = 10.0
SETTLING = 300.0
"""Seconds at the start that say nothing about growth."""

BODY = random.Random(4).randbytes(64 * 1024)
DIGEST = hashlib.sha256(BODY).hexdigest()


class Soak:
    """
    The callers.

    @ivar done: what went well, by kind.
    @ivar failed: what did not, with the reason.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.client = httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)

    async def small(self) -> None:
        """A small GET."""
        response = await self.client.get("/small")
        assert response.status_code == 200 and response.json() == {"hello": "world"}, response.text

    async def post(self) -> None:
        """64 KiB up, and their hash down."""
        response = await self.client.post("/up", content=BODY)
        assert response.json() == {"size": len(BODY), "sha256": DIGEST}, response.text

    async def events(self) -> None:
        """Thirty events."""
        async with self.client.stream("GET", "/events?count=30&gap=0.05") as response:
            found = [line async for line in response.aiter_lines() if line]
        assert len(found) == 30, len(found)

    async def websocket(self) -> None:
        """A conversation."""
        async with connect(self.url.replace("http", "ws", 1) + "/echo", proxy=None) as socket:
            for number in range(50):
                await socket.send(f"message {number}")
                assert await socket.recv() == f"message {number}"
                await asyncio.sleep(0.01)

    async def abort(self) -> None:
        """A caller who leaves in the middle of an answer."""
        async with self.client.stream("GET", "/events?count=1000000&gap=0.05") as response:
            assert response.status_code == 200
            async for _ in response.aiter_raw():
                break

    async def repeat(self, act: Callable[[], Awaitable[None]], pause: float, until: float) -> None:
        """Do one thing again and again."""
        name = act.__name__
        while time.monotonic() < until:
            try:
                await act()
                self.done[name] += 1
            except Exception as error:  # noqa: BLE001
                # boundary: whatever fails is counted, and the load goes on.
                self.failed[f"{name}: {type(error).__name__}: {error}"] += 1
            await asyncio.sleep(pause)

    async def run(self, seconds: float) -> None:
        """All of it."""
        until = time.monotonic() + seconds
        plan = ((self.small, 8, 0.04), (self.post, 4, 0.1), (self.events, 10, 0.1))
        more = ((self.websocket, 5, 0.1), (self.abort, 4, 0.2))
        await asyncio.gather(
            *(self.repeat(act, pause, until) for act, count, pause in (*plan, *more) for _ in range(count))
        )
        await self.client.aclose()


class Growth:
    """What each process holds, over time."""

    def __init__(self, programs: dict[str, Program]) -> None:
        self.programs = programs
        self.notes: dict[str, list[tuple[float, int, int]]] = {name: [] for name in programs}

    async def watch(self, seconds: float) -> None:
        """Look every now and then."""
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            for name, program in self.programs.items():
                self.notes[name].append((now, program.rss(), program.descriptors()))
            await asyncio.sleep(EVERY)

    def slope(self, name: str) -> float:
        """MiB that ten minutes add, by least squares over everything after the settling."""
        points = [(at, rss) for at, rss, _ in self.notes[name] if at >= SETTLING]
        if len(points) < 2:
            return float("nan")
        middle = sum(at for at, _ in points) / len(points)
        level = sum(rss for _, rss in points) / len(points)
        run = sum((at - middle) ** 2 for at, _ in points)
        return sum((at - middle) * (rss - level) for at, rss in points) / run * 600 / (1 << 20)

    def line(self, name: str) -> str:
        """All of it in one line."""
        descriptors = [count for at, _, count in self.notes[name] if at >= SETTLING] or [0]
        first, last = self.notes[name][0][1] >> 10, self.notes[name][-1][1] >> 10
        return (
            f"{name:<10}{first:>8} KiB at first {last:>8} KiB at last {self.slope(name):>8.2f} MiB per 10 min"
            f"   descriptors {min(descriptors)}-{max(descriptors)}"
        )


async def soak(seconds: float) -> bool:
    """@return: whether nothing failed."""
    with tempfile.TemporaryDirectory(prefix="anp-soak-") as name:
        folder = Path(name)
        gateway = Gateway(folder, "--log-level=warn")
        receiver = Receiver(folder, gateway.link, "lab:app", "--log-level=warn")
        load, growth = Soak(gateway.url), Growth({"gateway": gateway, "receiver": receiver})
        try:
            await asyncio.gather(load.run(seconds), growth.watch(seconds))
            stats = httpx.get(f"{gateway.management}/stats", trust_env=False).text
        finally:
            receiver.end()
            gateway.end()
        for each in growth.programs:
            sys.stdout.write(growth.line(each) + "\n")
        sys.stdout.write(f"done    {dict(load.done)}\nfailed  {dict(load.failed)}\nstats   {stats}\n")
        sys.stdout.write(f"log     {gateway.log()}{receiver.log()}\n")
    return not load.failed


def main() -> None:
    """Load and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    sys.exit(0 if asyncio.run(soak(parser.parse_args().minutes * 60)) else 1)


if __name__ == "__main__":
    main()
