"""More than a gateway can take: it says so at once, stays reachable for its operator, and recovers."""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import threading
import time
from typing import Any

import httpx

from tests.harness import EndToEnd, Gateway, wait_until


class OverloadCase(EndToEnd):
    """Looks at a gateway."""

    def overload(self, gateway: Gateway) -> dict[str, Any]:
        """What the operator sees of it."""
        figures: dict[str, Any] = httpx.get(f"{gateway.management}/stats", timeout=10, trust_env=False).json()
        found: dict[str, Any] = figures["overload"]
        return found

    def connect(self, gateway: Gateway, data: bytes = b"") -> socket.socket:
        """Open a connection, and send something on it."""
        connection = socket.create_connection(("127.0.0.1", gateway.port), 20)
        self.addCleanup(connection.close)
        if data:
            connection.sendall(data)
        return connection


class FloodTests(OverloadCase):
    """More requests than there may be."""

    def flood(self, gateway: Gateway, seconds: float) -> tuple[list[threading.Thread], list[tuple[int, float, Any]]]:
        """Ask from forty callers for a while; keep each status, the time it took and C{Retry-After}."""
        found: list[tuple[int, float, Any]] = []
        end = time.monotonic() + seconds

        def work() -> None:
            caller = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
            while time.monotonic() < end:
                began = time.monotonic()
                caller.request("GET", "/wait?seconds=0.5")
                answer = caller.getresponse()
                answer.read()
                found.append((answer.status, time.monotonic() - began, answer.getheader("Retry-After")))
                if answer.status == 503:
                    time.sleep(0.05)  # forty threads of one interpreter are slow enough without
            caller.close()

        threads = [threading.Thread(target=work) for _ in range(40)]
        for thread in threads:
            thread.start()
        return threads, found

    def test_flood(self) -> None:
        """Those over the mark hear it at once, the others are served; health answers; afterwards all is well."""
        gateway = self.start_gateway("--overload-requests=10")
        self.start_receiver(gateway, "lab:app")
        threads, found = self.flood(gateway, 4.0)
        wait_until(lambda: self.overload(gateway)["turned_away"], "the flood is noticed")
        conditions = set()
        with self.client(gateway.url) as public, self.client(gateway.management) as management:
            while any(thread.is_alive() for thread in threads):
                self.assertEqual(public.get("/health").status_code, 200)
                answer = management.get("/health")
                self.assertEqual(answer.status_code, 200)
                conditions.add(answer.json()["status"])
                time.sleep(0.02)
        ended = time.monotonic()
        wait_until(lambda: httpx.get(f"{gateway.url}/small", trust_env=False).status_code == 200, "it recovers", 5)
        self.assertLess(time.monotonic() - ended, 5)
        self.assertIn("overloaded", conditions)
        refused = [(seconds, after) for status, seconds, after in found if status == 503]
        self.assertGreater(len(refused), 100)
        self.assertEqual({after for _, after in refused}, {"5"})
        # Forty threads wait for one lock, so that the slowest of them say more of this process than of the gateway.
        self.assertLess(statistics.median(seconds for seconds, _ in refused), 0.05)
        self.assertEqual({status for status, _, _ in found}, {200, 503})
        wait_until(lambda: self.overload(gateway)["state"] == "calm", "it is over", 5)
        log = gateway.log()
        self.assertEqual((log.count("overloaded, new"), log.count("overload is over")), (1, 1))

    def test_problem(self) -> None:
        """The answer is a problem document, and the connection can be used again."""
        gateway = self.start_gateway("--overload-requests=1")
        self.start_receiver(gateway, "lab:app")
        held = self.connect(gateway, b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(held.recv(100).startswith(b"HTTP/1.1 200"))
        with self.client(gateway.url) as client:
            for _ in range(2):
                answer = client.post("/up", content=b"x" * 1000)
                self.assertEqual((answer.status_code, answer.json()["source"]), (503, "gateway"))
                self.assertEqual(answer.headers["content-type"], "application/problem+json")
                self.assertNotIn("connection", answer.headers)
            held.close()
            wait_until(lambda: client.get("/small").status_code == 200, "it recovers", 5)


class DescriptorTests(OverloadCase):
    """More connections than there are descriptors."""

    def limited(self, descriptors: int) -> Gateway:
        """Start a gateway that may have so many."""
        wrapper = ["prlimit", f"--nofile={descriptors}:{descriptors}"]
        gateway = Gateway(self.folder, wrapper=wrapper)
        self.addCleanup(gateway.end)
        return gateway

    def cpu_of(self, gateway: Gateway, seconds: float) -> float:
        """Processor time of the gateway while a time passes."""
        before = gateway.cpu()
        time.sleep(seconds)
        return gateway.cpu() - before

    def test_silent(self) -> None:
        """Callers that hold connections and ask nothing keep nobody else out, and cost nothing."""
        gateway = self.limited(96)
        self.start_receiver(gateway, "lab:app")
        silent = []
        for _ in range(3):
            silent += [self.connect(gateway) for _ in range(100)]
            wait_until(lambda: httpx.get(f"{gateway.url}/health", timeout=5, trust_env=False), "it answers", 5)
        self.assertLess(self.cpu_of(gateway, 1.0), 0.3)
        for connection in silent:
            connection.close()
        wait_until(lambda: httpx.get(f"{gateway.url}/small", trust_env=False).status_code == 200, "it recovers", 5)
        wait_until(lambda: self.overload(gateway)["state"] == "calm", "it is over", 5)
        self.assertNotIn("Traceback", gateway.log())

    def test_busy(self) -> None:
        """With all descriptors in use no connection is dropped: those that run go on, and the others wait."""
        gateway = self.limited(96)
        receiver = self.start_receiver(gateway, "lab:app")
        running = self.hold(gateway)
        wait_until(lambda: self.overload(gateway)["causes"] == ["descriptors"], "descriptors are short")
        asking = b"GET /small HTTP/1.1\r\nHost: h\r\n\r\n"
        turned = self.connect(gateway, asking)
        head = turned.recv(1000)
        self.assertTrue(head.startswith(b"HTTP/1.1 503"))
        self.assertIn(b"\r\nConnection: close\r\n", head)
        silent = [self.connect(gateway) for _ in range(30)]
        wait_until(lambda: not self.overload(gateway)["accepting"], "nothing is accepted")
        waiting = self.connect(gateway, asking)
        self.assertLess(self.cpu_of(gateway, 0.5), 0.2)
        self.assertEqual(httpx.get(f"{gateway.management}/health", trust_env=False).json(), {"status": "overloaded"})
        for connection in [*running[:20], *silent]:
            connection.close()
        self.assertTrue(waiting.recv(1000))
        wait_until(lambda: httpx.get(f"{gateway.url}/small", trust_env=False).status_code == 200, "it recovers", 5)
        for connection in running[20:]:
            connection.setblocking(False)
            self.assertRaises(BlockingIOError, connection.recv, 1)
        tasks = json.loads(httpx.get(f"{gateway.url}/happened", trust_env=False).text)["tasks"]
        self.assertGreaterEqual(tasks, len(running) - 20)
        self.assertIsNone(receiver.process.poll())

    def hold(self, gateway: Gateway) -> list[socket.socket]:
        """Let requests run until one is turned away."""
        running: list[socket.socket] = []
        while True:
            connection = self.connect(gateway, b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = b""
            while not answer.endswith((b"begun\n\r\n", b"}")):
                answer += connection.recv(1000)
            if answer.startswith(b"HTTP/1.1 503"):
                return running
            running.append(connection)
