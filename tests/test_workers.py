"""An application in several processes: what one of them does is no matter of the others."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.harness import SOON, EndToEnd, Gateway, Program, twistd, wait_until

APP = """
import json, os, signal, sys, time

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    word = scope["path"].rsplit("/", 1)[-1]
    if word == "block":
        time.sleep(float(scope["query_string"]))
    if word == "print":
        print("a line of the application")
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    body = json.dumps({"pid": os.getpid(), "stdin": os.read(0, 1).decode()}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
"""


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class WorkersCase(EndToEnd):
    """Starts workers, and sees that none is left behind."""

    def setUp(self) -> None:
        """Write the application."""
        super().setUp()
        (self.folder / "shop.py").write_text(APP)

    def start_workers(self, gateway: Gateway, *options: str, app: str = "shop:app", **keywords: Any) -> Program:
        """Start a receiver, with two workers if no option says otherwise."""
        self.watch_pids()
        receiver = self.start_receiver(gateway, app, *(options or ("--workers=2",)), **keywords)
        return receiver

    def watch_pids(self) -> None:
        """See at the end of the test that no worker lives."""

        def none_left() -> None:
            pids = [int(pid) for log in self.folder.glob("*.log") for pid in self.pids(log.read_text())]
            try:
                wait_until(lambda: not any(alive(pid) for pid in pids), "no worker is left", 20)
            finally:
                for pid in pids:
                    if alive(pid):
                        os.kill(pid, signal.SIGKILL)

        self.addCleanup(none_left)

    def pids(self, log: str) -> list[str]:
        """The workers that a log tells of, the latest last."""
        return re.findall(r"worker \d+ starts, process (\d+)", log)

    def linked(self, program: Program, count: int) -> None:
        """Wait until that many links were opened."""
        wait_until(lambda: program.log().count("connected to ws://") >= count, f"{count} links")

    def seen(self, gateway: Gateway, count: int) -> set[int]:
        """Ask until that many processes have answered."""
        found: set[int] = set()

        def all_of_them() -> bool:
            replies = [httpx.get(f"{gateway.url}/", trust_env=False) for _ in range(4)]
            found.update(reply.json()["pid"] for reply in replies if reply.status_code == 200)
            return len(found) >= count

        wait_until(all_of_them, f"{count} processes answer")
        return found


class Load:
    """Asks for small answers from several callers until it is ended."""

    def __init__(self, url: str, callers: int = 4, good: Callable[[httpx.Response], bool] | None = None):
        self.wrong: list[str] = []
        self.right = 0
        self._over = threading.Event()
        self._good = good or (lambda reply: reply.status_code == 200)
        self._threads = [threading.Thread(target=self._work, args=[url]) for _ in range(callers)]
        for thread in self._threads:
            thread.start()

    def _work(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            while not self._over.is_set():
                try:
                    reply = client.get("/")
                    if self._good(reply):
                        self.right += 1
                    else:
                        self.wrong.append(f"{reply.status_code} {reply.text}")
                except httpx.HTTPError as error:
                    self.wrong.append(repr(error))

    def end(self) -> None:
        """Stop asking."""
        self._over.set()
        for thread in self._threads:
            thread.join()


class WorkersTests(WorkersCase):
    """Several at once."""

    def test_each_serves(self) -> None:
        """Each worker has a link and answers; the URL is printed once; the log says whose line it is."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway)
        self.linked(receiver, 2)
        self.assertEqual(receiver.url, f"{gateway.url}/")
        pids = self.seen(gateway, 2)
        self.assertEqual(pids, {int(pid) for pid in self.pids(receiver.log())})
        httpx.get(f"{gateway.url}/print", trust_env=False)
        wait_until(lambda: re.search(r"Z info +worker [12]: a line of the application", receiver.log()), "it is logged")
        self.assertEqual(self.terminate(receiver), -signal.SIGTERM)
        assert receiver.process.stdout is not None
        self.assertEqual(receiver.process.stdout.read(), b"")
        self.assertNotIn("Traceback", receiver.log())

    def test_blocked(self) -> None:
        """One that blocks its loop does not stop the others, and is told what to do about it."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway)
        self.linked(receiver, 2)
        blocked = threading.Thread(target=lambda: httpx.get(f"{gateway.url}/block?3", timeout=30, trust_env=False))
        blocked.start()
        wait_until(lambda: self.stats(gateway)["requests"]["running"], "it runs")
        slowest = 0.0
        while blocked.is_alive():
            began = time.monotonic()
            self.assertEqual(httpx.get(f"{gateway.url}/", trust_env=False).status_code, 200)
            slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 1.0)
        wait_until(lambda: "stood still for" in receiver.log(), "a warning")
        self.assertRegex(receiver.log(), r"warn +worker [12]: the event loop stood still for 3\.\d s.*--workers")

    def test_blocked_alone(self) -> None:
        """The only process of a receiver is watched too."""
        gateway = self.start_gateway()
        receiver = self.start_receiver(gateway, "shop:app")
        httpx.get(f"{gateway.url}/block?1.3", timeout=30, trust_env=False)
        wait_until(lambda: re.search(r"warn +the event loop stood still for 1\.\d s", receiver.log()), "a warning")

    def stats(self, gateway: Gateway) -> dict[str, Any]:
        """Read the management page."""
        found: dict[str, Any] = httpx.get(f"{gateway.management}/stats", timeout=10, trust_env=False).json()
        return found

    def test_killed(self) -> None:
        """A worker that is killed under load is replaced; at most what it had in hand fails, and says why."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway)
        self.linked(receiver, 2)
        load = Load(gateway.url)
        self.addCleanup(load.end)
        wait_until(lambda: load.right > 100, "some load")
        before = [int(pid) for pid in self.pids(receiver.log())]
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: "worker 1 was ended by signal 9" in receiver.log(), "its end is logged")
        self.linked(receiver, 3)
        load.end()
        self.assertLessEqual(len(load.wrong), 4)
        for answer in load.wrong:
            self.assertEqual((answer[:3], json.loads(answer[4:])["source"]), ("502", "tunnel"))
        self.assertEqual(self.seen(gateway, 2), {int(pid) for pid in self.pids(receiver.log())} - {before[0]})

    def test_crashes(self) -> None:
        """A crash of the interpreter is named by its signal, and costs only that worker."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway)
        self.linked(receiver, 2)
        self.assertEqual(httpx.get(f"{gateway.url}/crash", trust_env=False).status_code, 502)
        wait_until(lambda: "was ended by signal 11" in receiver.log(), "its end is logged")
        self.assertRegex(receiver.log(), r"worker [12]: Fatal Python error: Segmentation fault")
        self.assertIn("shop.py", receiver.log())
        self.linked(receiver, 3)
        self.seen(gateway, 2)

    def test_private(self) -> None:
        """The token is neither in arguments nor in the environment, and the pipe is not the application's input."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway)
        self.linked(receiver, 2)
        token = (self.folder / "anp-state" / "receiver.token").read_bytes().strip()
        for pid in self.pids(receiver.log()):
            for name in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    self.assertNotIn(token, file.read())
        self.assertEqual(httpx.get(f"{gateway.url}/", trust_env=False).json()["stdin"], "")

    def test_both(self) -> None:
        """The gateway of anp-both stays where it is, and the workers dial it."""
        self.watch_pids()
        both = self.start_program(
            twistd(), "-n", "--pidfile=", "anp-both", "--port=0", "--workers=2", "--app=shop:app", name="both"
        )
        url = both.line()
        self.linked(both, 2)
        found: set[int] = set()
        wait_until(lambda: found.add(httpx.get(url, trust_env=False).json()["pid"]) or len(found) == 2, "both answer")
        self.assertNotIn(both.process.pid, found)
        self.assertEqual(self.terminate(both), -signal.SIGTERM)


class EndTests(WorkersCase):
    """However it ends, all of it ends."""

    def test_drains(self) -> None:
        """SIGTERM lets what runs end."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway, app="lab:app")
        self.linked(receiver, 2)
        found: list[str] = []
        threads = [
            threading.Thread(
                target=lambda: found.append(httpx.get(f"{gateway.url}/wait?seconds=2", timeout=9, trust_env=False).text)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        wait_until(
            lambda: httpx.get(f"{gateway.management}/stats", trust_env=False).json()["requests"]["running"] == 4, ""
        )
        self.assertEqual(self.terminate(receiver), -signal.SIGTERM)
        for thread in threads:
            thread.join()
        self.assertEqual(found, ["waited"] * 4)

    def test_second_signal(self) -> None:
        """A second signal ends all of it at once, a blocked worker too."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway)
        self.linked(receiver, 2)
        for _ in range(2):
            threading.Thread(target=lambda: httpx.get(f"{gateway.url}/block?600", timeout=60, trust_env=False)).start()
        wait_until(lambda: httpx.get(f"{gateway.management}/stats", trust_env=False).json()["requests"]["running"], "")
        receiver.signal(signal.SIGTERM)
        time.sleep(0.5)  # it drains
        self.assertIsNone(receiver.process.poll())
        began = time.monotonic()
        receiver.signal(signal.SIGTERM)
        receiver.wait(10)
        self.assertLess(time.monotonic() - began, 6)

    def test_parent_killed(self) -> None:
        """When the process that started them is killed, the workers end by themselves."""
        gateway = self.start_gateway()
        receiver = self.start_workers(gateway, "--workers=2", "--drain=1")
        self.linked(receiver, 2)
        receiver.signal(signal.SIGKILL)
        receiver.wait()
        wait_until(lambda: not any(alive(int(pid)) for pid in self.pids(receiver.log())), "they end", 10)

    def test_daemon(self) -> None:
        """As a daemon with a log file, and stopped by its pid file."""
        gateway = self.start_gateway()
        self.watch_pids()
        receiver = self.start_program(
            twistd(), "--pidfile=d.pid", "anp-receiver", "--app=shop:app", f"--gateway={gateway.link}", "--workers=2",
            "--log-file=d.log", name="daemon",
        )  # fmt: skip
        self.assertEqual(receiver.line(), f"{gateway.url}/")
        self.assertEqual(receiver.wait(), 0)
        log, pid = self.folder / "d.log", self.folder / "d.pid"
        wait_until(lambda: log.read_text().count("connected to ws://") == 2, "both are linked")
        self.assertEqual(len(self.seen(gateway, 2)), 2)
        subprocess.run(["kill", pid.read_text()], check=True)
        wait_until(lambda: not pid.exists(), "it has stopped")
        self.assertNotIn("Traceback", log.read_text())


class MistakeTests(WorkersCase):
    """What keeps every worker from starting ends the command with one line."""

    def refused(self, *options: str) -> str:
        """Start what must not start; return its one line."""
        gateway = self.start_gateway()
        self.watch_pids()
        program = self.start_program(
            twistd(), "-n", "--pidfile=", "anp-receiver", f"--gateway={gateway.link}", "--workers=2", *options
        )
        self.assertEqual(program.wait(SOON), 1, program.log())
        (line,) = [line for line in program.log().splitlines() if line.startswith("anp-receiver: ")]
        self.assertEqual(len(self.pids(program.log())), 2)
        gateway.end()
        return line

    def test_import(self) -> None:
        """An application that cannot be imported, or cannot start."""
        (self.folder / "broken.py").write_text("raise ValueError('what is wrong with it')\n")
        self.assertIn("what is wrong with it", self.refused("--app=broken:app"))
        self.assertIn("no attribute 'nothing'", self.refused("--app=shop:nothing"))
        logs = "".join(log.read_text() for log in self.folder.glob("program*.log"))
        self.assertNotIn("Traceback", logs)

    def test_lifespan(self) -> None:
        """C{on} refuses an application that knows nothing of lifespans; C{off} does not ask it."""
        self.assertIn("takes no part in the lifespan", self.refused("--app=shop:app", "--lifespan=on"))
        gateway = self.start_gateway()
        for options in (["--lifespan=off"], ["--lifespan=off", "--workers=2"]):
            receiver = self.start_workers(gateway, *options)
            self.assertEqual(httpx.get(f"{gateway.url}/", trust_env=False).status_code, 200)
            self.assertEqual(self.terminate(receiver), -signal.SIGTERM)
            self.assertNotIn("takes no part", receiver.log())
