"""Callers who are slow on purpose: everybody else is served, and they are cut when their time is over."""

from __future__ import annotations

import csv
import os
import selectors
import shutil
import socket
import sys
import threading
import time
from pathlib import Path

from tests.callers import connect, hear
from tests.harness import EndToEnd, wait_until

MIB = 1 << 20
HEAD = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


class SlowCase(EndToEnd):
    """A gateway whose patience is short, and a receiver with little room."""

    gateway_options: tuple[str, ...] = (
        *("--head-timeout=2", "--body-timeout=2", "--write-timeout=2", "--keep-alive=3"),
        "--in-flight=20",
    )

    def setUp(self) -> None:
        """Start both."""
        super().setUp()
        self.gateway = self.start_gateway(*self.gateway_options)
        self.receiver = self.start_receiver(self.gateway, "lab:app", "--capacity=20")
        self.http = self.client(self.gateway.url)
        self.served()
        self.descriptors = self.gateway.descriptors()

    def slow(self, data: bytes = b"", *, receive_buffer: int = 0) -> socket.socket:
        """Open a connection that ends with the test."""
        connection = connect(self.gateway.port, receive_buffer=receive_buffer)
        self.addCleanup(connection.close)
        connection.sendall(data)
        return connection

    def served(self) -> float:
        """A request of somebody else; return its seconds."""
        began = time.monotonic()
        self.assertEqual(self.http.get("/small").status_code, 200)
        return time.monotonic() - began


class DeadlineTests(SlowCase):
    """Each deadline by itself."""

    def test_head(self) -> None:
        """A head that trickles is answered with 408 when its time is over, however steadily it trickles."""
        connection = self.slow()
        began = time.monotonic()
        for byte in b"GET /small HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            ready = selectors.DefaultSelector()
            ready.register(connection, selectors.EVENT_READ)
            if ready.select(0.05):
                break
        heard = hear(connection)
        self.assertEqual((heard.statuses, heard.ended), ([408], "closed"))
        self.assertLess(time.monotonic() - began, 2.6)

    def test_silent(self) -> None:
        """A connection on which nothing comes is closed without a word."""
        began = time.monotonic()
        heard = hear(self.slow())
        self.assertEqual((heard.statuses, heard.rest, heard.ended), ([], b"", "closed"))
        self.assertLess(time.monotonic() - began, 2.6)

    def test_idle(self) -> None:
        """So is one on which nothing more comes."""
        connection = self.slow(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        heard = hear(connection)
        self.assertEqual((heard.statuses, heard.ended), ([200], "closed"))
        self.assertTrue(2 < heard.seconds < 3.6, heard.seconds)

    def test_body(self) -> None:
        """A body of which a byte comes now and then is answered with 408, and the application is told."""
        connection = self.slow(HEAD % 1000)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 1.5:
                connection.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        heard = hear(connection)
        self.assertEqual((heard.statuses, heard.ended), ([408], "closed"))
        self.assertLess(time.monotonic() - began, 2.6)
        wait_until(lambda: self.http.get("/happened").json()["tasks"] <= 3, "the application let go of it")

    def test_reader(self) -> None:
        """A caller who takes nothing is cut, and costs no more than it may until then."""
        before = self.gateway.rss()
        connections = [
            self.slow(b"GET /down?bytes=8000000 HTTP/1.1\r\nHost: a\r\n\r\n", receive_buffer=4096) for _ in range(19)
        ]
        time.sleep(1)  # they take nothing meanwhile
        self.assertLess((self.gateway.rss() - before) / len(connections), 256 * 1024)
        self.assertLess(self.served(), 0.5)
        wait_until(lambda: self.gateway.descriptors() <= self.descriptors, "they are cut", 5)
        for connection in connections:
            self.assertEqual(hear(connection).ended, "reset")


class RoomTests(SlowCase):
    """More slow callers than the receiver has room for, who would hold it for half a minute each."""

    gateway_options = ("--in-flight=20",)

    def test_bodies(self) -> None:
        """Bodies that trickle give way as soon as others wait."""
        for _ in range(30):
            self.slow(HEAD % 1000 + b"x")
        self.assertLess(max(self.served() for _ in range(20)), 6)
        self.assertLess(self.served(), 0.5)

    def test_readers(self) -> None:
        """So do answers that nobody reads."""
        for _ in range(30):
            self.slow(b"GET /down?bytes=8000000 HTTP/1.1\r\nHost: a\r\n\r\n", receive_buffer=4096)
        self.assertLess(max(self.served() for _ in range(20)), 6)
        self.assertLess(self.served(), 0.5)


class SlowHttpTestCase(EndToEnd):
    """
    slowhttptest, the program, in its three modes.

    C{ANP_SLOWHTTPTEST=full} runs it with the gateway's own deadlines and 500 connections for 40 s each; otherwise
    deadlines and runs are shorter.
    """

    if shutil.which("slowhttptest") is None:
        skip = "slowhttptest is not installed"

    full = os.environ.get("ANP_SLOWHTTPTEST") == "full"
    connections = 500 if full else 150
    seconds = 40 if full else 8

    def setUp(self) -> None:
        """Start both; the receiver has less room than there are slow callers."""
        super().setUp()
        short = ("--head-timeout=3", "--body-timeout=3", "--write-timeout=3")
        self.gateway = self.start_gateway(*(() if self.full else short))
        self.start_receiver(self.gateway, "lab:app")
        self.descriptors = self.gateway.descriptors()
        self.held: list[tuple[float, int]] = []
        self.times: list[float] = []
        self.failures: list[str] = []

    def probe(self, over: threading.Event) -> None:
        """Be somebody else: a small request four times a second, each on a connection of its own."""
        while not over.wait(0.25):
            began = time.monotonic()
            with connect(self.gateway.port) as connection:
                connection.sendall(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                heard = hear(connection)
            self.times.append(time.monotonic() - began)
            self.held.append((began, self.gateway.descriptors() - self.descriptors))
            if heard.statuses != [200]:
                self.failures.append(f"{heard.statuses} {heard.ended}")

    def attack(self, mode: str, target: str, *options: str) -> float:
        """Run the program; return for how many seconds the gateway held its connections."""
        over = threading.Event()
        probe = threading.Thread(target=self.probe, args=(over,))
        probe.start()
        before, began = self.gateway.rss(), time.monotonic()
        program = self.start_program(
            *("slowhttptest", mode, "-c", str(self.connections), "-r", "200", "-l", str(self.seconds)),
            *("-g", "-o", "figures", "-u", f"{self.gateway.url}{target}", *options),
            name="slowhttptest",
        )
        program.process.stdout.read()  # type: ignore[union-attr]
        program.wait(self.seconds + 20)
        lasted = time.monotonic() - began
        over.set()
        probe.join()
        with Path(self.folder, "figures.csv").open() as file:
            rows = list(csv.DictReader(file))
        down = [row for row in rows if int(row["Service Available"]) == 0]
        ordered = sorted(self.times)
        most = max(held for _, held in self.held)
        last = max([at - began for at, held in self.held if held > 10], default=0.0)
        print(
            f"\nslowhttptest {mode} -c {self.connections}: held by the gateway at once {most}, until {last:.1f} s; "
            f"it gave up after {lasted:.1f} s; seconds without service {len(down)}; others: {len(ordered)} requests, "
            f"{len(self.failures)} failed, median {ordered[len(ordered) // 2] * 1000:.0f} ms, longest "
            f"{ordered[-1] * 1000:.0f} ms; gateway +{(self.gateway.peak_rss() - before) / MIB:.1f} MiB, "
            f"{self.gateway.cpu():.1f} s CPU",
            file=sys.stderr,
        )
        self.assertEqual((self.failures, down), ([], []))
        self.assertLess(ordered[-1], 6)
        self.assertNotIn("Traceback", self.gateway.log())
        return last

    def gone(self) -> None:
        """Nobody is left."""
        wait_until(lambda: self.gateway.descriptors() <= self.descriptors, "all are gone", 5)

    def deadline(self, seconds: float) -> float:
        """When the last one must be gone: those who waited for room began later."""
        opening, waiting = self.connections / 200, 5
        return opening + waiting + (seconds if self.full else 3) + 1

    def test_headers(self) -> None:
        """Slow heads are cut within the deadline of a head."""
        self.assertLess(self.attack("-H", "/small", "-i", "1", "-x", "24"), self.deadline(10))
        self.gone()

    def test_bodies(self) -> None:
        """Slow bodies are cut within that of their progress."""
        self.assertLess(self.attack("-B", "/up", "-i", "1", "-x", "10", "-s", "8192"), self.deadline(30))
        self.gone()

    def test_readers(self) -> None:
        """Slow readers are cut when they took nothing for too long, or when others wait."""
        options = ("-n", "1", "-z", "32", "-w", "512", "-y", "1024", "-k", "1")
        self.assertLess(self.attack("-X", "/down?bytes=8000000", *options), self.deadline(60))
        self.gone()
