"""What the receiver itself answers where nothing behind it does, to a request and to a WebSocket."""

from __future__ import annotations

from typing import Final

from anp_twisted.headers import Header
from anp_twisted.problems import problem
from anp_twisted.receiver.asgi import Message, Receive, Send

_DENIAL: Final = "websocket.http.response"


async def refuse(scope: Message, receive: Receive, send: Send, status: int, title: str) -> None:
    """
    Answer with a problem document.

    @param title: a fixed text for the caller.
    """
    extensions = scope.get("extensions", {})
    number = extensions.get("anp", {}).get("request_id", "")
    fields, body = problem(status, "receiver", title, number)
    if scope["type"] == "http":
        await _answer(send, "http.response", status, fields, body)
        return
    await receive()  # websocket.connect
    if _DENIAL in extensions:
        await _answer(send, _DENIAL, status, fields, body)
    else:
        await send({"type": "websocket.close"})


async def _answer(send: Send, kind: str, status: int, fields: list[Header], body: bytes) -> None:
    """Send a whole answer."""
    # Names in lower case, as ASGI wants them.
    headers = [(name.lower(), value) for name, value in fields]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
