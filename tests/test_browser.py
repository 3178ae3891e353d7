"""A real browser sees the same through the tunnel as from uvicorn: fetch, EventSource and WebSocket of one page."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import httpx
from twisted.trial.unittest import SkipTest

from tests.harness import EndToEnd, free_port, listening, wait_until

BROWSER = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]


class BrowserTests(EndToEnd):
    """Headless Chromium, driven over WebDriver."""

    def setUp(self) -> None:
        """Start the driver."""
        super().setUp()
        if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
            raise SkipTest("chromium and chromedriver are not installed")
        port = free_port()
        self.start_program("chromedriver", f"--port={port}", name="chromedriver")
        wait_until(lambda: listening(port), "the driver listens")
        self.driver = self.client(f"http://127.0.0.1:{port}")

    def open(self, url: str) -> dict[str, Any]:
        """Open a page in a browser of its own and wait until its script says what it saw."""
        options = {"args": [*BROWSER, f"--user-data-dir={self.folder / str(free_port())}"]}
        asked = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        answer = self.driver.post("/session", json=asked, timeout=60)
        session = answer.json()["value"].get("sessionId")
        self.assertTrue(session, answer.text)
        try:
            self.driver.post(f"/session/{session}/url", json={"url": url}, timeout=60)

            def title() -> str:
                return str(self.driver.get(f"/session/{session}/title").json()["value"])

            wait_until(lambda: title().startswith("{"), "the page has seen everything")
            seen: dict[str, Any] = json.loads(title())
        finally:
            self.driver.delete(f"/session/{session}")
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
