"""The promises of the first page: a request reaches the application and its answer the caller, over real processes."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.harness import EndToEnd, Gateway, Receiver, wait_until

BLOCK = bytes(range(256)) * 256


def pattern(size: int) -> bytes:
    """What the laboratory sends for that many bytes."""
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


class Pair(EndToEnd):
    """A gateway and one receiver with the laboratory application."""

    gateway_options: tuple[str, ...] = ()
    receiver_options: tuple[str, ...] = ()

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.gateway: Gateway = self.start_gateway(*self.gateway_options)
        self.receiver: Receiver = self.start_receiver(self.gateway, "lab:app", *self.receiver_options)
        self.http = self.client(self.gateway.url)

    def raw(self, data: bytes, receive_buffer: int | None = None) -> socket.socket:
        """Open a connection and send bytes."""
        connection = socket.socket()
        self.addCleanup(connection.close)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(("127.0.0.1", self.gateway.port))
        connection.settimeout(20)
        connection.sendall(data)
        return connection

    def happened(self) -> dict[str, Any]:
        """What the application noted."""
        found: dict[str, Any] = self.http.get("/happened").json()
        return found

    def note(self, name: str) -> dict[str, Any]:
        """The application's note of that name."""
        found = [note for note in self.happened()["notes"] if note.get("name") == name]
        return found[0] if found else {}


class StreamingTests(Pair):
    """Everything streams, both ways."""

    def test_events(self) -> None:
        """Each server-sent event arrives within 50 ms of being sent."""
        with self.http.stream("GET", "/events?count=5&gap=0.2") as response:
            self.assertEqual(response.headers["content-type"], "text/event-stream")
            delays = [time.time() - float(line[6:]) for line in response.iter_lines() if line]
        self.assertEqual(len(delays), 5)
        self.assertLess(max(delays), 0.05)

    def test_download(self) -> None:
        """100 MB come as they were sent."""
        size, digest = 100_000_000, hashlib.sha256()
        with self.http.stream("GET", f"/down?bytes={size}") as response:
            for piece in response.iter_raw():
                digest.update(piece)
        self.assertEqual(digest.hexdigest(), hashlib.sha256(pattern(size)).hexdigest())

    def test_upload(self) -> None:
        """100 MB arrive as they were sent, with a length and without."""
        size = 100_000_000
        body = pattern(size)
        expected = {"size": size, "sha256": hashlib.sha256(body).hexdigest()}
        self.assertEqual(self.http.post("/up", content=body).json(), expected)
        pieces = (body[start : start + 300_001] for start in range(0, size, 300_001))
        self.assertEqual(self.http.post("/up", content=pieces).json(), expected)

    def test_both_ways_at_once(self) -> None:
        """Twenty uploads and twenty downloads at a time stay apart from each other."""

        def up(number: int) -> bool:
            body = bytes([number]) * 3_000_001
            found = httpx.post(f"{self.gateway.url}/up", content=body, timeout=60, trust_env=False).json()
            return bool(found["sha256"] == hashlib.sha256(body).hexdigest())

        def down(number: int) -> bool:
            size = 3_000_000 + number
            found = httpx.get(f"{self.gateway.url}/down?bytes={size}", timeout=60, trust_env=False).content
            return found == pattern(size)

        with ThreadPoolExecutor(40) as pool:
            results = [*pool.map(up, range(20)), *pool.map(down, range(20))]
        self.assertEqual(results, [True] * 40)

    def test_chunks(self) -> None:
        """The pieces of an answer stay the pieces they were."""
        connection = self.raw(b"GET /chunks HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := connection.recv(65536):
            data += piece
        self.assertTrue(data.endswith(b"3\r\none\r\n7\r\ntwo-two\r\n3\r\n[0]\r\n0\r\n\r\n"), data)

    def test_slow_one_beside_fast_ones(self) -> None:
        """A request of 5 s delays none of 50 fast ones beside it."""
        slow: list[float] = []

        def wait() -> None:
            began = time.monotonic()
            httpx.get(f"{self.gateway.url}/wait?seconds=5", timeout=30, trust_env=False)
            slow.append(time.monotonic() - began)

        thread = threading.Thread(target=wait)
        thread.start()
        times = []
        for _ in range(50):
            began = time.monotonic()
            self.http.get("/small")
            times.append(time.monotonic() - began)
        self.assertEqual(slow, [])
        thread.join()
        self.assertLess(max(times), 1.0)
        self.assertGreaterEqual(slow[0], 5.0)


class CancelTests(Pair):
    """Who leaves is not worked for."""

    receiver_options = ("--cancel-grace=0.5",)

    def test_disconnect(self) -> None:
        """The application hears within 100 ms that its caller left."""
        for number in range(5):
            name = f"n{number}"
            with self.http.stream("GET", f"/hold?name={name}") as response:
                next(response.iter_raw())
            left = time.time()
            note = wait_until(lambda name=name: self.note(name).get("disconnected"), "the application hears it")  # type: ignore[misc]
            self.assertLess(note - left, 0.1)

    def test_cancelled(self) -> None:
        """An application that goes on is cancelled after the grace."""
        with self.http.stream("GET", "/hold?name=x&stay=1") as response:
            next(response.iter_raw())
        note = wait_until(lambda: self.note("x").get("cancelled") and self.note("x"), "it is cancelled")
        self.assertGreater(note["cancelled"] - note["disconnected"], 0.3)

    def test_nothing_left(self) -> None:
        """After many that left, no stream, task or descriptor is left at either side."""
        wait_until(lambda: self.happened()["tasks"] <= 4, "the start is over")
        before = (self.happened()["tasks"], self.gateway.descriptors(), self.receiver.descriptors())
        for number in range(50):
            connection = self.raw(b"GET /hold?name=%d HTTP/1.1\r\nHost: h\r\n\r\n" % number)
            connection.recv(1000)
            connection.close()
        now: Any = None

        def back() -> bool:
            nonlocal now
            now = (self.happened()["tasks"], self.gateway.descriptors(), self.receiver.descriptors())
            return bool(now <= before)

        wait_until(back, f"everything is back: {before} {now}")


class FailureTests(Pair):
    """What the caller sees when the application fails."""

    def test_crash(self) -> None:
        """A crash before the head is a 500 that shows nothing of the application."""
        response = self.http.get("/crash")
        self.assertEqual((response.status_code, response.json()["source"]), (500, "app"))
        self.assertNotIn("secret", response.text)
        self.assertIn("a secret of the application", self.receiver.log())

    def test_crash_later(self) -> None:
        """A crash after the head cuts the connection: nothing looks complete."""
        for query in ("bytes=1000", "bytes=1000&length=1"):
            with self.assertRaises(httpx.TransportError):
                self.http.get(f"/crash?{query}")

    def test_no_receiver(self) -> None:
        """A receiver that is gone is waited for, then it is a 503 that says when to come back."""
        self.terminate(self.receiver)
        began = time.monotonic()
        response = self.http.get("/small")
        self.assertEqual((response.status_code, response.json()["source"]), (503, "gateway"))
        self.assertIn("retry-after", response.headers)
        self.assertGreater(time.monotonic() - began, 4)
