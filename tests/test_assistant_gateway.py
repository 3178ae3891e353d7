"""
The assistant gateway as a process: how it starts, whom it lets in, how it ends, and that no secret leaves it.
"""

from __future__ import annotations

import json
import signal
import ssl
from pathlib import Path
from typing import Any

import httpx
import trustme
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.assistant import Assistant, AssistantCase, RpcClient
from tests.harness import wait_until

_CANARY = "canary-7f3a9c51d2"


class GatewayTests(AssistantCase):
    """One gateway."""

    def test_withoutAWord(self) -> None:
        """It listens on this machine alone, makes a token, and prints an address that lets the operator in, once."""
        gateway = self.start_assistant()
        self.assertTrue(gateway.url.startswith("http://127.0.0.1:"))
        state = self.folder / "assistant-state"
        self.assertEqual(
            (state.stat().st_mode & 0o777, (state / "assistant.token").stat().st_mode & 0o777), (0o700, 0o600)
        )
        page = httpx.get(gateway.url, trust_env=False)
        self.assertEqual((page.status_code, page.headers["content-type"].partition(";")[0]), (200, "text/html"))
        with connect(gateway.ws, proxy=None) as socket:
            answer = self.ask(socket, "connect", link=gateway.link)
            self.assertEqual(answer["result"]["role"], "admin")
            self.assertEqual(self.ask(socket, "chat.send", session_key="s", text="你好")["result"]["text"], "你好")
        with connect(gateway.ws, proxy=None) as socket:
            self.assertEqual(self.ask(socket, "connect", link=gateway.link)["error"]["code"], -32001)
            self.assertEqual(self.ask(socket, "session.list")["error"]["code"], -32001)

    def ask(self, socket: ClientConnection, method: str, **params: Any) -> Any:
        """Call a method and return the whole answer."""
        socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        return json.loads(socket.recv(timeout=20))

    def status(self, gateway: Assistant, **headers: str) -> int:
        """Try to connect and return the status."""
        try:
            with connect(gateway.ws, additional_headers=headers, proxy=None):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    def test_doors(self) -> None:
        """Wrong tokens, pages of others and names of others stay out; a browser's token may be a subprotocol."""
        gateway = self.start_assistant("--allowed-origin=https://app.example")
        self.assertEqual(self.status(gateway, **gateway.headers), 101)
        self.assertEqual(self.status(gateway, Authorization="Bearer wrong"), 401)
        self.assertEqual(self.status(gateway, Origin="http://evil.example"), 403)
        self.assertEqual(self.status(gateway, Origin="null"), 403)
        self.assertEqual(self.status(gateway, Origin=gateway.url), 101)
        self.assertEqual(self.status(gateway, Origin="https://app.example"), 101)
        self.assertEqual(httpx.get(gateway.url, headers={"Host": "evil.example"}, trust_env=False).status_code, 421)

    def test_revoked(self) -> None:
        """Whoever is connected by a token that is revoked is told so, and does not come back."""
        gateway = self.start_assistant()
        admin = self.rpc(gateway)
        made = admin.call("token.create", principal="bob")
        bob = RpcClient(gateway, made["token"])
        self.assertEqual(bob.call("session.list")["sessions"], [])
        self.assertEqual(bob.error("token.list")["code"], -32003)
        self.assertEqual(admin.call("token.revoke", token_id=made["token_id"])["connections"], 1)
        closed = self.assertRaises(ConnectionClosed, bob.call, "health")
        assert closed.rcvd is not None
        self.assertEqual(closed.rcvd.code, 4001)
        self.assertEqual(self.status(gateway, Authorization=f"Bearer {made['token']}"), 401)

    def test_hostileFrames(self) -> None:
        """What is no text, no UTF-8 or too large closes with its code; what is no request is answered."""
        gateway = self.start_assistant("--message-limit=2000")
        for data, code in ((b"\x00", 1003), ("x" * 3000, 1009)):
            with connect(gateway.ws, additional_headers=gateway.headers, proxy=None) as socket:
                socket.send(data)
                closed = self.assertRaises(ConnectionClosed, socket.recv, 20)
                assert closed.rcvd is not None
                self.assertEqual(closed.rcvd.code, code)
        with connect(gateway.ws, additional_headers=gateway.headers, proxy=None) as socket:
            for text in ("{", "[]", "[" * 1500, '{"jsonrpc":"2.0","method":"nope","id":1}'):
                socket.send(text)
                self.assertIn("error", json.loads(socket.recv(timeout=20)))
            self.assertEqual(self.ask(socket, "health")["result"]["status"], "ok")
        self.assertNotIn("Traceback", gateway.log())

    def test_end(self) -> None:
        """The first SIGTERM lets an answer become complete; clients hear the end, and sessions outlive it."""
        gateway = self.start_assistant("--agent=python:counting_agent:ticking")
        client = self.rpc(gateway)
        number = client.ask("chat.send", session_key="s", text="10:0.05:30")
        client.call("health")
        gateway.signal(signal.SIGTERM)
        self.assertEqual(len(client.answer(number)["result"]["text"]), 300)
        closed = self.assertRaises(ConnectionClosed, client.answer, -1)
        assert closed.rcvd is not None
        self.assertEqual(closed.rcvd.code, 1001)
        self.assertIn(gateway.wait(), (0, -signal.SIGTERM))
        self.assertNotIn("Traceback", gateway.log())
        again = self.rpc(self.start_assistant())
        self.assertEqual(len(again.call("chat.history", session_key="s")["messages"]), 2)

    def test_tls(self) -> None:
        """TLS as the other commands have it."""
        authority = trustme.CA()
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        issued = authority.issue_cert("localhost")
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        key.chmod(0o600)
        gateway = self.start_assistant(f"--tls-cert={cert}", f"--tls-key={key}")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        url = f"wss://localhost:{gateway.port}/ws"
        with connect(url, ssl=context, additional_headers=gateway.headers, proxy=None) as socket:
            self.assertEqual(self.ask(socket, "health")["result"]["status"], "ok")


class SecretTests(AssistantCase):
    """A token that must not be seen anywhere."""

    def test_canary(self) -> None:
        """It is in no log, error, page, file, name of a file or list of processes, whether it was right or wrong."""
        gateway = self.start_assistant("--log-level=debug", environment={"ANP_TOKEN": f"{_CANARY}-right"})
        client = self.rpc(gateway)
        made = client.call("token.create", principal="bob")
        seen = [json.dumps(client.call("token.list")), json.dumps(client.call("session.list"))]
        client.call("chat.send", session_key="s", text="hi")
        seen.append(json.dumps(client.error("connect", token=f"{_CANARY}-wrong")))
        for target in ("/", f"/?token={_CANARY}", f"/ws?token={_CANARY}", f"/{_CANARY}", "/v1/models", "/health"):
            for headers in (
                {},
                {"Authorization": f"Bearer {_CANARY}-wrong"},
                {"Sec-WebSocket-Protocol": f"bearer.{_CANARY}"},
            ):
                answer = httpx.get(f"{gateway.url}{target}", headers=headers, trust_env=False)
                seen.append(f"{answer.headers} {answer.text}")
        seen.append(Path(f"/proc/{gateway.process.pid}/cmdline").read_text())
        self.terminate(gateway)
        seen.append(gateway.log())
        state = self.folder / "assistant-state"
        files = [path for path in state.rglob("*") if path.is_file()]
        seen += [path.name for path in files] + [path.read_text() for path in files]
        for text in seen:
            for secret in (_CANARY, made["token"], gateway.link):
                self.assertNotIn(secret, text)


class RecoveryTests(AssistantCase):
    """A gateway whose client comes back."""

    def test_reconnect(self) -> None:
        """A client that was away hears what it missed, then what happens, and nothing twice."""
        gateway = self.start_assistant("--agent=python:counting_agent:ticking")
        first = RpcClient(gateway)
        first.call("session.create", session_key="s")
        first.call("session.subscribe", session_key="s")
        first.ask("chat.send_stream", session_key="s", text="20:0.02:30")
        wait_until(lambda: self.heard(first), "three deltas")
        told = max((event["seq"] for event in first.events if "seq" in event), default=1)
        first.close()
        second = self.rpc(gateway)
        second.call("session.subscribe", session_key="s", after_seq=told)
        final = second.until("chat.final")
        text = ""
        for event in second.events:
            if event["type"] == "chat.delta":
                text = text if event["offset"] else ""
                self.assertEqual(event["offset"], len(text))
                text += event["delta"]
        self.assertEqual((text, final["seq"]), (final["text"], told + 1))

    def heard(self, client: RpcClient) -> bool:
        """Whether some deltas came."""
        client.call("health")
        return len([event for event in client.events if event["type"] == "chat.delta"]) >= 3
