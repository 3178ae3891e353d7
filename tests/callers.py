"""Callers who write bytes rather than requests."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.harness import readable


@dataclass
class Answer:
    """One response."""

    status: int
    head: bytes
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, by its lower-case name."""
        pairs = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        return [value.strip() for key, _, value in pairs if key.strip().lower() == name]


@dataclass
class Heard:
    """
    What came back on a connection.

    @ivar answers: whole responses, interim ones included.
    @ivar rest: bytes behind them.
    @ivar ended: C{closed} or C{reset} by the gateway, else C{open}.
    @ivar seconds: from the last byte sent to the end.
    """

    answers: list[Answer] = field(default_factory=list)
    rest: bytes = b""
    ended: str = "open"
    seconds: float = 0.0

    @property
    def statuses(self) -> list[int]:
        """Those of the final responses."""
        return [answer.status for answer in self.answers if answer.status >= 200]


def connect(port: int, *, source: str = "", receive_buffer: int = 0) -> socket.socket:
    """Open a connection."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        connection.bind((source, 0))
    connection.settimeout(10)
    connection.connect(("127.0.0.1", port))
    return connection


def ask(port: int, data: bytes, *, seconds: float = 10.0, methods: Sequence[bytes] = ()) -> Heard:
    """
    Send bytes, all of them before anything is read, and read until the gateway closes.

    @param methods: of the requests sent, so that answers to HEAD are read rightly.
    """
    with connect(port) as connection:
        connection.settimeout(seconds)
        # What was answered before such an end may still be there.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        return hear(connection, seconds=seconds, methods=methods)


def hear(connection: socket.socket, *, seconds: float = 10.0, methods: Sequence[bytes] = ()) -> Heard:
    """Read until the gateway closes."""
    began = time.monotonic()
    data, ended = b"", "open"
    while ended == "open" and (left := began + seconds - time.monotonic()) > 0:
        try:
            if readable(connection, left):
                piece = connection.recv(1 << 20)
                data += piece
                ended = ended if piece else "closed"
        except ConnectionResetError:
            ended = "reset"
    answers, rest = parse(data, list(methods), ended)
    return Heard(answers, rest, ended, time.monotonic() - began)


def parse(data: bytes, methods: list[bytes], ended: str = "open") -> tuple[list[Answer], bytes]:
    """Take responses apart; what is not complete is the rest."""
    answers: list[Answer] = []
    while b"\r\n\r\n" in data:
        head, _, behind = data.partition(b"\r\n\r\n")
        answer = Answer(int(head.split(b" ")[1]), head, b"")
        final = answer.status >= 200
        method = methods.pop(0) if final and methods else b""
        body, behind, whole = _body(answer, behind, method, ended)
        if not whole:
            break
        answer.body = body
        answers.append(answer)
        data = behind
    return answers, data


def _body(answer: Answer, data: bytes, method: bytes, ended: str) -> tuple[bytes, bytes, bool]:
    if answer.status < 200 or method == b"HEAD" or answer.status in (204, 304):
        return b"", data, True
    if answer.values(b"transfer-encoding"):
        return _chunked(data)
    lengths = answer.values(b"content-length")
    if not lengths:
        return data, b"", ended == "closed"
    size = int(lengths[0])
    return data[:size], data[size:], len(data) >= size


def _chunked(data: bytes) -> tuple[bytes, bytes, bool]:
    """The body keeps its trailers behind it, a line each."""
    body = b""
    while b"\r\n" in data:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            trailers, found, rest = (b"\r\n" + data).partition(b"\r\n\r\n")
            return body + trailers, rest, bool(found)
        if len(data) < size + 2:
            break
        body, data = body + data[:size], data[size + 2 :]
    return body, b"", False
