"""
What a request costs the gateway, against the number of streams, receivers and routes; what idle receivers cost.

C{python -m tests.bench.growth}. The figures of a row are of one run, its sizes
interleaved; its ratio is that to the first size.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.rows import wrk
from tests.harness import Gateway, Program, Receiver

ROOM = ("--log-level=warn", "--in-flight=1024", "--connections-per-address=4096")
RUNS = 3
SECONDS = 3
PATHS = 63
"""Prefixes of one receiver besides the root."""


class Farm(Program):
    """C{tests.bench.farm}, connected."""

    def __init__(self, folder: Path, gateway: Gateway, receivers: int, paths: int = 0) -> None:
        token = str(folder / "anp-state" / "receiver.token")
        command = [sys.executable, "-m", "tests.bench.farm", gateway.link, token, str(receivers), str(paths)]
        super().__init__(command, folder, "farm", stdin=subprocess.PIPE)
        self.line(180)


@contextmanager
def held(url: str, count: int) -> Iterator[None]:
    """Keep so many requests open whose answers have begun and do not end."""
    host, port = url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        for _ in range(count):
            caller = stack.enter_context(socket.create_connection((host, int(port))))
            caller.sendall(b"GET /hold HTTP/1.1\r\nHost: bench\r\n\r\n")
            assert caller.recv(12) == b"HTTP/1.1 200"
        yield


def cost(programs: list[Program], url: str) -> float:
    """
    Microseconds of processor time of some processes for one request.

    Callers come one at a time: what many of them save by sharing system calls
    depends on how many links they are spread over, and is no matter of growth.
    """
    wrk(url, 1, 1)
    before = sum(program.cpu() for program in programs)
    requests = wrk(url, 1, SECONDS)
    return (sum(program.cpu() for program in programs) - before) / requests * 1e6


def with_streams(folder: Path, count: int) -> float:
    """Gateway and receiver, with so many other streams open on their link."""
    with ExitStack() as stack:
        gateway = Gateway(folder, *ROOM)
        stack.callback(gateway.end)
        receiver = Receiver(folder, gateway.link, "lab:app", "--log-level=warn", "--capacity=1024")
        stack.callback(receiver.end)
        with held(gateway.url, count):
            return cost([gateway, receiver], f"{gateway.url}/small")


def with_receivers(folder: Path, count: int) -> float:
    """The gateway, with so many receivers that take turns."""
    return _with_farm(folder, count, 0, "/small")


def with_routes(folder: Path, count: int) -> float:
    """The gateway, with so many routes; the one that is asked for is among the last."""
    receivers = max(1, round(count / (PATHS + 1)))
    paths = min(PATHS, count - 1)
    return _with_farm(folder, receivers, paths, f"/r{receivers - 1}/p{paths - 1}/small")


def _with_farm(folder: Path, receivers: int, paths: int, path: str) -> float:
    with ExitStack() as stack:
        gateway = Gateway(folder, *ROOM)
        stack.callback(gateway.end)
        stack.callback(Farm(folder, gateway, receivers, paths).end)
        return cost([gateway], gateway.url + path)


def idle(folder: Path, count: int, seconds: int) -> dict[str, float]:
    """What receivers cost a gateway while nothing happens: memory of each, and share of a core of all."""
    with ExitStack() as stack:
        gateway = Gateway(folder, *ROOM)
        stack.callback(gateway.end)
        stack.callback(Farm(folder, gateway, 1).end)
        before = gateway.rss()
        stack.callback(Farm(folder, gateway, count).end)
        held_by_each = (gateway.rss() - before) / count / 1024
        used, began = gateway.cpu(), time.monotonic()
        time.sleep(seconds)
        share = (gateway.cpu() - used) / (time.monotonic() - began)
        return {"KiB_each": held_by_each, "core_percent": share * 100}


GROWTH: dict[str, tuple[Callable[[Path, int], float], tuple[int, ...]]] = {
    "streams on one link": (with_streams, (1, 100, 980)),
    "receivers": (with_receivers, (1, 100, 1000)),
    "routes": (with_routes, (10, 1000, 100_000)),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.growth", description=__doc__.splitlines()[1] if __doc__ else ""
    )
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--idle", type=int, default=60, help="seconds to look at idle receivers")
    arguments = parser.parse_args()
    for name, (measure, sizes) in GROWTH.items():
        if arguments.rows not in name:
            continue
        found: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(arguments.runs):
            for size in sizes:
                with tempfile.TemporaryDirectory(prefix="anp-bench-") as folder:
                    found[size].append(measure(Path(folder), size))
        base = statistics.median(found[sizes[0]])
        for size, costs in found.items():
            middle = statistics.median(costs)
            sys.stdout.write(f"{name:<22}{size:>8}{middle:>10.1f} us/request{middle / base:>8.2f}\n")
    if arguments.rows in "idle receivers":
        with tempfile.TemporaryDirectory(prefix="anp-bench-") as folder:
            for key, value in idle(Path(folder), 1000, arguments.idle).items():
                sys.stdout.write(f"idle receivers            1000{value:>10.1f} {key}\n")


if __name__ == "__main__":
    main()
