"""
Tests of L{anp_twisted.receiver.bridge.websocket}, and of what an answer can hold besides head and body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.trial.unittest import TestCase

from anp_twisted.errors import Code, InvalidMessage
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.websocket import CallerGone
from anp_twisted.session import events
from anp_twisted.test.receiver_rig import Caller, Tunnel, on_loop
from anp_twisted.wire import v2
from anp_twisted.wire.heads import RequestHead

ACCEPT = {"type": "websocket.accept"}


class SocketCaller(Caller):
    """
    Who waits at the gateway's side of a WebSocket.

    @ivar accepted: the status of the head once it came.
    @ivar messages: what came, parts joined.
    @ivar closed: the body of the close that came.
    """

    def __init__(self, tunnel: Tunnel) -> None:
        super().__init__(tunnel)
        self.accepted: asyncio.Future[int] = tunnel.loop.create_future()
        self.closed: asyncio.Future[bytes] = tunnel.loop.create_future()
        self.messages: list[tuple[int, bytes]] = []
        self._joined = b""
        head = RequestHead("GET", "/s", [("Sec-WebSocket-Protocol", "a")], id="r-1", protocol="websocket")
        self.stream = tunnel.gateway.open(head, self)
        tunnel.wake()

    def stream_event(self, event: events.Event) -> None:
        match event:
            case events.AcceptReceived(head=head):
                self.accepted.set_result(head.status)
            case events.MessageReceived(kind=v2.CLOSE, body=body):
                self.closed.set_result(body)
            case events.MessageReceived():
                self._take(event)
            case _:
                super().stream_event(event)

    def _take(self, event: events.MessageReceived) -> None:
        self._joined += event.body
        if event.last:
            self.messages.append((event.kind, self._joined))
            self._joined = b""
        if self.greedy:
            self.stream.consume(event.cost)
            self._link.wake()

    def say(self, kind: int, data: bytes, last: bool = True) -> None:
        self.stream.send_message(kind, data, last)
        self._link.wake()

    def hang_up(self, body: bytes) -> None:
        self.stream.send_close(body)
        self._link.wake()

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - whatever a test waits for happens within a few turns
                await asyncio.sleep(0)


def echoing(heard: list[Message]) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """An application that sends back what comes, and notes it."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        heard.append(await receive())
        await send(ACCEPT)
        while heard[-1]["type"] != "websocket.disconnect":
            heard.append(await receive())
            if heard[-1]["type"] == "websocket.receive":
                await send({**heard[-1], "type": "websocket.send"})

    return app


class TalkTests(TestCase):
    """From accept to close."""

    @on_loop
    async def test_echo(self) -> None:
        """Messages both ways, larger ones than the window too, then a close of the caller."""
        heard: list[Message] = []
        tunnel = Tunnel(echoing(heard), Limits(websocket_message=1 << 20))
        caller = SocketCaller(tunnel)
        self.assertEqual(await caller.accepted, 101)
        large = bytes(range(256)) * 4000
        said = [(v2.TEXT, b"one"), (v2.BINARY, large), (v2.TEXT, b"")]
        for kind, data in said:
            caller.say(kind, data)
        await caller.until(lambda: len(caller.messages) == len(said))
        self.assertEqual(caller.messages, said)
        caller.hang_up(b"\x0f\xa0bye")
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(heard[-1], {"type": "websocket.disconnect", "code": 4000, "reason": "bye"})
        self.assertEqual((await caller.outcome).code, Code.NO_ERROR)  # type: ignore[union-attr]
        self.assertEqual((tunnel.receiver.streams, tunnel.gateway.streams), ({}, {}))

    @on_loop
    async def test_application_that_does_not_receive(self) -> None:
        """Its caller stands still within the window, and goes on when it receives."""
        go = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await go.wait()
            for _ in range(1000):
                await receive()
            await send({"type": "websocket.close"})

        tunnel = Tunnel(app)
        caller = SocketCaller(tunnel)
        await caller.accepted
        for _ in range(1000):
            caller.say(v2.BINARY, bytes(1000))
        await asyncio.sleep(0.01)
        self.assertTrue(caller.stream.pausing)
        self.assertLess(caller.stream.window.credit, 1032)
        go.set()
        self.assertEqual(await caller.closed, b"\x03\xe8")
        self.assertEqual(caller.writable, 1)

    @on_loop
    async def test_caller_that_does_not_read(self) -> None:
        """An application waits in C{send()} until the caller reads."""
        sent = 0

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            nonlocal sent
            await receive()
            await send(ACCEPT)
            for _ in range(1000):
                await send({"type": "websocket.send", "bytes": bytes(1000)})
                sent += 1
            await send({"type": "websocket.close", "code": 1001})

        tunnel = Tunnel(app)
        caller = SocketCaller(tunnel)
        caller.greedy = False
        await caller.accepted
        await asyncio.sleep(0.01)
        self.assertLess(sent, 300)
        caller.greedy = True
        caller.stream.consume(len(caller.messages) * 1032)
        tunnel.wake()
        self.assertEqual(await caller.closed, b"\x03\xe9")
        self.assertEqual(len(caller.messages), 1000)

    @on_loop
    async def test_too_large(self) -> None:
        """A message over the cap is 1009 on both sides."""
        heard: list[Message] = []
        tunnel = Tunnel(echoing(heard), Limits(websocket_message=100))
        caller = SocketCaller(tunnel)
        await caller.accepted
        caller.say(v2.TEXT, b"x" * 101)
        self.assertEqual((await caller.closed)[:2], b"\x03\xf1")
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual((heard[-1]["type"], heard[-1]["code"]), ("websocket.disconnect", 1009))


class EndTests(TestCase):
    """The ways in which it is over."""

    async def end_of(self, app: Any, limits: Limits | None = None) -> tuple[Tunnel, SocketCaller]:
        tunnel = Tunnel(app, limits or Limits(cancel_grace=0.0))
        caller = SocketCaller(tunnel)
        await caller.accepted
        return tunnel, caller

    @on_loop
    async def test_lost(self) -> None:
        """Without a close it is 1006; C{send()} raises what frameworks look for, and that is no failure."""
        heard: list[Message] = []

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            heard.append(await receive())
            try:
                await send({"type": "websocket.send", "text": "x"})
            except OSError as error:
                heard.append({"error": type(error)})
                raise

        for lose in (lambda tunnel, caller: caller.leave(), lambda tunnel, caller: tunnel.lose()):
            tunnel, caller = await self.end_of(app)
            lose(tunnel, caller)
            await tunnel.bridge.drain().asFuture(tunnel.loop)
            expected = [{"type": "websocket.disconnect", "code": 1006, "reason": ""}, {"error": CallerGone}]
            self.assertEqual(heard, expected)
            self.assertEqual((tunnel.bridge.counts.left, tunnel.bridge.counts.failed), (1, 0))
            heard.clear()

    @on_loop
    async def test_goes_on(self) -> None:
        """An application that neither receives nor sends is cancelled after the grace."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await asyncio.Event().wait()

        tunnel, caller = await self.end_of(app)
        caller.leave()
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual((tunnel.bridge.counts.left, tunnel.bridge.counts.cancelled), (1, 1))

    @on_loop
    async def test_returns(self) -> None:
        """One that returns closes with 1000, one that fails with 1011."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            if (await receive())["text"] == "fail":
                raise ZeroDivisionError

        for said, body in ((b"go", b"\x03\xe8"), (b"fail", b"\x03\xf3")):
            tunnel, caller = await self.end_of(app)
            caller.say(v2.TEXT, said)
            self.assertEqual(await caller.closed, body)
            await tunnel.bridge.drain().asFuture(tunnel.loop)
            self.assertEqual(tunnel.bridge.counts.failed, len(self.flushLoggedErrors(ZeroDivisionError)))

    @on_loop
    async def test_abort(self) -> None:
        """A receiver that stops closes with 1012, and tells the application."""
        heard: list[Message] = []
        tunnel, caller = await self.end_of(echoing(heard), Limits(cancel_grace=1.0))
        tunnel.bridge.abort()
        self.assertEqual((await caller.closed)[:2], b"\x03\xf4")
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual(heard[-1]["code"], 1012)

    @on_loop
    async def test_farewell(self) -> None:
        """A receiver that drains closes what is open with 1012, once, and leaves alone what is not."""
        heard: list[Message] = []
        tunnel, caller = await self.end_of(echoing(heard), Limits(cancel_grace=1.0))

        async def undecided(scope: Message, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        other = Tunnel(undecided)
        asked = SocketCaller(other)
        await asyncio.sleep(0)
        for bridge in (tunnel.bridge, other.bridge, tunnel.bridge):
            bridge.farewell()
        self.assertEqual((await caller.closed)[:2], b"\x03\xf4")
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        self.assertEqual([message.get("code") for message in heard][-1:], [1012])
        self.assertEqual((other.bridge.in_flight, asked.outcome.done()), (1, False))
        other.bridge.abort()
        await other.bridge.drain().asFuture(other.loop)

    @on_loop
    async def test_abort_before_it_is_open(self) -> None:
        """One that has not decided is ended as a request is."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await asyncio.Event().wait()

        tunnel = Tunnel(app)
        caller = SocketCaller(tunnel)
        await asyncio.sleep(0)
        tunnel.bridge.abort()
        self.assertEqual((await caller.outcome).code, Code.DRAINING)  # type: ignore[union-attr]
        await tunnel.bridge.drain().asFuture(tunnel.loop)


class DenialTests(TestCase):
    """It is not accepted."""

    async def answer_of(self, *messages: Message) -> tuple[int, bytes, Any]:
        """What the caller gets when an application sends these."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await receive()
            for message in messages:
                await send(message)
            if messages:
                assert (await receive())["type"] == "websocket.disconnect"

        tunnel = Tunnel(app)
        caller = SocketCaller(tunnel)
        head, outcome = await caller.head, await caller.outcome
        await tunnel.bridge.drain().asFuture(tunnel.loop)
        return (head.status if head else 0), caller.body, outcome

    @on_loop
    async def test_close(self) -> None:
        """403."""
        self.assertEqual(await self.answer_of({"type": "websocket.close"}), (403, b"", None))

    @on_loop
    async def test_answer(self) -> None:
        """Whatever it says."""
        start = {"type": "websocket.http.response.start", "status": 429, "headers": [(b"retry-after", b"1")]}
        body = {"type": "websocket.http.response.body", "body": b"slow", "more_body": True}
        rest = {"type": "websocket.http.response.body", "body": b"ly"}
        self.assertEqual(await self.answer_of(start, body, rest), (429, b"slowly", None))

    @on_loop
    async def test_nothing(self) -> None:
        """One that just returns has failed."""
        status, _, outcome = await self.answer_of()
        self.assertEqual((status, outcome.code), (0, Code.APP_FAILED))

    @on_loop
    async def test_mistake(self) -> None:
        """What may not be sent fails the call, and is in the log once."""
        for message in ({"type": "websocket.send", "text": "x"}, {**ACCEPT, "subprotocol": "nobody's"}, {"type": "x"}):
            status, _, outcome = await self.answer_of(message)
            self.assertEqual((status, outcome.code), (0, Code.APP_FAILED))
            self.assertEqual(len(self.flushLoggedErrors(InvalidMessage)), 1)


class ExtensionTests(TestCase):
    """What an answer can hold besides head and body."""

    async def answer_of(self, *messages: Message) -> tuple[Caller, Any]:
        async def app(scope: Message, receive: Receive, send: Send) -> None:
            assert {"http.response.early_hint", "http.response.trailers"} < set(scope["extensions"])
            for message in messages:
                await send(message)

        caller = Tunnel(app).request()
        return caller, await caller.outcome

    START: Message = {"type": "http.response.start", "status": 200, "headers": []}
    BODY: Message = {"type": "http.response.body", "body": b"x"}

    @on_loop
    async def test_early_hints(self) -> None:
        """Each is a head with 103, before the answer; behind its head they are ignored."""
        hint = {"type": "http.response.early_hint", "links": [b"</a>; rel=preload", b"</b>"]}
        caller, outcome = await self.answer_of(hint, hint, {**hint, "links": []}, self.START, hint, self.BODY)
        self.assertEqual((caller.informational, caller.body, outcome), ([103, 103], b"x", None))

    @on_loop
    async def test_bad_hint(self) -> None:
        """A link cannot split the head."""
        hint = {"type": "http.response.early_hint", "links": [b"</a>\r\nx: y"]}
        _, outcome = await self.answer_of(hint)
        self.assertEqual(outcome.code, Code.APP_FAILED)
        self.assertEqual(len(self.flushLoggedErrors(InvalidMessage)), 1)

    @on_loop
    async def test_trailers(self) -> None:
        """They come behind the body, from several messages; the answer is not complete without them."""
        start = {**self.START, "trailers": True}
        first = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True}
        second = {"type": "http.response.trailers", "headers": [(b"x-sum", b"2")]}
        caller, outcome = await self.answer_of(start, self.BODY, first, second)
        self.assertEqual((caller.body, caller.trailers, outcome), (b"x", [("x-sum", "1"), ("x-sum", "2")], None))
        for messages in ((start, self.BODY), (start, self.BODY, first)):
            _, outcome = await self.answer_of(*messages)
            self.assertEqual(outcome.code, Code.APP_FAILED)

    @on_loop
    async def test_unannounced_trailers(self) -> None:
        """They are a mistake where the head did not announce them, and before the body."""
        trailers = {"type": "http.response.trailers", "headers": []}
        for messages in ((self.START, trailers), ({**self.START, "trailers": True}, trailers)):
            _, outcome = await self.answer_of(*messages)
            self.assertEqual(outcome.code, Code.APP_FAILED)
            self.assertEqual(len(self.flushLoggedErrors(InvalidMessage)), 1)

    @on_loop
    async def test_debug(self) -> None:
        """It is for test clients: ignored."""
        caller, outcome = await self.answer_of({"type": "http.response.debug", "info": {}}, self.START, self.BODY)
        self.assertEqual((caller.body, outcome), (b"x", None))
