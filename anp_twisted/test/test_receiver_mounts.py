"""Tests of L{anp_twisted.receiver.mounts}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App, Message, Receive, Send
from anp_twisted.receiver.mounts import Mounts
from anp_twisted.test.receiver_rig import on_loop, the_loop
from anp_twisted.test.target_lab import Visitor, request, settle
from anp_twisted.test.test_receiver_target_request import scope_of


class Recorder:
    """An application that writes down what it is asked."""

    def __init__(self, name: str, log: list[str], fails: bool = False) -> None:
        self.name = name
        self.scopes: list[Message] = []
        self._log = log
        self._fails = fails

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self.scopes.append(scope)
            return
        await receive()
        self._log.append(f"{self.name} starts")
        if self._fails:
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        scope["state"]["name"] = self.name
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._log.append(f"{self.name} stops")
        await send({"type": "lifespan.shutdown.complete"})


class MountsTests(TestCase):
    """Several applications in one."""

    def setUp(self) -> None:
        self.log: list[str] = []
        self.root, self.api = Recorder("root", self.log), Recorder("api", self.log)

    def mounts(self, *mounted: tuple[App, tuple[str, ...]]) -> Mounts:
        given = mounted or ((self.root, ("/",)), (self.api, ("/api", "/v2/")))
        return Mounts(given, loop=the_loop(), limits=Limits())

    @on_loop
    async def test_paths(self) -> None:
        """The longest prefix of whole segments decides; the scope stays as it was."""
        mounts = self.mounts()
        for target in (b"/api", b"/api/x%2Fy?q", b"/v2/", b"/apix", b"/"):
            await Visitor(mounts, scope_of(target=target, state={}), request()).task
        self.assertEqual([scope["raw_path"] for scope in self.api.scopes], [b"/api", b"/api/x%2Fy", b"/v2/"])
        self.assertEqual([scope["raw_path"] for scope in self.root.scopes], [b"/apix", b"/"])

    @on_loop
    async def test_nobody(self) -> None:
        """What nobody serves is a 404, what two could be meant by a 400, for WebSockets too."""
        mounts = self.mounts((self.api, ("/api",)), (self.root, ("/web",)))
        for target, status in ((b"/x", 404), (b"/web/../api", 400)):
            visitor = Visitor(mounts, scope_of(target=target), request())
            await visitor.task
            self.assertEqual(visitor.status, status)
            scope: dict[str, Any] = {**scope_of(target=target), "type": "websocket"}
            visitor = Visitor(mounts, scope, {"type": "websocket.connect"})
            await visitor.task
            self.assertEqual(visitor.sent, [{"type": "websocket.close"}])

    @on_loop
    async def test_lifespans(self) -> None:
        """All start and stop, and each has its own state."""
        mounts = self.mounts()
        life = Visitor(mounts, {"type": "lifespan", "state": {}}, {"type": "lifespan.startup"})
        await settle(40)
        self.assertEqual([message["type"] for message in life.sent], ["lifespan.startup.complete"])
        await Visitor(mounts, scope_of(target=b"/api", state={}), request()).task
        self.assertEqual(self.api.scopes[0]["state"], {"name": "api"})
        life.give({"type": "lifespan.shutdown"})
        await life.task
        self.assertEqual(self.log, ["root starts", "api starts", "api stops", "root stops"])

    @on_loop
    async def test_one_cannot_start(self) -> None:
        """If one cannot, those that did are stopped, and the reason names its path."""
        broken = Recorder("broken", self.log, fails=True)
        mounts = self.mounts((self.root, ("/",)), (broken, ("/b",)))
        life = Visitor(mounts, {"type": "lifespan", "state": {}}, {"type": "lifespan.startup"})
        await life.task
        self.assertEqual(
            life.sent,
            [{"type": "lifespan.startup.failed", "message": "/b: the application could not start: no database"}],
        )
        self.assertEqual(self.log, ["root starts", "broken starts", "root stops"])
