"""A Twisted program with a receiver among its services: C{python embed_twisted.py}."""

from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()  # ASGI applications need asyncio, so this has to come before the reactor is imported

from twisted.application.service import MultiService  # noqa: E402
from twisted.internet import reactor  # noqa: E402

from anp_twisted import receiver_service  # noqa: E402


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The application; any ASGI framework's will do."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"from Twisted"})


services = MultiService()
receiver_service(app, on_url=lambda url: print(url, flush=True)).setServiceParent(services)
services.startService()
reactor.addSystemEventTrigger("before", "shutdown", services.stopService)
reactor.run()
