"""Who is calling and who may, over real processes: proxies, the PROXY protocol, lists, rates, route options."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx

from tests.harness import SOON, EndToEnd, Gateway, Program, Receiver, free_port, listening, twistd, wait_until

TRUST = "--trusted-proxy=127.0.0.0/8"

CLAIMS = {
    "X-Forwarded-For": "6.6.6.6, 2001:db8::7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "shop.example:8443",
    "X-Request-ID": "from-the-proxy-1",
}

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def tool(name: str) -> str:
    """Where a program is; a machine without it skips the test."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise SkipTest(f"{name} is not installed")
    return found


class CallerCase(EndToEnd):
    """A gateway and one receiver with the laboratory application."""

    def start(self, *options: str, config: str = "") -> Gateway:
        """Start both."""
        if config:
            path = self.folder / "anp.toml"
            path.write_text(config)
            options = (*options, f"--config={path}")
        gateway = self.start_gateway(*options)
        self.start_receiver(gateway, "lab:app")
        self.http = self.client(gateway.url)
        return gateway

    def show(self, headers: dict[str, str] | None = None, path: str = "/show") -> dict[str, Any]:
        """What the application saw."""
        response = self.http.get(path, headers=headers or {})
        self.assertEqual(response.status_code, 200, response.text)
        seen: dict[str, Any] = response.json()
        seen["headers"] = dict(seen["headers"])
        seen["answered"] = response.headers
        return seen

    def exchange(self, port: int, data: bytes) -> bytes:
        """Send bytes to a port and read until the other end closes."""
        with socket.create_connection(("127.0.0.1", port), SOON) as connection:
            connection.sendall(data)
            received = b""
            while piece := connection.recv(65536):
                received += piece
        return received

    def raw_show(self, port: int, before: bytes = b"") -> dict[str, Any]:
        """What the application saw of a request behind these bytes."""
        data = self.exchange(port, before + b"GET /show HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        head, _, body = data.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), data)
        seen: dict[str, Any] = json.loads(body)
        return seen

    def access_lines(self, gateway: Gateway) -> list[dict[str, Any]]:
        """The access log."""
        return [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]


class ProxyTests(CallerCase):
    """Behind a proxy."""

    def test_stranger(self) -> None:
        """Who is not trusted can claim nothing."""
        self.start()
        seen = self.show({**CLAIMS, "Forwarded": "for=6.6.6.6;proto=https", "X-Real-IP": "6.6.6.6"})
        self.assertEqual((seen["client"][0], seen["scheme"]), ("127.0.0.1", "http"))
        self.assertNotIn("shop.example", seen["headers"]["host"])
        self.assertNotEqual(seen["answered"]["x-request-id"], "from-the-proxy-1")
        claims = {"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "x-request-id"}
        self.assertEqual(set(seen["headers"]) & claims, set())

    def test_trusted(self) -> None:
        """What a trusted proxy claims is what the application, the log and the caller get."""
        gateway = self.start(TRUST, "--show-request-id=all")
        seen = self.show(CLAIMS)
        self.assertEqual((seen["client"], seen["scheme"]), (["2001:db8::7", 0], "https"))
        self.assertEqual(seen["headers"]["host"], "shop.example:8443")
        self.assertEqual(seen["headers"]["x-request-id"], "from-the-proxy-1")
        self.assertEqual(seen["answered"]["x-request-id"], "from-the-proxy-1")
        line = wait_until(lambda: self.access_lines(gateway), "the line of the request")[0]
        self.assertEqual((line["caller"], line["id"]), ("2001:db8::7", "from-the-proxy-1"))
        refused = self.http.get("/show", headers={"X-Forwarded-For": "nonsense"})
        self.assertEqual((refused.status_code, refused.json()["source"]), (400, "gateway"))

    def test_unixSocket(self) -> None:
        """A proxy on a UNIX socket."""
        path = self.folder / "gateway.sock"
        port = free_port()
        gateway = self.start_gateway(
            f"--listen=tcp:{port}:interface=127.0.0.1", f"--listen=unix:{path}", "--trusted-proxy=unix"
        )
        self.start_receiver(gateway, "lab:app")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://h") as client:
            self.assertEqual(client.get("/show", headers=CLAIMS).json()["client"], ["2001:db8::7", 0])
            self.assertEqual(client.get("/show").json()["client"], ["", 0])
        self.http = self.client(gateway.url)
        self.assertEqual(self.show(CLAIMS)["client"][0], "127.0.0.1")

    def test_nginx(self) -> None:
        """A real nginx in front, set up as the documentation says."""
        nginx = tool("nginx")
        gateway = self.start(TRUST, "--show-request-id=all")
        port = free_port()
        (self.folder / "nginx.conf").write_text(
            f"""daemon off; master_process off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log;
            events {{ worker_connections 64; }}
            http {{ access_log off; client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
              fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
              server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {gateway.url};
                proxy_http_version 1.1;
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Proto $scheme;
                proxy_set_header X-Forwarded-Host $http_host;
                proxy_set_header X-Request-ID $request_id; }} }} }}"""
        )
        self.start_program(nginx, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), name="nginx")
        wait_until(lambda: listening(port), "nginx listens")
        with self.client(f"http://127.0.0.1:{port}") as client:
            response = client.get("/show", headers={"X-Forwarded-For": "192.0.2.44", "X-Request-ID": "mine"})
        seen = response.json()
        # nginx puts the address it saw behind ours; both are trusted here, so that ours counts.
        self.assertEqual((seen["client"], seen["scheme"]), (["192.0.2.44", 0], "http"))
        headers = dict(seen["headers"])
        self.assertEqual(headers["host"], f"127.0.0.1:{port}")
        self.assertRegex(headers["x-request-id"], "^[0-9a-f]{32}$")
        self.assertEqual(response.headers["x-request-id"], headers["x-request-id"])


class ProxyProtocolTests(CallerCase):
    """C{--listen haproxy:tcp:…}."""

    def proxied(self, *options: str) -> int:
        """Start a gateway with a port for the PROXY protocol and one for the receiver."""
        plain, port = free_port(), free_port()
        self.gateway = self.start_gateway(
            f"--listen=tcp:{plain}:interface=127.0.0.1", f"--listen=haproxy:tcp:{port}:interface=127.0.0.1", *options
        )
        self.start_receiver(self.gateway, "lab:app")
        return port

    def test_version1(self) -> None:
        """The address in the header is the caller's; what callers claim behind it is not believed."""
        port = self.proxied(TRUST)
        self.assertEqual(
            self.raw_show(port, b"PROXY TCP4 192.0.2.9 192.0.2.10 4711 443\r\n")["client"], ["192.0.2.9", 4711]
        )
        self.assertEqual(self.raw_show(port, b"PROXY TCP6 2001:DB8::0:1 ::1 9 443\r\n")["client"], ["2001:db8::1", 9])
        self.assertEqual(self.raw_show(port, b"PROXY TCP6 ::ffff:192.0.2.9 ::1 9 443\r\n")["client"], ["192.0.2.9", 9])

    def test_version2(self) -> None:
        """The same in bytes; a proxy that speaks for itself is the caller."""
        port = self.proxied(TRUST)
        addresses = socket.inet_aton("192.0.2.9") + socket.inet_aton("192.0.2.10") + struct.pack("!HH", 4711, 443)
        header = SIGNATURE + b"\x21\x11" + struct.pack("!H", len(addresses)) + addresses
        self.assertEqual(self.raw_show(port, header)["client"], ["192.0.2.9", 4711])
        self.assertEqual(self.raw_show(port, SIGNATURE + b"\x20\x00\x00\x00")["client"][0], "127.0.0.1")

    def test_noHeader(self) -> None:
        """Without a header there is no answer, and no traceback in the log."""
        port = self.proxied(TRUST)
        request = b"GET /show HTTP/1.1\r\nHost: h\r\n\r\n"
        for data in (request, b"PROXY TCP4 here there 1 2\r\n" + request, b"PROXY NONSENSE\r\n" + request):
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(self.exchange(port, data), b"")
        self.assertNotIn("Traceback", self.gateway.log())
        self.assertEqual(self.raw_show(port, b"PROXY TCP4 192.0.2.9 192.0.2.10 1 2\r\n")["client"][0], "192.0.2.9")

    def test_stranger(self) -> None:
        """Who is no trusted proxy is not listened to."""
        port = self.proxied("--trusted-proxy=192.0.2.0/24")
        request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(self.exchange(port, b"PROXY TCP4 6.6.6.6 6.6.6.6 1 2\r\n" + request), b"")

    def test_curl(self) -> None:
        """curl, which speaks version 1."""
        port = self.proxied(TRUST)
        command = [tool("curl"), "-s", "--max-time", "20", "--haproxy-protocol", f"http://127.0.0.1:{port}/show"]
        seen = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=SOON).stdout)
        self.assertEqual(seen["client"][0], "127.0.0.1")

    def test_haproxy(self) -> None:
        """A real HAProxy, by either version, with a body each way and keep-alive; callers count, not the proxy."""
        haproxy = tool("haproxy")
        port = self.proxied(TRUST, "--connections-per-address=4")
        fronts = {"send-proxy": free_port(), "send-proxy-v2": free_port()}
        lines = ["defaults", " mode tcp", " timeout connect 5s", " timeout client 20s", " timeout server 20s"]
        for word, front in fronts.items():
            lines += [f"listen {word}", f" bind 127.0.0.1:{front}", f" server gateway 127.0.0.1:{port} {word}"]
        (self.folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
        self.start_program(haproxy, "-db", "-f", str(self.folder / "haproxy.cfg"), name="haproxy")
        for front in fronts.values():
            wait_until(lambda front=front: listening(front), "HAProxy listens")  # type: ignore[misc]
            with self.client(f"http://127.0.0.1:{front}") as client:
                for _ in range(3):
                    seen = client.post("/show", content=b"x" * 100_000).json()
                    self.assertEqual((seen["client"][0], len(seen["body"])), ("127.0.0.1", 100_000))
                    self.assertGreater(seen["client"][1], 0)
        link = f"ws://127.0.0.1:{fronts['send-proxy-v2']}/ws"
        second = Receiver(self.folder, link, "lab:app", "--path=/second")
        self.addCleanup(second.end)
        self.assertEqual(self.client(self.gateway.url).get("/second/small").status_code, 200)

    def test_refusedStart(self) -> None:
        """A header that would be believed of anybody, or that cannot come before TLS, refuses the start."""
        rows = [
            (["--listen=haproxy:tcp:0"], "name the proxy with --trusted-proxy"),
            (["--listen=haproxy:ssl:0:privateKey=k", TRUST], "end TLS at the proxy"),
            (["--trusted-proxy=10.0.0.1/8"], "must be an address or a network"),
            (["--trusted-field=forwarded", "--trusted-field=x-forwarded-for"], "a proxy sets one of them only"),
        ]
        for options, words in rows:
            program: Program = self.start_program(twistd(), "-n", "--pidfile=", "anp-gateway", *options, name="refused")
            self.assertEqual(program.wait(), 1)
            self.assertEqual(len(program.log().splitlines()), 1, program.log())
            self.assertIn(words, program.log())


class RuleTests(CallerCase):
    """Lists, rates and route options."""

    def test_lists(self) -> None:
        """403 for who may not call; the gateway's own page answers still."""
        self.start(TRUST, "--deny=192.0.2.0/24", config='[gateway.routes."/inside"]\nallow = ["10.0.0.0/8"]\n')

        def status(address: str, path: str = "/small") -> int:
            return self.http.get(path, headers={"X-Forwarded-For": address}).status_code

        self.assertEqual((status("192.0.2.1"), status("192.0.3.1")), (403, 200))
        self.assertEqual((status("10.1.1.1", "/inside/small"), status("192.0.3.1", "/inside/small")), (200, 403))
        self.assertEqual(status("192.0.3.1", "/x/..%2finside/small"), 400)
        self.assertEqual(self.http.get("/health", headers={"X-Forwarded-For": "192.0.2.1"}).status_code, 200)
        denied = self.http.get("/small", headers={"X-Forwarded-For": "192.0.2.1"})
        self.assertEqual(denied.headers["content-type"], "application/problem+json")
        self.assertEqual(denied.json()["request_id"], denied.headers["x-request-id"])

    def test_rate(self) -> None:
        """Exactly the quota is answered, the rest is told when to come back, and another caller is not held up."""
        gateway = self.start(TRUST, "--rate-limit=20/h")

        def ask(address: str) -> httpx.Response:
            return httpx.get(f"{gateway.url}/small", headers={"X-Forwarded-For": address}, trust_env=False, timeout=30)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, ["2001:db8::1", "2001:db8::2"] * 20))
        self.assertEqual(sorted(answer.status_code for answer in answers), [200] * 20 + [429] * 20)
        refused = next(answer for answer in answers if answer.status_code == 429)
        self.assertEqual(refused.headers["ratelimit-policy"], '"caller";q=20;w=3600')
        self.assertRegex(refused.headers["ratelimit"], '^"caller";r=0;t=(180|179)$')
        self.assertIn(refused.headers["retry-after"], ("180", "179"))
        self.assertEqual(ask("2001:db8:0:1::1").headers["ratelimit"][:12], '"caller";r=1')
        stats = httpx.get(f"{gateway.management}/stats", trust_env=False).json()
        self.assertEqual(stats["callers_refused"]["limited"], 20)

    def test_concurrency(self) -> None:
        """Over the number there is 503 at once; a caller that leaves makes room."""
        self.start(config='[gateway.routes."/few"]\nconcurrency = 2\n')
        with self.http.stream("GET", "/few/hold") as one:
            # Kept: an iterator that is dropped closes its connection.
            pieces = one.iter_raw()
            next(pieces)
            with self.http.stream("GET", "/few/hold") as two:
                more = two.iter_raw()
                next(more)
                refused = self.http.get("/few/small")
                self.assertEqual((refused.status_code, refused.headers.get("retry-after")), (503, "1"), refused.text)
                self.assertEqual(self.http.get("/small").status_code, 200)
        wait_until(lambda: self.http.get("/few/small").status_code == 200, "there is room again")

    def test_body(self) -> None:
        """The cap of a route holds, told length or not; another route may take more than the usual."""
        self.start(
            config="""
            body_limit = "100KiB"
            [gateway.routes."/tiny"]
            body_limit = 10
            [gateway.routes."/big"]
            body_limit = "1MiB"
            """
        )
        for path, most in (("/tiny/up", 10), ("/up", 100 * 1024), ("/big/up", 1024 * 1024)):
            self.assertEqual(self.http.post(path, content=b"x" * most).json()["size"], most)
            self.assertEqual(self.http.post(path, content=b"x" * (most + 1)).status_code, 413)
            self.assertEqual(self.http.post(path, content=iter([b"x" * most])).json()["size"], most)
            self.assertEqual(self.http.post(path, content=iter([b"x" * most, b"x"])).status_code, 413)

    def test_cors(self) -> None:
        """The gateway answers the browser's question and permits pages to read, errors too."""
        self.start(
            config="""
            [gateway.routes."/api"]
            rate_limit = "3/h"
            set_headers = { "Strict-Transport-Security" = "max-age=31536000", "X-Content-Type-Options" = "nosniff" }
            remove_headers = ["X-Mixed-Case"]
            [gateway.routes."/api".cors]
            origins = ["https://*.app.example"]
            methods = ["GET", "PUT"]
            headers = ["X-One"]
            credentials = true
            """
        )
        page = {"Origin": "https://a.app.example"}
        asked = self.http.options("/api/show", headers={**page, "Access-Control-Request-Method": "PUT"})
        self.assertEqual((asked.status_code, asked.content), (204, b""))
        self.assertEqual(asked.headers["access-control-allow-methods"], "GET, PUT")
        answer = self.http.get("/api/show", headers=page)
        self.assertEqual(answer.headers["access-control-allow-origin"], page["Origin"])
        self.assertEqual(answer.headers["access-control-allow-credentials"], "true")
        self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        self.assertNotIn("strict-transport-security", answer.headers)
        self.assertNotIn("x-mixed-case", answer.headers)
        stranger = self.http.get("/api/show", headers={"Origin": "https://app.example"})
        self.assertNotIn("access-control-allow-origin", stranger.headers)
        self.assertEqual(stranger.headers["vary"], "Origin")
        self.http.get("/api/show")
        refused = self.http.get("/api/show", headers=page)
        self.assertEqual((refused.status_code, refused.headers["access-control-allow-origin"]), (429, page["Origin"]))
        self.assertIn("x-mixed-case", self.http.get("/show").headers)

    def test_unknownOption(self) -> None:
        """A mistake in the file is one line that names the place and the nearest key."""
        path = Path(self.folder / "wrong.toml")
        path.write_text('[gateway.routes."/api"]\nratelimit = "5/s"\n')
        program = self.start_program(twistd(), "-n", "anp-gateway", f"--config={path}", name="wrong")
        self.assertEqual(program.wait(), 1)
        expected = f"unknown key 'ratelimit' in \"/api\" in routes in [gateway] of {path}; did you mean 'rate_limit'?"
        self.assertEqual(program.log(), f"anp-gateway: {expected}\n")
