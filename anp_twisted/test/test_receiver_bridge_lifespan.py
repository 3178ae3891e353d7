"""Tests of L{anp_twisted.receiver.bridge.lifespan}: how an application starts and stops."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from anp_twisted.errors import AppStartError
from anp_twisted.lifespan import Mode
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.test.receiver_rig import LIMITS, Tunnel, on_loop, the_loop
from anp_twisted.test.test_receiver_bridge_http import hello, settle


class LifespanTests(TestCase):
    """The application's start and stop."""

    def bridge(self, app: Any, limits: Limits = LIMITS) -> Tunnel:
        return Tunnel(app, limits)

    @on_loop
    async def test_both_ends(self) -> None:
        """Start and stop are asked once each, in order, and the state reaches every scope as a copy."""
        heard: list[Any] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                heard.append(dict(scope["state"]))
                scope["state"]["own"] = True
                await hello(scope, receive, send)
                return
            scope["state"]["database"] = "open"
            for step in ("startup", "shutdown"):
                heard.append((await receive())["type"])
                await send({"type": f"lifespan.{step}.complete"})

        tunnel = self.bridge(app)
        await tunnel.bridge.startup().asFuture(tunnel.loop)
        for _ in range(2):
            await tunnel.request().outcome
        await tunnel.bridge.shutdown(0.01).asFuture(tunnel.loop)
        self.assertEqual(heard, ["lifespan.startup", {"database": "open"}, {"database": "open"}, "lifespan.shutdown"])

    @on_loop
    async def test_refuses(self) -> None:
        """An application that says it cannot start is not served; the last line of its reason is told."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "Traceback:\n  x\nOSError: no database\n"})

        tunnel = self.bridge(app)
        with self.assertRaisesRegex(AppStartError, "^the application could not start: OSError: no database$"):
            await tunnel.bridge.startup().asFuture(tunnel.loop)

    @on_loop
    async def test_takes_no_part(self) -> None:
        """An application that raises at the lifespan, or returns, is served all the same."""

        async def raising(scope: Message, receive: Receive, send: Send) -> None:
            assert scope["type"] == "http"
            await hello(scope, receive, send)

        async def returning(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await hello(scope, receive, send)

        for app in (raising, returning):
            tunnel = self.bridge(app)
            await tunnel.bridge.startup().asFuture(tunnel.loop)
            self.assertIsNone(await tunnel.request().outcome)
            await tunnel.bridge.shutdown(0.01).asFuture(tunnel.loop)

    @on_loop
    async def test_has_to_take_part(self) -> None:
        """With C{Mode.ON} an application that raises at the lifespan, or returns, is not served."""

        async def raising(scope: Message, receive: Receive, send: Send) -> None:
            raise KeyError("lifespan")

        async def returning(scope: Message, receive: Receive, send: Send) -> None:
            return

        for app in (raising, returning):
            bridge = AppBridge(app, loop=the_loop(), limits=LIMITS, lifespan=Mode.ON)
            with self.assertRaisesRegex(AppStartError, "takes no part in the lifespan"):
                await bridge.startup().asFuture(bridge.loop)
            await bridge.shutdown(0.01).asFuture(bridge.loop)
        # Whether it knows nothing of lifespans or failed in one, its own error says best.
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    @on_loop
    async def test_is_not_asked(self) -> None:
        """With C{Mode.OFF} an application is never called with a lifespan."""
        scopes: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            scopes.append(scope["type"])

        bridge = AppBridge(app, loop=the_loop(), limits=LIMITS, lifespan=Mode.OFF)
        await bridge.startup().asFuture(bridge.loop)
        await bridge.shutdown(0.01).asFuture(bridge.loop)
        self.assertEqual(scopes, [])

    @on_loop
    async def test_too_slow(self) -> None:
        """An application that does not start in time is given up, and its task is not left behind."""
        ended: list[bool] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        tunnel = self.bridge(app, Limits(startup=0.01))
        with self.assertRaisesRegex(AppStartError, "within 0.01 s"):
            await tunnel.bridge.startup().asFuture(tunnel.loop)
        self.assertEqual(ended, [True])

    @on_loop
    async def test_stop_fails(self) -> None:
        """An application that fails to stop, or is too slow, does not keep the process."""

        async def failing(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.failed", "message": "no"})

        async def hanging(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await asyncio.Event().wait()

        for app in (failing, hanging):
            tunnel = self.bridge(app)
            await tunnel.bridge.startup().asFuture(tunnel.loop)
            await tunnel.bridge.shutdown(0.01).asFuture(tunnel.loop)

    @on_loop
    async def test_stop_is_given_up(self) -> None:
        """When nobody waits for the application any more, its task is ended with that."""
        ended: list[bool] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        tunnel = self.bridge(app)
        await tunnel.bridge.startup().asFuture(tunnel.loop)
        stopping = tunnel.bridge.shutdown(3600.0)
        await settle()
        stopping.cancel()
        with self.assertRaises(CancelledError):
            await stopping.asFuture(tunnel.loop)
        self.assertEqual(ended, [True])

    @on_loop
    async def test_crash_while_running(self) -> None:
        """A lifespan that crashes is logged, and there is nothing to stop any more."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            raise ZeroDivisionError

        tunnel = self.bridge(app)
        await tunnel.bridge.startup().asFuture(tunnel.loop)
        await settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        await tunnel.bridge.shutdown(0.01).asFuture(tunnel.loop)

    def test_never_started(self) -> Deferred[None]:
        """To stop what never started asks the application nothing."""
        return self.bridge(hello).bridge.shutdown(0.01)
