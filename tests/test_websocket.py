"""
WebSockets through the tunnel, over real processes: what two libraries and a bare socket see of it,
and that it is what they see of the application without a tunnel.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.harness import EndToEnd, Program, free_port, listening, wait_until
from tests.test_end_to_end import Pair
from tests.websocket_clients import BINARY, CLOSE, FIN, PING, TEXT, Raw


class SocketTests(Pair):
    """Has a gateway and a receiver."""

    def connect_raw(self, target: str = "/echo", fields: str = "") -> Raw:
        """Connect the bare client."""
        client = Raw(self.gateway.port, target, fields)
        self.addCleanup(client.socket.close)
        return client

    @property
    def url(self) -> str:
        """Where WebSockets are."""
        return f"ws://127.0.0.1:{self.gateway.port}"

    def run_async(self, work: Awaitable[Any]) -> Any:
        """Run a coroutine that uses the library."""
        return asyncio.run(asyncio.wait_for(work, 60))  # type: ignore[arg-type]


class PassThroughTests(SocketTests):
    """What applications and callers say to each other arrives."""

    def test_messages(self) -> None:
        """Text and binary, empty, large and many: each comes back as it was."""

        async def talk() -> None:
            async with connect(f"{self.url}/echo", max_size=None, compression=None) as client:
                for said in (
                    "",
                    "one",
                    "\u00e9\u4e2d\U0001f600",
                    b"",
                    bytes(range(256)),
                    "x" * 70_000,
                    b"y" * 3_000_000,
                ):
                    await client.send(said)
                    self.assertEqual(await client.recv(), said)
                for number in range(500):
                    await client.send(str(number))
                self.assertEqual([await client.recv() for _ in range(500)], [str(number) for number in range(500)])

        self.run_async(talk())

    def test_handshake(self) -> None:
        """The application chooses the subprotocol and adds fields, in order and with repetitions."""
        client = self.connect_raw(fields="Sec-WebSocket-Protocol: b, a\r\nSec-WebSocket-Protocol: c\r\n")
        lines = client.head.split(b"\r\n")
        self.assertEqual(lines[0], b"HTTP/1.1 101 Switching Protocols")
        self.assertEqual([line for line in lines if line.startswith(b"x-")], [b"x-one: 1", b"x-two: 2", b"x-two: 3"])
        self.assertIn(b"Sec-WebSocket-Protocol: b", lines)
        client.send(FIN | TEXT, b"show")
        scope = json.loads(client.message()[1])
        self.assertEqual((scope["type"], scope["scheme"], scope["subprotocols"]), ("websocket", "ws", ["b", "a", "c"]))

    def test_origin(self) -> None:
        """Whence a page may connect is for the application to say."""
        for origin in ("http://elsewhere.example", "null"):
            client = self.connect_raw(fields=f"Origin: {origin}\r\n")
            client.send(FIN | TEXT, b"show")
            self.assertIn(["origin", origin], json.loads(client.message()[1])["headers"])

    def test_close_by_the_caller(self) -> None:
        """The application hears code and reason; without a code it hears 1005."""
        for name, body, expected in (
            ("c1", b"\x0f\xa1why", (4001, "why")),
            ("c2", b"\x03\xe8", (1000, "")),
            ("c3", b"", (1005, "")),
        ):
            client = self.connect_raw(f"/echo?name={name}")
            client.send(FIN | CLOSE, body)
            self.assertEqual(client.close_code(), int.from_bytes(body[:2], "big"))
            self.assertTrue(client.at_end())
            note = wait_until(lambda name=name: self.note(name).get("code") and self.note(name), "it hears")  # type: ignore[misc]
            self.assertEqual((note["code"], note["reason"]), expected)

    def test_close_by_the_application(self) -> None:
        """The caller hears code and reason, and the application its own code."""
        client = self.connect_raw("/echo?name=own")
        client.send(FIN | TEXT, b"close=4321 because")
        self.assertEqual(client.receive(), (FIN | CLOSE, b"\x10\xe1because"))
        client.send(FIN | CLOSE, b"\x10\xe1")
        self.assertTrue(client.at_end())
        self.assertEqual(wait_until(lambda: self.note("own").get("code"), "it hears"), 4321)

    def test_lost(self) -> None:
        """A caller that goes without a word is 1006 to the application."""
        client = self.connect_raw("/echo?name=lost")
        client.send(FIN | TEXT, b"x")
        client.message()
        client.socket.close()
        self.assertEqual(wait_until(lambda: self.note("lost").get("code"), "it hears"), 1006)

    def test_application_ends(self) -> None:
        """One that crashes is 1011 without a word of why, one that returns is 1000."""
        for said, code in ((b"crash", 1011), (b"return", 1000)):
            client = self.connect_raw()
            client.send(FIN | TEXT, said)
            first, body = client.receive()
            self.assertEqual((first, body), (FIN | CLOSE, code.to_bytes(2, "big")))

    def test_denial(self) -> None:
        """An application that does not accept answers, and the connection can be used again."""
        for query, status, body in (
            ("", 403, b""),
            ("how=answer&status=418", 418, b"here"),
            ("how=raise", 500, None),
            ("how=return", 500, None),
        ):
            client = self.connect_raw(f"/deny?{query}")
            self.assertEqual(client.status, status)
            if body is not None:
                self.assertNotIn(b"upgrade", client.head.lower())
                while body not in client.data:
                    client._more()
        again = self.connect_raw("/deny")
        again.raw(b"GET /small HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertIn(b" 200 ", again._until(b"\r\n"))

    def test_access_log(self) -> None:
        """One line when it ends: status 101, and the bytes of the messages."""
        client = self.connect_raw("/echo?name=logged")
        client.send(FIN | BINARY, b"x" * 1000)
        client.message()
        client.send(FIN | CLOSE, b"\x03\xe8")
        client.close_code()
        line = wait_until(
            lambda: [line for line in self.gateway.log().splitlines() if "name=logged" in line], "the line is there"
        )
        record = json.loads(line[0])
        self.assertEqual((record["status"], record["sent"], record["received"]), (101, 1000, 1000))


class ConformanceTests(SocketTests):
    """What of RFC 6455 only bytes can say; C{test_websocket_cases} has what frames can."""

    def test_bytewise(self) -> None:
        """Frames may arrive a byte at a time."""
        client = self.connect_raw()
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in client.frame(FIN | TEXT, b"slowly") + client.frame(FIN | BINARY, b"z" * 200):
            client.raw(bytes([byte]))
        self.assertEqual([client.message(), client.message()], [(TEXT, b"slowly"), (BINARY, b"z" * 200)])

    def test_breaches(self) -> None:
        """Each breach is answered with the close code for it, and nothing reaches the application."""
        rows: list[tuple[str, int, Callable[[Raw], bytes]]] = [
            ("not masked", 1002, lambda c: c.frame(FIN | TEXT, b"x", masked=False)),
            ("length not minimal", 1002, lambda c: c.frame(FIN | TEXT, b"x", wide=2)),
            ("length not minimal, long", 1002, lambda c: c.frame(FIN | BINARY, b"x" * 200, wide=8)),
            ("length of 63 bits", 1009, lambda c: bytes([FIN | BINARY, 0xFF]) + b"\x7f" + b"\xff" * 7 + bytes(4)),
            ("length of 64 bits", 1002, lambda c: bytes([FIN | BINARY, 0xFF]) + b"\xff" * 8 + bytes(4)),
        ]
        for what, code, made in rows:
            client = self.connect_raw("/echo?name=breach")
            client.raw(made(client))
            self.assertEqual(client.close_code(), code, what)
            self.assertTrue(client.at_end(), what)
            client.socket.close()
        notes = [note for note in self.happened()["notes"] if note.get("name") == "breach"]
        self.assertEqual([note["received"] for note in notes], [0] * len(rows))
        self.assertEqual({note.get("code") for note in notes}, {1002, 1009})

    def test_handshakes_that_are_none(self) -> None:
        """Each is answered as HTTP."""
        key = "Sec-WebSocket-Key: " + b64encode(bytes(16)).decode() + "\r\n"
        version = "Sec-WebSocket-Version: 13\r\n"
        rows = [
            ("GET", version, 400),
            ("GET", version + key + key, 400),
            ("GET", version + "Sec-WebSocket-Key: short\r\n", 400),
            ("GET", version + "Sec-WebSocket-Key: " + b64encode(bytes(17)).decode() + "\r\n", 400),
            ("GET", version + key + "Content-Length: 1\r\n", 400),
            ("GET", key, 426),
            ("GET", key + version.replace("13", "12"), 426),
            ("GET", key + version + version, 426),
            ("POST", key + version, 405),
        ]
        for method, fields, status in rows:
            head = f"{method} /echo HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
            connection = self.raw(f"{head}{fields}\r\nx".encode())
            self.assertIn(f" {status} ".encode(), connection.recv(65536).partition(b"\r\n")[0], fields)

    def test_old_http(self) -> None:
        """HTTP/1.0 knows no upgrade: it is an ordinary request."""
        connection = self.raw(b"GET /small HTTP/1.0\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        self.assertIn(b" 200 ", connection.recv(65536).partition(b"\r\n")[0])


class LimitTests(SocketTests):
    """Every cap of a caller's WebSocket."""

    gateway_options = ("--websocket-message-limit=100KiB", "--drain=1")
    receiver_options = ("--websocket-message-limit=90KiB", "--drain=1")

    def test_message(self) -> None:
        """One byte over the cap is 1009, in one frame or in many; the application never sees it."""
        for pieces in ([100 * 1024 + 1], [65536, 36865], [50_000, 50_000, 2_401]):
            client = self.connect_raw("/echo?name=big")
            for number, size in enumerate(pieces):
                first = (BINARY if number == 0 else 0) | (FIN if number == len(pieces) - 1 else 0)
                client.send(first, bytes(size))
            self.assertEqual(client.close_code(), 1009)
        notes = [note for note in self.happened()["notes"] if note.get("name") == "big"]
        self.assertEqual([(note["received"], note.get("code")) for note in notes], [(0, 1009)] * 3)

    def test_message_for_the_receiver(self) -> None:
        """The receiver has a cap of its own: the caller and the application hear 1009."""
        client = self.connect_raw("/echo?name=own")
        client.send(FIN | BINARY, bytes(90 * 1024))
        self.assertEqual(len(client.message()[1]), 90 * 1024)
        client.send(FIN | BINARY, bytes(90 * 1024 + 1))
        self.assertEqual(client.close_code(), 1009)
        wait_until(lambda: self.note("own").get("code") == 1009, "the application hears it")

    def test_floods(self) -> None:
        """PINGs and empty fragments without end are 1008."""
        client = self.connect_raw()
        client.raw(client.frame(FIN | PING) * 101)
        self.assertEqual(client.close_code(), 1008)
        client = self.connect_raw()
        client.send(BINARY)
        client.raw(client.frame(0) * 100_000)
        self.assertEqual(client.close_code(), 1008)

    def test_drain_of_the_receiver(self) -> None:
        """At its deadline the caller hears 1012, and the application as well."""
        client = self.connect_raw()
        client.send(FIN | TEXT, b"x")
        client.message()
        self.terminate(self.receiver)
        self.assertEqual(client.close_code(), 1012)

    def test_drain_of_the_gateway(self) -> None:
        """At its deadline the caller hears 1001."""
        client = self.connect_raw()
        client.send(FIN | TEXT, b"x")
        client.message()
        self.gateway.process.terminate()
        self.assertEqual(client.close_code(), 1001)
        client.send(FIN | CLOSE, b"\x03\xe9")
        self.gateway.wait()

    def test_receiver_killed(self) -> None:
        """A receiver that is lost is 1012: coming back makes sense."""
        client = self.connect_raw()
        client.send(FIN | TEXT, b"x")
        client.message()
        self.receiver.process.kill()
        self.assertEqual(client.close_code(), 1012)


class DrainTests(SocketTests):
    """Who stops has half a minute for requests, and does not wait that long for WebSockets."""

    def stop(self, program: Program, code: int) -> None:
        """Stop one side while a WebSocket is open and a request runs."""
        client = self.connect_raw("/echo?name=open")
        client.send(FIN | TEXT, b"x")
        client.message()
        with ThreadPoolExecutor() as pool:
            running = pool.submit(self.http.get, "/wait?seconds=4")
            wait_until(lambda: self.running() == 2, "the request runs")
            began = time.monotonic()
            program.signal(signal.SIGTERM)
            client.send(FIN | TEXT, b"still")
            self.assertEqual(client.message(), (TEXT, b"still"))
            self.assertEqual(client.close_code(), code)
            client.send(FIN | CLOSE, code.to_bytes(2, "big"))
            self.assertLess(time.monotonic() - began, 3.5)
            self.assertEqual(running.result().content, b"waited")
        program.wait()
        self.assertLess(time.monotonic() - began, 10)

    def running(self) -> int:
        """How many exchanges there are."""
        stats = httpx.get(f"{self.gateway.management}/stats", trust_env=False).json()
        return int(stats["requests"]["running"])

    def test_receiver(self) -> None:
        """The caller hears 1012: coming back makes sense."""
        self.stop(self.receiver, 1012)

    def test_gateway(self) -> None:
        """The caller hears 1001."""
        self.stop(self.gateway, 1001)


class PressureTests(SocketTests):
    """Who does not read stops who writes."""

    def test_slow_caller(self) -> None:
        """An application sends no more than what the way to its caller holds."""
        client = self.connect_raw("/flood?name=slow&count=100000&size=10000")
        sent = -1
        while sent != (sent := self.note("slow").get("sent", 0)):
            time.sleep(0.5)  # until it stands still
        self.assertLess(sent, 2000)
        self.assertEqual(self.http.get("/small").status_code, 200)
        for _ in range(sent + 500):
            self.assertEqual(len(client.message()[1]), 10000)
        client.socket.close()
        self.assertEqual(wait_until(lambda: self.note("slow").get("error"), "it ends"), "CallerGone")

    def test_slow_application(self) -> None:
        """A caller's socket is not read while its application does not receive; others go on."""
        client = self.connect_raw("/unread?seconds=5")
        before = self.gateway.rss(), self.receiver.rss()
        client.socket.settimeout(1)
        frame = client.frame(FIN | BINARY, bytes(60_000))
        written = 0
        with self.assertRaises(TimeoutError):
            while written < 100_000_000:
                client.raw(frame)
                written += len(frame)
        self.assertLess(written, 20_000_000)
        self.assertLess(max(self.gateway.rss() - before[0], self.receiver.rss() - before[1]), 8 << 20)
        self.assertEqual(self.http.get("/small").status_code, 200)


class CompressionTests(SocketTests):
    """permessage-deflate, where it was switched on."""

    gateway_options = ("--websocket-compression", "--websocket-message-limit=1MiB")

    def test_messages(self) -> None:
        """They are compressed both ways and arrive as they were."""

        async def talk() -> None:
            async with connect(f"{self.url}/echo", max_size=None) as client:
                self.assertIn("permessage-deflate", client.response.headers["Sec-WebSocket-Extensions"])  # type: ignore[union-attr]
                for said in ("", "one", "one", b"z" * 300_000, os.urandom(100_000), "\u00e9" * 1000):
                    await client.send(said)
                    self.assertEqual(await client.recv(), said)

        self.run_async(talk())

    def test_bomb(self) -> None:
        """What would inflate beyond the cap is 1009, and takes no memory."""
        import zlib

        deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
        bomb = deflate.compress(bytes(200 << 20)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        client = self.connect_raw(fields="Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
        before = self.gateway.rss()
        client.send(FIN | 0x40 | BINARY, bomb[:-4])
        self.assertEqual(client.close_code(), 1009)
        self.assertLess(self.gateway.peak_rss() - before, 16 << 20)

    def test_garbage(self) -> None:
        """What cannot be inflated is 1007."""
        client = self.connect_raw(fields="Sec-WebSocket-Extensions: permessage-deflate\r\n")
        client.send(FIN | 0x40 | BINARY, b"\xff\xff\xff\xff")
        self.assertEqual(client.close_code(), 1007)

    def test_offers(self) -> None:
        """An offer that cannot be taken is declined, never refused."""
        for offer in (
            "x-webkit-deflate-frame",
            "permessage-deflate; nonsense",
            "permessage-deflate; server_max_window_bits=99",
        ):
            client = self.connect_raw(fields=f"Sec-WebSocket-Extensions: {offer}\r\n")
            self.assertEqual(client.status, 101)
            self.assertNotIn(b"Extensions", client.head)


class SameAsDirectTests(EndToEnd):
    """The application sees through the tunnel what it sees on uvicorn, and so does its caller."""

    #: What another server may say in its own way.
    OWN = {"asgi", "client", "server"}

    def test_scope(self) -> None:
        """Every key of the scope, and every field."""
        ports = self.both("lab:app")
        fields = "X-One: a\r\nX-One: b\r\nCookie: a=1\r\nOrigin: null\r\nSec-WebSocket-Protocol: p, q\r\n"
        for target in ("/echo?a=%20b&c", "/%C3%A9/a%2Fb/echo", "/x//y/../echo?"):
            direct, tunnel = (self.scope(port, target, fields) for port in ports)
            for scope in (direct, tunnel):
                self.assertEqual(scope["asgi"]["spec_version"], "2.4")
                # Each connection has a key of its own, and the ports differ.
                differ = ("sec-websocket-key",)
                scope["headers"] = sorted(
                    [name, value.lower()] for name, value in scope["headers"] if name not in differ
                )
            self.assertIn("anp", tunnel["extensions"])
            del tunnel["extensions"]["anp"]
            self.assertEqual(set(direct), set(tunnel))
            for key in set(direct) - self.OWN:
                self.assertEqual(direct[key], tunnel[key], key)

    def scope(self, port: int, target: str, fields: str) -> dict[str, Any]:
        """What the application is called with."""
        client = Raw(port, target, fields)
        self.addCleanup(client.socket.close)
        client.send(FIN | TEXT, b"show")
        found: dict[str, Any] = json.loads(client.message()[1])
        return found

    def both(self, app: str) -> tuple[int, int]:
        """Serve an application directly and through the tunnel, and tell the ports."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", app, f"--port={port}", "--log-level=critical"]
        self.start_program(*command, name="uvicorn")
        gateway = self.start_gateway()
        self.start_receiver(gateway, app)
        wait_until(lambda: listening(port), "uvicorn listens")
        return port, gateway.port

    def test_library(self) -> None:
        """C{websockets} has the same talk with both."""
        direct, tunnel = (asyncio.run(asyncio.wait_for(self.talk(port), 60)) for port in self.both("lab:app"))
        self.assertEqual(direct, tunnel)

    def test_frameworks(self) -> None:
        """So it does with FastAPI, Starlette and channels, at the path that their tutorials use."""
        for app in ("frameworks:fast", "frameworks:star", "channels_app:app"):
            direct, tunnel = (asyncio.run(asyncio.wait_for(self.short(port), 60)) for port in self.both(app))
            self.assertEqual(direct, tunnel)
            self.assertEqual(direct[-1], (4000, "told to"))

    async def short(self, port: int) -> list[Any]:
        """A talk with the small application of the frameworks."""
        seen: list[Any] = []
        fields = [("Cookie", "a=1"), ("Origin", "http://elsewhere.example")]
        url = f"ws://127.0.0.1:{port}/ws?x=1&y=2"
        async with connect(url, subprotocols=["s"], additional_headers=fields) as client:  # type: ignore[list-item]
            seen += [client.subprotocol, await client.recv()]
            for said in ("one", "\u00e9" * 50_000):
                await client.send(said)
                seen.append(await client.recv())
            await client.send("close")
            seen.append(await ended(client))
        return seen

    async def talk(self, port: int) -> list[Any]:
        """Do everything that a library can, and note what came of it."""
        seen: list[Any] = []
        base = f"ws://127.0.0.1:{port}"
        async with connect(f"{base}/echo", subprotocols=["x", "y"], compression=None) as client:  # type: ignore[list-item]
            seen.append(client.subprotocol)
            for said in ("text", b"bytes", "x" * 200_000, [b"in ", b"fragments"]):
                await client.send(said)
                seen.append(await client.recv())
            await (await client.ping(b"payload"))
            await client.send("close=4000 reason")
            seen.append(await ended(client))
        async with connect(f"{base}/echo") as client:
            await client.close(4001, "mine")
            seen.append((client.close_code, client.close_reason))
        for target in ("/deny", "/deny?how=answer&status=401"):
            try:
                await connect(base + target)
            except InvalidStatus as refused:
                seen.append((refused.response.status_code, bytes(refused.response.body or b"")))
        return seen


async def ended(client: ClientConnection) -> tuple[int | None, str | None]:
    """Wait for the end and tell how it was."""
    try:
        while True:
            await client.recv()
    except ConnectionClosed:
        return client.close_code, client.close_reason


class Pulse(asyncio.Protocol):
    """
    One WebSocket that sends numbered messages and times what comes back.

    A library would need more than a processor for all of them; this needs a fifth.
    """

    def __init__(self, target: bytes, count: int) -> None:
        self.delays: list[float] = []
        self.open = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self.sent: list[float] = []
        self._target = target
        self._count = count
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        """Ask for the WebSocket."""
        self.transport = transport
        key = b64encode(bytes(16))
        transport.write(
            b"GET %b HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % (self._target, key)
        )

    def say(self) -> None:
        """Send the next number, masked with nothing."""
        text = b"%08d" % len(self.sent)
        self.sent.append(time.monotonic())
        self.transport.write(b"\x81\x88\0\0\0\0" + text)

    def data_received(self, data: bytes) -> None:
        """Take the head, then frames of eight bytes, each in its turn."""
        self._data += data
        if not self.open.done():
            head, found, self._data = self._data.partition(b"\r\n\r\n")
            if not found:
                self._data = head
                return
            self.open.set_result(head)
        while len(self._data) >= 10:
            if self._data[:10] != b"\x81\x08%08d" % len(self.delays):
                self.done.set_exception(AssertionError(f"{self._data[:10]!r} where {len(self.delays)} was due"))
                return
            self.delays.append(time.monotonic() - self.sent[len(self.delays)])
            self._data = self._data[10:]
        if len(self.delays) == self._count:
            self.done.set_result(None)

    def connection_lost(self, reason: Exception | None) -> None:
        """It ended."""
        for waiting in (self.open, self.done):
            if not waiting.done():
                waiting.set_exception(ConnectionError("lost"))


async def pulses(port: int, sockets: int, seconds: int) -> list[float]:
    """
    Let many WebSockets send ten messages a second, evenly.

    @return: the sorted times that the echoes took, in seconds.
    """
    loop = asyncio.get_running_loop()
    clients: list[Pulse] = []
    for start in range(0, sockets, 50):
        some = [
            loop.create_connection(lambda: Pulse(b"/echo", seconds * 10), "127.0.0.1", port)
            for _ in range(min(50, sockets - start))
        ]
        made = [protocol for _, protocol in await asyncio.gather(*some)]
        for client in made:
            assert b" 101 " in await client.open
        clients += made
    begin = loop.time()
    for turn in range(seconds * 1000):
        await asyncio.sleep(max(0.0, begin + turn / 1000 - loop.time()))
        for client in clients[turn % 100 :: 100]:
            client.say()
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), 30)
    for client in clients:
        client.transport.abort()
    return sorted(delay for client in clients for delay in client.delays)


class ManyTests(SocketTests):
    """A thousand at once."""

    gateway_options = ("--in-flight=1010",)
    receiver_options = ("--capacity=1010",)
    sockets = 1000
    seconds = 5

    def test_thousand(self) -> None:
        """Ten messages a second on each of a thousand WebSockets of one link: none is lost, and order is kept."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "lab:app", f"--port={port}", "--log-level=warning"]
        direct = self.start_program(*command, name="uvicorn")
        wait_until(lambda: listening(port), "uvicorn listens")
        for name, where in (("direct", port), ("tunnel", self.gateway.port)):
            delays = uvloop.run(pulses(where, self.sockets, self.seconds))
            self.assertEqual(len(delays), self.sockets * self.seconds * 10)
            middle, late = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
            print(f"\n{len(delays)} echoes {name}: p50 {middle * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms", end=" ")
            direct.end()
