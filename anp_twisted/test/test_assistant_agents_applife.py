"""Tests of L{anp_twisted.assistant.agents.applife}."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.trial.unittest import TestCase

from anp_twisted.assistant.agents.applife import AppLife
from anp_twisted.assistant.agents.asgi import AppUpstream, Message
from anp_twisted.errors import BackendFault
from anp_twisted.test.agent_lab import LIMITS, Stage, turns, until
from anp_twisted.test.receiver_rig import on_loop


class LifeTests(TestCase):
    """Start and stop."""

    def setUp(self) -> None:
        self.stage = Stage()
        self.said: list[str] = []

    def life(self, app: Any) -> AppLife:
        """
        @return: the life of an application, which was asked to start.
        """
        life = AppLife(app, self.stage.tasks, LIMITS)
        life.start()
        return life

    async def app(self, scope: Message, receive: Any, send: Any) -> None:
        """Take part."""
        scope["state"]["kept"] = 7
        for kind in ("startup", "shutdown"):
            self.said.append((await receive())["type"])
            await send({"type": f"lifespan.{kind}.complete"})

    @on_loop
    async def test_whole(self) -> None:
        """It is started and stopped, and what it keeps is there for its requests."""
        life = self.life(self.app)
        self.assertEqual(self.said, [])
        await life.ready()
        self.assertEqual((self.said, life.state), (["lifespan.startup"], {"kept": 7}))
        stopped = life.stop()
        await until(lambda: stopped.called)
        await turns()
        self.assertEqual((len(self.said), self.stage.tasks.running, self.stage.clock.getDelayedCalls()), (2, 0, []))

    @on_loop
    async def test_unheard(self) -> None:
        """One that knows nothing of it is served all the same."""

        async def app(scope: Message, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"

        life = self.life(app)
        await life.ready()
        self.successResultOf(life.stop())

    @on_loop
    async def test_refused(self) -> None:
        """One that cannot start answers nothing."""

        async def app(scope: Message, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no model"})

        life = self.life(app)
        with self.assertRaises(BackendFault):
            await anext(AppUpstream(app, life, self.stage.tasks, LIMITS).ask(b"{}"))
        self.successResultOf(life.stop())

    @on_loop
    async def test_slowStop(self) -> None:
        """One that does not stop is not waited for without end, and ended."""

        async def app(scope: Message, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await asyncio.get_running_loop().create_future()

        life = self.life(app)
        await life.ready()
        stopped = life.stop()
        await turns()
        self.assertNoResult(stopped)
        self.stage.clock.advance(LIMITS.shutdown)
        await until(lambda: stopped.called)
        await until(lambda: not self.stage.tasks.running)

    @on_loop
    async def test_failure(self) -> None:
        """One that ends in the middle of its life is logged, and still asked."""

        async def app(scope: Message, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            raise ValueError("no")

        life = self.life(app)
        await life.ready()
        await until(lambda: not self.stage.tasks.running)
        await turns()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        await life.ready()
        self.successResultOf(life.stop())
