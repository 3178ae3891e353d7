"""
One request on one connection to a HTTP server, as a coroutine sees it.

What comes of the answer waits here until it is taken; when much waits, nothing
more is read from the server.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from anp_twisted.errors import ANPError, BackendFault, BackendTimeout
from anp_twisted.limits import Limits
from anp_twisted.receiver.target_pool import TargetConnection
from anp_twisted.receiver.target_reply import Part, Reply, ReplyEnd, ReplyEvent
from anp_twisted.tasks import Bell
from anp_twisted.transports.reasons import explain


class CallerLeft(ANPError):
    """Nobody waits for the answer any more."""


class Stale(BackendFault):
    """A connection that had rested was closed before the server can have seen the request."""


class TargetExchange:
    """
    A L{User<anp_twisted.receiver.target_pool.User>} of a connection.

    @ivar reply: the answer.
    @ivar sent: whether all of the request was written.
    """

    def __init__(self, method: str, loop: Any, limits: Limits) -> None:
        """
        @param method: of the request.
        @param loop: the asyncio loop.
        """
        self.reply = Reply(method, limits)
        self.sent = False
        self._limits = limits
        self._bell = Bell(loop)
        self._loop = loop
        self._connection: TargetConnection | None = None
        self._events: deque[ReplyEvent] = deque()
        self._held = 0  # body bytes among them
        self._failure: ANPError | None = None
        self._continued = False

    # --- from the connection --------------------------------------------------

    def received(self, data: bytes) -> None:
        """Keep what came."""
        try:
            events = self.reply.feed(data)
        except BackendFault as error:
            self.fail(error)
            return
        self._keep(events)
        if self._held > self._limits.stream_backlog and self._connection is not None:
            self._connection.listen(False)

    def lost(self, reason: Failure) -> None:
        """Find out whether the end of the connection is the end of the answer."""
        connection, self._connection = self._connection, None
        try:
            self._keep(self.reply.closed(reason.check(ConnectionDone) is not None))
        except BackendFault as error:
            self.fail(self._named(error, reason, connection))

    def _named(self, error: BackendFault, reason: Failure, connection: TargetConnection | None) -> BackendFault:
        """Say why there is no answer, as well as it is known."""
        if self.reply.begun:
            return error
        if connection is not None and connection.requests > 1:
            return Stale(str(error))
        return error if reason.check(ConnectionDone) else BackendFault(explain(reason.value, "the target"))

    def writable(self) -> None:
        """Let L{write} go on."""
        self._bell.ring()

    def too_slow(self) -> None:
        """Wait no longer."""
        self.fail(BackendTimeout(f"it said nothing for {self._limits.target_silence:g} s"))

    def _keep(self, events: list[ReplyEvent]) -> None:
        """Let L{next_event} have them."""
        for event in events:
            if type(event) is bytes:
                self._held += len(event)
            self._events.append(event)
        self._bell.ring()

    # --- for the coroutines ---------------------------------------------------

    def begin(self, connection: TargetConnection, data: bytes) -> None:
        """
        Send the first bytes.

        @param connection: which was lent to this.
        """
        self._connection = connection
        connection.write(data)

    async def write(self, data: bytes) -> None:
        """
        Send bytes; returns when there is room for more, or no use in it.
        """
        if self._connection is not None:
            self._connection.write(data)
        while self._connection is not None and self._connection.full and self._waits_for_answer:
            await self._bell.wait()

    @property
    def _waits_for_answer(self) -> bool:
        """Whether there is still something to come from the server."""
        return self._failure is None and self.reply.part is not Part.DONE

    async def may_send_body(self) -> bool:
        """
        Wait for the server's word that it wants the body, for some time.

        @return: C{False} if it has answered without it.
        """
        alarm = self._loop.call_later(self._limits.target_continue, self.continued)
        try:
            while not self._continued and self._waits_for_answer and self.reply.part is Part.HEAD:
                await self._bell.wait()
        finally:
            alarm.cancel()
        return self._waits_for_answer and self.reply.part is Part.HEAD

    def continued(self) -> None:
        """The body is wanted."""
        self._continued = True
        self._bell.ring()

    async def next_event(self) -> ReplyEvent:
        """
        Wait for what comes next of the answer.

        @raise BackendFault: if there will be nothing.
        @raise CallerLeft: if nobody wants it.
        """
        while not self._events:
            if self._failure is not None:
                raise self._failure
            await self._bell.wait()
        event = self._events.popleft()
        if type(event) is bytes:
            self._held -= len(event)
            if self._held <= self._limits.stream_backlog // 2 and self._connection is not None:
                self._connection.listen(True)
        return event

    def ends_here(self) -> bool:
        """Whether what was taken last is followed by the end alone; then that is taken too."""
        if self._events and self._events[0] == ReplyEnd([]):
            self._events.popleft()
            return True
        return False

    def fail(self, error: ANPError) -> None:
        """Let whoever waits know that the exchange is over; the first reason counts."""
        if self._failure is None:
            self._failure = error
        self.end()
        self._bell.ring()

    def end(self) -> None:
        """Give the connection back; one on which something is left undone ends."""
        connection, self._connection = self._connection, None
        if connection is not None:
            complete = self._failure is None and self.sent and self.reply.part is Part.DONE
            connection.give_back(reusable=complete and self.reply.reusable)
