"""
Programs with a receiver in them, for tests: C{python embedded.py WHAT}; each prints one JSON object a line.

The gateway is that of C{ANP_GATEWAY}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from typing import Any

import httpx

from anp_twisted import Receiver
from anp_twisted.errors import ANPError


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Say in which task it runs."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def say(**values: Any) -> None:
    """Print."""
    print(json.dumps(values), flush=True)


def holdings() -> dict[str, Any]:
    """What the process has."""
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "reactor": "twisted.internet.reactor" in sys.modules,
    }


async def once() -> None:
    """Serve one request, with two receivers on the loop."""
    async with Receiver(app, path="/a", links=2) as one, Receiver(app, path="/b") as two:
        async with httpx.AsyncClient(trust_env=False) as client:
            texts = [(await client.get(receiver.url)).text for receiver in (one, two)]
        say(texts=texts, connected=[one.connected, two.connected], urls=[one.url, two.url])
    say(tasks=len(asyncio.all_tasks()), connected=[one.connected, two.connected], **holdings())


def again() -> None:
    """Three programs one after the other in one process, the last one on uvloop."""
    asyncio.run(once())
    asyncio.run(once())
    import uvloop

    uvloop.run(once())


async def blocked() -> None:
    """Stand still beside a receiver, and tell what was logged of it."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("anp_twisted").addHandler(handler)
    async with Receiver(app):
        await asyncio.sleep(0.3)  # it looks five times a second
        time.sleep(1.2)
        await asyncio.sleep(0.3)
    say(logged=[record.getMessage() for record in records if record.levelno >= logging.WARNING])


async def _fail(**settings: Any) -> None:
    """Start in vain."""
    try:
        async with Receiver(app, **settings):
            say(error="none")
    except ANPError as error:
        say(error=type(error).__name__, text=str(error), tasks=len(asyncio.all_tasks()), **holdings())


def failing() -> None:
    """What cannot be done."""
    asyncio.run(_fail(token="wrong"))
    asyncio.run(_fail(gateway="ws://127.0.0.1:1/ws", connect_timeout=1.0))
    asyncio.run(_fail(gateway="ws://gate.example/ws"))
    asyncio.run(_fail(token_file="missing"))


if __name__ == "__main__":
    {"again": again, "blocked": lambda: asyncio.run(blocked()), "failing": failing}[sys.argv[1]]()
