"""What coroutines of the bridge wait at."""

from __future__ import annotations

import asyncio


class Bell:
    """Coroutines wait at it for the next ring; one that is cancelled leaves nothing behind."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Return after the next ring; what was waited for has to be looked at again then."""
        future = self._loop.create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def ring(self) -> None:
        """Let everyone who waits go on, in a later turn of the loop."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
