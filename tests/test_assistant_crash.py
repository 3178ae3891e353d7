"""
A gateway that is killed at any moment, again and again, while clients send.

What was acknowledged is there, in its place; nothing is there by half or twice;
what was cut is told as cut. C{ANP_ASSISTANT_CRASH=full} kills 200 times instead of a few, a number as often as it says.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.assistant import Assistant, AssistantCase, RpcClient

_WANTED = os.environ.get("ANP_ASSISTANT_CRASH", "3")
_ROUNDS = 200 if _WANTED == "full" else int(_WANTED)
_SESSIONS = ("one", "two", "three")
_CLIENTS = 6
_LONGEST = 0.35
"""Seconds of load before a kill, at most."""

Acknowledged = dict[str, dict[str, Any]]
"""By idempotency key: what was asked, and the answer that came."""


class Load:
    """
    Clients that send as fast as they are answered.

    @ivar acknowledged: what came back, of all rounds.
    @ivar finals: texts of answers that were told to be complete, by run.
    @ivar asked: how many messages were sent, acknowledged or not.
    """

    def __init__(self) -> None:
        self.acknowledged: Acknowledged = {}
        self.finals: dict[str, str] = {}
        self.asked = 0

    def run(self, gateway: Assistant, seconds: float) -> None:
        """Load a gateway until it is killed."""
        asyncio.run(self._all(gateway, seconds))

    async def _all(self, gateway: Assistant, seconds: float) -> None:
        clients = [asyncio.create_task(self._client(gateway, number)) for number in range(_CLIENTS)]
        await asyncio.sleep(seconds)
        gateway.signal(signal.SIGKILL)
        await asyncio.gather(*clients)

    async def _client(self, gateway: Assistant, number: int) -> None:
        try:
            async with connect(gateway.ws, additional_headers=gateway.headers, proxy=None) as socket:
                while True:
                    await self._exchange(socket, _SESSIONS[number % len(_SESSIONS)])
        except (ConnectionClosed, OSError, EOFError):
            return

    async def _exchange(self, socket: Any, session: str) -> None:
        """Send a message and read until it was acknowledged."""
        self.asked += 1
        key = f"k{self.asked}"
        params = {"session_key": session, "text": f"text {key}", "idempotency_key": key}
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": key, "method": "chat.send_stream", "params": params}))
        while True:
            message = json.loads(await socket.recv())
            if message.get("id") == key:
                if "result" in message:
                    self.acknowledged[key] = {**params, **message["result"]}
                else:
                    await asyncio.sleep(0.005)
                return
            event = message["params"]
            if event["type"] == "chat.final":
                self.finals[event["run_id"]] = event["text"]


class CrashTests(AssistantCase):
    """Killed and started again, on the same files."""

    def test_killed(self) -> None:
        """After every kill and at the end, everything that was promised holds."""
        runs, load, draw = self.folder / "runs.txt", Load(), random.Random(os.environ.get("ANP_SEED", "6"))
        runs.touch()
        for _ in range(_ROUNDS):
            gateway = self.start(runs)
            load.run(gateway, draw.uniform(0.02, _LONGEST))
            gateway.end()
        gateway = self.start(runs)
        client = self.rpc(gateway)
        known = {session: self.events_of(client, session) for session in _SESSIONS}
        for events in known.values():
            self.check_order(events)
        self.check_acknowledged(load, {event["run_id"]: event for events in known.values() for event in events})
        self.check_ends(load, known)
        self.check_again(load, client, runs)
        self.check_files()
        print(
            f"\n{_ROUNDS} kills, {load.asked} asked, {len(load.acknowledged)} acknowledged, {len(load.finals)} complete"
        )

    def start(self, runs: Path) -> Assistant:
        """Start the gateway on the files that there are."""
        return self.start_assistant(
            "--agent=python:counting_agent:agent",
            "--message-rate=1000000/1s",
            environment={"RUNS_FILE": str(runs)},
        )

    def events_of(self, client: RpcClient, session: str) -> list[dict[str, Any]]:
        """Read all of a session."""
        found: list[dict[str, Any]] = []
        while True:
            page = client.call("events.replay", session_key=session, after_seq=len(found), limit=100)
            found += page["events"]
            if len(found) >= page["last_seq"]:
                return found

    def check_order(self, events: list[dict[str, Any]]) -> None:
        """No place is missing or there twice, and no record is damaged."""
        self.assertEqual([event["seq"] for event in events], list(range(1, len(events) + 1)))
        self.assertNotIn("session.damaged", {event["type"] for event in events})

    def check_acknowledged(self, load: Load, last: dict[str, dict[str, Any]]) -> None:
        """Everything that was acknowledged is there, and has come to an end."""
        self.assertGreater(len(load.acknowledged), _ROUNDS)
        for sent in load.acknowledged.values():
            self.assertIn(last[sent["run_id"]]["type"], ("chat.final", "chat.interrupted"))

    def check_ends(self, load: Load, known: dict[str, list[dict[str, Any]]]) -> None:
        """Messages are where their acknowledgement says; an answer that was told is kept; each run ends once."""
        said = {event["message_id"]: (event, session) for session in known for event in known[session]}
        for sent in load.acknowledged.values():
            event, session = said[sent["user_message_id"]]
            self.assertEqual((event["seq"], event["text"], session), (sent["seq"], sent["text"], sent["session_key"]))
        begun = [event["run_id"] for events in known.values() for event in events if event["type"] == "chat.message"]
        ended = [event["run_id"] for events in known.values() for event in events if event["type"] != "chat.message"]
        self.assertEqual(len(set(begun)), len(begun))
        self.assertEqual(sorted(begun), sorted(ended))
        texts = {event["run_id"]: event.get("text") for events in known.values() for event in events}
        for run_id, text in load.finals.items():
            self.assertEqual(texts[run_id], text)

    def check_again(self, load: Load, client: RpcClient, runs: Path) -> None:
        """No run began twice; what is sent again under its key is what it was, and runs nothing."""
        begun = runs.read_text().split()
        self.assertEqual(len(set(begun)), len(begun))
        for sent in list(load.acknowledged.values())[:: max(1, len(load.acknowledged) // 20)]:
            params = {name: sent[name] for name in ("session_key", "text")}
            answer = client.call("chat.send_stream", idempotency_key=sent["idempotency_key"], **params)
            self.assertEqual(answer["run_id"], sent["run_id"])
        self.assertEqual(runs.read_text().split(), begun)

    def check_files(self) -> None:
        """Nothing was put aside as damaged, and every line is whole."""
        folder = self.folder / "assistant-state" / "sessions"
        self.assertEqual([path.suffix for path in folder.iterdir()], [".jsonl"] * len(_SESSIONS))
        for path in folder.iterdir():
            data = path.read_bytes()
            self.assertTrue(data.endswith(b"\n"))
            for line in data.splitlines():
                json.loads(line)
