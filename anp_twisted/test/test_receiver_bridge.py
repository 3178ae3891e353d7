"""Tests of L{anp_twisted.receiver.bridge}: plain ASGI functions behind a real session on the real loop."""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from anp_twisted.errors import AppStartError, Code, InvalidMessage
from anp_twisted.lifespan import Mode
from anp_twisted.limits import KIB, Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.bridge import AppBridge
from anp_twisted.session.stream import Phase
from anp_twisted.test.receiver_rig import LIMITS, Caller, Tunnel, on_loop, the_loop

OK: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
PATIENT = Limits(cancel_grace=3600.0)


def piece(data: bytes, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    await send(OK)
    await send(piece(b"hello"))


async def read_all(receive: Receive) -> list[bytes]:
    pieces = []
    while True:
        message = await receive()
        assert message["type"] == "http.request", message
        pieces.append(message["body"])
        if not message["more_body"]:
            return pieces


class Wait:
    """Something that an application waits for, or a test."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def __call__(self) -> None:
        await asyncio.wait_for(self.event.wait(), 5)

    def go(self) -> None:
        self.event.set()


class AnswerTests(TestCase):
    """What comes back from an application that keeps the rules."""

    @on_loop
    async def test_small(self) -> None:
        """Head, body and end of a small answer arrive, and nothing is left behind."""
        tunnel = Tunnel(hello)
        caller = tunnel.request()
        self.assertIsNone(await caller.outcome)
        head = caller.head.result()
        assert head is not None
        self.assertEqual((head.status, head.headers), (200, [("content-type", "text/plain")]))
        self.assertEqual(caller.pieces, [b"hello"])
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual((tunnel.bridge.in_flight, tunnel.receiver.streams, tunnel.gateway.streams), (0, {}, {}))

    @on_loop
    async def test_boundaries(self) -> None:
        """Each body message is one frame, however small, and empty ones are none."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK)
            for data in (b"a", b"", b"bc", b"d" * 1000):
                await send(piece(data, True))
                await asyncio.sleep(0)
            await send(piece(b""))

        caller = Tunnel(app).request()
        self.assertIsNone(await caller.outcome)
        self.assertEqual(caller.pieces, [b"a", b"bc", b"d" * 1000])

    @on_loop
    async def test_head_request(self) -> None:
        """The body of an answer to HEAD goes nowhere, its declared length does."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK | {"headers": [(b"content-length", b"5")]})
            await send(piece(b"hello"))

        caller = Tunnel(app).request("HEAD")
        self.assertIsNone(await caller.outcome)
        head = caller.head.result()
        assert head is not None
        self.assertEqual((head.headers, caller.body), ([("content-length", "5")], b""))

    @on_loop
    async def test_slow_beside_fast(self) -> None:
        """A call that waits holds up no other on the same link."""
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            if scope["path"] == "/slow":
                await wait()
            await hello(scope, receive, send)

        tunnel = Tunnel(app)
        slow = tunnel.request(target="/slow")
        for _ in range(50):
            self.assertIsNone(await tunnel.request().outcome)
        self.assertEqual((slow.head.done(), tunnel.bridge.in_flight >= 1), (False, True))
        wait.go()
        self.assertIsNone(await slow.outcome)

    @on_loop
    async def test_paused(self) -> None:
        """An application is held in send() while the caller takes nothing, and released by what it takes."""
        sent = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK)
            for number in range(100):
                await send(piece(bytes(32 * KIB), True))
                sent.append(number)
            await send(piece(b""))

        tunnel = Tunnel(app)
        caller = tunnel.request()
        caller.greedy = False
        await caller.head
        await settle()
        held = len(sent) * 32 * KIB
        self.assertLessEqual(held, LIMITS.stream_window + LIMITS.stream_backlog + 64 * KIB)
        self.assertEqual(len(caller.body), LIMITS.stream_window)
        caller.greedy = True
        caller.stream.consume(len(caller.body))
        tunnel.wake()
        self.assertIsNone(await caller.outcome)
        self.assertEqual(len(caller.body), 100 * 32 * KIB)

    @on_loop
    async def test_work_behind_the_answer(self) -> None:
        """An application may go on after its answer is complete; the caller does not wait, draining does."""
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)
            await wait()

        tunnel = Tunnel(app)
        self.assertIsNone(await tunnel.request().outcome)
        drained = tunnel.bridge.drain()
        self.assertNoResult(drained)
        wait.go()
        await drained.asFuture(tunnel.loop)
        tunnel.request()
        await settle()
        self.assertEqual((tunnel.bridge.counts.called, tunnel.bridge.in_flight, tunnel.bridge._idle), (2, 0, []))

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


def the_call(tunnel: Tunnel) -> Any:
    """Find the one call that runs."""
    (stream,) = tunnel.receiver.streams.values()
    return stream.owner


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(50):
        await asyncio.sleep(0)


class RequestTests(TestCase):
    """What an application receives."""

    @on_loop
    async def test_no_body(self) -> None:
        """A request without body is one empty message, and then receive() waits for the caller to leave."""
        got: list[Message] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            got.append(await receive())
            got.append(await receive())

        tunnel = Tunnel(app)
        caller = tunnel.request()
        await settle()
        self.assertEqual(got, [{"type": "http.request", "body": b"", "more_body": False}])
        caller.leave()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(got[1:], [{"type": "http.disconnect"}])

    @on_loop
    async def test_pieces(self) -> None:
        """Pieces of the body keep their boundaries, and their credit comes back when they are taken."""
        got: list[bytes] = []
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await wait()
            got.extend(await read_all(receive))
            await hello(scope, receive, send)

        tunnel = Tunnel(app)
        caller = tunnel.request("POST", "/", None, *[bytes(40 * KIB)] * 8, end=True)
        await settle()
        self.assertLess(caller.stream.window.credit, 40 * KIB)
        self.assertTrue(caller.stream.pausing)
        wait.go()
        self.assertIsNone(await caller.outcome)
        self.assertEqual(sum(map(len, got)), 320 * KIB)
        self.assertGreaterEqual(caller.writable, 1)
        self.assertEqual(got[:3], [bytes(40 * KIB)] * 3)

    @on_loop
    async def test_unread_body(self) -> None:
        """A body that no one reads takes no room of the connection once the answer is complete."""
        tunnel = Tunnel(hello)
        for _ in range(40):
            self.assertIsNone(await tunnel.request("POST", "/", None, bytes(128 * KIB), end=True).outcome)
        await settle()
        self.assertEqual(tunnel.receiver._inbox.held, 0)

    @on_loop
    async def test_disconnect_after_the_answer(self) -> None:
        """Once the answer is complete receive() says so at once, to who waits already as to who asks then."""
        got: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            waiting = the_loop().create_task(listen(receive))
            await asyncio.sleep(0)
            await hello(scope, receive, send)
            got.append((await receive())["type"])
            await waiting

        async def listen(receive: Receive) -> None:
            got.append((await receive())["type"])

        tunnel = Tunnel(app)
        self.assertIsNone(await tunnel.request().outcome)
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(got, ["http.disconnect"] * 2)

    @on_loop
    async def test_reluctant(self) -> None:
        """A caller that waits for 100 gets it when the application asks for the body, once, and not before."""
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await wait()
            body = await read_all(receive)
            await send(OK)
            await send(piece(b"".join(body)))

        tunnel = Tunnel(app)
        caller = tunnel.request("POST", "/", [("Expect", "100-Continue")], end=False)
        await settle()
        self.assertEqual(caller.informational, [])
        wait.go()
        await settle()
        self.assertEqual(caller.informational, [100])
        caller.send(b"x", end=False)
        await settle()
        caller.send(b"y", end=True)
        await caller.outcome
        self.assertEqual((caller.body, caller.informational), (b"xy", [100]))

    @on_loop
    async def test_abandoned_receive(self) -> None:
        """A receive() that is given up takes nothing away and leaves nothing behind."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            for _ in range(10):
                task = the_loop().create_task(read_all(receive))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            got.extend(await read_all(receive))
            await hello(scope, receive, send)

        got: list[bytes] = []
        tunnel = Tunnel(app)
        caller = tunnel.request("POST", "/", None, end=False)
        await settle()
        self.assertEqual(len(the_call(tunnel)._arrived._waiting), 1)
        caller.send(b"kept", end=True)
        await caller.outcome
        self.assertEqual(b"".join(got), b"kept")

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


class FailureTests(TestCase):
    """What a caller gets from an application that fails."""

    async def failed(self, caller: Caller, error: type[Exception] | None = None) -> None:
        reset = await caller.outcome
        assert reset is not None
        self.assertEqual((reset.code, reset.source, reset.text), (Code.APP_FAILED, "app", "the application failed"))
        if error is not None:
            self.assertEqual(len(self.flushLoggedErrors(error)), 1)

    @on_loop
    async def test_before_the_head(self) -> None:
        """A crash before the head resets the stream; its traceback is logged, its text stays here."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            raise ZeroDivisionError("secret")

        caller = Tunnel(app).request()
        await self.failed(caller, ZeroDivisionError)
        self.assertIsNone(caller.head.result())

    @on_loop
    async def test_after_the_head(self) -> None:
        """A crash after the head cuts the stream, so that the answer never looks complete."""
        wait = Wait()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK)
            await send(piece(b"half", True))
            await wait()
            raise ZeroDivisionError

        caller = Tunnel(app).request()
        await caller.head
        wait.go()
        await self.failed(caller, ZeroDivisionError)
        self.assertEqual(caller.body, b"half")

    @on_loop
    async def test_returns_too_early(self) -> None:
        """To return without head, or before the last piece, is a failure too."""

        async def nothing(scope: Message, receive: Receive, send: Send) -> None:
            pass

        async def half(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK)
            await send(piece(b"half", True))

        for app in (nothing, half):
            await self.failed(Tunnel(app).request())

    @on_loop
    async def test_exits(self) -> None:
        """An application that calls sys.exit() fails its own call, not the process."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            sys.exit(3)

        await self.failed(Tunnel(app).request(), InvalidMessage)

    @on_loop
    async def test_not_a_coroutine(self) -> None:
        """An application that returns something that cannot be awaited fails its call."""

        def app(scope: Message, receive: Receive, send: Send) -> Any:
            return 7

        await self.failed(Tunnel(app).request(), TypeError)

    @on_loop
    async def test_wrong_length(self) -> None:
        """Of a body that is longer than declared no surplus byte leaves, and a shorter one is cut."""
        for data in (b"too long", b"abc"):

            async def app(scope: Message, receive: Receive, send: Send, data: bytes = data) -> None:
                await send(OK | {"headers": [(b"content-length", b"4")]})
                await send(piece(data))

            caller = Tunnel(app).request()
            await self.failed(caller, InvalidMessage)
            self.assertLess(len(caller.body), 4)

    @on_loop
    async def test_recovers(self) -> None:
        """A refused head leaves the state as it was, so that an error page can be sent instead."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            try:
                await send(OK | {"headers": [(b"x", b"a\r\nb: c")]})
            except InvalidMessage:
                await send(OK | {"status": 500})
            await send(piece(b""))

        caller = Tunnel(app).request()
        head = await caller.head
        assert head is not None
        self.assertEqual(head.status, 500)
        self.assertEqual(len(self.flushLoggedErrors(InvalidMessage)), 1)

    @on_loop
    async def test_after_a_complete_answer(self) -> None:
        """A crash behind a complete answer is logged, and the caller has the answer."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await hello(scope, receive, send)
            raise ZeroDivisionError

        tunnel = Tunnel(app)
        caller = tunnel.request()
        self.assertIsNone(await caller.outcome)
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(tunnel.bridge.counts.failed, 1)

    @on_loop
    async def test_head_too_large(self) -> None:
        """A head that is too large for the tunnel is the failure of its call alone."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK | {"headers": [(b"x", b"v" * 70_000)]})

        tunnel = Tunnel(app)
        await self.failed(tunnel.request(), InvalidMessage)
        self.assertEqual(tunnel.receiver.streams, {})


class CancelTests(TestCase):
    """What happens when the caller leaves, or the link does."""

    @on_loop
    async def test_disconnect_is_heard(self) -> None:
        """A waiting receive() returns http.disconnect, later sends do nothing, and nothing is cancelled."""
        got: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await read_all(receive)
            await send(OK)
            got.append((await receive())["type"])
            await send(piece(b"for nobody", True))
            got.append((await receive())["type"])

        tunnel = Tunnel(app, PATIENT)
        caller = tunnel.request()
        await caller.head
        call = the_call(tunnel)
        caller.leave()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual((got, call._grace.cancelled()), (["http.disconnect"] * 2, True))
        counts = tunnel.bridge.counts
        self.assertEqual((counts.left, counts.cancelled, counts.failed), (1, 0, 0))

    @on_loop
    async def test_paused_send_is_released(self) -> None:
        """A send() that waits for room returns when the caller leaves."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK)
            for _ in range(20):
                await send(piece(bytes(64 * KIB), True))
            finished.append(True)

        finished: list[bool] = []
        tunnel = Tunnel(app, PATIENT)
        caller = tunnel.request()
        caller.greedy = False
        await caller.head
        await settle()
        self.assertEqual(finished, [])
        caller.leave()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(finished, [True])

    @on_loop
    async def test_grace(self) -> None:
        """A call that does not end by itself is cancelled when the grace is over, and counted."""
        forever = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await forever.wait()

        tunnel = Tunnel(app)
        caller = tunnel.request()
        await settle()
        caller.leave()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        counts = tunnel.bridge.counts
        self.assertEqual((counts.left, counts.cancelled), (1, 1))

    @on_loop
    async def test_before_it_ran(self) -> None:
        """A call whose caller leaves before the loop came to it still ends."""
        tunnel = Tunnel(hello)
        caller = tunnel.request()
        tunnel._pump()
        self.assertEqual(tunnel.bridge.in_flight, 1)
        caller.leave()
        tunnel._pump()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(tunnel.bridge.in_flight, 0)

    @on_loop
    async def test_lost_link(self) -> None:
        """A lost link is a caller that leaves, for each of its streams."""
        got: list[str] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await read_all(receive)
            got.append((await receive())["type"])

        tunnel = Tunnel(app, PATIENT)
        callers = [tunnel.request() for _ in range(3)]
        await settle()
        tunnel.lose()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(got, ["http.disconnect"] * 3)
        self.assertTrue(all(caller.outcome.done() for caller in callers))

    @on_loop
    async def test_not_behind_the_answer(self) -> None:
        """What an application does after its answer is not cancelled when the caller leaves."""
        wait = Wait()
        finished: list[bool] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send(OK)
            await send(piece(bytes(400 * KIB)))
            await wait()
            finished.append(True)

        tunnel = Tunnel(app)
        caller = tunnel.request()
        caller.greedy = False
        await caller.head
        caller.leave()
        await settle()
        wait.go()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual((finished, tunnel.bridge.counts.cancelled), ([True], 0))

    @on_loop
    async def test_abort(self) -> None:
        """To abort ends every call at once; callers are told."""
        forever = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await forever.wait()

        tunnel = Tunnel(app, PATIENT)
        caller = tunnel.request()
        await settle()
        tunnel.bridge.abort()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        reset = await caller.outcome
        assert reset is not None
        self.assertEqual((reset.code, caller.stream.phase), (Code.DRAINING, Phase.CUT))

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
