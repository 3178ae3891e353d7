"""
A real assistant gateway for the tests of this folder, and a plain client of its WebSocket.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.harness import SOON, EndToEnd, Program, twistd


class Assistant(Program):
    """
    C{twistd -n anp-assistant} on a free port.

    @ivar url: where it is, without a path.
    @ivar ws: its WebSocket.
    @ivar link: the one-time link that was printed.
    @ivar token: the operator's.
    """

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None, port: int = 0):
        state = folder / "assistant-state"
        command = [twistd(), "-n", "--pidfile=", "anp-assistant", f"--port={port}", f"--state-dir={state}", *options]
        super().__init__(command, folder, "assistant", environment)
        self.url, _, self.link = self.line().partition("/#link=")
        self.ws = f"{self.url.replace('http', 'ws', 1)}/ws"
        given = (environment or {}).get("ANP_TOKEN")
        self.token = given or (state / "assistant.token").read_text().strip()
        self.port = int(self.url.rpartition(":")[2])

    @property
    def headers(self) -> dict[str, str]:
        """How the operator says who it is."""
        return {"Authorization": f"Bearer {self.token}"}


class RpcClient:
    """
    A plain client.

    @ivar events: the parameters of the events that came, in order.
    """

    def __init__(self, gateway: Assistant, token: str | None = None):
        headers = {"Authorization": f"Bearer {token or gateway.token}"}
        self._socket = connect(gateway.ws, additional_headers=headers, max_size=None, proxy=None)
        self._number = 0
        self._answers: dict[int, Any] = {}
        self.events: list[Any] = []

    def ask(self, method: str, **params: Any) -> int:
        """Call a method and do not wait."""
        self._number += 1
        call = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(call))
        return self._number

    def answer(self, number: int, seconds: float = SOON) -> Any:
        """Wait for the answer to a call: the whole response."""
        while number not in self._answers:
            self.read(seconds)
        return self._answers.pop(number)

    def call(self, method: str, **params: Any) -> Any:
        """Call a method and return its result."""
        answer = self.answer(self.ask(method, **params))
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, **params: Any) -> Any:
        """Call a method and return its error."""
        return self.answer(self.ask(method, **params))["error"]

    def until(self, *kinds: str, seconds: float = SOON) -> Any:
        """Wait for the next event of one of these types."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if event["type"] in kinds:
                    return event
            seen = len(self.events)
            self.read(seconds)

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def read(self, seconds: float) -> None:
        """Take the next message, whatever it is."""
        message = json.loads(self._socket.recv(timeout=seconds))
        if message.get("method") == "event":
            self.events.append(message["params"])
        else:
            self._answers[message["id"]] = message


class AssistantCase(EndToEnd):
    """Starts gateways and clients that end with the test."""

    def start_assistant(self, *options: str, **keywords: Any) -> Assistant:
        """Start a gateway."""
        gateway = Assistant(self.folder, *options, **keywords)
        self.addCleanup(gateway.end)
        return gateway

    def rpc(self, gateway: Assistant, token: str | None = None) -> RpcClient:
        """Connect a client."""
        client = RpcClient(gateway, token)
        self.addCleanup(client.close)
        return client
