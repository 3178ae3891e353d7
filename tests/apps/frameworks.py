"""The same small application on three frameworks, as their own tutorials write it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse as StarletteJSON
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse as StarletteStreaming
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket as StarletteSocket

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


def described(method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes) -> dict[str, Any]:
    """What a request was."""
    return {"method": method, "path": path, "query": query, "headers": sorted(headers), "body": body.decode("latin-1")}


async def numbers() -> AsyncIterator[bytes]:
    """A body without length."""
    for number in range(5):
        yield f"{number}\n".encode()


async def three_events() -> AsyncIterator[bytes]:
    """Server-sent events, a twentieth of a second apart."""
    for number in range(3):
        yield f"id: {number}\ndata: {number}\n\n".encode()
        await asyncio.sleep(0.05)


# --- FastAPI -----------------------------------------------------------------

fast = FastAPI()


@fast.get("/stream")
async def fast_stream() -> StreamingResponse:
    """Stream."""
    return StreamingResponse(numbers(), media_type="text/plain")


@fast.get("/events")
async def fast_events() -> StreamingResponse:
    """Send events."""
    return StreamingResponse(three_events(), media_type="text/event-stream")


@fast.websocket("/ws")
async def fast_socket(socket: WebSocket) -> None:
    """Say hello, send back what comes, and close when told to."""
    await socket.accept(subprotocol=socket.scope["subprotocols"][0] if socket.scope["subprotocols"] else None)
    await socket.send_json({"query": dict(socket.query_params), "cookies": socket.cookies})
    async for text in socket.iter_text():
        if text == "close":
            await socket.close(4000, "told to")
            return
        await socket.send_text(text)


@fast.api_route("/{path:path}", methods=METHODS)
async def fast_show(request: Request, response: Response) -> dict[str, Any]:
    """Show the request."""
    response.headers.append("Set-Cookie", "a=1; Path=/")
    response.headers.append("Set-Cookie", "b=2; HttpOnly")
    body = await request.body()
    return described(request.method, request.url.path, request.url.query, list(request.headers.items()), body)


# --- Starlette -----------------------------------------------------------------


async def star_stream(request: StarletteRequest) -> StarletteResponse:
    """Stream."""
    return StarletteStreaming(numbers(), media_type="text/plain")


async def star_events(request: StarletteRequest) -> StarletteResponse:
    """Send events."""
    return StarletteStreaming(three_events(), media_type="text/event-stream")


async def star_show(request: StarletteRequest) -> StarletteResponse:
    """Show the request."""
    body = await request.body()
    shown = described(request.method, request.url.path, request.url.query, list(request.headers.items()), body)
    response = StarletteJSON(shown, status_code=201)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


class StarSocket(WebSocketEndpoint):
    """The same, as a class."""

    encoding = "text"

    async def on_connect(self, websocket: StarletteSocket) -> None:
        """Say hello."""
        offered = websocket.scope["subprotocols"]
        await websocket.accept(subprotocol=offered[0] if offered else None)
        await websocket.send_json({"query": dict(websocket.query_params), "cookies": websocket.cookies})

    async def on_receive(self, websocket: StarletteSocket, data: str) -> None:
        """Send it back."""
        if data == "close":
            await websocket.close(4000, "told to")
        else:
            await websocket.send_text(data)


star = Starlette(
    routes=[
        WebSocketRoute("/ws", StarSocket),
        Route("/stream", star_stream),
        Route("/events", star_events),
        Route("/{path:path}", star_show, methods=METHODS),
    ]
)


# --- Django ---------------------------------------------------------------------

settings.configure(
    SECRET_KEY="for this test only",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()


async def django_stream(request: HttpRequest) -> StreamingHttpResponse:
    """Stream."""
    return StreamingHttpResponse(numbers(), content_type="text/plain")


async def django_events(request: HttpRequest) -> StreamingHttpResponse:
    """Send events."""
    return StreamingHttpResponse(three_events(), content_type="text/event-stream")


@csrf_exempt
async def django_show(request: HttpRequest) -> HttpResponse:
    """Show the request."""
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    shown = described(str(request.method), request.path, request.META["QUERY_STRING"], headers, request.body)
    response = JsonResponse(json.loads(json.dumps(shown)))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


urlpatterns = [re_path(r"^stream$", django_stream), re_path(r"^events$", django_events), re_path(r"", django_show)]
jango = get_asgi_application()
