"""
A chat service made of two files: lines of C{in.jsonl} are written by users, C{out.txt} is what they read.

C{down} in the folder is a service that is away; C{CHAT_FILES} names the folder.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from anp_twisted.assistant.channels.interface import Capabilities, ChannelFailed, Port, Received
from anp_twisted.assistant.messages import InboundMessage, OutboundMessage


class Files:
    """A channel."""

    capabilities = Capabilities(text=200)

    def __init__(self, name: str, port: Port) -> None:
        self.name = name
        self._port = port
        self._folder = Path(os.environ["CHAT_FILES"])
        self._reading: asyncio.Task[None] | None = None
        self._next = 0

    async def start(self) -> None:
        """Begin to read what users write."""
        self._check()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()

    async def send(self, message: OutboundMessage) -> None:
        """Let a user read something."""
        self._check()
        with (self._folder / "out.txt").open("a") as file:
            file.write(f"{message.chat_id}: {message.content}\n")

    def is_allowed(self, sender_id: str) -> bool:
        """As the port says."""
        return self._port.is_allowed(sender_id)

    def _check(self) -> None:
        if (self._folder / "down").exists():
            raise ChannelFailed("the files are away")

    async def _read(self) -> None:
        """Hand lines over, as a service with confirmations does: one that is not taken comes again."""
        path = self._folder / "in.jsonl"
        while True:
            lines = path.read_text().splitlines() if path.exists() else []
            while self._next < len(lines):
                line = json.loads(lines[self._next])
                message = InboundMessage(
                    channel=self.name,
                    sender_id=line["from"],
                    chat_id=line["chat"],
                    content=line["text"],
                    timestamp=0.0,
                    metadata={"message_id": str(self._next), "kind": line.get("kind", "direct")},
                )
                if self._port.receive(message) is Received.FULL:
                    break
                self._next += 1
            await asyncio.sleep(0.02)
