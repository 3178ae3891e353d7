"""A receiver of which every frame is written by hand, so that it can send what ours never would."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from websockets.sync.client import ClientConnection, connect

from anp_twisted.wire import heads, v2
from anp_twisted.wire.heads import Hello, RequestHead
from anp_twisted.wire.v2 import Frame, Kind
from tests.harness import Gateway

_MIB = 1 << 20


class RawReceiver:
    """
    A receiver that is connected and has said HELLO.

    @ivar requests: the heads of the requests that came, by stream.
    @ivar ends: what came behind them: the last frame of each stream.
    """

    def __init__(self, gateway: Gateway, *paths: str) -> None:
        token = (gateway.log_path.parent / "anp-state" / "receiver.token").read_text().strip()
        self.socket: ClientConnection = connect(
            gateway.link,
            subprotocols=["anpx.2"],  # type: ignore[list-item]
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            close_timeout=0.2,
            sock=socket.create_connection(("127.0.0.1", gateway.port)),
            max_size=2 * _MIB,
        )
        self.requests: dict[int, RequestHead] = {}
        self._new: list[int] = []
        self.ends: dict[int, Frame] = {}
        self.bodies: dict[int, bytes] = {}
        hello = Hello([2], 160 * 1024, 64 * _MIB, 1000, _MIB, capacity=1000, paths=list(paths) or ["/"])
        self.send(Kind.HELLO, 0, hello)
        self.send(Kind.PING, 0, b"opened? ")
        self.until(lambda frame: frame.kind == Kind.PONG)

    def send(self, kind: Kind, stream: int, value: object = None, body: bytes = b"", *, end: bool = False) -> None:
        """
        Send a frame.

        @param value: goes out as JSON, unless it is bytes, which go out as they are.
        """
        meta = value if isinstance(value, bytes | None) else heads.encode(value)
        self.socket.send(v2.encode(kind, stream, end, meta, body))

    def frame(self, seconds: float = 10.0) -> Frame:
        """Receive a frame; note it, and answer a PING."""
        frame = v2.decode(self._message(seconds), 2 * _MIB)
        if frame.kind == Kind.PING:
            self.send(Kind.PONG, 0, frame.meta)
        elif frame.kind == Kind.REQUEST:
            self.requests[frame.stream] = heads.decode(RequestHead, frame.meta or b"", _MIB)
            self._new.append(frame.stream)
        if frame.kind in (Kind.REQUEST, Kind.DATA):
            self.bodies[frame.stream] = self.bodies.get(frame.stream, b"") + bytes(frame.body)
            if frame.end:
                self.ends[frame.stream] = frame
        return frame

    def _message(self, seconds: float) -> bytes:
        """@raise ConnectionAbortedError: once the gateway said that it closes, which it does a while later."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                message: Any = self.socket.recv(timeout=0.1)
                return bytes(message)
            if self.socket.protocol.close_rcvd is not None:
                raise ConnectionAbortedError("the gateway closed the link")
        raise TimeoutError("no frame came")

    def until(self, condition: Any) -> Frame:
        """Receive frames up to the first that fits."""
        while not condition(frame := self.frame()):
            pass
        return frame

    def request(self) -> int:
        """Wait for the next request; return its stream."""
        while not self._new:
            self.frame()
        return self._new.pop(0)

    def whole_request(self) -> int:
        """The same, and for its end."""
        stream = self.request()
        while stream not in self.ends:
            self.frame()
        return stream

    def close(self) -> None:
        """Leave."""
        self.socket.close()
