"""A gateway of several processes: all of its cores, one worker killed, drained, and one page for the operator."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import time
from typing import Any

import httpx

from tests.harness import EndToEnd, Gateway, Receiver, free_port, twistd, wait_until

#: Processes start slowly where other tests run beside this one.
PATIENCE = 60.0


class WorkersCase(EndToEnd):
    """Has a gateway with two workers."""

    def start_workers(self, *options: str, connected: int = 2) -> tuple[Gateway, Receiver]:
        """Start it with a receiver that is linked to each."""
        gateway = self.start_gateway("--workers=2", *options)
        receiver = self.start_receiver(gateway, "lab:app")
        wait_until(lambda: len(self.linked(gateway)) == connected, "each worker has a link", PATIENCE)
        return gateway, receiver

    def stats(self, gateway: Gateway) -> dict[str, Any]:
        """Read the operator's page."""
        found: dict[str, Any] = httpx.get(f"{gateway.management}/stats", timeout=10, trust_env=False).json()
        return found

    def linked(self, gateway: Gateway) -> list[int]:
        """The workers that have a receiver, each as often as it has."""
        return sorted(one["worker"] for one in self.stats(gateway)["receivers"])

    def pids(self, gateway: Gateway) -> dict[int, int]:
        """The process of each worker that was started last."""
        words = [line.split() for line in gateway.log().splitlines() if " starts, process " in line]
        return {int(line[3]): int(line[-1]) for line in words}

    def worker_of(self, connection: http.client.HTTPConnection, gateway: Gateway, mark: str) -> int:
        """Ask something on a connection and look into the log for who answered."""
        connection.request("GET", f"/small?{mark}")
        connection.getresponse().read()
        line = wait_until(lambda: next((one for one in gateway.log().splitlines() if mark in one), ""), "it is logged")
        return int(line.partition('{"worker":')[2].partition(",")[0])

    def connection(self, gateway: Gateway) -> http.client.HTTPConnection:
        """Connect."""
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        self.addCleanup(connection.close)
        return connection

    def one_of_each(self, gateway: Gateway) -> dict[int, http.client.HTTPConnection]:
        """Connect until there is a connection to each worker."""
        found: dict[int, http.client.HTTPConnection] = {}
        for attempt in range(40):
            connection = self.connection(gateway)
            found.setdefault(self.worker_of(connection, gateway, f"mark{attempt}-"), connection)
            if len(found) == 2:
                return found
        raise AssertionError("forty connections came to one worker")


class TogetherTests(WorkersCase):
    """All workers as one gateway."""

    def test_both_serve(self) -> None:
        """Both get callers; the page adds them up; the receiver has one link to each and no other."""
        gateway, receiver = self.start_workers()
        self.one_of_each(gateway)
        time.sleep(1.0)  # for links too many to show
        self.assertEqual(self.linked(gateway), [1, 2])
        stats = self.stats(gateway)
        self.assertEqual([one["worker"] for one in stats["workers"]], [1, 2])
        self.assertEqual(stats["requests"]["served"], sum(one["requests"]["served"] for one in stats["workers"]))
        self.assertTrue(all(one["requests"]["served"] for one in stats["workers"]))
        # What the receiver can take is divided among its links.
        self.assertEqual([one["capacity"] for one in stats["receivers"]], [50, 50])
        self.assertEqual(httpx.get(f"{gateway.management}/health", trust_env=False).json(), {"status": "ok"})
        self.assertEqual(httpx.get(f"{gateway.url}/health", trust_env=False).json(), {"status": "ok"})
        self.assertIn("worker 1: receiver", gateway.log())
        self.assertIn("of 2), serving /", receiver.log())

    def test_port_taken(self) -> None:
        """Two gateways do not share a port."""
        gateway = self.start_gateway("--workers=2")
        other = self.start_program(
            twistd(),
            "-n",
            "--pidfile=",
            "anp-gateway",
            "--workers=2",
            f"--port={gateway.port}",
            "--management-port=off",
        )
        self.assertEqual(other.wait(), 1)
        self.assertIn("Address already in use", other.log())

    def test_endpoints(self) -> None:
        """An endpoint string cannot be shared, and says so."""
        program = self.start_program(twistd(), "-n", "--pidfile=", "anp-gateway", "--workers=2", "--listen=tcp:0")
        self.assertEqual(program.wait(), 1)
        self.assertIn("workers share a port", program.log())


class KilledTests(WorkersCase):
    """SIGKILL for one worker."""

    def test_killed(self) -> None:
        """No request fails but those on that worker, no new connection is refused, and the capacity returns."""
        gateway, _ = self.start_workers()
        other = self.one_of_each(gateway)[2]
        pid = self.pids(gateway)[1]
        failed: list[str] = []
        killed: list[float] = []
        answered = [0]
        end = [time.monotonic() + 600]

        def work() -> None:
            """Ask on a new connection each time: one that was begun before the kill may fail."""
            while time.monotonic() < end[0]:
                began = time.monotonic()
                try:
                    caller = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
                    caller.request("GET", "/small")
                    answer = caller.getresponse()
                    answer.read()
                    caller.close()
                    if answer.status != 200:
                        failed.append(f"status {answer.status}")
                    answered[0] += 1
                except OSError as error:
                    if not killed or began > killed[0]:
                        failed.append(repr(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)  # some load before
        killed.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)
        killed[0] = time.monotonic()
        try:
            for _ in range(20):
                other.request("GET", "/small")
                self.assertEqual(other.getresponse().read(), b'{"hello": "world"}')
            wait_until(lambda: self.pids(gateway)[1] != pid, "a new worker starts", PATIENCE)
            wait_until(lambda: self.linked(gateway) == [1, 2], "it has a receiver", PATIENCE)
            time.sleep(1)  # some load afterwards
        finally:
            end[0] = 0
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])
        self.assertGreater(answered[0], 100)
        self.one_of_each(gateway)
        self.assertIn("worker 1 was ended by signal 9; a new one starts", gateway.log())


class StopTests(WorkersCase):
    """SIGTERM for all of them."""

    def held(self, gateway: Gateway, target: bytes) -> list[socket.socket]:
        """Let requests run on both workers."""
        found = []
        for _ in range(16):
            connection = socket.create_connection(("127.0.0.1", gateway.port), 30)
            self.addCleanup(connection.close)
            connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            found.append(connection)
        wait_until(lambda: self.stats(gateway)["requests"]["running"] == 16, "all run")
        self.assertTrue(all(one["requests"]["running"] for one in self.stats(gateway)["workers"]))
        return found

    def test_drain(self) -> None:
        """What runs on any worker is finished; nothing new is taken; the first line is the only one."""
        gateway, _ = self.start_workers()
        held = self.held(gateway, b"/wait?seconds=2")
        gateway.signal(signal.SIGTERM)
        for connection in held:
            answer = b""
            while piece := connection.recv(1000):
                answer += piece
            self.assertTrue(answer.endswith(b"waited"), answer)
        gateway.wait()
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", gateway.port), 5)
        assert gateway.process.stdout is not None
        self.assertEqual(gateway.process.stdout.read(), b"")

    def test_second_signal(self) -> None:
        """A second signal ends all of them at once."""
        gateway, _ = self.start_workers()
        self.held(gateway, b"/hold?stay=1")
        pids = self.pids(gateway)
        gateway.signal(signal.SIGTERM)
        wait_until(lambda: gateway.log().count("draining") == 2, "both drain")
        self.assertIsNone(gateway.process.poll())
        gateway.signal(signal.SIGTERM)
        gateway.wait(10)
        for pid in pids.values():
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def test_orphans(self) -> None:
        """Workers whose first process was killed end, too."""
        gateway, _ = self.start_workers()
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        for pid in self.pids(gateway).values():
            wait_until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "it ends")  # type: ignore[misc]


class TlsAndPortsTests(WorkersCase):
    """Other listeners."""

    def test_receivers_port(self) -> None:
        """The second port is shared as well."""
        second = free_port()
        gateway = self.start_gateway("--workers=2", f"--wss-port={second}")
        receiver = Receiver(self.folder, f"ws://127.0.0.1:{second}/ws", "lab:app")
        self.addCleanup(receiver.end)
        wait_until(lambda: self.linked(gateway) == [1, 2], "each worker has a link", PATIENCE)
        self.one_of_each(gateway)
