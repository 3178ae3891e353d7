"""An asyncio program that is reachable from outside for as long as it wants to be: C{python embed_asyncio.py}."""

import asyncio
from contextlib import suppress
from typing import Any

from anp_twisted import Receiver


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The application; any ASGI framework's will do."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"from asyncio"})


async def main() -> None:
    """Whatever else the program does goes into the block."""
    async with Receiver(app) as receiver:
        print(receiver.url, flush=True)
        await asyncio.Event().wait()


with suppress(KeyboardInterrupt):
    asyncio.run(main())
