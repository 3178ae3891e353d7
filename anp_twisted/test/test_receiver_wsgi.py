"""Tests of L{anp_twisted.receiver.wsgi}."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.trial.unittest import TestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.receiver.asgi import Message
from anp_twisted.receiver.wsgi import CallerGone, WsgiBackend
from anp_twisted.test.receiver_rig import on_loop, the_loop
from anp_twisted.test.target_lab import Visitor, request
from anp_twisted.test.test_receiver_target_request import scope_of

GONE: Message = {"type": "http.disconnect"}
Start = Callable[..., Any]


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a thread has done something."""
    while not condition():  # noqa: ASYNC110  # a thread rings no bell
        await asyncio.sleep(0)


async def begun(visitor: Visitor) -> None:
    """Wait for the head and the first piece of an answer."""
    await until(lambda: len(visitor.sent) >= 2)


class WsgiTests(TestCase):
    """WSGI in threads; what waits for a thread waits for what it does, not for a time."""

    def visit(self, app: Callable[..., Iterable[bytes]], *messages: Message, threads: int = 2, **more: Any) -> Visitor:
        backend = WsgiBackend(app, loop=the_loop(), threads=threads)
        self.addCleanup(backend._threads.shutdown, wait=True)
        return Visitor(backend, {**scope_of(**more), "http_version": "1.1", "server": ("h", 80)}, *messages)

    @on_loop
    async def test_environment(self) -> None:
        """An application gets the path as bytes in latin-1, the raw target, and a stream that ends."""
        seen: dict[str, Any] = {}

        def app(environ: dict[str, Any], start: Start) -> list[bytes]:
            seen.update(environ)
            start("201 Created", [("X-A", "1"), ("X-A", "2")])
            return [environ["wsgi.input"].read()]

        visitor = self.visit(app, request(b"a", True), request(b"b"), target=b"/%ff%C3%A9/%2F?q=%20", method="POST")
        await visitor.task
        self.assertEqual((seen["PATH_INFO"], seen["RAW_URI"]), ("/\xff\xc3\xa9//", "/%ff%C3%A9/%2F?q=%20"))
        self.assertEqual(
            (seen["QUERY_STRING"], seen["REMOTE_ADDR"], seen["HTTP_HOST"]), ("q=%20", "192.0.2.7", "a.example")
        )
        self.assertEqual((seen["wsgi.input_terminated"], seen["wsgi.errors"]), (True, sys.stderr))
        self.assertEqual((visitor.status, visitor.body), (201, b"ab"))
        self.assertEqual(visitor.sent[0]["headers"], [(b"x-a", b"1"), (b"x-a", b"2")])

    @on_loop
    async def test_reading(self) -> None:
        """Lines, limits and pieces are read as from a file."""

        def app(environ: dict[str, Any], start: Start) -> list[bytes]:
            body = environ["wsgi.input"]
            start("200 OK", [])
            return [repr([body.readline(2), body.readline(), body.read(3), *body]).encode()]

        pieces = [request(piece, True) for piece in (b"on", b"e\ntw", b"o th", b"", b"ree\nfour")]
        visitor = self.visit(app, *pieces, request(b""))
        await visitor.task
        self.assertEqual(visitor.body, repr([b"on", b"e\n", b"two", b" three\n", b"four"]).encode())

    @on_loop
    async def test_broken_body(self) -> None:
        """A body that broke off raises where it is read, and does not look complete."""
        outcome: list[object] = []

        def app(environ: dict[str, Any], start: Start) -> list[bytes]:
            try:
                outcome.append(environ["wsgi.input"].read())
            except OSError as error:
                outcome.append(error)
                raise
            return []

        await self.visit(app, request(b"a", True), GONE).task
        self.assertIsInstance(outcome[0], CallerGone)

    @on_loop
    async def test_caller_leaves(self) -> None:
        """A stream whose caller left ends at its next piece, and closes."""
        closed = threading.Event()
        go_on = threading.Event()

        class Answer:
            def __iter__(self) -> Iterator[bytes]:
                yield b"first"
                go_on.wait(10)
                while True:
                    yield b"more"

            def close(self) -> None:
                closed.set()

        def app(environ: dict[str, Any], start: Start) -> Answer:
            start("200 OK", [])
            return Answer()

        for leave in (lambda visitor: visitor.give(GONE), lambda visitor: visitor.task.cancel()):
            closed.clear()
            go_on.clear()
            visitor = self.visit(app, request())
            await begun(visitor)
            leave(visitor)
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.wait([visitor.task])
            await until(closed.is_set)

    @on_loop
    async def test_refused_message(self) -> None:
        """What the bridge refuses is what the call fails with, and the thread is free again."""

        def app(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            for _ in range(100):
                yield b"x"

        async def send(message: Message) -> None:
            raise InvalidMessage("no")

        messages = [request()]

        async def receive() -> Message:
            return messages.pop() if messages else await the_loop().create_future()

        backend = WsgiBackend(app, loop=the_loop(), threads=1)
        self.addCleanup(backend._threads.shutdown, wait=True)
        with self.assertRaises(InvalidMessage):
            await backend({**scope_of(), "http_version": "1.1"}, receive, send)
        visitor = Visitor(backend, {**scope_of(), "http_version": "1.1"}, request())
        await visitor.task
        self.assertEqual(len(visitor.body), 100)

    @on_loop
    async def test_failure(self) -> None:
        """What an application raises is what the call raises."""

        def app(environ: dict[str, Any], start: Start) -> list[bytes]:
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.visit(app, request()).task

    @on_loop
    async def test_slow_caller(self) -> None:
        """An application waits while the caller takes nothing."""
        made: list[int] = []

        def app(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
            start("200 OK", [])
            for number in range(200):
                made.append(number)
                yield b"x"

        visitor = self.visit(app, request())
        visitor.open.clear()
        await until(lambda: len(made) >= 10)
        self.assertLess(len(made), 20)
        visitor.open.set()
        await visitor.task
        self.assertEqual(len(visitor.body), 200)

    @on_loop
    async def test_other_scopes(self) -> None:
        """A lifespan is gone through, a WebSocket is denied."""
        backend = WsgiBackend(lambda environ, start: [], loop=the_loop(), threads=1)
        life = Visitor(backend, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        await life.task
        self.assertEqual(len(life.sent), 2)
        scope = {**scope_of(), "type": "websocket", "extensions": {"websocket.http.response": {}}}
        denied = Visitor(backend, scope, {"type": "websocket.connect"})
        await denied.task
        self.assertEqual((denied.status, denied.sent[0]["type"]), (400, "websocket.http.response.start"))
