"""
What is measured of each peer: one function a row, each gives figures with a unit in their name.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable

import httpx
from websockets.sync.client import connect

from tests.bench.peers import Peer

Figures = dict[str, float]


def wrk(url: str, connections: int, seconds: int) -> float:
    """
    Load a URL with GET requests.

    @return: requests that were answered.
    @raise RuntimeError: if one of them failed.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(text)
    found = re.search(r"(\d+) requests in", text)
    assert found is not None, text
    return float(found[1])


def small_get(peer: Peer, connections: int, seconds: int) -> Figures:
    """A small constant answer: requests a second, and processor time of the whole path for one."""
    wrk(f"{peer.url}/small", connections, 1)
    before, began = peer.cpu(), time.monotonic()
    requests = wrk(f"{peer.url}/small", connections, seconds)
    used, took = peer.cpu() - before, time.monotonic() - began
    return {"req/s": requests / took, "cpu_us/req": used / requests * 1e6}


def download(peer: Peer, size: int) -> Figures:
    """One large answer: megabytes a second, processor seconds a gigabyte, and the growth of the largest process."""
    before, rss, began = peer.cpu(), [program.rss() for program in peer.programs], time.monotonic()
    digest, received = hashlib.sha256(), 0
    with httpx.stream("GET", f"{peer.url}/down?bytes={size}", timeout=60, trust_env=False) as response:
        for piece in response.iter_raw(1 << 20):
            received += len(piece)
    took = time.monotonic() - began
    assert received == size, (received, size, digest)
    growth = max(program.peak_rss() - was for program, was in zip(peer.programs, rss, strict=True))
    return {
        "MB/s": size / took / 1e6,
        "cpu_s/GiB": (peer.cpu() - before) * (1 << 30) / size,
        "rss_growth_MiB": growth / (1 << 20),
    }


def upload(peer: Peer, size: int) -> Figures:
    """One large request."""
    block = bytes(1 << 20)

    def body() -> object:
        for _ in range(size // len(block)):
            yield block

    before, began = peer.cpu(), time.monotonic()
    response = httpx.post(f"{peer.url}/up", content=body(), timeout=120, trust_env=False)  # type: ignore[arg-type]
    took = time.monotonic() - began
    assert response.json()["size"] == size
    return {"MB/s": size / took / 1e6, "cpu_s/GiB": (peer.cpu() - before) * (1 << 30) / size}


def sse(peer: Peer, seconds: float) -> Figures:
    """Events of one stream: how many a second when they come without pause, and their delay at 1,000 a second."""
    count, began = 0, time.monotonic()
    before = peer.cpu()
    with httpx.stream("GET", f"{peer.url}/events?count=100000000&gap=0", timeout=60, trust_env=False) as response:
        for piece in response.iter_raw():
            count += piece.count(b"data:")
            if time.monotonic() - began > seconds:
                break
    used = peer.cpu() - before
    delays = []
    with httpx.stream("GET", f"{peer.url}/events?count=1500&gap=0.001", timeout=60, trust_env=False) as response:
        for line in response.iter_lines():
            if line.startswith("data:"):
                delays.append(time.time() - float(line[6:]))
    delays.sort()
    return {
        "events/s": count / seconds,
        "cpu_us/event": used / max(1, count) * 1e6,
        "p50_ms": statistics.median(delays) * 1e3,
        "p99_ms": delays[int(len(delays) * 0.99)] * 1e3,
    }


def beside(peer: Peer, size: int) -> Figures:
    """100 small requests a second, alone and beside one large download: the 99th percentile of each."""
    alone = _paced(peer, 200)
    stop = threading.Event()

    def load() -> None:
        with httpx.stream("GET", f"{peer.url}/down?bytes={size}", timeout=60, trust_env=False) as response:
            for _ in response.iter_raw(1 << 20):
                if stop.is_set():
                    return

    thread = threading.Thread(target=load)
    thread.start()
    try:
        with_load = _paced(peer, 200)
    finally:
        stop.set()
        thread.join()
    return {"alone_p99_ms": alone * 1e3, "beside_p99_ms": with_load * 1e3}


def _paced(peer: Peer, count: int) -> float:
    """Send a small request every 10 ms and return the 99th percentile of the times."""
    times = []
    with httpx.Client(base_url=peer.url, timeout=30, trust_env=False) as client:
        for number in range(count):
            began = time.monotonic()
            client.get("/small")
            took = time.monotonic() - began
            times.append(took)
            time.sleep(max(0.0, 0.01 - took))
            assert number >= 0
    return sorted(times)[int(count * 0.99)]


def leaving(peer: Peer, count: int = 20) -> Figures:
    """How long after the caller's close the application hears of it."""
    with httpx.Client(base_url=peer.url, timeout=30, trust_env=False) as client:
        delays = []
        for number in range(count):
            name = f"{number}-{time.monotonic_ns()}"
            with client.stream("GET", f"/hold?name={name}") as response:
                next(response.iter_raw())
            left = time.time()
            delays.append(_disconnected(client, name) - left)
    return {"p50_ms": statistics.median(delays) * 1e3, "max_ms": max(delays) * 1e3}


def _disconnected(client: httpx.Client, name: str) -> float:
    """Ask until the application says when it heard of the end."""
    while True:
        for note in client.get("/happened").json()["notes"]:
            if note.get("name") == name and "disconnected" in note:
                return float(note["disconnected"])


def websocket(peer: Peer, sockets: int, seconds: int) -> Figures:
    """Echoes of 30 bytes, one after the other on each of some WebSockets: how many a second, and what one costs."""
    counts = [0] * sockets
    begin, before = threading.Barrier(sockets + 1), 0.0
    stop = threading.Event()

    def talk(number: int) -> None:
        url = f"{peer.url.replace('http', 'ws', 1)}/echo"
        with connect(url, compression=None, ping_interval=None, proxy=None) as client:
            begin.wait()
            while not stop.is_set():
                client.send("x" * 30)
                client.recv()
                counts[number] += 1

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(sockets)]
    for thread in threads:
        thread.start()
    begin.wait()
    before, began = peer.cpu(), time.monotonic()
    time.sleep(seconds)
    stop.set()
    used, took = peer.cpu() - before, time.monotonic() - began
    for thread in threads:
        thread.join()
    total = sum(counts)
    return {"echoes/s": total / took, "cpu_us/echo": used / max(1, total) * 1e6}


def rows(quick: bool) -> dict[str, Callable[[Peer], Figures]]:
    """
    The rows by name.

    @param quick: smaller, for a look in between.
    """
    seconds, size = (2, 1 << 28) if quick else (5, 1 << 30)
    found: dict[str, Callable[[Peer], Figures]] = {}
    if shutil.which("wrk"):
        found["small GET, 1 connection"] = lambda peer: small_get(peer, 1, seconds)
        found["small GET, 32 connections"] = lambda peer: small_get(peer, 32, seconds)
    found["download"] = lambda peer: download(peer, size)
    found["upload"] = lambda peer: upload(peer, size)
    found["server-sent events"] = lambda peer: sse(peer, seconds)
    found["WebSocket echo, 1 socket"] = lambda peer: websocket(peer, 1, seconds)
    found["WebSocket echo, 8 sockets"] = lambda peer: websocket(peer, 8, seconds)
    found["small beside large"] = lambda peer: beside(peer, 8 * size)
    found["caller leaves"] = leaving
    return found
