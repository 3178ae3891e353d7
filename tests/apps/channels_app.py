"""Django with channels, as its tutorial writes it: views for requests, a consumer for WebSockets, a layer between."""

from __future__ import annotations

import json
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from frameworks import jango  # it configures Django


class Room(AsyncWebsocketConsumer):
    """Says hello, sends back what comes by way of a group, and closes when told to."""

    async def connect(self) -> None:
        """Join the group, accept, and say hello."""
        await self.channel_layer.group_add("room", self.channel_name)
        offered = self.scope["subprotocols"]
        await self.accept(offered[0] if offered else None)
        fields = dict(self.scope["headers"])
        cookies = SimpleCookie(fields.get(b"cookie", b"").decode())
        query = dict(parse_qsl(self.scope["query_string"].decode()))
        hello = {"query": query, "cookies": {name: morsel.value for name, morsel in cookies.items()}}
        await self.send(json.dumps(hello))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Tell the group."""
        if text_data == "close":
            await self.close(4000, "told to")
        else:
            await self.channel_layer.group_send("room", {"type": "say", "text": text_data, "bytes": bytes_data})

    async def say(self, event: dict[str, Any]) -> None:
        """Send what the group was told."""
        await self.send(event["text"], event["bytes"])

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        await self.channel_layer.group_discard("room", self.channel_name)


app = ProtocolTypeRouter({"http": jango, "websocket": URLRouter([path("ws", Room.as_asgi())])})
