"""
C{python -m tests.bench.assistant [--quick]}: what the assistant gateway costs.

Deltas are compared with the same messages from a server that does nothing else,
measured in the same run: C{websockets} sends ready bytes from a loop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from anp_twisted.assistant import records
from anp_twisted.assistant.keys import SessionKey
from tests.assistant import Assistant
from tests.harness import Program

Figures = dict[str, float]

_PLAIN = """
import asyncio, json
from websockets.asyncio.server import serve
place = {"session_key": "default:ws:@admin:direct:b:", "message_id": "msg-1-0123456789abcdef"}
params = {"type": "chat.delta", **place, "run_id": "run-0123456789abcdef", "index": 1, "offset": 5, "delta": "word "}
event = {"jsonrpc": "2.0", "method": "event", "params": params}
async def send(socket):
    count = int(await socket.recv())
    data = json.dumps(event)
    for number in range(count):
        await socket.send(data)
        if number % 32 == 0:
            await asyncio.sleep(0)
    await socket.send('{"end": true}')
async def main():
    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


def read_until(socket: ClientConnection, is_last: Callable[[str], bool]) -> int:
    """
    Read text messages up to a certain one.

    @return: how many came before it.
    """
    count = 0
    while not is_last(str(socket.recv())):
        count += 1
    return count


def client(gateway: Assistant) -> ClientConnection:
    """Connect to the gateway."""
    return connect(gateway.ws, additional_headers=gateway.headers, proxy=None, max_size=None, compression=None)


def call(socket: ClientConnection, method: str, **params: object) -> dict[str, object]:
    """Call a method, its answer being the next message."""
    socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    answer: dict[str, object] = json.loads(socket.recv())
    assert "result" in answer, answer
    return answer


def plain_deltas(folder: Path, count: int) -> Figures:
    """Ready messages from a server that does nothing else."""
    program = Program([sys.executable, "-c", _PLAIN], folder, "plain")
    try:
        with connect(f"ws://127.0.0.1:{program.line()}", proxy=None, compression=None) as socket:
            before, began = program.cpu(), time.monotonic()
            socket.send(str(count))
            got = read_until(socket, lambda text: '"end"' in text)
            took, used = time.monotonic() - began, program.cpu() - before
    finally:
        program.end()
    assert got == count
    return {"deltas/s": got / took, "cpu_us/delta": used / got * 1e6}


def deltas(gateway: Assistant, count: int) -> Figures:
    """One answer as fast as it is taken; the client's own time is in the rate, and not in the processor time."""
    with client(gateway) as socket:
        before, began = gateway.cpu(), time.monotonic()
        call(socket, "chat.send_stream", session_key="b", text=str(count))
        got = read_until(socket, lambda text: '"chat.final"' in text)
        took, used = time.monotonic() - began, gateway.cpu() - before
    assert got == count, got
    return {"deltas/s": got / took, "cpu_us/delta": used / got * 1e6}


def delay(gateway: Assistant, seconds: float) -> Figures:
    """From an agent's word to the client, at 200 a second."""
    found: list[float] = []
    with client(gateway) as socket:
        call(socket, "chat.send_stream", session_key="d", text=f"{int(seconds * 200)}:0.005:40")
        while True:
            event = json.loads(socket.recv())["params"]
            if event["type"] != "chat.delta":
                break
            found.append(time.monotonic() - float(event["delta"].rstrip(".")))
    cuts = statistics.quantiles(found, n=100)
    return {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


def fill(state: Path, name: str, count: int) -> None:
    """Write a session of so many records, as the gateway would have."""
    key = SessionKey("default", "ws", "@admin", "direct", name, "")
    header = records.Header(session_key=str(key), session_id=name, agent_id="default", created_at=1.0)
    codec = records.Codec()
    folder = state / "sessions"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / key.file_name).open("wb") as file:
        file.write(codec.header(header))
        for seq in range(1, count + 1, 2):
            run, answer = f"run-{seq:016x}", f"msg-{seq:x}-{seq:016x}"
            said = records.Said(seq=seq, id=f"{answer}q", ts=1.0, run_id=run, answer_id=answer, text="A question? " * 8)
            done = records.Answered(seq=seq + 1, id=answer, ts=2.0, run_id=run, text="An answer. " * 20)
            file.write(codec.line(said, name) + codec.line(done, name))


def history(gateway: Assistant, name: str) -> Figures:
    """The last page of 50 of a session: the first time, which reads the file, and then."""
    with client(gateway) as socket:
        times = []
        for _ in range(50):
            began = time.monotonic()
            call(socket, "chat.history", session_key=name, limit=50)
            times.append(time.monotonic() - began)
    return {"first_ms": times[0] * 1000, "then_ms": statistics.median(times[1:]) * 1000}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.assistant", description="What the assistant costs.")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter")
    quick = parser.parse_args().quick
    count, seconds, sizes = (2000, 1.0, (10, 1000)) if quick else (50_000, 5.0, (10, 1000, 100_000))
    with tempfile.TemporaryDirectory(prefix="anp-bench-") as name:
        folder = Path(name)
        for size in sizes:
            fill(folder / "assistant-state", f"h{size}", size)
        (folder / "assistant-state").chmod(0o700)
        gateway = Assistant(folder, "--agent=python:counting_agent:agents", "--message-rate=1000000/1s")
        try:
            rows: dict[str, Figures] = {
                "deltas, plain": plain_deltas(folder, count),
                "deltas": deltas(gateway, count),
                "delay of a delta": delay(gateway, seconds),
            }
            for size in sizes:
                rows[f"history of {size}"] = history(gateway, f"h{size}")
        finally:
            gateway.end()
    for row, figures in rows.items():
        print(f"{row:<20}" + "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))
    ratio = rows["deltas"]["cpu_us/delta"] / rows["deltas, plain"]["cpu_us/delta"]
    print(f"processor time of a delta, compared with plain: {ratio:.2f}")


if __name__ == "__main__":
    main()
