"""Tests of L{anp_twisted.receiver.bridge.app}: what concerns all calls."""

from __future__ import annotations

from contextvars import ContextVar

from twisted.trial.unittest import TestCase

from anp_twisted.errors import Code
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.test.receiver_rig import Tunnel, on_loop
from anp_twisted.test.test_receiver_bridge_http import Wait, hello, settle


class BridgeTests(TestCase):
    """All of the calls."""

    @on_loop
    async def test_contexts(self) -> None:
        """A call sees what was set before it was accepted, and nothing that other calls set."""
        variable: ContextVar[str] = ContextVar("variable", default="default")
        seen: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            seen.append(variable.get())
            variable.set(scope["path"])
            await hello(scope, receive, send)

        variable.set("imported")
        tunnel = Tunnel(app)
        variable.set("later")
        for path in ("/a", "/b"):
            await tunnel.request(target=path).outcome
        self.assertEqual(seen, ["imported", "imported"])

    @on_loop
    async def test_malformed(self) -> None:
        """A head that cannot have come from HTTP is refused, and the application hears nothing."""
        tunnel = Tunnel(hello)
        reset = await tunnel.request("GET", "/", [("x", "\u20ac")]).outcome
        assert reset is not None
        self.assertEqual((reset.code, tunnel.bridge.counts.called), (Code.PROTOCOL, 0))

    @on_loop
    async def test_cap(self) -> None:
        """More calls than the cap are refused as not dispatched."""
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await wait()
            await hello(scope, receive, send)

        tunnel = Tunnel(app, Limits(calls=2))
        callers = [tunnel.request() for _ in range(3)]
        reset = await callers[2].outcome
        assert reset is not None
        self.assertEqual((reset.code, reset.dispatched), (Code.REFUSED, False))
        wait.go()
        self.assertIsNone(await callers[0].outcome)

    @on_loop
    async def test_given_up_drain(self) -> None:
        """A drain that is cancelled is forgotten."""
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await wait()
            await hello(scope, receive, send)

        tunnel = Tunnel(app)
        caller = tunnel.request()
        await settle()
        drained = tunnel.bridge.drain()
        drained.addErrback(lambda _: None)
        drained.cancel()
        wait.go()
        self.assertIsNone(await caller.outcome)
        await tunnel.bridge.drain().asFuture(tunnel.loop)
