"""
What a connection tells its owner.

Each event about a stream holds the L{Stream<anp_twisted.session.stream.Stream>}
itself, so that the owner finds its own object behind C{stream.owner} without a
table of its own. The collector tracks them, since an owner that keeps an event
closes a circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from anp_twisted.wire.heads import Goaway, Hello, Pairs, RequestHead, Reset, ResponseHead

if TYPE_CHECKING:
    from anp_twisted.session.stream import Stream


class HelloReceived(Struct, frozen=True):
    """The peer said who it is; streams may be opened now."""

    hello: Hello


class RequestReceived(Struct, frozen=True):
    """
    The peer opened a stream.

    @ivar body: the body bytes that came with the head.
    @ivar ended: whether they are all.
    """

    stream: Stream
    head: RequestHead
    body: bytes
    ended: bool


class InformationalReceived(Struct, frozen=True):
    """A head with a status below 200 came; the final one follows."""

    stream: Stream
    head: ResponseHead


class ResponseReceived(Struct, frozen=True):
    """
    The final head of the answer came.

    @ivar body: the body bytes that came with the head.
    @ivar ended: whether they are all.
    """

    stream: Stream
    head: ResponseHead
    body: bytes
    ended: bool


class AcceptReceived(Struct, frozen=True):
    """
    The application accepted the WebSocket; from now on messages go both ways.

    @ivar head: its status is 101.
    """

    stream: Stream
    head: ResponseHead


class MessageReceived(Struct, frozen=True):
    """
    A part of a WebSocket message came, or a close, which is the end of its direction.

    @ivar kind: L{TEXT<anp_twisted.wire.v2.TEXT>}, L{BINARY<anp_twisted.wire.v2.BINARY>} or
        L{CLOSE<anp_twisted.wire.v2.CLOSE>}; the same for all parts of a message.
    @ivar last: whether the message ends with it.
    @ivar cost: what to consume when it was taken.
    """

    stream: Stream
    kind: int
    body: bytes
    last: bool
    cost: int


class DataReceived(Struct, frozen=True):
    """
    Body bytes came, or the end, or both.

    @ivar trailers: fields behind the body; only where C{ended}.
    """

    stream: Stream
    body: bytes
    ended: bool
    trailers: Pairs


class StreamReset(Struct, frozen=True):
    """
    The peer, or the end of the connection, ended the stream before its time.

    Nothing more is heard of the stream, and nothing can be sent on it.
    """

    stream: Stream
    reset: Reset


class StreamWritable(Struct, frozen=True):
    """The producer that was asked to pause may go on."""

    stream: Stream


class StreamEnded(Struct, frozen=True):
    """Both sides are done: everything of this stream is on its way or was received."""

    stream: Stream


class GoawayReceived(Struct, frozen=True):
    """The peer takes no new stream."""

    goaway: Goaway


class PongReceived(Struct, frozen=True):
    """A PING of ours came back with its eight bytes."""

    opaque: bytes


Event = (
    HelloReceived
    | RequestReceived
    | InformationalReceived
    | ResponseReceived
    | AcceptReceived
    | DataReceived
    | MessageReceived
    | StreamReset
    | StreamWritable
    | StreamEnded
    | GoawayReceived
    | PongReceived
)
