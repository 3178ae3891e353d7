"""
One connection to the gateway: calls that are answered, events that come.

It ends once and says so once; whoever wants another one makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from txaio.tx import make_logger

from anp_twisted.assistant import types
from anp_twisted.errors import RemoteError
from anp_twisted.limits import MIB, Limits
from anp_twisted.transports.reasons import explain
from anp_twisted.transports.websocket import set_options

T = TypeVar("T")

SILENCE = 45.0
"""Seconds without a byte after which the gateway is asked: it asks after 30 by itself."""

PATIENCE = 15.0
"""Seconds for the answer to that, and to C{connect}."""


class CallFailed(RemoteError):
    """
    The gateway answered a call with an error; the text is its sentence.

    @ivar word: C{data.code}, such as C{not_found}.
    @ivar retryable: whether the same call may succeed later.
    """

    def __init__(self, sentence: str, word: str, *, retryable: bool = False) -> None:
        super().__init__(sentence)
        self.word = word
        self.retryable = retryable


class LinkDown(RemoteError):
    """There is no connection, or it was lost before an answer came; the text says why."""


class _Data(msgspec.Struct):
    code: str = ""
    retryable: bool = False


class _Error(msgspec.Struct):
    code: int
    message: str
    data: _Data = msgspec.field(default_factory=_Data)


class _Incoming(msgspec.Struct):
    """Any message of the gateway."""

    id: int | str | None = None
    method: str = ""
    params: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Incoming).decode
_decode_event = msgspec.json.Decoder(types.AnyEvent).decode
_encode = msgspec.json.Encoder().encode


class Listener(Protocol):
    """Who a connection is for."""

    def event(self, event: types.AnyEvent) -> None:
        """Something happened in a session."""

    def down(self, reason: LinkDown) -> None:
        """The connection is gone; called once, and only after it was open."""


class State(Enum):
    """How far a connection has come."""

    OPENING = auto()
    OPEN = auto()
    DOWN = auto()


class Link:
    """
    The connection.

    @ivar opened: fires when calls can be made; fails with L{LinkDown}.
    """

    def __init__(self, listener: Listener, clock: IReactorTime) -> None:
        self.opened: Deferred[Link] = Deferred(self._not_wanted)
        self._listener = listener
        self._clock = clock
        self._state = State.OPENING
        self._socket: ChatSocket | None = None
        self._calls: dict[int, tuple[Any, Deferred[Any]]] = {}
        self._next = 1
        self._timer: IDelayedCall | None = None

    def call(self, method: str, params: types.Params, result: type[T]) -> Deferred[T]:
        """
        Call a method.

        @param result: what its result is.
        @return: fires with the result; fails with L{CallFailed}, or with L{LinkDown} if nobody knows whether it was
            done.
        """
        waiting: Deferred[T] = Deferred()
        if self._state is not State.OPEN or self._socket is None:
            waiting.errback(LinkDown("there is no connection"))
            return waiting
        number, self._next = self._next, self._next + 1
        self._calls[number] = result, waiting
        socket: Any = self._socket
        socket.sendMessage(_encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        return waiting

    def close(self) -> None:
        """End it; what is still waiting fails."""
        if self._socket is not None:
            self._socket.sendClose(1000)
            self._socket.transport.loseConnection()
        self.lost("the connection was closed")

    # --- from the socket --------------------------------------------------------

    def socket_open(self, socket: ChatSocket) -> None:
        """The WebSocket is there."""
        self._socket = socket
        if self._state is not State.OPENING:
            socket.transport.abortConnection()
            return
        self._state = State.OPEN
        self._listen()
        self.opened.callback(self)

    def received(self, data: bytes) -> None:
        """A message came."""
        if self._state is State.DOWN:
            return
        self._listen()
        try:
            message = _decode(data)
            event = _decode_event(message.params) if message.method == "event" else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # of a newer gateway, perhaps: an event that this client does not know
        if event is not None:
            self._listener.event(event)
        elif isinstance(message.id, int):
            self._answered(message.id, message)

    def _answered(self, number: int, message: _Incoming) -> None:
        result, waiting = self._calls.pop(number, (None, None))
        if waiting is None:
            return
        if message.error is not None:
            error = message.error
            waiting.errback(CallFailed(error.message, error.data.code, retryable=error.data.retryable))
            return
        try:
            value = msgspec.json.decode(message.result, type=result)
        except msgspec.DecodeError:
            waiting.errback(CallFailed("the answer cannot be read", "unreadable"))
            return
        waiting.callback(value)

    def lost(self, reason: str) -> None:
        """There is no connection, or no longer."""
        before, self._state = self._state, State.DOWN
        if before is State.DOWN:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        down = LinkDown(reason)
        if before is State.OPENING:
            self.opened.errback(down)
            return
        calls, self._calls = self._calls, {}
        for _, waiting in calls.values():
            waiting.errback(down)
        self._listener.down(down)

    def _not_wanted(self, opened: Deferred[Link]) -> None:
        self._state = State.DOWN

    # --- liveness -----------------------------------------------------------------

    def _listen(self) -> None:
        """Something came: be patient again."""
        if self._timer is None:
            self._timer = self._clock.callLater(SILENCE, self._ask)
        else:
            self._timer.reset(SILENCE)

    def _ask(self) -> None:
        """Nothing came for a while."""
        self._timer = self._clock.callLater(PATIENCE, self._silent)
        self.call("health", types.NoParams(), types.Health).addErrback(lambda failure: None)

    def _silent(self) -> None:
        self._timer = None
        socket = self._socket
        self.lost("the gateway is silent")
        if socket is not None:
            socket.transport.abortConnection()


class ChatSocket(WebSocketClientProtocol):
    """The WebSocket below a L{Link}."""

    log = make_logger(level="none")  # type: ignore[no-untyped-call]
    link: Link
    transport: Any

    def onOpen(self) -> None:
        """Tell the link."""
        self.link.socket_open(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Tell the link; a binary message means nothing."""
        if not isBinary:
            self.link.received(payload)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell the link, with the status or close code where there is one."""
        super().connectionLost(reason)
        status = getattr(self, "http_status_line", "").split()[1:2]
        if status and status[0] != "101":
            self.link.lost(f"the gateway answered {status[0][:3]}")
        elif self.remoteCloseCode not in (None, 1006):
            self.link.lost(f"the gateway closed the connection with {self.remoteCloseCode}")
        else:
            self.link.lost("the connection was lost")


def dial(
    endpoint: IStreamClientEndpoint, url: str, listener: Listener, *, clock: IReactorTime, limits: Limits
) -> Deferred[Link]:
    """
    Make a connection.

    @param url: C{ws[s]://host:port/path}.
    @return: fires with the open link; fails with L{LinkDown}.
    """
    link = Link(listener, clock)
    factory: Any = WebSocketClientFactory(url, useragent="anp-chat", reactor=clock)
    set_options(factory, replace(limits, frame=16 * MIB))  # a page of a history is larger than any frame of ours
    factory.noisy = False

    def build() -> ChatSocket:
        socket = ChatSocket()
        socket.link = link
        return socket

    factory.protocol = build
    connecting = endpoint.connect(factory)
    connecting.addErrback(lambda failure: link.lost(explain(failure.value)))
    return link.opened.addTimeout(limits.handshake, clock, _late(connecting))


def _late(connecting: Deferred[Any]) -> Callable[[Any, float], Any]:
    """Name a timeout, as C{Deferred.addTimeout} asks for it."""

    def late(result: Any, limit: float) -> Any:
        connecting.cancel()
        if isinstance(result, Failure) and result.check(CancelledError):
            raise LinkDown(f"no connection within {limit:g} s")
        return result

    return late
