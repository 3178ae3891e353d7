"""Receivers inside of other programs: the examples of the documentation, and what is left of them afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.harness import APPS, ROOT, EndToEnd, Gateway, Program, free_port, wait_until

EXAMPLES = ROOT / "docs" / "examples"


class EmbeddingCase(EndToEnd):
    """Has a gateway whose token lies in the folder in which the programs run."""

    def setUp(self) -> None:
        """Start the gateway."""
        super().setUp()
        self.gateway: Gateway = self.start_gateway()

    def python(self, *arguments: str, **environment: str) -> Program:
        """Run a program that finds the gateway in its environment."""
        return self.start_program(
            sys.executable, *arguments, environment={"ANP_GATEWAY": self.gateway.link, **environment}
        )

    def get(self, url: str) -> str:
        """Ask, and insist on an answer."""
        answer = httpx.get(url, trust_env=False, timeout=20)
        self.assertEqual(answer.status_code, 200, answer.text)
        return answer.text

    def receivers(self) -> list[dict[str, Any]]:
        """Who is connected."""
        found = httpx.get(f"{self.gateway.management}/stats", trust_env=False, timeout=10).json()
        receivers: list[dict[str, Any]] = found["receivers"]
        return receivers


class ExampleTests(EmbeddingCase):
    """What the documentation shows."""

    def end_well(self, program: Program, number: int = signal.SIGINT) -> None:
        """It ends when it is told to, the link in good order."""
        program.signal(number)
        program.wait()
        self.assertNotIn("Traceback", program.log())
        wait_until(lambda: not self.receivers(), "the link is gone")
        self.assertIn("closed the link with 1001", self.gateway.log())

    def test_fastapi(self) -> None:
        """Under uvicorn, on either loop: it serves itself both ways."""
        for loop in ("asyncio", "uvloop"):
            port = free_port()
            program = self.python(
                *("-m", "uvicorn", "embed_fastapi:app", f"--app-dir={EXAMPLES}", f"--port={port}", f"--loop={loop}")
            )
            url = program.line()
            self.assertEqual(url, f"{self.gateway.url}/")
            self.assertEqual(self.get(url + "hello"), '{"from":"FastAPI"}')
            wait_until(lambda program=program: "running on" in program.log(), "uvicorn listens")  # type: ignore[misc]
            self.assertEqual(self.get(f"http://127.0.0.1:{port}/hello"), '{"from":"FastAPI"}')
            self.end_well(program)

    def test_asyncio(self) -> None:
        """In a plain asyncio program."""
        program = self.python(str(EXAMPLES / "embed_asyncio.py"))
        self.assertEqual(self.get(program.line()), "from asyncio")
        self.end_well(program)

    def test_twisted(self) -> None:
        """In a Twisted program."""
        program = self.python(str(EXAMPLES / "embed_twisted.py"))
        self.assertEqual(self.get(program.line()), "from Twisted")
        self.end_well(program)

    def test_expose(self) -> None:
        """As a program by itself; either signal ends it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            program = self.python(str(EXAMPLES / "expose_script.py"))
            self.assertEqual(self.get(program.line()), "from a script")
            self.assertIn("connected to", program.log())
            self.end_well(program, number)
            self.assertEqual(program.wait(), 0)


class ExposeTests(EmbeddingCase):
    """The script in all weathers."""

    SCRIPT = str(EXAMPLES / "expose_script.py")

    def test_gateway_later(self) -> None:
        """A gateway that comes later is waited for."""
        port = free_port()
        program = self.python(self.SCRIPT, ANP_GATEWAY=f"ws://127.0.0.1:{port}/ws")
        wait_until(lambda: "cannot connect" in program.log(), "it says that it waits")
        gateway = self.start_gateway(port=port)
        self.assertEqual(program.line(), f"{gateway.url}/")

    def test_refused(self) -> None:
        """A token that is refused, or is nowhere, is one line and status 1."""
        for environment, words in [
            ({"ANP_TOKEN": "wrong"}, "expose: the gateway refused the token (401)"),
            ({"ANP_STATE_DIR": "elsewhere"}, "expose: there is no token in elsewhere/receiver.token"),
            ({"ANP_LINKS": "many"}, "expose: ANP_LINKS must be a whole number"),
        ]:
            program = self.python(self.SCRIPT, **environment)
            self.assertEqual(program.wait(), 1)
            self.assertIn(words, program.log())
            self.assertNotIn("Traceback", program.log())

    def test_second_signal(self) -> None:
        """A second signal waits for nothing."""
        shutil.copy(APPS / "lab.py", self.folder)
        Path(self.folder / "script.py").write_text("from anp_twisted import expose\nimport lab\nexpose(lab.app)\n")
        program = self.python("script.py")
        url = program.line()
        with httpx.stream("GET", f"{url}hold?stay=1", trust_env=False, timeout=20) as answer:
            next(answer.iter_raw())
            program.signal(signal.SIGTERM)
            wait_until(lambda: "draining" in program.log(), "it drains")
            self.assertIsNone(program.process.poll())
            program.signal(signal.SIGTERM)
            program.wait(10)
        self.assertNotIn("Traceback", program.log())


class LeftoverTests(EmbeddingCase):
    """What a receiver leaves behind in the program it was in."""

    def lines(self, what: str, count: int) -> list[dict[str, Any]]:
        """Run a program of the tests to its end."""
        program = self.python(str(APPS / "embedded.py"), what)
        found = [json.loads(program.line()) for _ in range(count)]
        self.assertEqual(program.wait(), 0, program.log())
        return found

    def test_again(self) -> None:
        """Two receivers on a loop, on one loop after the other: nothing is left of them, not even a reactor."""
        found = self.lines("again", 6)
        for during in found[::2]:
            self.assertEqual(during["texts"], ["/a", "/b"])
            self.assertEqual(during["connected"], [True, True])
            self.assertEqual(during["urls"], [f"{self.gateway.url}/a", f"{self.gateway.url}/b"])
        for after in found[1::2]:
            self.assertEqual((after["tasks"], after["connected"], after["reactor"]), (1, [False, False], False))
            self.assertEqual(after["threads"], ["MainThread"])
        self.assertEqual(found[1]["descriptors"], found[3]["descriptors"])

    def test_blocked(self) -> None:
        """A program that stands still hears of it, as an application of the command does."""
        (found,) = self.lines("blocked", 1)
        self.assertRegex("".join(found["logged"]), r"^the event loop stood still for 1\.\d s, .*asyncio\.to_thread")

    def test_failing(self) -> None:
        """What cannot be done is an exception with one line, and leaves nothing either."""
        found = self.lines("failing", 4)
        for line, words in zip(
            found,
            (
                "the gateway refused the token (401)",
                "no link with a gateway within 1 s: nothing listens at the gateway's address",
                "ws://gate.example would send the token in the clear",
                "cannot read the token in missing",
            ),
            strict=True,
        ):
            self.assertIn(words, line["text"])
            self.assertEqual((line["tasks"], line["threads"], line["reactor"]), (1, ["MainThread"], False), line)
        self.assertEqual(
            [line["error"] for line in found], ["LinkRefused", "LinkRefused", "SettingsError", "CredentialError"]
        )
        self.assertEqual(len({line["descriptors"] for line in found}), 1)
