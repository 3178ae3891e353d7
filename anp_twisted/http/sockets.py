"""
What Twisted's transports can do but their interfaces do not tell.
"""

from __future__ import annotations

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import ITransport
from twisted.protocols.policies import ProtocolWrapper


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
