"""
One client on one WebSocket: calls in, answers and events out.

What comes is bounded by size, rate and by how many calls may be without an answer;
with more, the socket is not read. What goes out is bounded by L{Outbound}: a client
that takes nothing loses its subscriptions first and its connection then, and
nobody else notices.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant import jsonrpc
from anp_twisted.assistant.errors import (
    Forbidden,
    InternalError,
    MethodNotFound,
    Overloaded,
    RateLimited,
    RpcError,
    Unauthenticated,
)
from anp_twisted.assistant.feeds import Feed
from anp_twisted.assistant.jsonrpc import Call, Malformed
from anp_twisted.assistant.methods import ADMIN, ANYBODY, METHODS
from anp_twisted.assistant.outbound import Outbound
from anp_twisted.assistant.session import Session
from anp_twisted.assistant.tokens import Principal
from anp_twisted.assistant.types import ChatDelta
from anp_twisted.http.pace import NEVER
from anp_twisted.transports.caller import CallerSocket
from anp_twisted.wire import v2

if TYPE_CHECKING:
    from anp_twisted.assistant.connections import Connections

GOING_AWAY = 1001
UNSUPPORTED = 1003
POLICY = 1008
TOO_BIG = 1009
TRY_LATER = 1013
REVOKED = 4001


class Standing(Enum):
    """
    How well a client takes what it is sent.

    C{FINE}: at once. C{BEHIND}: something waits. C{CUT_OFF}: too much waited; its subscriptions have ended.
    C{CLOSED}: nothing is sent any more.
    """

    FINE = auto()
    BEHIND = auto()
    CUT_OFF = auto()
    CLOSED = auto()


class _Reply:
    """Where the answer of a call goes: out, or among those of its batch."""

    __slots__ = ("_connection", "_left", "_parts")

    def __init__(self, connection: Connection, count: int) -> None:
        """
        @param count: how many calls have to end before the batch is answered; 0 if it is none.
        """
        self._connection = connection
        self._left = count
        self._parts: list[bytes] = []

    def give(self, data: bytes | None) -> None:
        """
        @param data: the answer, C{None} for a notification.
        """
        if not self._left:
            self._connection.answered(data)
            return
        self._left -= 1
        if data is not None:
            self._parts.append(data)
        if not self._left:
            self._connection.answered(jsonrpc.batch(self._parts) if self._parts else None)
        else:
            self._connection.answered(None)


class Connection:
    """
    A client; it is the owner of the socket and the viewer of its feeds.

    @ivar principal: who it is, C{None} until it has said so.
    @ivar address: where it comes from, as L{anp_twisted.networks.caller_key} counts it.
    """

    log = Logger()

    def __init__(self, table: Connections, address: str, principal: Principal | None) -> None:
        self.address = address
        self.principal = principal
        self.socket: CallerSocket
        self._table = table
        self._limits = table.around.limits
        self._seconds = table.around.clock.seconds
        self._parts = bytearray()
        self._feeds: dict[str, Feed] = {}
        self._outbound: Outbound[Feed] = Outbound(self._limits.assistant_outbound)
        self._standing = Standing.FINE
        self._taken: list[Callable[[], None]] = []
        self._in_flight = 0
        self._unsent = 0  # answers among what waits
        self._refused = 0
        self._deadline = NEVER if principal is not None else self._seconds() + self._limits.assistant_stranger

    # --- messages in -----------------------------------------------------------------

    def part_received(self, kind: int, data: bytes, last: bool) -> None:
        """A message came, or a part of one."""
        if kind != v2.TEXT:
            self.close(UNSUPPORTED, "messages are text")
            return
        most = self._limits.assistant_message if self.principal else self._limits.assistant_stranger_message
        if len(self._parts) + len(data) > most:
            self.close(TOO_BIG, "the message is too large")
            return
        if not last or self._parts:
            self._parts += data
        if last:
            data, self._parts = bytes(self._parts) or data, bytearray()
            self._message(data)

    def _message(self, data: bytes) -> None:
        """Answer the calls of one message."""
        try:
            incoming = jsonrpc.parse(data, self._limits.assistant_batch)
        except RpcError as error:
            self._charge(1)
            self._begin(1)
            self.answered(jsonrpc.failure(jsonrpc.NULL, error))
            return
        items = incoming.items
        refusal = self._charge(len(items))
        reply = _Reply(self, len(items) if incoming.batch else 0)
        self._begin(len(items))
        for item in items:
            if isinstance(item, Malformed):
                reply.give(jsonrpc.failure(item.id, item.error))
            elif refusal is not None:
                reply.give(None if item.id is None else jsonrpc.failure(item.id, refusal))
            else:
                self._call(item, reply)

    def _charge(self, count: int) -> RpcError | None:
        """
        Count messages against the rate.

        @return: why they are not worked on, C{None} if they are.
        """
        refusal: RpcError | None = None
        for _ in range(count):
            after = self._table.charge(self)
            if after:
                refusal = RateLimited(retry_after=after)
        self._refused = self._refused + count if refusal is not None else 0
        if self._refused > self._limits.assistant_refusals:
            self.close(POLICY, "too many messages")
        return refusal

    def _begin(self, count: int) -> None:
        """Note calls; with too many the socket is read no more."""
        self._in_flight += count
        if self._in_flight >= self._limits.assistant_in_flight:
            self.socket.pause_reading()

    def _call(self, call: Call, reply: _Reply) -> None:
        """Find out what a call wants, and do it."""
        try:
            found = self._invoke(call)
        except RpcError as error:
            reply.give(None if call.id is None else jsonrpc.failure(call.id, error))
            return
        except Exception:  # noqa: BLE001
            # boundary: whatever a method could not bear fails this one call.
            self.log.failure("{method} failed", method=call.method)
            reply.give(None if call.id is None else jsonrpc.failure(call.id, InternalError()))
            return
        if isinstance(found, Deferred):
            found.addCallbacks(self._encoded, self._failed, callbackArgs=(call,), errbackArgs=(call,))
            found.addCallback(reply.give)
            # boundary: an answer that cannot be given is nobody's any more.
            found.addErrback(lambda failure: self.log.failure("an answer could not be given", failure))
        else:
            reply.give(self._encoded(found, call))

    def _invoke(self, call: Call) -> Any:
        """
        @return: what the method returns, or a Deferred of it.
        @raise RpcError: it cannot be called.
        """
        row = METHODS.get(call.method)
        if row is None or row.name not in self._table.methods:
            if self.principal is None:
                raise Unauthenticated
            raise MethodNotFound
        if row.access != ANYBODY and self.principal is None:
            raise Unauthenticated
        if row.access == ADMIN and not (self.principal and self.principal.is_admin):
            raise Forbidden
        return self._table.methods[row.name](self, jsonrpc.arguments(row.params, call.params))

    def _encoded(self, value: object, call: Call) -> bytes | None:
        return None if call.id is None else jsonrpc.result(call.id, value)

    def _failed(self, failure: Failure, call: Call) -> bytes | None:
        """Say what went wrong, or only that something did."""
        error = failure.value
        if not isinstance(error, RpcError):
            self.log.failure("{method} failed", failure, method=call.method)
            error = InternalError()
        return None if call.id is None else jsonrpc.failure(call.id, error)

    # --- for the methods --------------------------------------------------------------

    def become(self, principal: Principal) -> None:
        """
        Note who the client is.

        @raise Overloaded: there are too many connections of it.
        @raise Forbidden: it is somebody else already.
        """
        if self.principal is not None and self.principal.name != principal.name:
            raise Forbidden("this connection is somebody else's")
        if self.principal is None:
            self._table.claim(principal)
        self.principal = principal
        self._deadline = NEVER

    @property
    def who(self) -> Principal:
        """
        Who it is, where that is known.

        @raise Unauthenticated: nobody.
        """
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    def feed(self, session: Session, told: int) -> Feed:
        """
        Find the feed of a session, or make one.

        @param told: the last record that the client knows, for a new one.
        @raise Overloaded: there are too many.
        """
        key = str(session.key)
        feed = self._feeds.get(key)
        if feed is not None and feed.session is session:
            return feed
        if feed is not None:
            feed.end()
        if len(self._feeds) >= self._limits.assistant_feeds:
            raise Overloaded("this connection has too many subscriptions")
        feed = self._feeds[key] = Feed(session, self, told)
        return feed

    def feed_of(self, key: str) -> Feed | None:
        """
        @return: the feed of a session, if there is one.
        """
        return self._feeds.get(key)

    # --- messages out -----------------------------------------------------------------

    def answered(self, data: bytes | None) -> None:
        """
        A call has ended.

        @param data: what is sent, C{None} for nothing.
        """
        if data is None or self._standing is Standing.CLOSED:
            self._finished()
        elif self._standing is Standing.FINE:
            self.socket.send_part(v2.TEXT, data, True)
            self._finished()
        else:
            self._unsent += 1
            self._outbound.answer(data)

    def _finished(self) -> None:
        """A call is over, its answer sent: there is room for another one."""
        self._in_flight -= 1
        if self._in_flight < self._limits.assistant_in_flight:
            self.socket.resume_reading()

    def put_event(self, feed: Feed, data: bytes, seq: int) -> None:
        """Send an event, or keep it for a while."""
        if self._standing is Standing.FINE:
            feed.told = seq or feed.told
            self.socket.send_part(v2.TEXT, data, True)
        elif self._standing is Standing.BEHIND:
            self._outbound.event(feed, data, seq)
            self._check_room()

    def put_delta(self, feed: Feed, delta: ChatDelta, data: bytes) -> None:
        """Send a delta, or keep it, joined to the one before."""
        if self._standing is Standing.FINE:
            self.socket.send_part(v2.TEXT, data, True)
        elif self._standing is Standing.BEHIND:
            self._outbound.delta(feed, delta, data)
            self._check_room()

    def when_taken(self, ready: Callable[[], None]) -> None:
        """Call C{ready} when nothing waits for the client any more; in a later turn, if nothing does."""
        if self._standing is Standing.FINE:
            self._table.around.soon(ready)
        else:
            self._taken.append(ready)

    def feed_ended(self, feed: Feed) -> None:
        """Forget a feed."""
        key = str(feed.session.key)
        if self._feeds.get(key) is feed:
            del self._feeds[key]

    def _check_room(self) -> None:
        """End all subscriptions if too much waits, and tell the client from where to begin again."""
        if not self._outbound.overfull:
            return
        self._standing = Standing.CUT_OFF
        self._deadline = self._seconds() + self._limits.assistant_patience
        self._table.resyncs += 1
        self._outbound.drop_events()
        for feed in list(self._feeds.values()):
            self._outbound.event(feed, feed.resync())
            feed.end()

    # --- from the socket ---------------------------------------------------------------

    def caller_paused(self) -> None:
        """The client takes less than it is sent."""
        if self._standing is Standing.FINE:
            self._standing = Standing.BEHIND

    def caller_resumed(self) -> None:
        """The client has taken everything: send what waits, as long as it takes it."""
        if self._standing is Standing.CLOSED:
            return
        cut_off = self._standing is Standing.CUT_OFF
        self._standing = Standing.FINE
        while self._standing is Standing.FINE:
            item = self._outbound.take()
            if item is None:
                self._caught_up()
                return
            if item.owner is not None:
                item.owner.told = item.seq or item.owner.told
            self.socket.send_part(v2.TEXT, item.data, True)
            if item.owner is None:
                self._unsent -= 1
                self._finished()
        if cut_off and self._standing is Standing.BEHIND:
            self._standing = Standing.CUT_OFF

    def _caught_up(self) -> None:
        """Nothing waits any more."""
        if self.principal is not None:
            self._deadline = NEVER
        ready, self._taken = self._taken, []
        for one in ready:
            self._table.around.soon(one)

    def socket_closed(self, code: int, reason: bytes) -> None:
        """No message comes any more, and none is sent."""
        self._end()

    def socket_gone(self) -> None:
        """The transport is gone."""
        self._end()
        self._table.gone(self)

    def _end(self) -> None:
        if self._standing is not Standing.CLOSED:
            self._standing = Standing.CLOSED
            self._taken.clear()
            self._outbound.drop_events()
            for feed in list(self._feeds.values()):
                feed.end()

    # --- the end ------------------------------------------------------------------------

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; nothing that waits is sent any more."""
        self._end()
        self.socket.close(code, reason.encode())

    def look(self, now: float) -> None:
        """See how the client is; called every second or so."""
        self.socket.look(now)
        if now >= self._deadline and self._standing is not Standing.CLOSED:
            if self.principal is None:
                self.close(POLICY, "no token came")
            else:
                self.close(TRY_LATER, "too slow")
