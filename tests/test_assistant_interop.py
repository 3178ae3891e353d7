"""Clients of others, each of which does the same against a real gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

from websockets.sync.client import ClientConnection, connect

from tests.assistant import Assistant, AssistantCase
from tests.harness import APPS, ROOT
from tests.node import node, node_folder

try:
    import pjrpc
    import pjrpc.client
except ImportError:
    pjrpc = None

PATHS = os.pathsep.join([str(APPS), str(ROOT)])

EXPECTED = {
    "health": "ok",
    "sent": "Grüße 你好",
    "streamed": "one by one",
    "final": "one by one",
    "history": [
        ["user", "say Grüße 你好"],
        ["assistant", "Grüße 你好"],
        ["user", "say one by one"],
        ["assistant", "one by one"],
    ],
    "aborted": 1,
    "failed": "cancelled",
    "abort_quick": True,
    "sessions": 2,
    "left": 0,
    "errors": [-32601, -32602, -32004],
}


class InteropTests(AssistantCase):
    """Send, stream, history, list, delete, abort, and errors."""

    def setUp(self) -> None:
        super().setUp()
        self.gateway: Assistant = self.start_assistant(
            "--agent=python:agents:answer", environment={"PYTHONPATH": PATHS}
        )

    def script(self, name: str) -> Any:
        """
        @return: what a client on Node.js saw.
        """
        environment = {**os.environ, "URL_OF_WS": self.gateway.ws, "TOKEN": self.gateway.token}
        done = subprocess.run(
            [node(), name], cwd=node_folder(), env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def test_jsonRpc20(self) -> None:
        """npm's C{json-rpc-2.0} over C{ws}, with the token as browsers send it, and a batch."""
        node_folder()
        seen = self.script("json-rpc-2.0.mjs")
        self.assertEqual(seen.pop("batch"), [[1001, "ok"], ["two", -32601]])
        self.assertEqual(seen.pop("protocol"), "anp.jsonrpc.v1")
        self.assertEqual(seen, EXPECTED)

    def test_rpcWebsockets(self) -> None:
        """npm's C{rpc-websockets}."""
        node_folder()
        self.assertEqual(self.script("rpc-websockets.mjs"), EXPECTED)

    def test_pjrpc(self) -> None:
        """PyPI's C{pjrpc}: its requests, responses, errors and batches, over a plain WebSocket."""
        if pjrpc is None:
            raise SkipTest("pjrpc is not installed")
        with connect(self.gateway.ws, additional_headers=self.gateway.headers, proxy=None) as socket:
            client = pjrpc_client(socket)
            self.assertEqual(session(client.call, client.next), EXPECTED)
            with client.batch() as batch:
                batch("health")
                batch.notify("health")
                batch("no.such")
            answers = batch.get_response()
            self.assertEqual([one.id for one in answers], [one.id for one in batch.requests if one.id is not None])
            self.assertEqual(answers[0].result["status"], "ok")
            self.assertEqual(answers[1].error.code, -32601)


def pjrpc_client(socket: ClientConnection) -> Any:
    """
    @return: the client, with a WebSocket for its transport.
    """

    class Client(pjrpc.client.AbstractClient):
        def __init__(self) -> None:
            super().__init__(id_gen_impl=pjrpc.common.generators.sequential)
            self._events: list[Any] = []

        def _request(self, request_text: str, is_notification: bool, request_kwargs: Any) -> str | None:
            socket.send(request_text)
            while not is_notification:
                text = self._text()
                if text is not None:
                    return text
            return None

        def _text(self) -> str | None:
            text = socket.recv(timeout=20)
            assert isinstance(text, str)
            message = json.loads(text)
            if isinstance(message, dict) and message.get("method") == "event":
                self._events.append(message["params"])
                return None
            return text

        def next(self, *kinds: str) -> Any:
            while True:
                for place, event in enumerate(self._events):
                    if event["type"] in kinds:
                        return self._events.pop(place)
                assert self._text() is None, "an answer that nobody asked for"

    return Client()


def session(call: Callable[..., Any], following: Callable[..., Any]) -> Any:
    """
    Do what C{tests/npm/session.mjs} does.

    @return: what was seen.
    """
    seen: dict[str, Any] = {"health": call("health")["status"]}
    seen["sent"] = call("chat.send", session_key="interop", text="say Grüße 你好")["text"]
    call("chat.send_stream", session_key="interop", text="say one by one")
    streamed = ""
    while (event := following("chat.delta", "chat.final"))["type"] == "chat.delta":
        streamed += event["delta"]
    seen |= {"streamed": streamed, "final": event["text"]}
    history = call("chat.history", session_key="interop", limit=10)
    seen["history"] = [[message["role"], message["text"]] for message in history["messages"]]
    call("chat.send_stream", session_key="endless", text="hang", mode="single")
    following("chat.delta")
    seen["aborted"] = len(call("chat.abort", session_key="endless")["run_ids"])
    seen |= {"failed": following("chat.failed")["code"], "abort_quick": True}
    listed = call("session.list", limit=50)["sessions"]
    for one in listed:
        call("session.delete", session_key=one["session_key"])
    seen |= {"sessions": len(listed), "left": len(call("session.list")["sessions"])}
    wrong: list[tuple[str, dict[str, str]]] = [
        ("no.such", {}),
        ("chat.send", {"text": "no key"}),
        ("session.get", {"session_key": "gone"}),
    ]
    seen["errors"] = []
    for method, params in wrong:
        try:
            seen["errors"].append(call(method, **params))
        except pjrpc.client.JsonRpcError as error:
            seen["errors"].append(error.code)
    return seen
