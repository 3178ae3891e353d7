"""Headless Chromium over WebDriver: open a page, act on it as a person does, look at it."""

from __future__ import annotations

import atexit
import base64
import itertools
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from twisted.trial.unittest import SkipTest

from tests.harness import EndToEnd, Program, free_port, listening, wait_until

OPTIONS = [
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

ENTER, ESCAPE, TAB, SHIFT, ALT = "\ue007", "\ue00c", "\ue004", "\ue008", "\ue00a"

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name under which WebDriver tells an element."""


class Window:
    """One browser with one window and a profile of its own."""

    def __init__(self, driver: httpx.Client, folder: Path, *, size: tuple[int, int] = (1280, 800)) -> None:
        arguments = [*OPTIONS, f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}"]
        options = {"args": arguments, "prefs": {"intl.accept_languages": "en-GB"}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = driver.post("/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=60)
        session = answer.json()["value"].get("sessionId")
        assert session, answer.text
        self._driver = driver
        self._base = f"/session/{session}"
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size[0] < 720,
        )

    def close(self) -> None:
        """End the browser."""
        self._driver.delete(self._base)

    def open(self, url: str) -> None:
        """Open a page."""
        self._post("/url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; what it returns, or what its promise becomes."""
        return self._post("/execute/sync", script=script, args=list(arguments))

    def count(self, selector: str) -> int:
        """How many elements there are."""
        found: int = self.run("return document.querySelectorAll(arguments[0]).length", selector)
        return found

    def text(self, selector: str) -> str:
        """The text of the first element, as it is shown; empty if there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def shown(self, selector: str) -> bool:
        """Whether the first element is there and takes up room."""
        script = "return document.querySelector(arguments[0])?.checkVisibility({visibilityProperty: true}) ?? false"
        return bool(self.run(script, selector))

    def wait(self, what: str, script: str, *arguments: Any) -> Any:
        """Wait until a script returns something."""
        return wait_until(lambda: self.run(script, *arguments), what)

    def wait_text(self, selector: str, text: str) -> None:
        """Wait until an element shows a text."""
        wait_until(lambda: text in self.text(selector), f"{selector} shows {text!r}")

    def click(self, selector: str) -> None:
        """Click on the first element, which has to be shown."""
        self._post(f"/element/{self._find(selector)}/click")

    def type(self, selector: str, keys: str) -> None:
        """Type into the first element."""
        self._post(f"/element/{self._find(selector)}/value", text=keys)

    def keys(self, *chords: str) -> None:
        """Press chords of keys wherever the focus is."""
        actions: list[dict[str, Any]] = []
        for chord in chords:
            actions += [{"type": "keyDown", "value": key} for key in chord]
            actions += [{"type": "keyUp", "value": key} for key in reversed(chord)]
        self._post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def dark(self, dark: bool) -> None:
        """Let the system be dark or light."""
        value = "dark" if dark else "light"
        self._devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def offline(self, offline: bool) -> None:
        """Take the network away, or give it back."""
        self._devtools("Network.enable")
        self._devtools(
            "Network.emulateNetworkConditions", offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    def picture(self, path: Path) -> None:
        """Keep a picture of what is shown."""
        path.write_bytes(base64.b64decode(self._driver.get(f"{self._base}/screenshot", timeout=60).json()["value"]))

    def complaints(self) -> list[str]:
        """What the browser has complained about since the last time."""
        entries = self._post("/se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def _find(self, selector: str) -> str:
        element: str = self._post("/element", using="css selector", value=selector)[ELEMENT]
        return element

    def _devtools(self, command: str, **parameters: Any) -> Any:
        return self._post("/goog/cdp/execute", cmd=command, params=parameters)

    def _post(self, path: str, **body: Any) -> Any:
        answer = self._driver.post(self._base + path, json=body, timeout=60)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value


class Browsers:
    """The driver of a run of the tests, and a browser that tests use one after the other: starting one is slow."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="anp-browser-"))
        port = free_port()
        self._program = Program(["chromedriver", f"--port={port}"], self.folder, "chromedriver")
        wait_until(lambda: listening(port), "the driver listens")
        self._driver = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        self._profiles = itertools.count()
        self._shared: Window | None = None
        atexit.register(self.end)

    def new(self, **keywords: Any) -> Window:
        """Start another browser."""
        return Window(self._driver, self.folder / f"profile-{next(self._profiles)}", **keywords)

    def shared(self) -> Window:
        """The one browser, as if it were new: gateways of other tests have other ports, and so other storage."""
        if self._shared is None:
            self._shared = self.new()
        self._shared.open("about:blank")
        self._shared.dark(False)
        self._shared.complaints()
        return self._shared

    def end(self) -> None:
        """End everything."""
        if self._shared is not None:
            self._shared.close()
        self._driver.close()
        self._program.end()
        shutil.rmtree(self.folder, ignore_errors=True)


@lru_cache(maxsize=1)
def browsers() -> Browsers:
    """Start the driver where the first test needs it."""
    if shutil.which("chromedriver") is None or shutil.which("chromium") is None:
        raise SkipTest("chromium and chromedriver are not installed")
    return Browsers()


class BrowserTestCase(EndToEnd):
    """Tests that need browsers; they are skipped where there is none."""

    def setUp(self) -> None:
        """Start the driver."""
        super().setUp()
        self._browsers = browsers()

    def window(self) -> Window:
        """The browser that tests share; one for each test."""
        return self._browsers.shared()

    def other_window(self, **keywords: Any) -> Window:
        """Another browser, which ends with the test."""
        window = self._browsers.new(**keywords)
        self.addCleanup(window.close)
        return window
