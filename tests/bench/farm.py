"""
Many receivers in one process, on nothing but the session machine and a WebSocket client.

Each answers every request with the same few bytes. They are there to be counted,
so that the process costs little: C{python -m tests.bench.farm URL TOKEN_FILE
RECEIVERS PATHS}. It prints a line when all of them are connected, and ends with
its standard input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from anp_twisted.auth.bearer import authorization
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.session import events
from anp_twisted.session.connection import Connection, Role
from anp_twisted.wire.heads import Hello, ResponseHead

AT_ONCE = 50
"""Receivers that connect at the same time."""

BODY = b"Hello, World!"
HEAD = [("content-type", "text/plain"), ("content-length", str(len(BODY)))]


class FarmReceiver:
    """One of them."""

    def __init__(self, number: int, paths: list[str]) -> None:
        limits = DEFAULT_LIMITS
        hello = Hello(
            [2],
            limits.stream_window,
            limits.connection_window,
            100,
            limits.frame,
            paths=paths,
            capacity=100,
            instance=f"farm-{number}",
        )
        self.session = Connection(Role.RECEIVER, hello)
        self.answers = 0

    async def run(self, url: str, token: str, connected: asyncio.Event) -> None:
        """Answer until the gateway closes."""
        headers = {"Authorization": authorization(token)}
        async with connect(
            url,
            subprotocols=["anpx.2"],
            additional_headers=headers,
            max_size=None,
            compression=None,
            ping_interval=None,
        ) as socket:
            await self.send(socket)
            async for frame in socket:
                assert isinstance(frame, bytes)
                self.session.receive(frame)
                for event in self.session.take_events():
                    if isinstance(event, events.HelloReceived):
                        connected.set()
                    elif isinstance(event, events.RequestReceived):
                        self.answer(event)
                await self.send(socket)

    def answer(self, event: events.RequestReceived) -> None:
        """Say the same as ever."""
        event.stream.send_head(ResponseHead(200, HEAD))
        event.stream.send_data(BODY)
        event.stream.send_end()

    async def send(self, socket: ClientConnection) -> None:
        """Send what there is."""
        while (frame := self.session.next_frame()) is not None:
            await socket.send(frame)
        self.session.take_events()


async def farm(url: str, token: str, receivers: int, paths: int) -> None:
    """Connect all of them, say so, and wait for the end of the standard input."""
    tasks = []
    for start in range(0, receivers, AT_ONCE):
        waiting = []
        for number in range(start, min(start + AT_ONCE, receivers)):
            connected = asyncio.Event()
            own = ["/", *(f"/r{number}/p{index}" for index in range(paths))]
            tasks.append(asyncio.create_task(FarmReceiver(number, own).run(url, token, connected)))
            waiting.append(connected.wait())
        await asyncio.wait_for(asyncio.gather(*waiting), 60)
    sys.stdout.write(f"{len(tasks)} receivers\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    url, token_file, receivers, paths = sys.argv[1:]
    asyncio.run(farm(url, Path(token_file).read_text().strip(), int(receivers), int(paths)))
