"""What a client sees through the tunnel is what it sees from uvicorn: the same requests to both, compared."""

from __future__ import annotations

import sys
from typing import Any

import httpx

from tests.harness import EndToEnd, free_port, listening, wait_until

#: Fields that are a server's own, or concern one connection only.
OWN = {"date", "server", "host", "connection", "transfer-encoding", "x-request-id"}

BINARY = bytes(range(256)) * 10

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/", {}),
    ("GET", "/a/b?x=1&x=2&y=&z", {}),
    ("GET", "/a%2Fb/c%20d/%C3%A9?q=%26%3D+", {}),
    ("GET", "/semi;colon=1/~tilde/(paren)/'quote'", {}),
    ("GET", "/double//slash/./dot/../up", {}),
    ("GET", "/" + "long/" * 200, {}),
    ("GET", "/h", {"headers": [("X-Twice", "1"), ("x-twice", "2"), ("X-Latin", b"caf\xe9")]}),
    ("GET", "/c", {"headers": [("Cookie", "a=1; b=2"), ("Authorization", "Basic Zm9vOmJhcg==")]}),
    ("HEAD", "/head", {}),
    ("OPTIONS", "/options", {"headers": [("Origin", "http://x"), ("Access-Control-Request-Method", "PUT")]}),
    ("POST", "/post", {"content": BINARY}),
    ("POST", "/empty", {"content": b""}),
    ("POST", "/chunked", {"chunks": [b"one", b"", b"two" * 10_000, BINARY]}),
    ("POST", "/form", {"data": {"a": "1", "b": "ü&="}}),
    ("PUT", "/put", {"content": b"x" * 300_000}),
    ("PATCH", "/patch", {"json": {"a": [1, None]}}),
    ("DELETE", "/delete", {}),
    ("DELETE", "/delete-with-body", {"content": b"body of a delete"}),
    ("GET", "/get-with-body", {"content": b"body of a get"}),
    ("GET", "/stream", {}),
]


def ask(client: httpx.Client, method: str, path: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Send a request and describe everything that came back."""
    options = dict(extra)
    chunks = options.pop("chunks", None)
    if chunks is not None:
        options["content"] = iter(chunks)
    # The bytes of the path as they are: no library normalises them.
    url = httpx.URL(client.base_url).copy_with(raw_path=path.encode())
    request = client.build_request(method, url, **options)
    del request.headers["connection"]  # it concerns the connection to the gateway only
    response = client.send(request)
    fields = [(name.lower(), value) for name, value in response.headers.raw if name.lower().decode() not in OWN]
    body: Any = response.content
    if response.headers.get("content-type") == "application/json" and body:
        body = response.json()
        body["headers"] = [pair for pair in body["headers"] if pair[0] not in OWN]
        if "client" in body:
            body["client"][1] = "a port"
    return {"status": response.status_code, "headers": sorted(fields), "body": body, "version": response.http_version}


class SameTests(EndToEnd):
    """Frameworks, served unchanged."""

    def compare(self, app: str) -> None:
        """Start uvicorn and the tunnel with one application and compare every request."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", app, f"--port={port}", "--log-level=warning"]
        self.start_program(*command, name="uvicorn")
        gateway = self.start_gateway()
        self.start_receiver(gateway, app)
        wait_until(lambda: listening(port), "uvicorn listens")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as direct:
            tunnel = self.client(gateway.url)
            for method, path, extra in REQUESTS:
                expected = ask(direct, method, path, extra)
                self.assertEqual(ask(tunnel, method, path, extra), expected, f"{method} {path[:60]}")

    def test_fastapi(self) -> None:
        """FastAPI."""
        self.compare("frameworks:fast")

    def test_starlette(self) -> None:
        """Starlette."""
        self.compare("frameworks:star")

    def test_django(self) -> None:
        """Django's ASGI handler."""
        self.compare("frameworks:jango")

    def test_channels(self) -> None:
        """Django behind the router of channels."""
        self.compare("channels_app:app")

    def test_plain(self) -> None:
        """An application without framework, which shows the raw path too."""
        self.compare("lab:app")
