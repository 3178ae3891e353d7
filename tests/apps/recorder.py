"""
An ASGI application that keeps what reached it, for the tests of what must not.

C{/seen} tells and forgets; everything else is noted when it begins and when its body is complete.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

SEEN: list[dict[str, Any]] = []
NAME = os.environ.get("RECORDER_NAME", "recorder").encode()


async def answer(send: Any, body: bytes) -> None:
    """Send a whole answer."""
    fields = [(b"content-length", b"%d" % len(body)), (b"x-served-by", NAME)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def note_of(scope: Any) -> dict[str, Any]:
    """What is known when a request begins."""
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    keys = ("method", "scheme", "http_version")
    client = list(scope["client"] or ())
    known = {"target": target.decode("latin-1"), "headers": headers, "client": client, "body": "", "complete": False}
    return {**{key: scope[key] for key in keys}, **known}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Note a request, read it, answer it."""
    if scope["type"] != "http":
        return
    if scope["path"].endswith("/seen"):
        notes = json.dumps(SEEN).encode()
        SEEN.clear()
        await answer(send, notes)
        return
    note = note_of(scope)
    SEEN.append(note)
    if scope["path"].endswith("/early"):
        await answer(send, b"early")
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    note.update(body=body.decode("latin-1"), complete=True)
    if scope["path"].endswith("/slow"):
        await asyncio.sleep(0.3)
    await answer(send, scope["raw_path"] + b" " + body[:100])
