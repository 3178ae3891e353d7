"""
The end of a link that a gateway has.

The HTTP front has authenticated the peer, and hands the connection over with the
bytes of its request. What is left is the handshake of RFC 6455, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from msgspec import structs
from twisted.internet.interfaces import IProtocol, IReactorTime

from anp_twisted.auth.identity import Identity
from anp_twisted.limits import Limits
from anp_twisted.problems import problem
from anp_twisted.session.connection import Connection, Role
from anp_twisted.transports import versions
from anp_twisted.transports.link import Link, LinkOwner, Soon, Wiring
from anp_twisted.transports.versions import Legacy
from anp_twisted.transports.websocket import LinkSocket, set_options
from anp_twisted.wire import v1
from anp_twisted.wire.heads import GatewayProof, Hello


class ServerSocket(LinkSocket, WebSocketServerProtocol):  # type: ignore[misc]
    """
    The WebSocket of one receiver.

    @ivar speak_v1: lets the link speak version 1; C{None} where that is not spoken.
    """

    speak_v1: Callable[[], None] | None = None

    def dataReceived(self, data: bytes) -> None:
        """Refuse a head without end before Autobahn keeps it."""
        if self.state == self.STATE_CONNECTING:
            head = self.data + data
            end = head.find(b"\r\n\r\n")
            if (len(head) if end < 0 else end) > self._most_head:
                self.failHandshake("", 431)
                return
        super().dataReceived(data)

    def onConnect(self, request: ConnectionRequest) -> str | None:
        """
        Choose the subprotocol.

        @raise ConnectionDeny: 403 for a browser, which no receiver is; 400 for a
            peer that does not offer what we speak.
        """
        if request.origin:
            raise ConnectionDeny(403, "")
        choice = versions.chosen(request.protocols, with_v1=self.speak_v1 is not None)
        if choice is None:
            raise ConnectionDeny(400, "")
        version, subprotocol = choice
        if version == v1.VERSION and self.speak_v1 is not None:
            self.speak_v1()
        return subprotocol

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """
        Answer a handshake that is refused.

        Autobahn would put its reason, which quotes the peer, into the status line.
        """
        extra = dict(responseHeaders or ())
        status = HTTPStatus(426 if "Sec-WebSocket-Version" in extra else code)
        fields, body = problem(status, "gateway", "the WebSocket handshake was refused", "")
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
        lines += [name + b": " + value for name, value in fields]
        lines += [f"{name}: {value}".encode() for name, value in extra.items()]
        self.sendData(b"\r\n".join([*lines, b"Connection: close", b"", body]))


class LinkServerFactory:
    """Makes the gateway's ends of links."""

    def __init__(
        self,
        clock: IReactorTime,
        soon: Soon,
        limits: Limits,
        owner: LinkOwner,
        hello: Callable[[Identity], Hello],
        *,
        legacy: Legacy | None = None,
        answer: Callable[[str, Identity], GatewayProof | None] | None = None,
    ) -> None:
        """
        @param hello: makes our HELLO for a peer of that identity.
        @param legacy: for receivers of version 1; without it, there are none.
        @param answer: proves this gateway to a peer that challenges it.
        """
        self._answer = answer
        self._wiring = Wiring(clock, soon, limits, owner)
        self._hello = hello
        self._legacy = legacy
        self._autobahn = WebSocketServerFactory(server="", reactor=clock)
        set_options(self._autobahn, limits)

    def follow(self, limits: Limits) -> None:
        """Give links that are made from now on other caps."""
        self._wiring = replace(self._wiring, limits=limits)
        set_options(self._autobahn, limits)

    def protocol(self, identity: Identity, address: tuple[str, int]) -> IProtocol:
        """
        Make the protocol that takes over a connection.

        @param identity: who the peer has proved to be.
        @param address: where it comes from.
        @return: wants C{makeConnection}, then every byte of the request and what follows it.
        """
        limits = self._wiring.limits
        socket = ServerSocket(limits)
        socket.factory = self._autobahn
        reply = None if self._answer is None else partial(self._reply, self._answer, identity)
        connection = Connection(Role.GATEWAY, self._hello(identity), limits, reply=reply)
        remote = f"{address[0]}:{address[1]}"
        socket.link = Link(socket, connection, self._wiring, identity=identity, remote=remote)
        if self._legacy is not None:
            socket.speak_v1 = partial(self._speak_v1, self._legacy, socket)
        return socket

    def _reply(self, answer: Callable[[str, Identity], GatewayProof | None], identity: Identity, peer: Hello) -> Hello:
        """Make our HELLO for a peer that has said its own."""
        return structs.replace(self._hello(identity), proof=answer(peer.challenge, identity))

    def _speak_v1(self, legacy: Legacy, socket: ServerSocket) -> None:
        """Let a link speak version 1; such a receiver announces no paths, so it serves what is its own."""
        limits, link = self._wiring.limits, socket.link
        hello = self._hello(link.identity)
        link.speak(legacy.connection(Role.GATEWAY, hello, limits, now=self._wiring.clock.seconds()))
        socket.take_larger(limits.v1_frame)
