"""Tests of L{anp_twisted.receiver.target} and, through it, of L{anp_twisted.receiver.target_exchange}."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import TestCase

from anp_twisted.errors import BackendFault, BackendTimeout, InvalidMessage
from anp_twisted.limits import Limits
from anp_twisted.receiver.target_exchange import Stale
from anp_twisted.targets import Target
from anp_twisted.test.receiver_rig import on_loop
from anp_twisted.test.target_lab import TargetLab, request, settle
from anp_twisted.test.test_receiver_target_request import scope_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GONE = {"type": "http.disconnect"}
COUNTED = (b"content-length", b"6")


class TargetTests(TestCase):
    """One request."""

    @on_loop
    async def test_small(self) -> None:
        """A small request and its answer are one write and two messages; the connection is kept."""
        lab = TargetLab()
        visitor = lab.ask(scope_of(target=b"/a%2Fb?x"))
        await settle()
        (wire,) = lab.server.wires
        self.assertTrue(wire.take().startswith(b"GET /a%2Fb?x HTTP/1.1\r\nhost: a.example\r\n"))
        wire.say(OK)
        await visitor.task
        self.assertEqual(
            visitor.sent,
            [
                {"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"2")]},
                {"type": "http.response.body", "body": b"ok", "more_body": False},
            ],
        )
        self.assertEqual((lab.pool.count, lab.pool.resting), (1, 1))
        lab.pool.close()

    @on_loop
    async def test_streams_both_ways(self) -> None:
        """Pieces go on as they come, those of the answer before the request is complete."""
        lab = TargetLab()
        visitor = lab.ask(scope_of(COUNTED, method="POST"), request(b"abc", True))
        await settle()
        (wire,) = lab.server.wires
        self.assertTrue(wire.take().endswith(b"\r\n\r\nabc"))
        wire.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await settle()
        self.assertEqual(visitor.body, b"x")
        visitor.give(request(b"def"))
        await settle()
        self.assertEqual(wire.take(), b"def")
        wire.say(b"1\r\ny\r\n0\r\n\r\n")
        await visitor.task
        self.assertEqual((visitor.body, lab.pool.resting), (b"xy", 1))
        lab.pool.close()

    @on_loop
    async def test_slow_caller(self) -> None:
        """What the caller does not take stays with the server."""
        lab = TargetLab(Limits(stream_backlog=10))
        visitor = lab.ask(scope_of())
        await settle()
        (wire,) = lab.server.wires
        wire.say(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n")
        await settle()
        visitor.open.clear()
        wire.say(b"x" * 8)
        await settle()
        wire.say(b"y" * 12)
        self.assertTrue(wire.paused)
        visitor.open.set()
        await settle()
        self.assertFalse(wire.paused)
        wire.say(b"z" * 10)
        await visitor.task
        self.assertEqual(len(visitor.body), 30)
        lab.pool.close()

    @on_loop
    async def test_slow_server(self) -> None:
        """What the server does not take stays with the caller."""
        lab = TargetLab()
        visitor = lab.ask(scope_of((b"transfer-encoding", b"chunked"), method="POST"), request(b"a", True))
        await settle()
        (wire,) = lab.server.wires
        wire.protocol.pauseProducing()
        visitor.give(request(b"b", True))
        visitor.give(request(b"c", True))
        await settle()
        self.assertTrue(wire.take().endswith(b"1\r\nb\r\n"))
        wire.protocol.resumeProducing()
        await settle()
        self.assertEqual(wire.take(), b"1\r\nc\r\n")
        visitor.give(GONE)
        await visitor.task
        self.assertFalse(wire.open)

    @on_loop
    async def test_caller_leaves(self) -> None:
        """The connection ends with the caller's, before the answer and within it."""
        for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"):
            lab = TargetLab()
            visitor = lab.ask(scope_of())
            await settle()
            (wire,) = lab.server.wires
            wire.say(said)
            visitor.give(GONE)
            await visitor.task
            self.assertEqual((wire.open, lab.pool.count), (False, 0))
        lab = TargetLab()
        await lab.ask(scope_of(), GONE).task
        self.assertEqual(lab.server.wires, [])

    @on_loop
    async def test_tasks(self) -> None:
        """A request that is all here gets no task beside its own while the answer may come at once."""
        lab = TargetLab()
        before = len(asyncio.all_tasks())
        whole, part = lab.ask(scope_of()), lab.ask(scope_of((b"content-length", b"9")), request(b"x", more=True))
        await settle()
        self.assertEqual(len(asyncio.all_tasks()) - before, 3)
        for wire in list(lab.server.wires):
            wire.say(b"HTTP/1.1 204 No\r\n\r\n")
        await whole.task
        await part.task
        await settle()
        self.assertEqual(len(asyncio.all_tasks()), before)

    @on_loop
    async def test_cancelled(self) -> None:
        """A call that is cancelled leaves no connection."""
        lab = TargetLab()
        visitor = lab.ask(scope_of())
        await settle()
        visitor.task.cancel()
        await settle()
        self.assertEqual((visitor.task.cancelled(), lab.pool.count), (True, 0))

    @on_loop
    async def test_broken(self) -> None:
        """An answer that does not end well is a fault, wherever it breaks off."""
        for said in (b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"garbage\r\n\r\n"):
            for reason in (None, ConnectionLost()):
                lab = TargetLab()
                visitor = lab.ask(scope_of())
                await settle()
                lab.server.wires[0].say(said)
                lab.server.wires[0].cut(reason)
                error = await self.failure(visitor.task)
                self.assertIs(type(error), BackendFault)
                self.assertTrue(str(error).startswith("http://127.0.0.1:3000: "))

    async def failure(self, task: object) -> BaseException:
        """What a call raises."""
        try:
            await task  # type: ignore[misc]
        except (BackendFault, InvalidMessage) as error:
            return error
        self.fail("nothing was raised")

    @on_loop
    async def test_unreachable(self) -> None:
        """Where nothing listens, and where nobody answers in time."""
        lab = TargetLab()
        lab.server.listening = False
        self.assertIn("nothing listens at the target's address", str(await self.failure(lab.ask(scope_of()).task)))
        lab.server.listening = None
        visitor = lab.ask(scope_of())
        await settle()
        lab.clock.advance(5)
        self.assertIs(type(await self.failure(visitor.task)), BackendTimeout)
        self.assertEqual(lab.pool.count, 0)

    @on_loop
    async def test_silent(self) -> None:
        """A server whose turn it is may be silent for so long; while the caller is slow, no time counts."""
        lab = TargetLab(Limits(target_silence=3, stream_backlog=0))
        visitor = lab.ask(scope_of())
        await settle()
        lab.server.wires[0].say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await settle()
        visitor.open.clear()
        lab.server.wires[0].say(b"x")
        await settle()
        lab.server.wires[0].say(b"y")
        lab.clock.pump([1] * 10)
        visitor.open.set()
        await settle()
        self.assertFalse(visitor.task.done())
        lab.clock.pump([1] * 4)
        self.assertIs(type(await self.failure(visitor.task)), BackendTimeout)

    @on_loop
    async def test_sent_again(self) -> None:
        """Only what may be sent twice is, once, and only if a rested connection was closed without a byte."""
        for method, more, expected in (("GET", (), 2), ("POST", (COUNTED,), 1)):
            lab = TargetLab()
            first = lab.ask(scope_of())
            await settle()
            lab.server.wires[0].say(OK)
            await first.task
            visitor = lab.ask(scope_of(*more, method=method), request(b"abcdef" if more else b""))
            await settle()
            lab.server.wires[0].cut()
            await settle()
            self.assertEqual(len(lab.server.wires), expected)
            if expected == 1:
                self.assertIsInstance(await self.failure(visitor.task), Stale)
                continue
            lab.server.wires[1].cut()
            self.assertIs(type(await self.failure(visitor.task)), BackendFault)

    @on_loop
    async def test_not_used_again(self) -> None:
        """A connection ends when the answer came before all of the request, or the server wants no more."""
        lab = TargetLab()
        visitor = lab.ask(scope_of(COUNTED, method="POST"), request(b"abc", True))
        await settle()
        lab.server.wires[0].say(OK)
        await visitor.task
        self.assertEqual(lab.pool.count, 0)
        visitor = lab.ask(scope_of())
        await settle()
        lab.server.wires[1].say(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await visitor.task
        self.assertEqual(lab.pool.count, 0)

    @on_loop
    async def test_asks_first(self) -> None:
        """A body that the server has to want is asked for when it does, or says nothing for a while."""
        scope = scope_of(COUNTED, (b"expect", b"100-continue"), method="POST")
        lab = TargetLab(Limits(target_continue=60))
        visitor = lab.ask(scope, request(b"abcdef"))
        await settle()
        (wire,) = lab.server.wires
        self.assertTrue(wire.take().endswith(b"\r\n\r\n"))
        wire.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        await settle()
        self.assertEqual(wire.take(), b"abcdef")
        wire.say(OK)
        await visitor.task
        visitor = lab.ask(scope, request(b"abcdef"))
        await settle()
        wire.take()
        wire.say(OK.replace(b"200", b"417"))
        await visitor.task
        self.assertEqual((visitor.status, wire.take(), wire.open), (417, b"", False))
        lab = TargetLab(Limits(target_continue=0))
        visitor = lab.ask(scope, request(b"abcdef"))
        await settle(20)
        self.assertTrue(lab.server.wires[0].take().endswith(b"abcdef"))
        visitor.give(GONE)
        await visitor.task

    @on_loop
    async def test_extensions(self) -> None:
        """Hints and trailers go to whoever can pass them on."""
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
        both: dict[str, Any] = {"http.response.trailers": {}, "http.response.early_hint": {}}
        for extensions in ({}, both):
            lab = TargetLab()
            visitor = lab.ask(scope_of(extensions=extensions))
            await settle()
            lab.server.wires[0].say(hint + answer)
            await visitor.task
            kinds = [message["type"].removeprefix("http.response.") for message in visitor.sent]
            if not extensions:
                self.assertEqual(kinds, ["start", "body", "body"])
                continue
            self.assertEqual(kinds, ["early_hint", "start", "body", "body", "trailers"])
            self.assertEqual(visitor.sent[0]["links"], [b"</a>", b"</b>"])
            self.assertEqual(visitor.sent[-1]["headers"], [(b"X-Sum", b"1")])
            lab.pool.close()

    @on_loop
    async def test_refused(self) -> None:
        """What cannot be passed on is answered here, and no connection is made."""
        lab = TargetLab(target=Target(False, "h", 80, base=b"/base"))
        for more in ({"target": b"/../x"}, {"method": "CONNECT"}, {"target": b"http://evil/"}):
            visitor = lab.ask(scope_of(**more))
            await visitor.task
            self.assertEqual(visitor.status, 400)
        self.assertEqual(lab.server.wires, [])
        self.assertIsInstance(await self.failure(lab.ask({"type": "other"}).task), InvalidMessage)

    @on_loop
    async def test_lifespan(self) -> None:
        """Nothing is needed to start; at the end no connection is left."""
        lab = TargetLab()
        life = lab.ask({"type": "lifespan"}, {"type": "lifespan.startup"})
        visitor = lab.ask(scope_of())
        await settle()
        lab.server.wires[0].say(OK)
        await visitor.task
        life.give({"type": "lifespan.shutdown"})
        await life.task
        self.assertEqual((lab.pool.count, len(life.sent)), (0, 2))
