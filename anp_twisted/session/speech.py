"""
What a link needs of a session, whichever version of ANPX it speaks.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from anp_twisted.errors import Code
from anp_twisted.session.connection import Role, State
from anp_twisted.session.events import Event
from anp_twisted.session.stream import Stream
from anp_twisted.wire.heads import Hello, RequestHead


class WebSocketPing(NamedTuple):
    """
    A PING of the WebSocket itself: version 1 has none of its own that every peer answers.

    @ivar payload: comes back in the PONG.
    """

    payload: bytes


Message = bytes | str | WebSocketPing
"""A binary message, a text message or a PING."""


class Waiting(Protocol):
    """What waits to be sent."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing that could be sent now."""


class Speech(Protocol):
    """
    One side of one connection: L{anp_twisted.session.connection.Connection} or
    L{anp_twisted.session.v1.ConnectionV1}.

    @ivar role: which side this is.
    @ivar state: where in its life it is.
    @ivar peer: what the peer said of itself, or what is known of one that says nothing.
    """

    role: Role
    state: State
    peer: Hello | None

    @property
    def streams(self) -> dict[int, Any]:
        """The streams that are alive, by id."""

    @property
    def room(self) -> int:
        """How many more streams this side may open now."""

    @property
    def outbound(self) -> Waiting:
        """What waits to be sent."""

    @property
    def speaks_text(self) -> bool:
        """Whether text messages are a part of it."""

    @property
    def losses(self) -> int:
        """How many values of heads it had no place for."""

    @property
    def excused(self) -> bool:
        """Whether the silence of the peer means nothing now."""

    def open(self, head: RequestHead, owner: object) -> Stream:
        """Open a stream; see L{anp_twisted.session.connection.Connection.open}."""

    def ping(self, opaque: bytes) -> None:
        """Ask for a sign of life, with eight bytes that come back."""

    def leave(self, code: Code = Code.DRAINING, retry_after: float = 0.0) -> None:
        """Take no new stream."""

    def close(self, code: Code, text: str = "") -> list[Event]:
        """End everything, since the link is gone; see L{anp_twisted.session.connection.Connection.close}."""

    def receive(self, message: bytes, now: float = 0.0) -> None:
        """
        Take a binary message.

        @param now: when it came, in seconds of a clock that only rises.
        @raise ConnectionFault: if the connection cannot go on.
        """

    def receive_text(self, text: str) -> None:
        """
        Take a text message; only where L{speaks_text}.

        @raise ConnectionFault: if the connection cannot go on.
        """

    def tick(self, now: float) -> float:
        """
        See to what time brings.

        @return: in how many seconds it wants to be called again at the latest.
        """

    def take_events(self) -> list[Event]:
        """Take what happened since the last call."""

    def next_frame(self) -> Message | None:
        """Make the next message to send; C{None} while there is nothing to send."""
