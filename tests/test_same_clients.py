"""
Every kind of application, every kind of client: httpx, curl, two WebSocket libraries and a page in a browser see
through the tunnel what they see of the application's own server.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import Any

import httpx
import websocket
import websockets.exceptions
import websockets.sync.client

from tests.browser import OPTIONS
from tests.harness import APPS, EndToEnd, Program, free_port, listening, twistd, wait_until
from tests.test_same_as_direct import OWN

NO_NODE = None if shutil.which("node") else "node is not installed"
NO_CURL = None if shutil.which("curl") else "curl is not installed"
NO_BROWSER = None if shutil.which("chromedriver") and shutil.which("chromium") else "chromium is not installed"

OFFERED = ["second", "first"]

#: What an application behind another server learns of its caller by fields, and one in process by the scope.
FORWARDED = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}

PAGE = """
const [events, socket, word, done] = arguments;
const seen = {events: [], messages: []};
const jobs = [fetch("/show?from=page", {method: "POST", body: "b\u00f6dy"}).then(async (answer) => {
  seen.fetched = [answer.status, answer.headers.get("content-type"), (await answer.text()).length > 0];
})];
if (events) jobs.push(new Promise((over) => {
  const source = new EventSource(events);
  source.onmessage = (event) => {
    seen.events.push(event.data.replace(/[0-9.]+/, "N"));
    if (seen.events.length === 3) { source.close(); over(); }
  };
}));
if (socket) jobs.push(new Promise((over) => {
  const client = new WebSocket(location.origin.replace("http", "ws") + socket, ["second", "first"]);
  client.onopen = () => { seen.protocol = client.protocol; client.send("h\u00e9llo"); };
  client.onmessage = (event) => {
    seen.messages.push(event.data);
    if (event.data === "h\u00e9llo") client.send(word);
  };
  client.onclose = (event) => { seen.closed = [event.code, event.reason, event.wasClean]; over(); };
}));
Promise.all(jobs).then(() => done(seen));
"""


class Everyone(EndToEnd):
    """
    One application on its own server and behind the tunnel.

    @cvar events: where it sends events, if it does.
    @cvar socket: where its WebSocket is, if it has one.
    @cvar word: the message that lets it close with 4000.
    """

    events = "/events"
    socket = "/ws"
    word = "close"

    def behind(self, option: str, direct: str) -> None:
        """Start gateway and receiver, and let every client compare."""
        gateway = self.start_gateway()
        command = (twistd(), "-n", "--pidfile=", "anp-receiver", f"--gateway={gateway.link}", option)
        self.start_program(*command, name="receiver").line()
        self.urls = (direct, gateway.url)
        for client in (self.by_httpx, self.by_curl, self.by_websockets, self.by_websocket_client, self.by_page):
            with self.subTest(client.__name__):
                first, second = client()
                self.assertEqual(second, first)

    def uvicorn(self, app: str) -> str:
        """Start uvicorn and return its address."""
        port = free_port()
        command = (sys.executable, "-m", "uvicorn", app, f"--port={port}", "--log-level=critical", "--no-proxy-headers")
        self.start_program(*command, name="uvicorn")
        wait_until(lambda: listening(port), "uvicorn listens")
        return f"http://127.0.0.1:{port}"

    # --- the clients ------------------------------------------------------

    def by_httpx(self) -> list[Any]:
        """An answer and a stream."""
        return [self._httpx(url) for url in self.urls]

    def _httpx(self, url: str) -> list[Any]:
        seen: list[Any] = []
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            answer = client.post("/show?x=1", content=b"body")
            seen += [answer.status_code, answer.headers.get("content-type"), body_of(answer)]
            if self.events:
                with client.stream("GET", self.events, headers={"Accept": "text/event-stream"}) as streamed:
                    seen += [streamed.status_code, streamed.headers["content-type"]]
                    seen.append([re.sub(r"[\d.]+", "N", line) for line in streamed.iter_lines()])
        return seen

    def by_curl(self) -> list[Any]:
        """What C{curl -i} prints, and what it ends with."""
        if NO_CURL:
            return [None, None]
        return [self._curl(url) for url in self.urls]

    def _curl(self, url: str) -> list[Any]:
        asked = [
            ["-X", "PUT", "--data-binary", "body", f"{url}/show?x=1"],
            ["--head", f"{url}/show"],
            ["-F", "field=value", f"{url}/show"],
        ]
        if self.events:
            asked.append(["-N", f"{url}{self.events}"])
        seen = []
        for arguments in asked:
            command = ["curl", "-q", "-sS", "-i", "--noproxy", "*", "--max-time", "20", *arguments]
            done = subprocess.run(command, capture_output=True, timeout=30)
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            lines = sorted(line.lower() for line in head.decode("latin-1").split("\r\n")[1:])
            own = (*OWN, "keep-alive", "content-length", "via")
            kept = [line for line in lines if line.partition(":")[0] not in own]
            status = head.split(b" ")[1]
            stream = re.sub(rb"[\d.]+", b"N", body) if "-N" in arguments else bool(body)
            seen.append((done.returncode, status, kept, stream))
        return seen

    def by_websockets(self) -> list[Any]:
        """A talk, and what a wrong path is answered with."""
        return [self._websockets(url.replace("http", "ws", 1)) for url in self.urls] if self.socket else [None, None]

    def _websockets(self, url: str) -> list[Any]:
        seen: list[Any] = []
        fields = {"Cookie": "a=1"}
        with websockets.sync.client.connect(
            f"{url}{self.socket}?x=1&y=2", subprotocols=OFFERED, additional_headers=fields, proxy=None  # type: ignore[arg-type]
        ) as client:  # fmt: skip
            seen.append(client.subprotocol)
            for said in ("one", "\u00e9" * 50_000, ["in ", "parts"]):
                client.send(said)
                whole = said if isinstance(said, str) else "".join(said)
                while (heard := client.recv(20)) != whole:
                    seen.append(heard)
            client.send(self.word)
            try:
                seen.append(client.recv(20))
            except websockets.exceptions.ConnectionClosed:
                seen.append((client.close_code, client.close_reason))
        try:
            with websockets.sync.client.connect(f"{url}/denied", proxy=None):
                seen.append("accepted")
        except websockets.exceptions.InvalidStatus as refused:
            seen.append(refused.response.status_code)
        return seen

    def by_websocket_client(self) -> list[Any]:
        """The same talk by the other library."""
        return (
            [self._websocket_client(url.replace("http", "ws", 1)) for url in self.urls] if self.socket else [None, None]
        )

    def _websocket_client(self, url: str) -> list[Any]:
        client = websocket.create_connection(
            f"{url}{self.socket}?x=1&y=2", timeout=20, subprotocols=OFFERED, cookie="a=1", http_no_proxy=["127.0.0.1"]
        )
        seen: list[Any] = [client.getstatus(), client.getsubprotocol()]
        for said in ("one", "\u00e9" * 50_000):
            client.send(said)
            while (heard := client.recv()) != said:
                seen.append(heard)
        client.ping("payload")
        seen.append(client.recv_data_frame(control_frame=True)[1].data)
        client.send(self.word)
        opcode, frame = client.recv_data_frame()
        seen.append((opcode, bytes(frame.data)))
        client.shutdown()
        try:
            websocket.create_connection(f"{url}/denied", timeout=20, http_no_proxy=["127.0.0.1"]).shutdown()
            seen.append("accepted")
        except websocket.WebSocketBadStatusException as refused:
            seen.append(refused.status_code)
        return seen

    def by_page(self) -> list[Any]:
        """fetch, EventSource and WebSocket of a page that the application served."""
        if NO_BROWSER:
            return [None, None]
        port = free_port()
        self.start_program("chromedriver", f"--port={port}", name="chromedriver")
        wait_until(lambda: listening(port), "the driver listens")
        driver = self.client(f"http://127.0.0.1:{port}")
        options = {"args": [*OPTIONS, f"--user-data-dir={self.folder / 'profile'}"]}
        asked = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        session = driver.post("/session", json=asked, timeout=60).json()["value"]["sessionId"]
        seen = []
        try:
            for url in self.urls:
                driver.post(f"/session/{session}/url", json={"url": f"{url}/show"}, timeout=60)
                script = {"script": PAGE, "args": [self.events, self.socket, self.word]}
                seen.append(driver.post(f"/session/{session}/execute/async", json=script, timeout=60).json()["value"])
        finally:
            driver.delete(f"/session/{session}")
        for one in seen:
            self.assertEqual(one["events"], ["N"] * 3 if self.events else [])
            self.assertEqual(one.get("closed", [4000, "", True])[::2], [4000, True])
        return seen


def body_of(answer: httpx.Response) -> Any:
    """The body, without what a description of the request says of the way it came."""
    if answer.headers.get("content-type") != "application/json":
        return answer.content
    found: dict[str, Any] = answer.json()
    ignored = OWN | FORWARDED | {"content-length", "content-type"}
    found["headers"] = sorted([name.lower(), value] for name, value in found["headers"] if name.lower() not in ignored)
    return found


class AsgiTests(Everyone):
    """Frameworks in process, on uvicorn otherwise."""

    def test_fastapi(self) -> None:
        """FastAPI: a WebSocket, and events."""
        self.behind("--app=frameworks:fast", self.uvicorn("frameworks:fast"))

    def test_starlette(self) -> None:
        """Starlette, likewise."""
        self.behind("--app=frameworks:star", self.uvicorn("frameworks:star"))

    def test_channels(self) -> None:
        """Django with channels: views, an asynchronous stream, a consumer and a group."""
        self.behind("--app=channels_app:app", self.uvicorn("channels_app:app"))


class FlaskTests(Everyone):
    """WSGI."""

    socket = ""

    def test_flask(self) -> None:
        """Flask, on its own server otherwise."""
        port = free_port()
        serve = f"from wsgi_apps import flasky; flasky.run('127.0.0.1', {port})"
        self.start_program(sys.executable, "-c", serve, name="flask")
        wait_until(lambda: listening(port), "Flask listens")
        self.behind("--wsgi=wsgi_apps:flasky", f"http://127.0.0.1:{port}")


class NodeTests(Everyone):
    """Servers in Node behind C{--target}."""

    skip = NO_NODE

    def node(self, script: str) -> str:
        """Start one."""
        program: Program = self.start_program("node", str(APPS / script), name="node")
        return f"http://127.0.0.1:{program.line()}"

    def test_http(self) -> None:
        """Its HTTP server."""
        self.socket = ""
        url = self.node("node_http.js")
        self.behind(f"--target={url}", url)

    def test_websocket(self) -> None:
        """A WebSocket server."""
        self.events, self.socket, self.word = "", "/echo", "close 4000"
        url = self.node("node_ws.js")
        self.behind(f"--target={url}", url)
