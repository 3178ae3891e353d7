"""A real browser sees the same through the tunnel as from uvicorn: fetch, EventSource and WebSocket of one page."""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx

from tests.browser import BrowserTestCase
from tests.harness import free_port, listening, wait_until


class BrowserTests(BrowserTestCase):
    """Headless Chromium, driven over WebDriver."""

    def open(self, url: str) -> dict[str, Any]:
        """Open a page in a browser of its own and wait until its script says what it saw."""
        window = self.other_window()
        window.open(url)

        def title() -> str:
            return str(window.run("return document.title"))

        wait_until(lambda: title().startswith("{"), "the page has seen everything")
        seen: dict[str, Any] = json.loads(title())
        return seen

    def test_page(self) -> None:
        """The page sees the same either way, and all of it."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "lab:app", f"--port={port}", "--log-level=warning"]
        self.start_program(*command, name="uvicorn")
        gateway = self.start_gateway()
        self.start_receiver(gateway, "lab:app")
        wait_until(lambda: listening(port), "uvicorn listens")
        through = self.open(f"{gateway.url}/page")
        self.assertEqual(through["events"], [True, True, True])
        self.assertEqual(through["messages"], ["h\u00e9llo", [0, 255, 7]])
        self.assertEqual((through["protocol"], through["closed"][0], through["fetched"]), ("chat", 4001, 300_000))
        self.assertEqual(through, self.open(f"http://127.0.0.1:{port}/page"))
        self.assertEqual(httpx.get(f"{gateway.url}/small", trust_env=False).status_code, 200)
