"""Tests of L{anp_twisted.receiver.bridge.call}: callers that leave, and processes that stop."""

from __future__ import annotations

import asyncio

from twisted.trial.unittest import TestCase

from anp_twisted.errors import Code
from anp_twisted.limits import KIB
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.session.stream import Phase
from anp_twisted.test.receiver_rig import Tunnel, on_loop
from anp_twisted.test.test_receiver_bridge_http import OK, PATIENT, Wait, hello, piece, read_all, settle, the_call


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
