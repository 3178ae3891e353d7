"""What processes and networks do to a tunnel: killed, restarted, stalled, drained. Nothing broken may look whole."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from tests.harness import EndToEnd, Gateway, Receiver, free_port, wait_until

RELAY = Path(__file__).with_name("relay.py")


def read_to_the_end(connection: socket.socket, most: int | None = None) -> bytes:
    """Read until the end, however it comes, or until there are that many bytes."""
    data = b""
    try:
        while most is None or len(data) < most:
            piece = connection.recv(65536)
            if not piece:
                break
            data += piece
    except ConnectionError:
        pass
    return data


class FaultCase(EndToEnd):
    """Knows the figures of a gateway."""

    def stats(self, gateway: Gateway) -> dict[str, Any]:
        """Read the management page."""
        found: dict[str, Any] = httpx.get(f"{gateway.management}/stats", timeout=10, trust_env=False).json()
        return found

    def connection(self, gateway: Gateway, data: bytes) -> socket.socket:
        """Open a connection to a gateway and send bytes."""
        connection = socket.create_connection(("127.0.0.1", gateway.port), 20)
        self.addCleanup(connection.close)
        connection.sendall(data)
        return connection


class KilledReceiverTests(FaultCase):
    """kill -9 in the middle of an answer."""

    def test_at_random_bytes(self) -> None:
        """Twenty times, after any number of bytes: never a complete-looking answer."""
        gateway = self.start_gateway()
        draw = random.Random(7)
        baseline = 0
        for attempt in range(20):
            receiver = self.start_receiver(gateway, "lab:app")
            baseline = baseline or gateway.descriptors()
            size, framing, most = 30_000_000, b"/down?bytes=%d", 3_000_000
            if attempt % 2:
                framing, most = b"/events?count=%d&gap=0", 30_000
            connection = self.connection(gateway, b"GET " + framing % size + b" HTTP/1.1\r\nHost: h\r\n\r\n")
            begun = read_to_the_end(connection, draw.randrange(200, most))
            receiver.signal(signal.SIGKILL)
            whole = begun + read_to_the_end(connection)
            receiver.wait()
            self.assertTrue(whole.startswith(b"HTTP/1.1 200 OK\r\n"), whole[:100])
            _, _, body = whole.partition(b"\r\n\r\n")
            if attempt % 2:
                self.assertFalse(body.endswith(b"0\r\n\r\n"), attempt)
            else:
                self.assertLess(len(body), size, attempt)
            connection.close()
        wait_until(lambda: not self.stats(gateway)["receivers"], "all receivers are gone")
        wait_until(lambda: gateway.descriptors() <= baseline, "all descriptors are back")
        self.assertEqual(self.stats(gateway)["requests"]["running"], 0)

    def test_before_the_head(self) -> None:
        """Before the head it is a 502 whose source is the tunnel."""
        gateway = self.start_gateway()
        receiver = self.start_receiver(gateway, "lab:app")
        found: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: found.append(httpx.get(f"{gateway.url}/wait?seconds=60", timeout=60, trust_env=False))
        )
        thread.start()
        wait_until(lambda: self.stats(gateway)["requests"]["running"], "the request runs")
        receiver.signal(signal.SIGKILL)
        thread.join(20)
        self.assertEqual((found[0].status_code, found[0].json()["source"]), (502, "tunnel"))


class AfterwardsTests(FaultCase):
    """What is left when everything that can go wrong has gone wrong."""

    def figures(self, gateway: Gateway, receiver: Receiver) -> dict[str, Any]:
        """Count what a gateway and a receiver have."""
        stats = self.stats(gateway)
        (one,) = stats["receivers"]
        tasks = httpx.get(f"{gateway.url}/happened", timeout=10, trust_env=False).json()["tasks"]
        return {
            "requests": stats["requests"]["running"] + stats["requests"]["parked"] + one["in_flight"] + one["streams"],
            "connections": stats["connections"],
            "timers": stats["process"]["timers"],
            "gateway descriptors": gateway.descriptors(),
            "receiver descriptors": receiver.descriptors(),
            "tasks": tasks,
        }

    def test_nothing_is_left(self) -> None:
        """No request, stream, session, timer, task or descriptor."""
        gateway = self.start_gateway("--first-byte-timeout=2", "--idle-timeout=2")
        receiver = self.start_receiver(gateway, "lab:app", "--cancel-grace=0.5")
        wait_until(lambda: self.figures(gateway, receiver)["connections"] == 0, "the start is over")
        before = self.figures(gateway, receiver)
        for _ in range(3):
            other = self.start_receiver(gateway, "lab:app", "--path=/other")
            lost = [self.connection(gateway, b"GET /other/hold HTTP/1.1\r\nHost: h\r\n\r\n") for _ in range(5)]
            wait_until(lambda: self.stats(gateway)["requests"]["running"] == 5, "five requests run")
            other.signal(signal.SIGKILL)
            for connection in lost:
                read_to_the_end(connection)
                connection.close()
        targets = ["/crash", "/crash?bytes=9", "/wait?seconds=9", "/hold", "/hold?stay=1", "/nobody/%2e%2e/other"]
        for target in targets * 3:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"{gateway.url}{target}", timeout=10, trust_env=False)
        for start in (
            b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n",
            b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx",
        ):
            for connection in [self.connection(gateway, start) for _ in range(20)]:
                connection.close()
        after: dict[str, Any] = {}

        def back() -> bool:
            after.update(self.figures(gateway, receiver))
            return all(after[name] <= before[name] for name in before)

        wait_until(back, f"everything is back: {before} {after}")


class KilledGatewayTests(FaultCase):
    """kill -9 of the gateway."""

    def test_back_within_20_seconds(self) -> None:
        """A gateway that comes back has its receivers back within 20 s, and they left nothing behind."""
        port = free_port()
        gateway = self.start_gateway(port=port)
        receiver = self.start_receiver(gateway, "lab:app")
        before = receiver.descriptors()
        gateway.signal(signal.SIGKILL)
        gateway.wait()
        time.sleep(1)  # the time the gateway is away
        gateway = self.start_gateway(port=port)
        began = time.monotonic()

        def answered() -> bool:
            return httpx.get(f"{gateway.url}/small", timeout=10, trust_env=False).status_code == 200

        wait_until(answered, "the receiver is back", 20)
        self.assertLess(time.monotonic() - began, 20)
        self.assertLessEqual(receiver.descriptors(), before)


class StalledLinkTests(FaultCase):
    """A link on which nothing moves any more, though nobody closed it."""

    def test_noticed(self) -> None:
        """Both sides notice within 30 s; the request fails; the next link serves."""
        gateway = self.start_gateway()
        relay = self.start_program(sys.executable, str(RELAY), str(gateway.port), name="relay")
        receiver = Receiver(self.folder, f"ws://127.0.0.1:{relay.line()}/ws", "lab:app")
        self.addCleanup(receiver.end)
        connection = self.connection(gateway, b"GET /hold HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(read_to_the_end(connection, 10).startswith(b"HTTP/1.1 200"))
        relay.signal(signal.SIGSTOP)
        stalled = time.monotonic()
        connection.settimeout(35)
        rest = read_to_the_end(connection)
        self.assertLess(time.monotonic() - stalled, 30)
        self.assertFalse(rest.endswith(b"0\r\n\r\n"))
        wait_until(lambda: "lost the link" in receiver.log(), "the receiver notices", 30 - (time.monotonic() - stalled))
        relay.signal(signal.SIGCONT)
        wait_until(lambda: self.stats(gateway)["receivers"], "the receiver is back", 25)
        self.assertEqual(httpx.get(f"{gateway.url}/small", trust_env=False, timeout=20).status_code, 200)


class DrainTests(FaultCase):
    """SIGTERM under load."""

    def load(self, gateway: Gateway, seconds: float) -> tuple[list[threading.Thread], list[Any]]:
        """Send requests from eight callers for a while; what is not a right answer is collected."""
        wrong: list[Any] = []
        end = time.monotonic() + seconds

        def work(number: int) -> None:
            body = b"x" * (1000 * number)
            with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as client:
                while time.monotonic() < end:
                    try:
                        good = client.get("/small").status_code == 200
                        good = good and client.post("/up", content=body).json()["size"] == len(body)
                        good = good and len(client.get("/down?bytes=200000").content) == 200_000
                        if not good:
                            wrong.append("a wrong answer")
                    except (httpx.HTTPError, ValueError, KeyError) as error:
                        wrong.append(repr(error))

        threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        return threads, wrong

    def test_one_of_two_receivers(self) -> None:
        """A receiver that is told to stop under load costs no request, three times over."""
        gateway = self.start_gateway()
        receivers = [self.start_receiver(gateway, "lab:app") for _ in range(2)]
        threads, wrong = self.load(gateway, 8)
        for _ in range(3):
            time.sleep(1)  # some load in between
            self.terminate(receivers.pop(0))
            receivers.append(self.start_receiver(gateway, "lab:app"))
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_receiver_finishes(self) -> None:
        """A request that runs is finished before the receiver ends, which then ends at once."""
        gateway = self.start_gateway()
        receiver = self.start_receiver(gateway, "lab:app")
        found: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: found.append(httpx.get(f"{gateway.url}/wait?seconds=2", timeout=30, trust_env=False))
        )
        thread.start()
        wait_until(lambda: self.stats(gateway)["requests"]["running"], "the request runs")
        began = time.monotonic()
        self.terminate(receiver)
        thread.join()
        self.assertEqual(found[0].text, "waited")
        self.assertLess(time.monotonic() - began, 5)

    def test_gateway_finishes(self) -> None:
        """A gateway that is told to stop answers what runs, takes nothing new, and ends."""
        gateway = self.start_gateway()
        self.start_receiver(gateway, "lab:app")
        connection = self.connection(gateway, b"GET /wait?seconds=2 HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_until(lambda: self.stats(gateway)["requests"]["running"], "the request runs")
        gateway.signal(signal.SIGTERM)
        self.assertTrue(read_to_the_end(connection).endswith(b"waited"))
        gateway.wait(5)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", gateway.port), 5)

    def test_second_signal(self) -> None:
        """A second signal stops either side at once, whatever runs."""
        for side in range(2):
            gateway = self.start_gateway()
            receiver = self.start_receiver(gateway, "lab:app")
            connection = self.connection(gateway, b"GET /hold?stay=1 HTTP/1.1\r\nHost: h\r\n\r\n")
            connection.recv(100)
            program = (gateway, receiver)[side]
            program.signal(signal.SIGTERM)
            wait_until(lambda program=program: "draining" in program.log(), "it drains")  # type: ignore[misc]
            self.assertIsNone(program.process.poll())
            began = time.monotonic()
            program.signal(signal.SIGTERM)
            program.wait(10)
            self.assertLess(time.monotonic() - began, 8)
            gateway.end()
            receiver.end()
