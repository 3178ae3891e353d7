"""
C{python -m tests.bench [--quick] [--runs N] [--rows WORD] [--peers WORD,WORD] [--json FILE]}.

Peers are measured in turn, A B A B, in one run; each figure is the median of
the runs, and the ratios are to the first peer that was measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.peers import PEERS, Peer
from tests.bench.rows import Figures, rows

Measured = dict[str, dict[str, list[Figures]]]


def measure(peers: list[Peer], arguments: argparse.Namespace) -> Measured:
    """Measure every row of every peer, in turn."""
    found: Measured = {}
    for name, row in rows(arguments.quick).items():
        if arguments.rows not in name:
            continue
        for run in range(arguments.runs):
            for peer in peers:
                print(f"{name}: {peer.name}, run {run + 1}", file=sys.stderr, flush=True)
                found.setdefault(name, {}).setdefault(peer.name, []).append(row(peer))
    return found


def medians(found: Measured) -> dict[str, dict[str, Figures]]:
    """Take the median of each figure."""
    return {
        name: {
            peer: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for peer, runs in peers.items()
        }
        for name, peers in found.items()
    }


def table(result: dict[str, dict[str, Figures]]) -> str:
    """Write the medians, each with its ratio to the first peer."""
    lines = [f"{'row':<28}{'figure':<16}{'peer':<12}{'median':>12}{'ratio':>8}"]
    for name, peers in result.items():
        base = next(iter(peers.values()))
        for key in base:
            for peer, figures in peers.items():
                ratio = figures[key] / base[key] if base[key] else float("nan")
                lines.append(f"{name:<28}{key:<16}{peer:<12}{figures[key]:>12.1f}{ratio:>8.2f}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--quick", action="store_true", help="smaller and shorter")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--peers", default="", help="only these, separated by commas")
    parser.add_argument("--json", default="bench.json", help="where to write every run")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.peers.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="anp-bench-") as name:
        peers = []
        for kind in PEERS:
            if kind.possible() and (not wanted or kind.name in wanted):
                folder = Path(name, kind.name.replace(" ", "-"))
                folder.mkdir()
                peers.append(kind(folder))
        try:
            for peer in peers:
                peer.start()
            found = measure(peers, arguments)
        finally:
            for peer in peers:
                peer.stop()
    about: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    Path(arguments.json).write_text(json.dumps({"about": about, "runs": found, "medians": medians(found)}, indent=1))
    print(table(medians(found)))


if __name__ == "__main__":
    main()
