"""--reload over real processes: new code is served, and nobody notices but by what is answered."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import httpx

from tests.harness import Gateway, Program, twistd, wait_until
from tests.test_workers import Load, WorkersCase

APP = """
import asyncio
VERSION = {version!r}

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/slow":
        await asyncio.sleep(2)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": VERSION.encode()}})
"""


class ReloadTests(WorkersCase):
    """The application changes while it is served."""

    def setUp(self) -> None:
        """Write the first version."""
        super().setUp()
        self.write("one")

    def write(self, version: str, name: str = "shop.py") -> None:
        """Write a version."""
        (self.folder / name).write_text(APP.format(version=version))

    def serves(self, gateway: Gateway, version: str) -> Callable[[], bool]:
        """Make a question whether that version is served."""
        return lambda: httpx.get(f"{gateway.url}/", timeout=20, trust_env=False).text == version

    def test_under_load(self) -> None:
        """Ten changes under load: no request fails, and each time the new version is served."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway, "--reload")
        versions = [f"version {number}" for number in range(10)]
        load = Load(gateway.url, 4, lambda reply: reply.status_code == 200 and reply.text in ["one", *versions])
        self.addCleanup(load.end)
        for version in versions:
            self.write(version)
            wait_until(self.serves(gateway, version), f"{version} is served")
        load.end()
        self.assertEqual(load.wrong, [])
        self.assertGreater(load.right, 100)
        self.assertEqual(self.terminate(receiver), -signal.SIGTERM)
        self.assertNotIn("Traceback", receiver.log())

    def test_running_request(self) -> None:
        """A request that runs is answered by the version that it began with."""
        gateway = self.start_gateway()
        self.start_workers(gateway, "--reload")
        found: list[str] = []
        slow = threading.Thread(
            target=lambda: found.append(httpx.get(f"{gateway.url}/slow", timeout=20, trust_env=False).text)
        )
        slow.start()
        wait_until(
            lambda: httpx.get(f"{gateway.management}/stats", trust_env=False).json()["requests"]["running"], "it runs"
        )
        self.write("two")
        wait_until(self.serves(gateway, "two"), "the new version is served")
        slow.join()
        self.assertEqual(found, ["one"])

    def test_broken(self) -> None:
        """Code that cannot be imported is named with its error, and the version before goes on; the next is served."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway, "--reload")
        load = Load(gateway.url, 2, lambda reply: reply.text in ("one", "two"))
        self.addCleanup(load.end)
        (self.folder / "shop.py").write_text("import no_such_thing\n")
        wait_until(lambda: "no_such_thing" in receiver.log(), "the error is logged")
        self.assertIn("the new version does not start", receiver.log())
        self.assertTrue(self.serves(gateway, "one")())
        self.write("two")
        wait_until(self.serves(gateway, "two"), "the new version is served")
        load.end()
        self.assertEqual(load.wrong, [])

    def test_broken_from_the_start(self) -> None:
        """While no version could ever be imported, it waits for a change."""
        (self.folder / "shop.py").write_text("def app(:\n")
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway, "--reload", connected=False)
        wait_until(lambda: "waiting for a change" in receiver.log(), "it waits")
        self.assertIn("SyntaxError", receiver.log())
        self.write("one")
        self.assertEqual(receiver.line(), f"{gateway.url}/")
        self.assertTrue(self.serves(gateway, "one")())

    def test_folders(self) -> None:
        """Other folders can be watched instead, and only C{*.py} in them counts."""
        (self.folder / "library").mkdir()
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway, "--reload", "--reload-dir=library")
        (self.folder / "library" / "notes.txt").write_text("nothing")
        self.write("two")
        time.sleep(1)  # time for a change to be noticed that must not be
        self.assertNotIn("changed:", receiver.log())
        self.write("x", "library/part.py")
        wait_until(self.serves(gateway, "two"), "the new version is served")

    def test_both(self) -> None:
        """anp-both reloads too, with more than one worker, and keeps its port."""
        self.watch_pids()
        both: Program = self.start_program(
            twistd(), "-n", "--pidfile=", "anp-both", "--port=0", "--workers=2", "--reload", "--app=shop:app"
        )
        url = both.line()
        self.linked(both, 2)
        load = Load(url, 2, lambda reply: reply.text in ("one", "two"))
        self.addCleanup(load.end)
        self.write("two")
        self.linked(both, 4)
        wait_until(lambda: {httpx.get(url, trust_env=False).text for _ in range(6)} == {"two"}, "all serve it")
        load.end()
        self.assertEqual(load.wrong, [])
        self.assertEqual(self.terminate(both), -signal.SIGTERM)
