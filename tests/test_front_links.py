"""The way in for receivers, tried by everybody else: what a handshake must be, and what a half-done one costs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

from tests.callers import ask, connect
from tests.harness import EndToEnd, wait_until

KIB = 1024
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def handshake(*changes: str, start: str = "GET /ws HTTP/1.1", token: str = "", without: str = "") -> bytes:
    """
    The head of a good handshake, changed.

    @param changes: lines added.
    @param without: the beginning of a line left out.
    """
    lines = [
        "Host: a",
        f"Authorization: Bearer {token}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        KEY,
        "Sec-WebSocket-Protocol: anpx.2",
    ]
    kept = [line for line in lines if not without or not line.startswith(without)]
    return "\r\n".join([start, *kept, *changes, "", ""]).encode("latin-1")


def rows(token: str) -> Iterator[tuple[str, bytes, int]]:
    """Name, bytes and status of each attempt that is turned away; all but a few show the right token."""
    good = {"token": token}
    for origin in ("http://evil.example", "null", "http://a", "", "file://"):
        yield f"Origin {origin!r}", handshake(f"Origin: {origin}", **good), 403
    for host in ("", "a@b", "a b", "a:99999", "<x>"):
        yield f"Host {host!r}", handshake(f"Host: {host}", without="Host", **good), 400
    yield "no host", handshake(without="Host", **good), 400
    yield "two hosts", handshake("Host: b", **good), 400
    yield "no key", handshake(without="Sec-WebSocket-Key", **good), 400
    yield "two keys", handshake(KEY, **good), 400
    for key in ("", "short", "x" * 24, "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZTEyMzQ1Ng=="):
        yield f"key {key!r}", handshake(f"Sec-WebSocket-Key: {key}", without="Sec-WebSocket-Key", **good), 400
    for version in ("12", "14", "8", "0", "-13"):
        changed = handshake(f"Sec-WebSocket-Version: {version}", without="Sec-WebSocket-Version", **good)
        yield f"version {version}", changed, 426
    for version in ("", "x", "1e1"):
        changed = handshake(f"Sec-WebSocket-Version: {version}", without="Sec-WebSocket-Version", **good)
        yield f"version {version!r}", changed, 400
    yield "no version", handshake(without="Sec-WebSocket-Version", **good), 400
    yield "two versions", handshake("Sec-WebSocket-Version: 13", **good), 400
    for method in ("POST", "HEAD", "PUT", "OPTIONS", "DELETE"):
        yield method, handshake(start=f"{method} /ws HTTP/1.1", **good), 405
    yield "CONNECT", handshake(start="CONNECT /ws HTTP/1.1", **good), 501
    yield "HTTP/1.0", handshake(start="GET /ws HTTP/1.0", **good), 505
    yield "HTTP/2.0", handshake(start="GET /ws HTTP/2.0", **good), 505
    yield "no upgrade", handshake(without="Upgrade", **good), 426
    yield "h2c", handshake("Upgrade: h2c", without="Upgrade", **good), 426
    yield "two upgrades", handshake("Upgrade: h2c", **good), 426
    yield "Connection without it", handshake("Connection: keep-alive", without="Connection", **good), 426
    yield "with a body", handshake("Content-Length: 5", **good) + b"abcde", 400
    yield "with chunks", handshake("Transfer-Encoding: chunked", **good) + b"0\r\n\r\n", 400
    for offered in ("chat", "anpx.3", "anpx", "ANPX.2x", "anpx.2.1", ""):
        changed = handshake(f"Sec-WebSocket-Protocol: {offered}", without="Sec-WebSocket-Protocol", **good)
        yield f"subprotocol {offered!r}", changed, 400
    yield "head of 16 KiB", handshake("X: " + "x" * 8000, "Y: " + "y" * 8200, **good), 431
    yield "field of 8 KiB", handshake("X: " + "x" * 8192, **good), 431
    yield "101 fields", handshake(*(f"X-{number}: y" for number in range(100)), **good), 431
    yield "target of 8 KiB", handshake(start="GET /ws?" + "x" * 8192 + " HTTP/1.1", **good), 414
    for wrong in ("", token[:-1], token + "x", token.upper(), "x" * 1000, f"{token}, {token}"):
        yield f"token {wrong[:2]}…", handshake(token=wrong), 401
    yield "no token", handshake(without="Authorization"), 401
    yield "two tokens", handshake(f"Authorization: Bearer {token}", **good), 401
    yield "Basic", handshake(f"Authorization: Basic {token}", without="Authorization"), 401
    yield "token in the target", handshake(start=f"GET /ws?token={token} HTTP/1.1", without="Authorization"), 401
    yield "token in a cookie", handshake(f"Cookie: token={token}", without="Authorization"), 401


class LinkCase(EndToEnd):
    """A gateway and its token."""

    gateway_options: tuple[str, ...] = ()

    def setUp(self) -> None:
        """Start the gateway."""
        super().setUp()
        self.gateway = self.start_gateway(*self.gateway_options)
        self.token = (self.folder / "anp-state" / "receiver.token").read_text().strip()

    def still_works(self) -> None:
        """A receiver connects and serves."""
        self.start_receiver(self.gateway, "lab:app")
        self.assertEqual(self.client(self.gateway.url).get("/small").status_code, 200)
        self.assertNotIn("Traceback", self.gateway.log())


class HandshakeTests(LinkCase):
    """Everything that is not quite the handshake of a receiver."""

    def test_good(self) -> None:
        """The unchanged one is accepted, so the others fail for what was changed; one of version 1 offers nothing."""
        for without in ("", "Sec-WebSocket-Protocol"):
            with connect(self.gateway.port) as connection:
                connection.sendall(handshake(token=self.token, without=without))
                self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 101 "), without)

    def test_rows(self) -> None:
        """Each attempt gets its status, and the connection ends."""
        wrong = []
        tried = list(rows(self.token))
        for name, sent, status in tried:
            # Some end the connection, the others can be followed by another request.
            sent += b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            heard = ask(self.gateway.port, sent, methods=[sent.split(b" ")[0]])
            if heard.statuses[:1] != [status] or heard.statuses[1:] not in ([], [200]) or heard.ended == "open":
                wrong.append(f"{name}: {heard.statuses} {heard.ended}, not {status}; {heard.rest[:60]!r}")
            if any(self.token.encode() in answer.head + answer.body for answer in heard.answers):
                wrong.append(f"{name}: the token comes back")
        print(f"\nhandshakes tried {len(tried)}, let in {len([w for w in wrong if '101' in w])}", file=sys.stderr)
        self.assertEqual(wrong, [])
        self.assertNotIn(self.token, self.gateway.log())
        self.still_works()


class HalfDoneTests(LinkCase):
    """Many who begin and do not go on."""

    gateway_options = ("--head-timeout=6",)
    sockets = 2000

    def test_cost(self) -> None:
        """2,000 half-done handshakes cost at most 64 KiB each, keep no receiver out, and are gone in time."""
        before, descriptors = self.gateway.rss(), self.gateway.descriptors()
        half = handshake(token="x" * 20)[:-2]
        held: list[socket.socket] = []
        for number in range(self.sockets):
            # From three addresses: from one alone they would be too many.
            connection = connect(self.gateway.port, source=f"127.0.0.{2 + number % 3}")
            self.addCleanup(connection.close)
            connection.sendall(half if number % 4 else b"")
            held.append(connection)
            if number % 40 == 39:
                # The kernel lets no more than 50 wait to be accepted.
                wait_until(lambda: self.gateway.descriptors() >= descriptors + len(held), "they are accepted")
        each = (self.gateway.rss() - before) / self.sockets
        print(f"\nhalf-done handshakes {self.sockets}: {each / KIB:.1f} KiB each", file=sys.stderr)
        self.assertLess(each, 64 * KIB)
        self.still_works()
        wait_until(lambda: self.gateway.descriptors() < descriptors + 20, "they are gone", 14)
        self.still_works()
