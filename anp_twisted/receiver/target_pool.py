"""
Connections to one HTTP server: kept, counted and given to one request at a time.

A connection rests between two requests for less time than common servers wait, so
that it is seldom closed just when it is used again. How old it may be for a
request is the request's choice.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, NoReturn, Protocol

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IDelayedCall, IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as Connected
from twisted.python.failure import Failure

from anp_twisted.errors import BackendBusy, BackendFault, BackendTimeout
from anp_twisted.http.sockets import send_now
from anp_twisted.limits import Limits
from anp_twisted.tasks import Bell
from anp_twisted.transports.reasons import explain
from anp_twisted.transports.websocket import tune

_LOOK = 1.0
"""Seconds between two looks at all connections: no connection has a timer of its own."""


def prepare(transport: Any) -> None:
    """Set the options of a connection to a server, unless it is over a socket file, which has none of them."""
    if not isinstance(transport.getPeer(), UNIXAddress):
        tune(transport)


class User(Protocol):
    """The request that has a connection."""

    def received(self, data: bytes) -> None:
        """Bytes of the answer came."""

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""

    def writable(self) -> None:
        """More may be written."""

    def too_slow(self) -> None:
        """The server is silent for too long."""


class Condition(Enum):
    """
    What a connection is for.

    C{RESTING}: no request has it. C{BUSY}: one does. C{LEAVING}: it will not be
    used again. C{GONE}: there is no socket any more.
    """

    RESTING = auto()
    BUSY = auto()
    LEAVING = auto()
    GONE = auto()


class TargetConnection(Connected):
    """
    One connection; it is the producer of its transport.

    @ivar condition: what it is for.
    @ivar requests: how many it has carried, the one it carries included.
    @ivar touched: when something last moved, in seconds of the clock.
    @ivar full: nothing more should be written now.
    """

    transport: Any

    def __init__(self, pool: TargetPool) -> None:
        self.condition = Condition.RESTING
        self.requests = 0
        self.touched = pool.clock.seconds()
        self.full = False
        self._pool = pool
        self._user: User | None = None
        self._deaf = False  # nothing is read

    # --- from the transport -------------------------------------------------

    def connectionMade(self) -> None:
        """Wait for a request."""
        prepare(self.transport)
        self.transport.registerProducer(self, True)
        self._pool.made(self)

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes on; a server that talks without being asked cannot be understood later."""
        self.touched = self._pool.clock.seconds()
        if self._user is not None:
            self._user.received(data)
        else:
            self.cut()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever needs to know."""
        user, self._user = self._user, None
        self.condition = Condition.GONE
        self._pool.gone(self)
        if user is not None:
            user.lost(reason)

    def pauseProducing(self) -> None:
        """The socket takes no more."""
        self.full = True

    def resumeProducing(self) -> None:
        """The socket took everything."""
        self.full = False
        self.touched = self._pool.clock.seconds()
        if self._user is not None:
            self._user.writable()

    def stopProducing(self) -> None:
        """The socket is about to go; L{connectionLost} follows."""

    # --- for the user ---------------------------------------------------------

    def lend(self, user: User) -> None:
        """Give it to a request."""
        self.condition = Condition.BUSY
        self.requests += 1
        self.touched = self._pool.clock.seconds()
        self._user = user

    def write(self, data: bytes) -> None:
        """Send bytes; look at L{full} afterwards."""
        self.touched = self._pool.clock.seconds()
        send_now(self.transport, data)

    def listen(self, wanted: bool) -> None:
        """Read on, or let the server wait."""
        if self._deaf is not wanted or self.condition is not Condition.BUSY:
            return
        self._deaf = not wanted
        self.touched = self._pool.clock.seconds()
        if wanted:
            self.transport.resumeProducing()
        else:
            self.transport.pauseProducing()

    def give_back(self, *, reusable: bool) -> None:
        """Let the request go. A connection that cannot be used again ends, and with it what the server still does."""
        self.listen(True)
        self._user = None
        if self.condition is not Condition.BUSY:
            return
        if reusable:
            self.condition = Condition.RESTING
            self.touched = self._pool.clock.seconds()
            self._pool.rest(self)
        else:
            self.cut()

    def cut(self) -> None:
        """End the connection now."""
        self._user = None
        if self.condition is not Condition.GONE:
            self.condition = Condition.LEAVING
            self._pool.leave(self)
            self.transport.abortConnection()

    # --- for the pool ---------------------------------------------------------

    def look(self, now: float, limits: Limits) -> None:
        """End what rests for too long, and tell the request that waits for too long."""
        quiet = now - self.touched
        if self.condition is Condition.RESTING and quiet > limits.target_rest:
            self.cut()
        elif self._user is not None and not self._deaf and 0 < limits.target_silence < quiet:
            self._user.too_slow()


class TargetPool:
    """
    The connections.

    @ivar clock: the reactor's time.
    @ivar opened: connections that were made, since the start.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime, loop: Any, limits: Limits) -> None:
        """
        @param endpoint: makes a connection, with TLS if that is spoken.
        @param loop: the asyncio loop under the reactor.
        """
        self.clock = clock
        self.opened = 0
        self._endpoint = endpoint
        self._loop = loop
        self._limits = limits
        self._turn = Bell(loop)  # rings when a connection is free, or may be made
        self._count = 0  # made or being made
        self._all: set[TargetConnection] = set()
        self._resting: list[TargetConnection] = []
        self._next_look: IDelayedCall | None = None

    @property
    def count(self) -> int:
        """How many connections there are, those that are being made included."""
        return self._count

    @property
    def resting(self) -> int:
        """How many of them have no request."""
        return len(self._resting)

    async def take(self, user: User, *, rested: float) -> TargetConnection:
        """
        Find a connection for a request, or make one.

        @param rested: how long it may have had no request, in seconds; a new one
            has never rested.
        @raise BackendFault: if there is none to be had.
        """
        connection = self._find(rested)
        if connection is None:
            until = self._deadline()
            while (connection := self._find(rested)) is None:
                if await self._room(until):
                    await self._make(Factory.forProtocol(lambda: TargetConnection(self)))
        connection.lend(user)
        return connection

    async def connect(self, factory: Factory) -> IProtocol:
        """
        Make a connection of another kind; it counts as one of the pool's until L{release}.

        @param factory: makes its protocol.
        @raise BackendFault: if there is none to be had.
        """
        until = self._deadline()
        while not await self._room(until):
            pass
        return await self._make(factory)

    def _deadline(self) -> float:
        """When to wait no longer for a turn."""
        return self.clock.seconds() + self._limits.target_connect

    def _find(self, rested: float) -> TargetConnection | None:
        """Find a connection that is young enough: the one that rested least, so that surplus ones grow old."""
        if not self._resting:
            return None
        connection = self._resting[-1]
        if connection.requests and self.clock.seconds() - connection.touched > rested:
            return None
        return self._resting.pop()

    async def _room(self, until: float) -> bool:
        """
        Tell whether a connection may be made; if not, wait for something to change.

        @raise BackendBusy: when it takes too long.
        """
        if self._count < self._limits.target_connections:
            return True
        if self.clock.seconds() >= until:
            raise BackendBusy(f"all {self._limits.target_connections} connections are in use")
        if self._resting:
            self._resting[0].cut()  # too old for this request, and in its way
            return False
        alarm = self.clock.callLater(until - self.clock.seconds(), self._turn.ring)
        try:
            await self._turn.wait()
        finally:
            if alarm.active():
                alarm.cancel()
        return False

    async def _make(self, factory: Factory) -> IProtocol:
        """
        Make a connection.

        @raise BackendFault: if the server cannot be reached.
        """
        self._count += 1
        factory.noisy = False
        attempt = self._endpoint.connect(factory)
        attempt.addTimeout(self._limits.target_connect, self.clock)
        attempt.addErrback(self._unreachable)
        protocol: IProtocol = await attempt.asFuture(self._loop)
        return protocol

    def _unreachable(self, reason: Failure) -> NoReturn:
        """Say what is wrong with a connection that was not made."""
        self.release()
        if reason.check(TimeoutError):
            raise BackendTimeout(f"no connection within {self._limits.target_connect:g} s")
        raise BackendFault(explain(reason.value, "the target"))

    def release(self) -> None:
        """Make room for another connection."""
        self._count -= 1
        self._turn.ring()

    def close(self) -> None:
        """End every connection; what still runs on them fails."""
        for connection in list(self._all):
            connection.cut()

    # --- from the connections -------------------------------------------------

    def made(self, connection: TargetConnection) -> None:
        """A connection waits for its first request."""
        self.opened += 1
        self._all.add(connection)
        self.rest(connection)
        if self._next_look is None:
            self._next_look = self.clock.callLater(_LOOK, self._look)

    def rest(self, connection: TargetConnection) -> None:
        """A connection may be used."""
        self._resting.append(connection)
        self._turn.ring()

    def leave(self, connection: TargetConnection) -> None:
        """A connection may not be used any more."""
        if connection in self._resting:
            self._resting.remove(connection)

    def gone(self, connection: TargetConnection) -> None:
        """A connection ended."""
        self.leave(connection)
        self._all.discard(connection)
        self.release()
        if not self._all and self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def _look(self) -> None:
        """Look at every connection."""
        self._next_look = self.clock.callLater(_LOOK, self._look)
        now = self.clock.seconds()
        for connection in list(self._all):
            connection.look(now, self._limits)
