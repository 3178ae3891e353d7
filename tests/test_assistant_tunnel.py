"""A private assistant at a public address: page, command line and plain clients, all through the tunnel."""

from __future__ import annotations

import subprocess

import httpx

from tests.assistant import AssistantCase
from tests.browser import ENTER, BrowserTestCase
from tests.harness import Gateway, Program, free_port, twistd, wait_until
from tests.test_assistant_chat import chat_command


class TunnelTests(BrowserTestCase, AssistantCase):
    """What the tutorial does."""

    def receive(self, gateway: Gateway, port: int) -> Program:
        """Pass requests on to a port of this machine."""
        options = [f"--target=http://127.0.0.1:{port}", f"--gateway={gateway.link}"]
        receiver = self.start_program(twistd(), "-n", "--pidfile=", "anp-receiver", *options, name="receiver")
        receiver.line()
        return receiver

    def test_throughTheTunnel(self) -> None:
        """The page streams through the tunnel, so does the command line; the link that was printed leads there."""
        gateway = self.start_gateway()
        public, private = gateway.url, free_port()
        options = ("--agent=python:chat_agents:agent", f"--public-url={public}")
        assistant = self.start_assistant(*options, port=private)
        self.assertEqual(assistant.url, public)
        receiver = self.receive(gateway, private)
        window = self.window()
        window.open(f"{public}/#link={assistant.link}")
        window.wait_text("#link", "connected")
        window.type("#text", "count 15" + ENTER)
        window.wait_text(".message:last-child .text", "3 4")
        self.assertNotIn("15", window.text(".message:last-child .text"))
        window.wait_text(".message:last-child .text", "14 15")
        self.assertEqual(window.complaints(), [])
        command = chat_command(assistant, self.folder, "say", "hello", url=public)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "hello\n", ""))
        page = httpx.get(f"{public}/", trust_env=False)
        self.assertIn("default-src 'none'", page.headers["content-security-policy"])
        self.assertEqual(httpx.get(f"{public}/v1/models", trust_env=False).status_code, 401)
        # A page of somebody else reaches the public address, but not the assistant behind it.
        refused = httpx.get(f"{public}/", headers={"Origin": "https://evil.example"}, trust_env=False)
        self.assertEqual(refused.status_code, 403)
        receiver.end()
        window.wait_text("#link", "lost")
        self.receive(gateway, private)
        wait_until(lambda: "connected" in window.text("#link"), "the page is back")
