"""
An ASGI application that shows what it was given and does what it is told.

It uses no framework, so that whatever a test sees is the server's doing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import Any
from urllib.parse import parse_qs

#: What happened, for C{/events-of} to show: one list a process.
HAPPENED: list[dict[str, Any]] = []

BLOCK = bytes(range(256)) * 256


async def read_all(receive: Any) -> list[bytes]:
    """Read the body piece by piece."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return pieces


async def answer(send: Any, body: bytes, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Send a whole answer."""
    fields = [(b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def show(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Show the request as the application sees it."""
    body = b"".join(await read_all(receive))
    seen = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "scheme": scope["scheme"],
        "http_version": scope["http_version"],
        "client": list(scope["client"] or ()),
        "body": body.decode("latin-1"),
    }
    cookies = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2"), (b"X-Mixed-Case", b"kept")]
    await answer(send, json.dumps(seen).encode(), headers=[(b"content-type", b"application/json"), *cookies])


async def small(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """A small constant answer."""
    await answer(send, b'{"hello": "world"}', headers=[(b"content-type", b"application/json")])


async def down(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Send C{bytes} bytes in blocks, and note how many blocks could be sent."""
    left = int(query["bytes"])
    note = {"sent": 0}
    HAPPENED.append(note)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(left).encode())]})
    while left:
        block = BLOCK[:left]
        left -= len(block)
        await send({"type": "http.response.body", "body": block, "more_body": left > 0})
        note["sent"] += len(block)


async def up(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Read a body and say its size and hash."""
    digest, size = hashlib.sha256(), 0
    while True:
        message = await receive()
        piece = message.get("body", b"")
        digest.update(piece)
        size += len(piece)
        if not message.get("more_body", False):
            break
    await answer(send, json.dumps({"size": size, "sha256": digest.hexdigest()}).encode())


async def events(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Send C{count} events, one every C{gap} seconds, each with the time it was sent."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for _ in range(int(query.get("count", "3"))):
        data = f"data: {time.time()!r}\n\n".encode()
        await send({"type": "http.response.body", "body": data, "more_body": True})
        await asyncio.sleep(float(query.get("gap", "0.1")))
    await send({"type": "http.response.body"})


async def wait(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Answer after C{seconds}."""
    await asyncio.sleep(float(query["seconds"]))
    await answer(send, b"waited")


async def hold(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Answer for ever, and note when the caller left and when the task ended."""
    note: dict[str, Any] = {"name": query.get("name", "")}
    HAPPENED.append(note)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun\n", "more_body": True})
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
        note["disconnected"] = time.time()
        if query.get("stay"):
            await asyncio.sleep(3600)
    except asyncio.CancelledError:
        note["cancelled"] = time.time()
        raise


async def happened(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Show the notes, and how many tasks there are."""
    shown = {"notes": HAPPENED, "tasks": len(asyncio.all_tasks())}
    await answer(send, json.dumps(shown).encode())


async def crash(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Raise before the head, or after C{bytes} bytes of a body of twice that."""
    size = int(query.get("bytes", "0"))
    if size:
        fields = [(b"content-length", str(2 * size).encode())] if query.get("length") else []
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
    raise RuntimeError("a secret of the application")


async def chunks(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Show the boundaries of the request's pieces, and answer in pieces of its own."""
    sizes = [len(piece) for piece in await read_all(receive)]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in (b"one", b"two-two", json.dumps(sizes).encode()):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


ROUTES = {
    "/show": show,
    "/small": small,
    "/down": down,
    "/up": up,
    "/events": events,
    "/wait": wait,
    "/hold": hold,
    "/happened": happened,
    "/crash": crash,
    "/chunks": chunks,
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Find what to do by the last segment of the path; C{show} is the default."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    await ROUTES.get("/" + scope["path"].rsplit("/", 1)[-1], show)(scope, receive, send, query)
