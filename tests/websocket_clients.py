"""
Clients of WebSockets that say what a test wants, right or wrong: two libraries, each with its own
framing, and a bare socket for what no library says.
"""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from typing import Any, Protocol

import websocket
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIN = 0x80


class Raw:
    """A client that says whatever a test wants it to, right or wrong."""

    def __init__(self, port: int, target: str = "/echo", fields: str = "") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.data = b""
        key = b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{fields}\r\n".encode()
        )
        self.head = self._until(b"\r\n\r\n")
        self.status = int(self.head.split(b" ")[1])

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.data:
            self._more()
        head, _, self.data = self.data.partition(mark)
        return head

    def _more(self) -> None:
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise EOFError
        self.data += piece

    def _take(self, size: int) -> bytes:
        while len(self.data) < size:
            self._more()
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def frame(self, first: int, payload: bytes = b"", *, masked: bool = True, wide: int = 0) -> bytes:
        """Make a frame; C{wide} is a number of length bytes that need not be right."""
        mask = os.urandom(4)
        size = len(payload)
        wide = wide or (0 if size < 126 else 2 if size < 65536 else 8)
        length = bytes([{0: size, 2: 126, 8: 127}[wide] | (0x80 if masked else 0)])
        more = size.to_bytes(wide, "big") if wide else b""
        if masked:
            key = (mask * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        return bytes([first]) + length + more + (mask if masked else b"") + payload

    def send(self, first: int, payload: bytes = b"", **options: Any) -> None:
        """Send a frame."""
        self.raw(self.frame(first, payload, **options))

    def receive(self) -> tuple[int, bytes]:
        """Receive a frame: its first byte, and its payload."""
        first, second = self._take(2)
        assert not second & 0x80, "a server masks nothing"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return first, self._take(size)

    def message(self) -> tuple[int, bytes]:
        """Receive a message, whatever its fragments: its opcode and content."""
        first, data = self.receive()
        kind = first & 0x0F
        while not first & FIN:
            first, more = self.receive()
            assert first & 0x0F == 0, "a continuation"
            data += more
        return kind, data

    def close_code(self) -> int:
        """Receive until the close, and tell its code; 0 without one, -1 if there is no close."""
        try:
            while True:
                kind, data = self.message()
                if kind == CLOSE:
                    return int.from_bytes(data[:2], "big")
        except (EOFError, OSError):
            return -1

    def at_end(self) -> bool:
        """Whether nothing follows but the end."""
        try:
            return not self.data and not self.socket.recv(1)
        except OSError:
            return True


class CannotSay(Exception):
    """The library refuses to send such a frame."""


class Speaker(Protocol):
    """What a case needs of a client, however it speaks."""

    def say(self, first: int, payload: bytes) -> None:
        """Send a frame with that first byte, masked."""

    def hear(self) -> tuple[int, bytes]:
        """
        Receive a frame: its first byte, and its payload.

        @raise EOFError: if nothing follows.
        """

    def end(self) -> None:
        """Cut the connection."""


class BareSpeaker:
    """By hand."""

    def __init__(self, port: int, target: str, patience: float = 20.0) -> None:
        self._raw = Raw(port, target)
        self._raw.socket.settimeout(patience)
        assert self._raw.status == 101, self._raw.head

    def say(self, first: int, payload: bytes) -> None:
        """Send a frame."""
        self._raw.send(first, payload)

    def hear(self) -> tuple[int, bytes]:
        """Receive a frame."""
        try:
            return self._raw.receive()
        except OSError as error:
            raise EOFError from error

    def end(self) -> None:
        """Cut it."""
        self._raw.socket.close()


class WebsocketsSpeaker:
    """C{websockets}: its protocol without I/O, which reads what comes as strictly as its clients do."""

    def __init__(self, port: int, target: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 20)
        self._protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}{target}"), max_size=None)
        self._frames: list[Frame] = []
        self._protocol.send_request(self._protocol.connect())
        self._turn(until_response=True)

    def _turn(self, until_response: bool = False) -> None:
        """Send what is due and read once, or until the handshake is over."""
        while True:
            for data in self._protocol.data_to_send():
                if data:
                    self._socket.sendall(data)
            data = self._socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._protocol.receive_data(data)
            if self._protocol.parser_exc is not None:
                raise self._protocol.parser_exc
            events = self._protocol.events_received()
            self._frames += [event for event in events if isinstance(event, Frame)]
            if not until_response or any(isinstance(event, Response) for event in events):
                return

    def say(self, first: int, payload: bytes) -> None:
        """Send a frame."""
        bits = [bool(first & bit) for bit in (FIN, 0x40, 0x20, 0x10)]
        try:
            data = Frame(Opcode(first & 0x0F), payload, *bits).serialize(mask=True)
        except (ProtocolError, ValueError) as error:
            raise CannotSay from error
        self._socket.sendall(data)

    def hear(self) -> tuple[int, bytes]:
        """Receive a frame."""
        while not self._frames:
            try:
                self._turn()
            except OSError as error:
                raise EOFError from error
        frame = self._frames.pop(0)
        return frame.opcode | (FIN if frame.fin else 0), bytes(frame.data)

    def end(self) -> None:
        """Cut it."""
        self._socket.close()


class WebsocketClientSpeaker:
    """C{websocket-client}."""

    def __init__(self, port: int, target: str) -> None:
        self._client = websocket.create_connection(
            f"ws://127.0.0.1:{port}{target}", timeout=20, http_no_proxy=["127.0.0.1"]
        )

    def say(self, first: int, payload: bytes) -> None:
        """Send a frame."""
        bits = [int(bool(first & bit)) for bit in (FIN, 0x40, 0x20, 0x10)]
        try:
            frame = websocket.ABNF(*bits, first & 0x0F, 1, payload)
            frame.format()
        except ValueError as error:
            raise CannotSay from error
        self._client.send_frame(frame)

    def hear(self) -> tuple[int, bytes]:
        """Receive a frame; the library checks it."""
        try:
            frame = self._client.recv_frame()
        except (websocket.WebSocketConnectionClosedException, OSError) as error:
            raise EOFError from error
        return frame.opcode | (FIN if frame.fin else 0), bytes(frame.data)

    def end(self) -> None:
        """Cut it."""
        self._client.shutdown()


#: By name. The bare socket says every frame there is, a library the frames it knows.
SPEAKERS: dict[str, Any] = {
    "bare": BareSpeaker,
    "websockets": WebsocketsSpeaker,
    "websocket-client": WebsocketClientSpeaker,
}
