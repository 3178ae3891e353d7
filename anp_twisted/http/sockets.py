"""
What Twisted's transports can do but their interfaces do not tell.
"""

from __future__ import annotations

import socket

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ITransport
from twisted.protocols.policies import ProtocolWrapper


class PublicTransport(ITransport, IPushProducer, IConsumer):
    """
    What this needs of a transport: Twisted's TCP, UNIX and TLS ones have it all.
    """

    protocol: IProtocol

    def abortConnection() -> None:
        """
        Close at once.
        """

    def loseWriteConnection() -> None:
        """
        Close our half once everything is written.
        """


def bound_unsent(transport: object, size: int) -> None:
    """
    Let the kernel hold no more than so much that the caller has not made room for.

    Its buffer grows to megabytes for each caller who reads nothing. A smaller buffer
    would slow down callers who are far away; this bounds only what cannot be sent.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if option is not None and isinstance(transport, tcp.Connection):
        transport.socket.setsockopt(socket.IPPROTO_TCP, option, size)


def unsent(transport: object) -> tuple[int, int] | None:
    """
    What a transport still holds of what was written to it.

    Twisted tells a producer only when I{everything} was taken, so a slow caller
    and a stalled one look alike; the two numbers of the socket's buffer do not.

    @return: two numbers of which one changes whenever the socket takes something;
        C{None} if it holds nothing, or if the transport is no socket.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    if not isinstance(transport, FileDescriptor):
        return None
    return (len(transport.dataBuffer), transport.offset) if _holds(transport) else None


def send_now(transport: ITransport, data: bytes) -> None:
    """
    Write to a transport; to an idle socket at once.

    C{write} waits for the reactor to find the socket writable, which costs two
    system calls and a turn, about a third of what a small answer costs. Use this
    for the last bytes of an answer only: what is written piece by piece should
    leave together.
    """
    if isinstance(transport, FileDescriptor) and transport.connected and not _holds(transport):
        taken = transport.writeSomeData(data)
        # A broken socket is left for the reactor to find.
        data = data[taken:] if isinstance(taken, int) and taken > 0 else data
    if data:
        transport.write(data)


def _holds(descriptor: FileDescriptor) -> bool:
    """
    Whether bytes wait for the socket.
    """
    return len(descriptor.dataBuffer) > descriptor.offset or descriptor._tempDataLen > 0
