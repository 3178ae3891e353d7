"""
Whatever answers behind the receiver: servers in other languages, WSGI, several at once.

The same requests go to the server itself and through the tunnel, and what comes back is compared.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import trustme
import websockets.exceptions
import websockets.sync.client

from tests.harness import APPS, EndToEnd, Gateway, Program, free_port, listening, twistd, wait_until
from tests.test_end_to_end import pattern
from tests.test_same_as_direct import REQUESTS, ask

NO_NODE = None if shutil.which("node") else "node is not installed"

#: Fields that say where a request came from; a target gets them from the receiver.
FORWARDED = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}


class Backends(EndToEnd):
    """A gateway, and receivers with any options."""

    def setUp(self) -> None:
        """Start the gateway."""
        super().setUp()
        self.gateway: Gateway = self.start_gateway()
        self.http = self.client(self.gateway.url)

    def serve(self, *options: str) -> Program:
        """Start a receiver and wait until it is connected."""
        command = (twistd(), "-n", "--pidfile=", "anp-receiver", f"--gateway={self.gateway.link}", *options)
        receiver = self.start_program(*command, name="receiver")
        receiver.line()
        return receiver

    def node(self, script: str, *arguments: str, **keywords: Any) -> str:
        """Start a server in Node and return its address."""
        program = self.start_program("node", str(APPS / script), *arguments, name="node", **keywords)
        return f"http://127.0.0.1:{program.line()}"

    def uvicorn(self, app: str) -> str:
        """Start uvicorn and return its address."""
        port = free_port()
        command = (sys.executable, "-m", "uvicorn", app, f"--port={port}", "--log-level=warning", "--no-proxy-headers")
        self.start_program(*command, name="uvicorn")
        wait_until(lambda: listening(port), "uvicorn listens")
        return f"http://127.0.0.1:{port}"

    def compare(self, direct: str, ignored: set[str] | None = None) -> None:
        """Send every request to both and compare what comes back."""
        with httpx.Client(base_url=direct, trust_env=False, timeout=30) as client:
            for method, path, extra in REQUESTS:
                expected = plain(ask(client, method, path, extra), ignored or set())
                found = plain(ask(self.http, method, path, extra), FORWARDED | (ignored or set()))
                self.assertEqual(found, expected, f"{method} {path[:60]}")

    def raw(self, request: bytes) -> bytes:
        """Send bytes to the gateway and read until it closes."""
        with socket.create_connection(("127.0.0.1", self.gateway.port), 20) as connection:
            connection.sendall(request)
            data = b""
            while piece := connection.recv(65536):
                data += piece
            return data


def plain(answer: dict[str, Any], ignored: set[str]) -> dict[str, Any]:
    """Leave out of a description what is a matter of the way, and the order of the request's fields."""
    body = answer["body"]
    if isinstance(body, dict):
        body["headers"] = sorted(
            [pair[0].lower(), pair[1]] for pair in body["headers"] if pair[0].lower() not in ignored
        )
        body.pop("client", None)
    headers = [field for field in answer["headers"] if field[0] not in (b"keep-alive", b"content-length")]
    return {**answer, "headers": headers}


class SameAsDirectTests(Backends):
    """A client cannot tell the tunnel from the server."""

    def target(self, url: str) -> None:
        """Compare a server with itself behind the tunnel."""
        self.serve(f"--target={url}")
        self.compare(url)

    def test_node(self) -> None:
        """Node's own server."""
        self.target(self.node("node_http.js"))

    def test_fastapi(self) -> None:
        """FastAPI behind uvicorn."""
        self.target(self.uvicorn("frameworks:fast"))

    def test_django(self) -> None:
        """Django behind uvicorn."""
        self.target(self.uvicorn("frameworks:jango"))

    def test_plain(self) -> None:
        """An application without framework, which shows the raw path."""
        self.target(self.uvicorn("lab:app"))

    def wsgi(self, app: str, server: str) -> None:
        """Compare a WSGI application on its own server with the same behind the tunnel."""
        port = free_port()
        self.start_program(sys.executable, "-c", server.format(app=app, port=port), name="wsgiref")
        wait_until(lambda: listening(port), "the WSGI server listens")
        self.serve(f"--wsgi=wsgi_apps:{app}")
        direct = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=direct, trust_env=False, timeout=30) as client:
            for method, path, extra in REQUESTS:
                if "chunks" in extra or "-with-body" in path or path.startswith("/double//"):
                    continue  # that server reads no body without length, and joins slashes
                expected = plain(ask(client, method, path, extra), {"content-length", "content-type"})
                found = plain(ask(self.http, method, path, extra), {"content-length", "content-type"})
                expected["version"] = found["version"]  # it speaks HTTP/1.0
                self.assertEqual(found, expected, f"{method} {path[:60]}")

    SERVER = (
        "from wsgiref.simple_server import make_server; from wsgi_apps import {app};"
        "make_server('127.0.0.1', {port}, {app}).serve_forever()"
    )

    def test_flask(self) -> None:
        """Flask, on the server of the standard library and behind the tunnel."""
        self.wsgi("flasky", self.SERVER)

    def test_django_wsgi(self) -> None:
        """Django's WSGI handler, likewise."""
        self.wsgi("djangy", self.SERVER)

    if NO_NODE:
        test_node.skip = NO_NODE  # type: ignore[attr-defined]


class NodeTests(Backends):
    """A server in Node behind C{--target}."""

    skip = NO_NODE

    def start(self, *options: str, base: str = "", **keywords: Any) -> Program:
        """Start Node and the receiver."""
        self.address = self.node("node_http.js", **keywords)
        return self.serve(f"--target={self.address}{base}", *options)

    def happened(self) -> dict[str, Any]:
        """What the server noted."""
        found: dict[str, Any] = httpx.get(f"{self.address}/happened", trust_env=False).json()
        return found

    def test_events(self) -> None:
        """Each event, the first too, arrives within 50 ms of being sent."""
        self.start()
        self.http.get("/small")
        began = time.time()
        with self.http.stream("GET", "/events?count=5&gap=0.1") as response:
            arrived = [(time.time(), float(line[6:])) for line in response.iter_lines() if line]
        self.assertEqual(len(arrived), 5)
        self.assertLess(arrived[0][0] - began, 0.05)
        self.assertLess(max(now - sent for now, sent in arrived), 0.05)

    def test_large_bodies(self) -> None:
        """100 MB go through unharmed each way, with a length and without, and memory does not grow with them."""
        receiver = self.start()
        self.http.get("/small")
        before, size = receiver.rss(), 100_000_000
        digest = hashlib.sha256()
        with self.http.stream("GET", f"/down?bytes={size}") as response:
            for piece in response.iter_raw():
                digest.update(piece)
        body = pattern(size)
        sum_ = hashlib.sha256(body).hexdigest()
        self.assertEqual(digest.hexdigest(), sum_)
        self.assertEqual(self.http.post("/up", content=body).json(), {"size": size, "sha256": sum_})
        pieces = (body[start : start + 300_001] for start in range(0, size, 300_001))
        self.assertEqual(self.http.post("/up", content=pieces).json(), {"size": size, "sha256": sum_})
        self.assertLess(receiver.peak_rss() - before, 16 << 20)

    def test_slow_caller(self) -> None:
        """A caller that reads nothing stops the server, instead of filling the receiver."""
        self.start()
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            slow.connect(("127.0.0.1", self.gateway.port))
            slow.sendall(b"GET /down?bytes=200000000 HTTP/1.1\r\nHost: h\r\n\r\n")
            slow.recv(1000)
            last = -1
            for _ in range(20):
                time.sleep(0.1)
                sent = max(note.get("sent", 0) for note in self.happened()["notes"])
                if sent == last:
                    break
                last = sent
            self.assertLess(last, 40_000_000)

    def test_caller_leaves(self) -> None:
        """The server sees its connection close within 100 ms."""
        self.start()
        with self.http.stream("GET", "/hold?name=x") as response:
            next(response.iter_raw())
        left = time.time()
        note = wait_until(lambda: next((n for n in self.happened()["notes"] if "disconnected" in n), None), "it hears")
        self.assertLess(note["disconnected"] - left, 0.1)

    def test_broken_answers(self) -> None:
        """An answer that ends too soon never looks complete."""
        self.start()
        for query in ("", "length=1", "reset=1", "reset=1&length=1"):
            with self.assertRaises(httpx.TransportError, msg=query):
                self.http.get(f"/cut?{query}")

    def test_unreachable(self) -> None:
        """Where nothing listens the answer is 502, from the receiver, and the log says where."""
        receiver = self.serve(f"--target=http://127.0.0.1:{free_port()}")
        response = self.http.get("/")
        self.assertEqual((response.status_code, response.json()["source"]), (502, "receiver"))
        self.assertIn("nothing listens at the target's address", receiver.log())
        self.assertNotIn("Traceback", receiver.log())

    def test_silent(self) -> None:
        """A server that accepts and says nothing is given up after the time that is set."""
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            self.serve(f"--target=http://127.0.0.1:{silent.getsockname()[1]}", "--target-timeout=1")
            response = self.http.get("/")
        self.assertEqual((response.status_code, response.json()["source"]), (504, "receiver"))

    def test_not_touched(self) -> None:
        """Redirects are not followed, and compressed bodies stay so."""
        self.start()
        self.assertEqual(self.http.get("/redirect").headers["location"], "http://192.0.2.1/elsewhere")
        with self.http.stream("GET", "/zipped") as response:
            self.assertEqual(b"".join(response.iter_raw())[:2], b"\x1f\x8b")

    def test_expect(self) -> None:
        """A caller that asks first is told by the server whether its body is wanted."""
        self.start()
        head = b"Host: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        self.assertTrue(self.raw(b"POST /refuse HTTP/1.1\r\n" + head).startswith(b"HTTP/1.1 417 "))
        with socket.create_connection(("127.0.0.1", self.gateway.port), 20) as connection:
            connection.sendall(b"POST /up HTTP/1.1\r\n" + head)
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 100 "))
            connection.sendall(b"body")
            data = b""
            while piece := connection.recv(65536):
                data += piece
        self.assertIn(b'{"size":4,', data)

    def test_early_answer(self) -> None:
        """A server that answers before it has read the body is heard."""
        self.start()
        self.assertEqual(self.http.post("/early", content=b"x" * 1_000_000).status_code, 413)

    def test_hints_and_trailers(self) -> None:
        """Heads before the answer and fields behind it come through."""
        self.start()
        hints = self.raw(b"GET /hints HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertTrue(hints.startswith(b"HTTP/1.1 103 "), hints)
        trailers = self.raw(b"GET /trailers HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: close\r\n\r\n")
        self.assertTrue(trailers.endswith(b"0\r\nX-Sum: 42\r\n\r\n"), trailers)

    def test_stays_below_its_base(self) -> None:
        """Nothing a caller writes as target leaves the base, and what may be sent arrives byte for byte."""
        self.start(base="/base")
        kept = [b"/a%2Fb?", b"/%41?x=%2e%2e/", b"/a/../b", b"//evil/x", b"/?/../..", b"/a;b/./c", b"/http://evil/"]
        for target in kept:
            body = self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").partition(
                b"\r\n\r\n"
            )[2]
            self.assertEqual(json.loads(body)["url"], "/base" + target.decode())
        outside = [
            b"/..",
            b"/../x",
            b"/%2e%2e/x",
            b"/a/..%2f../x",
            b"/a/../../x",
            b"/..;/x",
            b"/..%5cx",
            b"/%252e%252e/x",
        ]
        for target in [*outside, b"//../x"]:
            answer = self.raw(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            self.assertEqual(answer[9:12], b"400", (target, answer))
        absolute = self.raw(b"GET http://h/abs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertIn(b'"url":"/base/abs"', absolute)
        for line in (b"CONNECT evil:443", b"TRACE /"):
            self.assertIn(
                self.raw(line + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")[9:12], (b"400", b"405", b"501")
            )

    def test_host_and_forwarded(self) -> None:
        """The server sees the caller's C{Host}, or its own where that is asked for, and who the caller is."""
        forged = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "https"}
        for option, expected in (("keep", "shop.example"), ("target", "")):
            receiver = self.start(f"--target-host={option}")
            headers = self.http.get("/", headers={"Host": "shop.example", **forged}).json()["headers"]
            found = dict(headers)
            self.assertEqual(found["host"], expected or self.address.removeprefix("http://"))
            self.assertEqual(
                [found[f"x-forwarded-{name}"] for name in ("for", "host", "proto")],
                ["127.0.0.1", "shop.example", "http"],
            )
            self.terminate(receiver)

    def test_connections_are_kept(self) -> None:
        """Requests share connections, also where the server closes idle ones just then."""
        self.start(environment={"KEEP_ALIVE": "20"})
        for _ in range(50):
            self.assertEqual(self.http.get("/small").status_code, 200)
        self.assertLess(self.happened()["connections"], 30)
        for number in range(20):
            time.sleep(0.015 + number * 0.001)
            self.assertEqual(self.http.get("/small").status_code, 200)
            self.assertEqual(self.http.post("/up", content=b"x").status_code, 200)

    def test_socket_file(self) -> None:
        """A server that listens on a socket file is reached too."""
        path = Path(self.folder, "node.sock")
        program = self.start_program("node", str(APPS / "node_http.js"), str(path), name="node")
        self.assertEqual(program.line(), "ready")
        self.serve(f"--target=unix:{path}")
        self.assertEqual(self.http.get("/x").json()["url"], "/x")


class TlsTests(Backends):
    """A server that speaks TLS behind C{--target}."""

    def test_verified(self) -> None:
        """A certificate of a named authority is taken; one of nobody, or for another name, is not."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(self.folder / "cert.pem"))
        port = free_port()
        command = (sys.executable, "-m", "uvicorn", "lab:app", f"--port={port}", "--log-level=warning")
        self.start_program(*command, "--ssl-keyfile=key.pem", "--ssl-certfile=cert.pem", name="uvicorn")
        wait_until(lambda: listening(port), "uvicorn listens")
        for host, option, status in (
            ("localhost", "--target-ca-file=ca.pem", 200),
            ("localhost", "--log-level=info", 502),
            ("127.0.0.1", "--target-ca-file=ca.pem", 502),
        ):
            receiver = self.serve(f"--target=https://{host}:{port}", option)
            response = self.http.get("/show")
            self.assertEqual(response.status_code, status, receiver.log())
            if status == 502:
                self.assertIn("certificate", receiver.log())
            self.terminate(receiver)


class WebSocketTests(Backends):
    """A WebSocket server in Node behind C{--target}."""

    skip = NO_NODE

    def setUp(self) -> None:
        """Start everything."""
        super().setUp()
        self.receiver = self.serve(f"--target={self.node('node_ws.js')}")

    def connect(self, path: str = "/echo", **keywords: Any) -> websockets.sync.client.ClientConnection:
        """Open a WebSocket through the tunnel."""
        url = self.gateway.link.removesuffix("/ws") + path
        connection = websockets.sync.client.connect(url, proxy=None, max_size=None, **keywords)
        self.addCleanup(connection.close)
        return connection

    def test_messages(self) -> None:
        """Text and bytes of any size come back as they were, in order."""
        connection = self.connect()
        for message in ("", "text ü €", b"", b"\x00\xff", "x" * 70_000, bytes(range(256)) * 4096 * 4):
            connection.send(message)
            self.assertEqual(connection.recv(20), message)
        connection.send(["in ", "three ", "parts"])
        self.assertEqual(connection.recv(20), "in three parts")
        connection.send("many 2000")
        self.assertEqual([connection.recv(20) for _ in range(2000)], [str(number) for number in range(2000)])

    def test_handshake(self) -> None:
        """Path, fields and subprotocols reach the server, its choice and its fields the caller."""
        connection = self.connect(
            "/a%2Fb/echo?x=1", subprotocols=["first", "second"], additional_headers={"Cookie": "c=1"}, origin="http://o"
        )
        self.assertEqual(connection.subprotocol, "second")
        assert connection.response is not None
        self.assertEqual(connection.response.headers.get_all("Set-Cookie"), ["a=1", "b=2"])
        connection.send("headers")
        url, fields = json.loads(connection.recv(20))
        seen = dict(zip(fields[::2], fields[1::2], strict=True))
        self.assertEqual((url, seen["cookie"], seen["origin"]), ("/a%2Fb/echo?x=1", "c=1", "http://o"))
        self.assertEqual((seen["x-forwarded-for"], seen["sec-websocket-version"]), ("127.0.0.1", "13"))
        self.assertNotIn("sec-websocket-extensions", seen)

    def test_closing(self) -> None:
        """Codes and reasons of both sides arrive at the other."""
        for code in (1000, 1001, 1008, 3000, 4999):
            connection = self.connect()
            connection.send(f"close {code}")
            with self.assertRaises(websockets.exceptions.ConnectionClosed) as caught:
                connection.recv(20)
            assert caught.exception.rcvd is not None
            self.assertEqual((caught.exception.rcvd.code, caught.exception.rcvd.reason), (code, "as told"))
        self.connect().close(4001, "the caller's")
        found = {"code": 4001, "reason": "the caller's"}
        wait_until(lambda: found in self.seen(), "the server hears the code")

    def seen(self) -> Any:
        """What the server noted."""
        connection = self.connect()
        connection.send("seen")
        return json.loads(connection.recv(20))

    def test_lost(self) -> None:
        """A server that cuts, or breaks the protocol, is no orderly end for the caller; nor the other way round."""
        for word in ("cut", "broken"):
            connection = self.connect()
            connection.send(word)
            with self.assertRaises(websockets.exceptions.ConnectionClosedError) as caught:
                connection.recv(20)
            self.assertIn(caught.exception.rcvd.code if caught.exception.rcvd else 1006, (1006, 1011, 1014))
        connection = self.connect()
        connection.send("x")
        connection.recv(20)
        gone = sum("gone" in one for one in self.seen())
        connection.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: sum("gone" in one for one in self.seen()) > gone, "the server hears that the caller is gone")

    def test_ping(self) -> None:
        """Pings are answered on each side by its neighbour."""
        connection = self.connect()
        self.assertTrue(connection.ping().wait(5))
        connection.send("ping")
        connection.send("after")
        self.assertEqual(connection.recv(20), "after")

    def test_denied(self) -> None:
        """What the server answers instead of a WebSocket is what the caller gets."""
        with self.assertRaises(websockets.exceptions.InvalidStatus) as caught:
            self.connect("/denied")
        response = caught.exception.response
        self.assertEqual((response.status_code, response.body), (401, b"denied"))
        self.assertEqual(response.headers["WWW-Authenticate"], 'Basic realm="x"')
        for path in ("/liar", "/garbage"):
            with self.assertRaises(websockets.exceptions.InvalidStatus) as caught:
                self.connect(path)
            self.assertEqual(caught.exception.response.status_code, 502)
        self.assertNotIn("Traceback", self.receiver.log())

    def test_too_large(self) -> None:
        """A message over the cap ends the WebSocket, not the receiver."""
        connection = self.connect()
        connection.send(f"large {17 << 20}")
        with self.assertRaises(websockets.exceptions.ConnectionClosed):
            connection.recv(20)
        self.connect().send("still there")


class WsgiTests(Backends):
    """WSGI applications."""

    def test_streaming(self) -> None:
        """An answer streams as it is made, and large bodies go both ways."""
        self.serve("--wsgi=wsgi_apps:flasky")
        with self.http.stream("GET", "/events") as response:
            delays = [time.time() - float(line[6:]) for line in response.iter_lines() if line]
        self.assertLess(max(delays), 0.05)
        size = 100_000_000
        body = pattern(size)
        expected = {"size": size, "sha256": hashlib.sha256(body).hexdigest()}
        self.assertEqual(self.http.post("/up", content=body).json(), expected)
        pieces = (body[start : start + 300_001] for start in range(0, size, 300_001))
        self.assertEqual(self.http.post("/up", content=pieces).json(), expected)
        self.assertEqual(hashlib.sha256(self.http.get(f"/down?bytes={size}").content).hexdigest(), expected["sha256"])

    def test_callers_leave(self) -> None:
        """Streams whose callers left end, and their threads serve others."""
        self.serve("--wsgi=wsgi_apps:flasky", "--wsgi-threads=3", "--cancel-grace=0.5")
        for number in range(7):
            with self.http.stream("GET", f"/endless?name=n{number}") as response:
                next(response.iter_raw())
        found = wait_until(lambda: len(self.http.get("/ended").json()["ended"]) == 7, "all have ended")
        self.assertTrue(found)
        self.assertLessEqual(self.http.get("/ended").json()["threads"], 3)

    def test_crash(self) -> None:
        """What an application raises is in the log, and not in the answer."""
        receiver = self.serve("--wsgi=wsgi_apps:flasky")
        response = self.http.get("/crash")
        self.assertEqual(response.status_code, 500)
        self.assertNotIn("secret", response.text)
        self.assertIn("a secret of the application", receiver.log())


class MountTests(Backends):
    """Several in one receiver."""

    def test_paths(self) -> None:
        """Each gets what is below its path, whole segments only, the path as it came; the link announces all."""
        server = self.uvicorn("frameworks:star")
        receiver = self.serve(f"--target=/web={server}", "--app=/api=lab:app", "--wsgi=/web/flask=wsgi_apps:flasky")
        self.assertEqual(self.http.get("/api/x").json()["raw_path"], "/api/x")
        self.assertEqual(self.http.get("/web/x").status_code, 201)
        self.assertEqual(self.http.get("/web/flask/x").json()["path"], "/web/flask/x")
        self.assertEqual(self.http.get("/apix").json()["source"], "route")
        self.assertIn("serving /api /web /web/flask", receiver.log())

    def test_file(self) -> None:
        """A TOML file has a table of paths."""
        config = Path(self.folder, "anp.toml")
        config.write_text('[receiver.app]\n"/a" = "lab:app"\n"/b" = "frameworks:star"\n')
        self.serve(f"--config={config}")
        self.assertEqual(self.http.get("/a/x").status_code, 200)
        self.assertEqual(self.http.get("/b/x").status_code, 201)

    def test_mistakes(self) -> None:
        """Each mistake is one line that says what to write."""
        cases = [
            ((), "--app is missing"),
            (("--app=lab:app", "--target=http://127.0.0.1:1"), "write the path in front, such as --target /api="),
            (("--app=/a=lab:app", "--wsgi=/a/=wsgi_apps:flasky"), "the path /a/ is given twice"),
            (("--app=/a=lab:app", "--path=/b"), "--path has nothing to serve"),
            (("--target=127.0.0.1:3000",), "--target must be http://host:port"),
            (("--app=wsgi_apps:flasky",), "say --wsgi"),
            (("--wsgi=lab:app",), "say --app"),
            (("--app=lab:app", "--target-host=target"), "target-host has no effect without target"),
        ]
        for options, expected in cases:
            command = (twistd(), "-n", "--pidfile=", "anp-receiver", "--gateway=ws://127.0.0.1:1", *options)
            program = self.start_program(*command, name="receiver", environment={"ANP_TOKEN": "t" * 32})
            self.assertEqual(program.wait(), 1)
            self.assertIn(expected, program.log())
            self.assertEqual(program.log().count("\n"), 1, program.log())
