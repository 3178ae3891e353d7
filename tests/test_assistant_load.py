"""
Many clients at once: most idle, some that stream, and a few that never read.

Those that never read cost a bounded amount of memory and nobody else's time.
C{ANP_ASSISTANT_LOAD=full} has 1,000 idle clients and 50 streams.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from contextlib import AsyncExitStack
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.assistant import Assistant, AssistantCase

_FULL = os.environ.get("ANP_ASSISTANT_LOAD") == "full"
_IDLE, _STREAMS, _DEAF, _SECONDS, _ROUNDS = (1000, 50, 5, 4.0, 3) if _FULL else (60, 10, 3, 2.0, 1)
_PAUSE, _SIZE = 0.05, 40
_FAT_PAUSE, _FAT_SIZE = 0.005, 4096
"""The stream that deaf clients are told of: 0.8 MB a second for each."""

_MORE_TIME = 1.2 if _FULL else 3.0
"""How much later deltas may come than without deaf clients; a short run on a busy machine tells less."""
_MORE_MEMORY = (3 << 20) * _DEAF + (8 << 20)


class Clients:
    """
    The clients of one gateway, on one asyncio loop.

    @ivar delays: seconds from the moment a delta was said to the one it was read.
    """

    def __init__(self, gateway: Assistant, stack: AsyncExitStack) -> None:
        self.delays: list[float] = []
        self._gateway = gateway
        self._stack = stack

    async def open(self) -> ClientConnection:
        """Connect one."""
        socket = connect(
            self._gateway.ws, additional_headers=self._gateway.headers, proxy=None, max_size=None, close_timeout=1
        )
        return await self._stack.enter_async_context(socket)

    async def call(self, socket: ClientConnection, method: str, **params: Any) -> Any:
        """Call a method, its answer being the next that comes."""
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        while True:
            message = json.loads(await socket.recv())
            if "id" in message:
                assert "result" in message, message
                return message["result"]

    async def stream(self, socket: ClientConnection, session: str, what: str) -> None:
        """Ask for a stream and read it to its end, noting how late each delta is."""
        await self.call(socket, "chat.send_stream", session_key=session, text=what)
        text = ""
        while True:
            event = json.loads(await socket.recv())["params"]
            now = time.monotonic()
            if event["type"] == "chat.delta":
                assert event["offset"] == len(text)
                text += event["delta"]
                self.delays.append(now - float(event["delta"].rstrip(".")))
            else:
                assert event["type"] == "chat.final", event
                assert event["text"] == text
                return

    async def deafen(self, session: str) -> ClientConnection:
        """Subscribe and never read again."""
        socket = await self.open()
        await self.call(socket, "session.subscribe", session_key=session)
        socket.transport.pause_reading()
        return socket


class LoadTests(AssistantCase):
    """One gateway, twice the same load."""

    def test_deaf(self) -> None:
        """Streams are as quick as without the deaf clients, memory is bounded, and idle clients stay."""
        gateway = self.start_assistant(
            "--agent=python:counting_agent:ticking",
            "--message-rate=100000/1s",
            "--connections=3000",
            "--connections-per-address=3000",
            "--connections-per-principal=3000",
        )
        asyncio.run(asyncio.wait_for(self.both(gateway), 60 + 3 * _SECONDS * _ROUNDS))

    async def both(self, gateway: Assistant) -> None:
        """Measure without and with deaf clients."""
        async with AsyncExitStack() as stack:
            clients = Clients(gateway, stack)
            idle = [await clients.open() for _ in range(_IDLE)]
            streams = [await clients.open() for _ in range(_STREAMS + 1)]
            for number, socket in enumerate(streams):
                await clients.call(socket, "session.create", session_key=f"s{number}")
            await self.phase(clients, streams, 0.5)
            before, grown = gateway.rss(), 0
            phases: list[tuple[tuple[float, float], tuple[float, float]]] = []
            for _ in range(_ROUNDS):
                without = await self.phase(clients, streams, _SECONDS)
                deaf = [await clients.deafen("s0") for _ in range(_DEAF)]
                with_them = await self.phase(clients, streams, _SECONDS)
                grown = max(grown, gateway.rss() - before)
                for socket in deaf:
                    socket.transport.abort()
                phases.append((without, with_them))
            # In the best round the machine had the least to do besides.
            without = min((one for one, _ in phases), key=lambda cuts: cuts[1])
            with_them = min((one for _, one in phases), key=lambda cuts: cuts[1])
            for socket in idle[:: max(1, _IDLE // 50)]:
                self.assertEqual((await clients.call(socket, "health"))["status"], "ok")
            self.report(without, with_them, grown)
            self.assertLess(grown, _MORE_MEMORY)
            self.assertLess(with_them[1], without[1] * _MORE_TIME + (0.0 if _FULL else 0.01))

    async def phase(self, clients: Clients, sockets: list[ClientConnection], seconds: float) -> tuple[float, float]:
        """
        Let all stream for a while; the first one is the fat one, and its delays do not count.

        @return: median and 99th percentile of the others' delays, in seconds.
        """
        clients.delays.clear()
        aside = Clients(clients._gateway, clients._stack)
        lean = f"{int(seconds / _PAUSE)}:{_PAUSE}:{_SIZE}"
        async with asyncio.TaskGroup() as group:
            group.create_task(self.fat(aside, sockets[0], seconds))
            for number, socket in enumerate(sockets[1:], 1):
                group.create_task(clients.stream(socket, f"s{number}", lean))
        cuts = statistics.quantiles(clients.delays, n=100)
        return cuts[49], cuts[98]

    async def fat(self, clients: Clients, socket: ClientConnection, seconds: float) -> None:
        """Let the fat one stream, in answers that are not too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await clients.stream(socket, "s0", f"{int(0.5 / _FAT_PAUSE)}:{_FAT_PAUSE}:{_FAT_SIZE}")

    def report(self, without: tuple[float, float], with_them: tuple[float, float], grown: int) -> None:
        """Say what was measured."""
        print(f"\n{_IDLE} idle, {_STREAMS} streams, then {_DEAF} deaf; delay of a delta p50/p99 in ms:")
        for name, (median, late) in (("without", without), ("with", with_them)):
            print(f"  {name:<8} {median * 1000:.2f} / {late * 1000:.2f}")
        print(f"  p99 with/without {with_them[1] / without[1]:.2f}, memory grew by {grown / (1 << 20):.1f} MiB")
