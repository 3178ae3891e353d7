"""A channel of somebody's own, in a real gateway: who may write, what is answered, and what survives."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.assistant import Assistant, AssistantCase
from tests.harness import wait_until
from tests.test_assistant_chat import chat_command

AGENT = "--agent=python:chat_agents:agent"

SETTINGS = """
[assistant.channels.files]
use = "python:chat_channels:Files"
allow = ["ann"]
"""


class ChannelTests(AssistantCase):
    """Two files are a chat service."""

    def setUp(self) -> None:
        """Make its folder."""
        super().setUp()
        self.service = self.folder / "service"
        self.service.mkdir()
        (self.folder / "settings.toml").write_text(SETTINGS)

    def start(self, **keywords: Any) -> Assistant:
        """Start a gateway with the channel."""
        environment = {"CHAT_FILES": str(self.service)}
        return self.start_assistant(AGENT, "--config=settings.toml", environment=environment, **keywords)

    def write(self, text: str, sender: str = "ann", **more: str) -> None:
        """Let a user write."""
        with (self.service / "in.jsonl").open("a") as file:
            file.write(json.dumps({"from": sender, "chat": sender, "text": text, **more}) + "\n")

    def read(self, *lines: str) -> None:
        """Wait until users can read exactly these lines."""
        path = self.service / "out.txt"
        wait_until(lambda: path.exists() and path.read_text().splitlines() == list(lines), f"{lines} is there to read")

    def operator(self, gateway: Assistant, *arguments: str) -> str:
        """Do something as the operator."""
        command = chat_command(gateway, self.folder, *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def test_pairing(self) -> None:
        """Who is on the list is answered; a stranger is told a code, and is answered once it is approved."""
        gateway = self.start()
        self.write("say hello")
        self.read("ann: hello")
        self.write("say in a group", sender="bob", kind="group")
        self.write("say let me in", sender="bob")
        out = self.service / "out.txt"
        wait_until(lambda: "with the code" in out.read_text(), "the stranger is told a code")
        code = self.operator(gateway, "--pairings").split()[0]
        self.assertIn(f"{code[:4]}-{code[4:]}", out.read_text())
        self.assertEqual(self.operator(gateway, "--approve", code), "approved  files  bob\n")
        out.unlink()
        self.write("say thanks", sender="bob")
        self.read("bob: thanks")
        self.assertIn("files  running  0 to send", self.operator(gateway, "--channels"))

    def test_killed(self) -> None:
        """The service is away when the answer is there, and the gateway is killed: the answer arrives, once."""
        gateway = self.start()
        self.write("say one")
        self.read("ann: one")
        (self.service / "down").touch()
        self.write("say two")
        outbox = Path(self.folder / "assistant-state" / "channels" / "files.outbox.jsonl")
        wait_until(lambda: '"two"' in outbox.read_text(), "the answer is on disk")
        gateway.end()
        again = self.start()
        wait_until(lambda: "waiting" in self.operator(again, "--channels"), "the channel waits for its service")
        (self.service / "down").unlink()
        self.read("ann: one", "ann: two")
        self.write("say three")
        self.read("ann: one", "ann: two", "ann: three")
