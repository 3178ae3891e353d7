"""
An ASGI application that shows what it was given and does what it is told.

It uses no framework, so that whatever a test sees is the server's doing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path
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


async def page(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """A page whose script uses fetch, EventSource and WebSocket, and says in its title what it saw."""
    html = Path(__file__).with_name("page.html").read_bytes()
    await answer(send, html, headers=[(b"content-type", b"text/html; charset=utf-8")])


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
    "/page": page,
    "/wait": wait,
    "/hold": hold,
    "/happened": happened,
    "/crash": crash,
    "/chunks": chunks,
}


async def echo(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """
    Accept a WebSocket and send back what comes.

    The first subprotocol that is offered is chosen; C{close=CODE} is a message that
    closes with this code, C{crash} one that raises, C{show} one that shows the scope.
    """
    note: dict[str, Any] = {"name": query.get("name", ""), "received": 0}
    HAPPENED.append(note)
    await receive()
    offered = scope["subprotocols"]
    headers = [(b"x-one", b"1"), (b"x-two", b"2"), (b"x-two", b"3")]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None, "headers": headers})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            note["code"], note["reason"] = message["code"], message.get("reason")
            return
        note["received"] += 1
        text = message.get("text")
        if text is not None and text.startswith("close="):
            code, _, reason = text[6:].partition(" ")
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            note["code"] = (await receive())["code"]
            return
        if text == "crash":
            raise RuntimeError("a secret of the application")
        if text == "return":
            return
        if text == "show":
            await send({"type": "websocket.send", "text": json.dumps(shown_scope(scope))})
        else:
            await send({**message, "type": "websocket.send"})


def shown_scope(scope: Any) -> dict[str, Any]:
    """A scope as JSON."""

    def shown(value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode("latin-1")
        if isinstance(value, dict):
            return {key: shown(inner) for key, inner in value.items()}
        return [shown(inner) for inner in value] if isinstance(value, list | tuple) else value

    found: dict[str, Any] = shown(dict(scope))
    return found


async def unread(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Accept a WebSocket, read nothing of it for C{seconds}, then everything."""
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(float(query["seconds"]))
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def flood(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Accept a WebSocket and send C{count} messages of C{size} bytes, noting how many could be sent."""
    note: dict[str, Any] = {"name": query.get("name", ""), "sent": 0}
    HAPPENED.append(note)
    await receive()
    await send({"type": "websocket.accept"})
    try:
        for _ in range(int(query["count"])):
            await send({"type": "websocket.send", "bytes": BLOCK[: int(query["size"])]})
            note["sent"] += 1
        await send({"type": "websocket.close"})
    except OSError as error:
        note["error"] = type(error).__name__


async def deny(scope: Any, receive: Any, send: Any, query: dict[str, str]) -> None:
    """Refuse a WebSocket: plainly, or with a whole answer of C{status}; C{how=raise} fails, C{how=return} forgets."""
    await receive()
    how = query.get("how", "close")
    if how == "raise":
        raise RuntimeError("a secret of the application")
    if how == "answer":
        fields = [(b"content-type", b"text/plain"), (b"x-why", b"no")]
        await send({"type": "websocket.http.response.start", "status": int(query["status"]), "headers": fields})
        await send({"type": "websocket.http.response.body", "body": b"not ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"here"})
    elif how == "close":
        await send({"type": "websocket.close"})


SOCKETS = {"/echo": echo, "/unread": unread, "/flood": flood, "/deny": deny}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Find what to do by the last segment of the path; C{show} is the default."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
    if scope["type"] == "websocket":
        await SOCKETS.get("/" + scope["path"].rsplit("/", 1)[-1], deny)(scope, receive, send, query)
        return
    await ROUTES.get("/" + scope["path"].rsplit("/", 1)[-1], show)(scope, receive, send, query)
