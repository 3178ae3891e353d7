"""Large bodies, slow readers, and small requests beside them: what it costs, and what it may not disturb."""

from __future__ import annotations

import hashlib
import selectors
import socket
import statistics
import threading
import time
from collections.abc import Iterator

import httpx

from tests.harness import wait_until
from tests.test_end_to_end import BLOCK, Pair

GIB = 1 << 30
MIB = 1 << 20


class LargeTests(Pair):
    """A gigabyte each way."""

    def test_one_gigabyte_down(self) -> None:
        """It comes as it was sent, and neither process grows by more than 64 MiB."""
        expected = hashlib.sha256()
        for _ in range(GIB // len(BLOCK)):
            expected.update(BLOCK)
        before = (self.gateway.rss(), self.receiver.rss())
        digest = hashlib.sha256()
        with self.http.stream("GET", f"/down?bytes={GIB}") as response:
            for piece in response.iter_raw(MIB):
                digest.update(piece)
        self.assertEqual(digest.hexdigest(), expected.hexdigest())
        self.assertLess(self.gateway.peak_rss() - before[0], 64 * MIB)
        self.assertLess(self.receiver.peak_rss() - before[1], 64 * MIB)

    def test_one_gigabyte_up(self) -> None:
        """It arrives as it was sent, and neither process grows by more than 64 MiB."""
        expected = hashlib.sha256()
        block = BLOCK * 16

        def body() -> Iterator[bytes]:
            for _ in range(GIB // len(block)):
                expected.update(block)
                yield block

        before = (self.gateway.rss(), self.receiver.rss())
        found = httpx.post(f"{self.gateway.url}/up", content=body(), timeout=120, trust_env=False).json()
        self.assertEqual(found, {"size": GIB, "sha256": expected.hexdigest()})
        self.assertLess(self.gateway.peak_rss() - before[0], 64 * MIB)
        self.assertLess(self.receiver.peak_rss() - before[1], 64 * MIB)


class SlowReaderTests(Pair):
    """200 callers who take 32 bytes a second of 8 MiB each."""

    gateway_options = ("--in-flight=300",)
    receiver_options = ("--capacity=300",)
    callers = 200
    size = 8 * MIB

    def test_cost(self) -> None:
        """Each costs the gateway at most 256 KiB, the application waits, and others are served as before."""
        self.http.get("/small")
        before = self.gateway.rss()
        request = b"GET /down?bytes=%d HTTP/1.1\r\nHost: h\r\n\r\n" % self.size
        connections = [self.raw(request, 4096) for _ in range(self.callers)]
        self._settle(connections)
        grown = self.gateway.rss() - before
        self.assertLess(grown / self.callers, 256 * 1024)
        notes = [note["sent"] for note in self.happened()["notes"] if "sent" in note]
        self.assertEqual(len(notes), self.callers)
        self.assertLess(max(notes), self.size)
        began = time.monotonic()
        self.assertEqual(self.http.get("/small").status_code, 200)
        self.assertLess(time.monotonic() - began, 1.0)
        for connection in connections:
            connection.close()
        wait_until(lambda: self.gateway.descriptors() < self.callers, "the gateway lets go of them")

    def _settle(self, connections: list[socket.socket]) -> None:
        """Read 32 bytes of each a second until the application stands still."""
        selector = selectors.DefaultSelector()
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        sent = -1
        for _ in range(30):
            for key, _events in selector.select(0):
                key.fileobj.recv(32)  # type: ignore[union-attr]
            now = sum(note.get("sent", 0) for note in self.happened()["notes"])
            if now == sent:
                break
            sent = now
            time.sleep(1)  # the pace of the callers
        selector.close()
        self.assertEqual(now, sent)


class BesideTests(Pair):
    """100 small requests a second on a link that carries a gigabyte."""

    def paced(self, seconds: float) -> float:
        """Send a request every 10 ms; return the 99th percentile of the times, in seconds."""
        times: list[float] = []
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            self.assertEqual(self.http.get("/small").status_code, 200)
            times.append(time.monotonic() - began)
            time.sleep(max(0.0, 0.01 - times[-1]))
        return statistics.quantiles(times, n=100)[98]

    def test_small_beside_large(self) -> None:
        """Their 99th percentile stays within 50 ms of what it is without the large one."""
        alone = self.paced(2)
        stop = threading.Event()
        received: list[int] = []

        def load() -> None:
            while not stop.is_set():
                with httpx.stream("GET", f"{self.gateway.url}/down?bytes={GIB}", timeout=60, trust_env=False) as answer:
                    for piece in answer.iter_raw(MIB):
                        received.append(len(piece))
                        if stop.is_set():
                            return

        thread = threading.Thread(target=load)
        thread.start()
        wait_until(lambda: received, "the large one flows")
        try:
            beside = self.paced(3)
        finally:
            stop.set()
            thread.join()
        self.assertGreater(sum(received), 100 * MIB)
        self.assertLess(beside - alone, 0.05)
