"""
Receivers of version 1: they work on one request at a time and never come back after a loss.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.peers import anpx1

Send = Callable[[bytes], None]


class SerialReceiver:
    """
    The common kind: whole messages of at most 1 MiB, one request at a time.

    @ivar seen: the metadata and the body of each request.
    @ivar pongs: answers to its JSON pings.
    @ivar closed_with: the code with which the gateway closed, once it has.
    @ivar wrong: what it could not read; such a peer is deaf from then on.
    """

    def __init__(self, url: str, authorization: str, *, ping_every: float = 0.3) -> None:
        self.seen: list[tuple[dict[str, Any], bytes]] = []
        self.pongs: list[Any] = []
        self.closed_with: int | None = None
        self.wrong: list[str] = []
        self._ping_every = ping_every
        self._socket = connect(
            url,
            additional_headers={"Authorization": authorization},
            compression="deflate",  # as such peers offer it
            max_size=2**20,
            close_timeout=0.5,
            proxy=None,
        )
        assert self._socket.subprotocol is None
        assert "Sec-WebSocket-Extensions" not in (self._socket.response.headers if self._socket.response else {})
        self.text({"type": "connection_ready", "timestamp": int(time.time()), "connection_id": id(self)})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def text(self, message: dict[str, Any]) -> None:
        """Send a JSON message."""
        self._socket.send(json.dumps(message))

    def _run(self) -> None:
        """Read one message after the other until the link is gone."""
        next_ping = time.monotonic()
        try:
            while True:
                if time.monotonic() >= next_ping:
                    self.text({"type": "ping", "timestamp": time.time()})
                    next_ping = time.monotonic() + self._ping_every
                with suppress(TimeoutError):
                    self._take(self._socket.recv(timeout=self._ping_every))
        except ConnectionClosed as closed:
            self.closed_with = closed.rcvd.code if closed.rcvd is not None else 1006

    def _take(self, message: str | bytes) -> None:
        """Take one message."""
        if isinstance(message, str):
            self.pongs.append(json.loads(message))
            return
        try:
            kind, chunked, fields = anpx1.unpack(message)
            assert kind == anpx1.REQUEST and not chunked, "only whole requests are understood"
        except AssertionError as error:
            self.wrong.append(str(error))
            return
        meta, body = json.loads(fields[anpx1.HTTP_META]), fields.get(anpx1.BODY, b"")
        assert all(isinstance(value, str) for value in {**meta["headers"], **meta["query"]}.values())
        self.seen.append((meta, body))
        self.answer(fields[anpx1.ID], meta, body, self._socket.send)

    def answer(self, request_id: bytes, meta: dict[str, Any], body: bytes, send: Send) -> None:
        """Say what was asked for."""
        said = json.dumps({"method": meta["method"], "path": meta["path"], "query": meta["query"], "size": len(body)})
        fields = {"Content-Type": "application/json", "X-Kind": type(self).__name__}
        send(anpx1.response(request_id, 200, fields, said.encode()))

    @property
    def alive(self) -> bool:
        """Whether the link is there."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Leave."""
        self._socket.close()
        self._thread.join(5)


class ChunkingReceiver(SerialReceiver):
    """Answers with C{size} bytes in chunks of 64 KiB, the metadata in one of them, the last flag in four bytes."""

    def answer(self, request_id: bytes, meta: dict[str, Any], body: bytes, send: Send) -> None:
        """Send it chunk by chunk."""
        size = int(meta["query"].get("size", "200000"))
        pause = float(meta["query"].get("pause", "0"))
        head = {"status": 200, "reason": "OK", "headers": {"X-Kind": "ChunkingReceiver"}}
        data = bytes(range(256)) * (size // 256 + 1)
        where = int(meta["query"].get("meta", "0"))
        for chunk in anpx1.chunks(request_id, head, data[:size], 65536, where):
            send(chunk)
            time.sleep(pause)


class GarbageReceiver(SerialReceiver):
    """Answers with what is nothing."""

    def answer(self, request_id: bytes, meta: dict[str, Any], body: bytes, send: Send) -> None:
        """Send a frame with a bit turned, which is no frame."""
        whole = bytearray(anpx1.response(request_id, 200, {}, b"nonsense"))
        whole[-1] ^= 1
        send(bytes(whole))


class ThievingReceiver(SerialReceiver):
    """Answers its own request, and others that are none of its business."""

    def answer(self, request_id: bytes, meta: dict[str, Any], body: bytes, send: Send) -> None:
        """Answer twice, the second time to an id that is made up."""
        send(anpx1.response(b"00000000-0000-4000-8000-000000000000", 200, {}, b"stolen"))
        super().answer(request_id, meta, body, send)
