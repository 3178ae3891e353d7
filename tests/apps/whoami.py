"""An application that says its name, and nothing else."""

from __future__ import annotations

import os
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with C{NAME_OF_APP}."""
    if scope["type"] != "http":
        return
    body = os.environ["NAME_OF_APP"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
    await send({"type": "http.response.body", "body": body})
