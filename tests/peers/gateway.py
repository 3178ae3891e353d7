"""
A gateway of version 1 that serves one receiver; it offers nothing, and drops who does not send its JSON ping.
"""

from __future__ import annotations

import json
import queue
import struct
import threading
import time
import uuid
from contextlib import suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tests.peers import anpx1


class Answer:
    """
    What came for one request.

    @ivar frames: how many frames it had.
    """

    def __init__(self) -> None:
        self.meta: dict[str, Any] = {}
        self.body = b""
        self.frames = 0
        self.failed: bytes | None = None
        self.first = 0.0
        self.done = threading.Event()


class V1Gateway:
    """
    The gateway.

    @ivar texts: the JSON messages of the receiver, with the time of each.
    @ivar url: where it listens.
    """

    def __init__(self, token: str, *, refuse_late: bool = False) -> None:
        """
        @param refuse_late: let everybody in and close with 4003, as some do.
        """
        self.texts: list[tuple[float, dict[str, Any]]] = []
        self.refused = 0
        self._token = token
        self._refuse_late = refuse_late
        self._answers: dict[str, Answer] = {}
        self._here = queue.Queue[ServerConnection]()
        self._socket: ServerConnection | None = None
        self._server: Server = serve(
            self._serve, "127.0.0.1", 0, process_request=self._check, compression=None, max_size=16 * 2**20
        )
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/ws"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Look at the credential before the upgrade."""
        if request.headers.get("Authorization") == f"Bearer {self._token}" and not self._refuse_late:
            return None
        self.refused += 1
        return None if self._refuse_late else connection.respond(401, "who are you?\n")

    def _serve(self, connection: ServerConnection) -> None:
        """Read what a receiver sends."""
        if self._refuse_late:
            connection.close(4003, "unauthorized")
            return
        self._here.put(connection)
        with suppress(ConnectionClosed):
            for message in connection:
                if isinstance(message, str):
                    self.texts.append((time.monotonic(), json.loads(message)))
                else:
                    self._take(message)

    def _take(self, message: bytes) -> None:
        """Join an answer, as strictly as the strictest known gateway."""
        kind, chunked, fields = anpx1.unpack(message)
        answer = self._answers[fields[anpx1.ID].decode()]
        answer.frames += 1
        answer.first = answer.first or time.monotonic()
        if kind == anpx1.ERROR:
            answer.failed = fields.get(anpx1.BODY, b"")
            answer.done.set()
            return
        if anpx1.RESP_META in fields:
            assert not answer.meta, "metadata twice"
            answer.meta = json.loads(fields[anpx1.RESP_META])
            assert all(isinstance(value, str) for value in answer.meta["headers"].values())
        answer.body += fields.get(anpx1.BODY, b"")
        if chunked:
            index, total = (struct.unpack("!I", fields[tag])[0] for tag in (anpx1.INDEX, anpx1.TOTAL))
            assert index == answer.frames - 1, "out of order"
            assert (fields.get(anpx1.FINAL) == b"\x01") == (index + 1 == total), "the final flag is wrong"
            if index + 1 < total:
                return
        answer.done.set()

    def receiver(self, seconds: float = 20.0) -> ServerConnection:
        """Wait for the receiver."""
        if self._socket is None:
            self._socket = self._here.get(timeout=seconds)
        return self._socket

    def start(self, method: str, path: str, *, body: bytes = b"", cut: int = 0, **more: Any) -> Answer:
        """
        Send a request.

        @param cut: bytes of a chunk, 0 for one frame.
        """
        name = str(uuid.uuid4())
        answer = self._answers[name] = Answer()
        meta = anpx1.request(name.encode(), method, path, more.get("headers", {}), more.get("query", {}))
        head = [(anpx1.ID, name.encode()), (anpx1.HTTP_META, meta)]
        socket = self.receiver()
        if not cut:
            socket.send(anpx1.pack(anpx1.REQUEST, head + ([(anpx1.BODY, body)] if body else [])))
            return answer
        parts = [body[start : start + cut] for start in range(0, len(body), cut)]
        for index, part in enumerate(parts):
            fields = [*(head if not index else head[:1]), (anpx1.BODY, part)]
            fields += [(anpx1.INDEX, struct.pack("!I", index)), (anpx1.TOTAL, struct.pack("!I", len(parts)))]
            if index == len(parts) - 1:
                fields.append((anpx1.FINAL, b"\x01"))
            socket.send(anpx1.pack(anpx1.REQUEST, fields, chunked=True))
        return answer

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request and wait for its answer."""
        answer = self.start(method, path, **more)
        assert answer.done.wait(20), "no answer"
        return answer

    def say(self, **message: Any) -> None:
        """Send a JSON message."""
        self.receiver().send(json.dumps(message))

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
