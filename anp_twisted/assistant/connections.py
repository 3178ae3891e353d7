"""
All clients of the WebSocket: who may connect, how often each may speak, and the end of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from anp_twisted.assistant.around import Around
from anp_twisted.assistant.connection import REVOKED, Connection
from anp_twisted.assistant.errors import Overloaded
from anp_twisted.assistant.tokens import Principal
from anp_twisted.networks import caller_key
from anp_twisted.ratelimit import Buckets
from anp_twisted.rates import Rate
from anp_twisted.transports.caller import CallerSocket, CallerSockets

MethodCall = Callable[[Connection, Any], Any]
"""Takes who calls and the parameters, and returns a result or a Deferred of it; raises an C{RpcError}."""

_LOOK = 1.0
_SLACK = 2


class Connections:
    """
    The table.

    @ivar methods: what implements each method, by its name; whoever builds the gateway fills it.
    @ivar resyncs: how often a client lost its subscriptions, since it took too little.
    """

    log = Logger()

    def __init__(self, around: Around, rate: Rate) -> None:
        """
        @param rate: messages of one principal, and of one address for those who have not said who they are.
        """
        self.around = around
        self.methods: Mapping[str, MethodCall] = {}
        self.resyncs = 0
        limits = around.limits
        self._buckets = Buckets(rate, limits.rate_buckets)
        self._open: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._looking: LoopingCall | None = None
        # The caps of the socket are those of this gateway, whatever callers of other WebSockets may do.
        self._sockets = CallerSockets(
            around.clock,
            replace(
                limits,
                websocket_message=limits.assistant_message,
                websocket_ping_after=limits.assistant_heartbeat,
                websocket_dead_after=limits.assistant_heartbeat * _SLACK,
            ),
        )

    def __len__(self) -> int:
        return len(self._open)

    # --- who comes --------------------------------------------------------------------

    def has_room(self, address: str) -> bool:
        """Whether one more may connect from an address."""
        limits = self.around.limits
        if len(self._open) >= limits.assistant_connections:
            return False
        return self._by_address[caller_key(address)] < limits.assistant_connections_per_address

    def claim(self, principal: Principal) -> None:
        """
        See whether one more connection may belong to somebody.

        @raise Overloaded: there are too many already.
        """
        count = sum(1 for one in self._open if one.principal is not None and one.principal.name == principal.name)
        if count >= self.around.limits.assistant_connections_per_principal:
            raise Overloaded("there are too many connections with this token")

    def make(self, address: str, principal: Principal | None, head: bytes) -> CallerSocket:
        """
        Make a connection.

        @param head: what opens the WebSocket.
        @return: the protocol that takes over the transport.
        """
        connection = Connection(self, caller_key(address), principal)
        connection.socket = socket = self._sockets.make(connection, head, None)
        self.add(connection)
        return socket

    def add(self, connection: Connection) -> None:
        """Look after a connection until it is gone."""
        self._open.add(connection)
        self._by_address[connection.address] += 1
        if self._looking is None:
            self._looking = LoopingCall(self._look)
            self._looking.clock = self.around.clock
            self._looking.start(_LOOK, now=False)

    def gone(self, connection: Connection) -> None:
        """Forget a connection whose transport is gone."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        if not self._open and self._looking is not None:
            self._looking.stop()
            self._looking = None

    def charge(self, connection: Connection) -> float:
        """
        Count a message.

        @return: 0 if it may be worked on, else seconds until the next one may.
        """
        who = connection.principal
        owner = f"@{who.name}" if who is not None else connection.address
        return self.spend(owner)

    def spend(self, owner: str) -> float:
        """
        Count a message of somebody, however it came.

        @param owner: C{@} and the principal, or an address.
        @return: 0 if it may be worked on, else seconds until the next one may.
        """
        verdict = self._buckets.take(owner, self.around.clock.seconds())
        return 0.0 if verdict.allowed else verdict.seconds

    # --- time and the end --------------------------------------------------------------

    def _look(self) -> None:
        now = self.around.clock.seconds()
        for connection in list(self._open):
            try:
                connection.look(now)
            except Exception:  # noqa: BLE001
                # boundary: one that fails must not stop the clock of all.
                self.log.failure("a connection could not be looked at")

    def revoke(self, token_id: str) -> int:
        """
        Close what was connected by a token.

        @return: how many there were.
        """
        found = [one for one in self._open if one.principal is not None and one.principal.token_id == token_id]
        for connection in found:
            connection.close(REVOKED, "the token was revoked")
        return len(found)

    def close_all(self, code: int, reason: str) -> None:
        """Say goodbye to everybody."""
        for connection in list(self._open):
            connection.close(code, reason)

    def abort_all(self) -> None:
        """Cut everybody off."""
        for connection in list(self._open):
            connection.socket.abort()
