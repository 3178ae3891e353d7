"""The assistant before a model's server of others: npm's C{@copilotkit/aimock}, well and in chaos."""

from __future__ import annotations

import os
import time
from typing import Any
from unittest import SkipTest

import httpx

from tests.assistant import Assistant, AssistantCase, RpcClient
from tests.harness import Program, free_port, wait_until
from tests.node import node, node_folder

GREETING = 'Grüße 你好 👩‍👩‍👧 and "quotes"\nacross two lines'
KEY = "sk-canary-7f3a"
FULL = os.environ.get("ANP_CHAOS") == "full"
TURNS = 200 if FULL else 30
AT_ONCE = 50


class ModelCase(AssistantCase):
    """A gateway whose agent is a model's server on a fixed port, which may come and go."""

    def setUp(self) -> None:
        super().setUp()
        self.modules = node_folder()
        self.port = free_port()
        self.model: Program | None = None
        self.gateway: Assistant = self.start_assistant(
            f"--agent=openai:http://127.0.0.1:{self.port}/v1",
            "--message-rate=1000/60s",
            environment={"ANP_AGENT_KEY": KEY},
        )
        self.addCleanup(self._check_log)
        self.client: RpcClient = self.rpc(self.gateway)
        self.number = 0

    def start_model(self, *flags: str) -> None:
        """Start the server, in the place of one that runs."""
        if self.model is not None:
            self.model.end()
        script = str(self.modules / "node_modules/@copilotkit/aimock/dist/cli.js")
        answers = str(self.modules / "models.json")
        # One UTF-16 unit in each piece: every character beyond the first plane is cut in the middle.
        self.model = self.start_program(
            node(), script, f"--port={self.port}", f"--fixtures={answers}", "--chunk-size=1", *flags, name="model"
        )
        wait_until(self._listens, "the model's server listens")

    def _listens(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/__aimock/health", trust_env=False).status_code < 500
        except httpx.HTTPError:
            return False

    def ask(self, text: str) -> tuple[str, Any]:
        """
        @return: the deltas of an answer, and its end.
        """
        self.number += 1
        key = f"s{self.number}"
        self.client.call("chat.send_stream", session_key=key, text=text, mode="single")
        end = self.client.until("chat.final", "chat.failed")
        text = "".join(event["delta"] for event in self.client.events if event["type"] == "chat.delta")
        self.heard, self.client.events[:] = list(self.client.events), []
        return text, end

    def fails(self, text: str, code: str = "agent_error", retryable: bool = True) -> str:
        """
        @return: what was said before the end, which is a failure in our words.
        """
        said, end = self.ask(text)
        self.assertEqual((end["type"], end["code"], end["retryable"]), ("chat.failed", code, retryable))
        self.assertNotIn("canary", str(self.heard))
        return said

    def _check_log(self) -> None:
        """Nothing of the key is in the log, and nothing that nobody expected."""
        self.assertNotIn(KEY, self.gateway.log())
        self.assertNotIn("Traceback", self.gateway.log())


class ModelTests(ModelCase):
    """What such a server does on purpose."""

    def test_answers(self) -> None:
        """Text cut anywhere, reasoning, calls of tools, the history, and an abort in the middle."""
        self.start_model()
        said, end = self.ask("greet")
        self.assertEqual((said, end["text"]), (GREETING, GREETING))
        said, end = self.ask("think")
        self.assertEqual((said, end["text"]), ("done", "done"))
        thought = "".join(event["delta"] for event in self.heard if event["type"] == "chat.reasoning")
        self.assertEqual(thought, "let me see")
        _, end = self.ask("weather")
        tools = [event for event in self.heard if event["type"] == "chat.tool"]
        self.assertEqual([(one["name"], one["state"]) for one in tools], [("get_weather", "started")])
        self._abort()
        journal = httpx.get(f"http://127.0.0.1:{self.port}/__aimock/journal", trust_env=False).json()
        self.assertIn("authorization", journal[0]["headers"])

    def _abort(self) -> None:
        """End an answer that takes seconds."""
        self.client.call("chat.send_stream", session_key="abort", text="long", mode="single")
        self.client.until("chat.delta")
        begun = time.monotonic()
        self.client.call("chat.abort", session_key="abort")
        self.assertEqual(self.client.until("chat.failed")["code"], "cancelled")
        self.assertLess(time.monotonic() - begun, 2)
        self.client.events.clear()

    def test_refusals(self) -> None:
        """A server that is away, a stream that is cut or breaks, and refusals are failures; what comes next is not."""
        self.fails("greet")
        self.start_model()
        self.assertTrue("this will never be complete".startswith(self.fails("cut")))
        self.assertTrue("this will break off".startswith(self.fails("break")[:19]))
        self.fails("refuse", retryable=False)
        self.fails("busy", code="rate_limited")
        self.assertEqual(self.ask("greet")[0], GREETING)


class ChaosTests(ModelCase):
    """The server's own chaos."""

    def test_flags(self) -> None:
        """Each flag alone, always: the failure is the one it should be, and late is not lost."""
        if not FULL:
            raise SkipTest("each flag alone takes its time: ANP_CHAOS=full")
        for flag, code in (
            ("--chaos-drop=1", "agent_error"),
            ("--chaos-malformed=1", "agent_error"),
            ("--chaos-disconnect=1", "agent_error"),
            ("--chaos-ratelimit=1", "rate_limited"),
        ):
            self.start_model(flag)
            self.assertEqual(self.fails("greet", code), "")
        self.start_model("--chaos-latency=300")
        self.assertEqual(self.ask("greet")[0], GREETING)

    def test_mixed(self) -> None:
        """All of them, sometimes: each turn has one end, and an answer is whole or is none."""
        self.start_model("--chaos-drop=0.2", "--chaos-malformed=0.2", "--chaos-disconnect=0.2", "--chaos-ratelimit=0.1")
        runs: dict[str, str] = {}
        ends: list[Any] = []
        for first in range(0, TURNS, AT_ONCE):
            for number in range(first, min(first + AT_ONCE, TURNS)):
                sent = self.client.call("chat.send_stream", session_key=f"c{number}", text="greet", mode="single")
                runs[sent["run_id"]] = ""
            while len(ends) < len(runs):
                self._hear(runs, ends)
        self.assertEqual({event["run_id"] for event in ends}, set(runs))
        answered = [event for event in ends if event["type"] == "chat.final"]
        self.assertGreater(len(answered), TURNS // 4)
        for event in answered:
            self.assertEqual((event["text"], runs[event["run_id"]]), (GREETING, GREETING))
        for event in ends:
            self.assertTrue(event["type"] == "chat.final" or event["retryable"], event)
        self.start_model()
        self.assertEqual(self.ask("greet")[0], GREETING)

    def _hear(self, runs: dict[str, str], ends: list[Any]) -> None:
        """Take the next message, and sort the events that came."""
        self.client.read(60)
        events, self.client.events[:] = list(self.client.events), []
        for event in events:
            if event["type"] == "chat.delta":
                runs[event["run_id"]] += event["delta"]
            elif event["type"] in ("chat.final", "chat.failed"):
                ends.append(event)
