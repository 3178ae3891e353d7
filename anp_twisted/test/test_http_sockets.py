"""
Tests for L{anp_twisted.http.sockets}.
"""

from __future__ import annotations

import socket
from typing import cast
from unittest import SkipTest

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorFDSet, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http.sockets import bound_unsent, send_now, unsent


class Socket(FileDescriptor):
    """
    A descriptor whose socket takes a given number of bytes at a time.

    @ivar room: bytes it takes next, or what happens instead.
    @ivar taken: what it took.
    """

    def __init__(self, room: int | Exception) -> None:
        super().__init__(cast(IReactorFDSet, MemoryReactor()))
        self.connected = True
        self.room = room
        self.taken = b""

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """
        Take what there is room for.
        """
        if isinstance(self.room, Exception):
            return self.room
        self.taken += data[: self.room]
        return min(self.room, len(data))


def send(socket: Socket, data: bytes) -> None:
    """
    Send through something typed as a transport.
    """
    send_now(cast(ITransport, socket), data)


class SendTests(SynchronousTestCase):
    """Sending at once."""

    def test_idle(self) -> None:
        """An idle socket gets the bytes at once."""
        socket = Socket(100)
        send(socket, b"abc")
        self.assertEqual((socket.taken, unsent(socket)), (b"abc", None))

    def test_partly(self) -> None:
        """What it does not take waits."""
        socket = Socket(1)
        send(socket, b"abc")
        self.assertEqual(socket.taken, b"a")
        self.assertIsNotNone(unsent(socket))
        socket.room = 10
        socket.doWrite()
        self.assertEqual((socket.taken, unsent(socket)), (b"abc", None))

    def test_order(self) -> None:
        """Bytes never overtake those that wait."""
        socket = Socket(0)
        socket.write(b"first ")
        socket.room = 100
        send(socket, b"second")
        self.assertEqual(socket.taken, b"")
        socket.doWrite()
        self.assertEqual(socket.taken, b"first second")

    def test_broken(self) -> None:
        """A broken socket is left for the reactor to find, one that is closed gets nothing."""
        broken = Socket(ConnectionLost())
        send(broken, b"abc")
        self.assertIsInstance(broken.doWrite(), ConnectionLost)
        closed = Socket(100)
        closed.connected = False
        send(closed, b"abc")
        self.assertEqual(closed.taken, b"")

    def test_other_transports(self) -> None:
        """What is no socket is simply written to."""
        transport = StringTransport()
        send_now(transport, b"abc")
        self.assertEqual(transport.value(), b"abc")


class BoundTests(SynchronousTestCase):
    """L{bound_unsent}"""

    def test_bound(self) -> None:
        """The kernel is told, through wrappers as well; what is no TCP connection has no such bound."""
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
        if option is None:
            raise SkipTest("this platform has no such bound")
        with socket.socket() as inner:
            connection = tcp.Connection(inner, Protocol(), cast(IReactorFDSet, MemoryReactor()))
            wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
            wrapper.transport = cast(ITransport, connection)
            bound_unsent(wrapper, 4711)
            self.assertEqual(inner.getsockopt(socket.IPPROTO_TCP, option), 4711)
        bound_unsent(StringTransport(), 4711)


class UnsentTests(SynchronousTestCase):
    """What waits for the socket."""

    def test_changes(self) -> None:
        """The answer changes with every byte that is taken, and ends with the last."""
        socket = Socket(0)
        socket.write(b"x" * 10)
        socket.doWrite()
        seen = {unsent(socket)}
        socket.room = 3
        for _ in range(3):
            socket.doWrite()
            seen.add(unsent(socket))
        self.assertEqual(len(seen), 4)
        socket.doWrite()
        self.assertIsNone(unsent(socket))

    def test_wrapped(self) -> None:
        """It looks through wrappers, as TLS is one."""
        socket = Socket(0)
        socket.write(b"x")
        wrapper = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
        wrapper.transport = cast(ITransport, socket)
        self.assertEqual(unsent(wrapper), unsent(socket))
        self.assertIsNotNone(unsent(wrapper))

    def test_unknown(self) -> None:
        """Of what is no socket nothing is known."""
        self.assertIsNone(unsent(StringTransport()))
