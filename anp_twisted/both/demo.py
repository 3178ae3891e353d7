"""
The demo application of C{twistd anp-both}: JSON, events, upload and download.

Plain ASGI 3 without a framework, so that it shows what the tunnel carries and
nothing else. It runs as well on any other ASGI server.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Page = Callable[[Scope, Receive, Send], Awaitable[None]]
Pause = Callable[[Receive], Awaitable[bool]]

BLOCK: Final = b"".join(hashlib.sha256(b"%d" % index).digest() for index in range(2048))
"""64 KiB that do not compress: the pattern which a download repeats."""

LARGEST_DOWNLOAD: Final = 4 * 1024**3
"""Bytes: beyond what a 32-bit counter can hold, which is where tunnels tend to break."""

_DEFAULT_DOWNLOAD: Final = 1024**2

_PAGE_HEADERS: Final = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
]

_INDEX: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>anp_twisted demo</title></head><body>
<h1>anp_twisted demo</h1>
<p>This page came from an application behind a gateway.</p>
<ul>
<li><a href="events">events</a>: one event a second, for ever</li>
<li><a href="upload">upload</a>: counts a body and hashes it as it comes</li>
<li><a href="download?bytes=1048576">download</a>: as many bytes as you ask for
(<a href="download.sha256?bytes=1048576">their hash</a>)</li>
</ul>
</body></html>
"""

_UPLOAD_FORM: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>upload</title></head><body>
<form method="post" enctype="multipart/form-data">
<input type="file" name="file"> <button>Upload</button>
</form>
<p>The hash is that of the body as it is sent, form wrapping included:
<code>curl --data-binary @file</code> sends the file alone.</p>
</body></html>
"""


async def _one_second(receive: Receive) -> bool:
    """
    @return: whether the caller left within a second.
    """
    try:
        message = await asyncio.wait_for(receive(), 1.0)
    except TimeoutError:
        return False
    return bool(message["type"] == "http.disconnect")


def _now() -> datetime:
    return datetime.now(UTC)


async def _answer(send: Send, status: int, content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *_PAGE_HEADERS, *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _json(send: Send, status: int, value: object, *more: tuple[bytes, bytes]) -> None:
    await _answer(send, status, b"application/json", msgspec.json.encode(value) + b"\n", *more)


def _accepts_html(scope: Scope) -> bool:
    return any(name.lower() == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _wanted_bytes(scope: Scope) -> int | None:
    """
    @return: what C{?bytes=} says, or C{None} when that is no number we serve.
    """
    wanted = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("bytes", str(_DEFAULT_DOWNLOAD))
    if not re.fullmatch(r"[0-9]{1,12}", wanted) or int(wanted) > LARGEST_DOWNLOAD:
        return None
    return int(wanted)


def pattern(size: int) -> Iterator[bytes]:
    """
    @param size: bytes in all.
    @return: the body of a download of that size, in pieces.
    """
    whole, rest = divmod(size, len(BLOCK))
    for _ in range(whole):
        yield BLOCK
    if rest:
        yield BLOCK[:rest]


class Demo:
    """The application. It keeps nothing between two requests."""

    def __init__(self, now: Callable[[], datetime] = _now, pause: Pause = _one_second) -> None:
        """
        @param now: the time an event is sent at.
        @param pause: waits between two events, and tells whether the caller left meanwhile.
        """
        self._now = now
        self._pause = pause
        self._pages: dict[str, tuple[tuple[str, ...], Page]] = {
            "/": (("GET", "HEAD"), self._index),
            "/events": (("GET", "HEAD"), self._events),
            "/upload": (("GET", "HEAD", "POST", "PUT"), self._upload),
            "/download": (("GET", "HEAD"), self._download),
            "/download.sha256": (("GET", "HEAD"), self._download_hash),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        @param scope: of type C{http}; of others only C{lifespan} is answered.
        """
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            raise NotImplementedError(f"no {scope['type']} here")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        for awaited in ("lifespan.startup", "lifespan.shutdown"):
            message = await receive()
            assert message["type"] == awaited
            await send({"type": f"{awaited}.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Behind a prefix the application still finds its pages by the last segment.
        name = "/" + scope["path"].rsplit("/", 1)[-1]
        if name not in self._pages:
            await _json(send, 404, {"error": "no such page", "pages": sorted(self._pages)})
            return
        methods, page = self._pages[name]
        if scope["method"] not in methods:
            await _json(send, 405, {"error": "method not allowed"}, (b"allow", ", ".join(methods).encode()))
            return
        await page(scope, receive, send)

    async def _index(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _accepts_html(scope):
            await _answer(send, 200, b"text/html; charset=utf-8", _INDEX, (b"vary", b"accept"))
            return
        value = {
            "message": "an application behind a gateway says hello",
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "client": scope.get("client"),
            "pages": sorted(self._pages),
        }
        await _json(send, 200, value, (b"vary", b"accept"))

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), *_PAGE_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body"})
            return
        number = 0
        left = await self._body_skipped(receive)
        while not left:
            sent = self._now()
            event = msgspec.json.encode({"number": number, "sent": sent.timestamp(), "time": sent})
            await send(
                {"type": "http.response.body", "body": b"id: %d\ndata: %b\n\n" % (number, event), "more_body": True}
            )
            number += 1
            left = await self._pause(receive)

    async def _body_skipped(self, receive: Receive) -> bool:
        """
        @return: whether the caller left before the body ended.
        """
        while True:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return bool(message["type"] == "http.disconnect")

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            await _answer(send, 200, b"text/html; charset=utf-8", _UPLOAD_FORM)
            return
        digest, size, pieces = hashlib.sha256(), 0, 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body = message.get("body", b"")
            digest.update(body)
            size += len(body)
            pieces += bool(body)
            if not message.get("more_body", False):
                break
        await _json(send, 200, {"bytes": size, "pieces": pieces, "sha256": digest.hexdigest()})

    async def _download(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = _wanted_bytes(scope)
        if size is None:
            await self._bad_size(send)
            return
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % size),
            (b"content-disposition", b'attachment; filename="download.bin"'),
            *_PAGE_HEADERS,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] != "HEAD":
            for piece in pattern(size):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def _download_hash(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = _wanted_bytes(scope)
        if size is None:
            await self._bad_size(send)
            return
        digest = hashlib.sha256()
        for index, piece in enumerate(pattern(size)):
            digest.update(piece)
            if index % 64 == 63:  # every 4 MiB let the other requests have their turn
                await asyncio.sleep(0)
        await _answer(send, 200, b"text/plain; charset=utf-8", f"{digest.hexdigest()}\n".encode())

    async def _bad_size(self, send: Send) -> None:
        await _json(send, 400, {"error": f"bytes must be a number from 0 to {LARGEST_DOWNLOAD}"})


app = Demo()
"""What C{anp-both} serves: C{anp_twisted.both.demo:app}."""
