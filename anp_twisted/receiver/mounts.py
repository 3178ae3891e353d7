"""
Several ASGI applications in one, each below paths of its own.

The scope reaches an application as it came: the path is not cut, and C{root_path}
stays as it is, so that an application sees what it would see alone. Each has a
lifespan and a state of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anp_twisted.errors import AppStartError
from anp_twisted.limits import Limits
from anp_twisted.paths import AmbiguousTarget, Prefixes, prefix_key
from anp_twisted.receiver.asgi import App, Message, Receive, Send
from anp_twisted.receiver.bridge import LifespanCall
from anp_twisted.receiver.refusal import refuse
from anp_twisted.receiver.target_request import raw_target


class Mounted:
    """
    One of the applications.

    @ivar life: its lifespan, while there is one.
    """

    def __init__(self, app: App, paths: Sequence[str]) -> None:
        self.app = app
        self.paths = tuple(paths)
        self.life: LifespanCall | None = None

    @property
    def state(self) -> dict[str, Any]:
        """What its lifespan left for its requests."""
        return {} if self.life is None else self.life.lifespan.state


class Mounts:
    """The ASGI application that is all of them."""

    def __init__(self, mounted: Sequence[tuple[App, Sequence[str]]], *, loop: Any, limits: Limits) -> None:
        """
        @param mounted: applications with the path prefixes they serve.
        @param loop: the asyncio loop.
        """
        self._mounted = [Mounted(app, paths) for app, paths in mounted]
        self._loop = loop
        self._limits = limits
        self._by_path: Prefixes[Mounted] = Prefixes()
        for one in self._mounted:
            for path in one.paths:
                self._by_path.put(prefix_key(path), one)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            found = self._by_path.match(raw_target(scope))
        except AmbiguousTarget:
            await refuse(scope, receive, send, 400, "the target can be read in more than one way")
            return
        if found is None:
            await refuse(scope, receive, send, 404, "nothing is served at this path")
        else:
            await found.app({**scope, "state": found.state.copy()}, receive, send)

    # --- lifespan -----------------------------------------------------------------

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Start all, and stop all; if one cannot start, those that did are stopped again."""
        await receive()
        try:
            for one in self._mounted:
                await self._start(one)
        except AppStartError as error:
            await self._stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self, one: Mounted) -> None:
        """Start one."""
        life = LifespanCall(one.app, self._loop)
        try:
            await life.start(self._limits.startup)
        except AppStartError as error:
            raise AppStartError(f"{' '.join(one.paths)}: {error}") from error
        one.life = life

    async def _stop(self) -> None:
        """Stop those that were started, the last one first."""
        for one in reversed(self._mounted):
            life, one.life = one.life, None
            if life is not None:
                await life.stop(self._limits.shutdown)
