"""
A caller, a gateway's connection and a receiver's, back to back in one process.

Frames go through the real sessions on the real loop; only the socket is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from twisted.internet.defer import Deferred

from anp_twisted.errors import Code
from anp_twisted.eventloop import loop_of
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import App
from anp_twisted.receiver.bridge import AppBridge, Waker
from anp_twisted.session import events
from anp_twisted.session.connection import Connection, Role
from anp_twisted.session.stream import Stream
from anp_twisted.wire.heads import Hello, RequestHead, Reset, ResponseHead

LIMITS = Limits(cancel_grace=0.0, startup=1.0, shutdown=1.0)


def the_loop() -> asyncio.AbstractEventLoop:
    """
    @return: the loop under the reactor of the tests.
    """
    from twisted.internet import reactor

    return loop_of(reactor)


def on_loop(method: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Deferred[None]]:
    """Make a test of a coroutine that awaits asyncio futures."""

    @wraps(method)
    def test(self: object) -> Deferred[None]:
        return Deferred.fromFuture(the_loop().create_task(method(self)))

    return test


class Caller:
    """
    Who waits for an answer at the gateway's side.

    @ivar greedy: whether the bytes of the answer are taken as they come.
    @ivar informational: statuses below 200.
    @ivar pieces: the body in the pieces in which it came.
    @ivar head: the head of the answer, or C{None} if none will come.
    @ivar outcome: C{None} when the stream ended well, else why it did not.
    """

    stream: Stream

    def __init__(self, link: Waker) -> None:
        loop = the_loop()
        self.greedy = True
        self.informational: list[int] = []
        self.pieces: list[bytes] = []
        self.trailers: list[tuple[str, str]] = []
        self.writable = 0
        self.head: asyncio.Future[ResponseHead | None] = loop.create_future()
        self.outcome: asyncio.Future[Reset | None] = loop.create_future()
        self._link = link

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def send(self, *pieces: bytes, end: bool = False) -> None:
        for piece in pieces:
            self.stream.send_data(piece)
        if end:
            self.stream.send_end()
        self._link.wake()

    def leave(self) -> None:
        self.stream.reset(Code.CANCELLED, "gateway", "the caller left")
        self._link.wake()

    def stream_event(self, event: events.Event) -> None:
        match event:
            case events.InformationalReceived(head=head):
                self.informational.append(head.status)
            case events.ResponseReceived(head=head, body=body, ended=ended):
                self.head.set_result(head)
                self._body(body, ended)
            case events.DataReceived(body=body, ended=ended, trailers=trailers):
                self.trailers += trailers
                self._body(body, ended)
            case events.StreamReset(reset=reset):
                self._over(reset)
            case events.StreamWritable():
                self.writable += 1

    def _body(self, body: bytes, ended: bool) -> None:
        if body:
            self.pieces.append(body)
            if self.greedy:
                self.stream.consume(len(body))
        if ended:
            self._over(None)

    def _over(self, reset: Reset | None) -> None:
        if not self.head.done():
            self.head.set_result(None)
        if not self.outcome.done():
            self.outcome.set_result(reset)


class Tunnel:
    """
    Both connections.

    @ivar wakes: how often the link was asked to send.
    """

    def __init__(self, app: App, limits: Limits = LIMITS, root_path: str = "") -> None:
        self.loop = the_loop()
        self.limits = limits
        self.bridge = AppBridge(app, loop=self.loop, limits=limits, root_path=root_path)
        self.wakes = 0
        self.gateway = Connection(Role.GATEWAY, self._hello(), limits)
        self.receiver = Connection(Role.RECEIVER, self._hello(), limits)
        self._due = False
        self._pump()

    def _hello(self) -> Hello:
        return Hello([2], self.limits.stream_window, self.limits.connection_window, self.limits.streams)

    def request(
        self,
        method: str = "GET",
        target: str = "/",
        headers: list[tuple[str, str]] | None = None,
        *pieces: bytes,
        end: bool = True,
    ) -> Caller:
        """Open a stream; it is under way when this returns."""
        caller = Caller(self)
        head = RequestHead(method, target, headers or [("Host", "example.org")], client=("203.0.113.7", 4711), id="r-1")
        caller.stream = self.gateway.open(head, caller)
        caller.send(*pieces, end=end)
        return caller

    def wake(self) -> None:
        self.wakes += 1
        if not self._due:
            self._due = True
            self.loop.call_soon(self._pump)

    def lose(self) -> None:
        """Cut the link."""
        for connection in (self.receiver, self.gateway):
            self._tell(connection.close(Code.TIMEOUT, "the link was lost"))

    def _pump(self) -> None:
        self._due = False
        moved = True
        while moved:
            moved = self._shift(self.gateway, self.receiver) | self._shift(self.receiver, self.gateway)

    def _shift(self, source: Connection, sink: Connection) -> bool:
        moved = False
        while (frame := source.next_frame()) is not None:
            sink.receive(frame)
            moved = True
        self._tell(source.take_events())
        self._tell(sink.take_events())
        return moved

    def _tell(self, happened: list[events.Event]) -> None:
        for event in happened:
            if isinstance(event, events.RequestReceived):
                self.bridge.request_received(self, event)
            elif isinstance(event, events.HelloReceived | events.GoawayReceived | events.PongReceived):
                continue
            elif event.stream.owner is not None:
                event.stream.owner.stream_event(event)
