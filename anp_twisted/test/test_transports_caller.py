"""
Tests for L{anp_twisted.transports.caller}: the socket of a caller, apart from what it is tied to.

What it does to a stream is tested with the gateway, in C{test_gateway_websocket.py}, and each case of RFC 6455
over real sockets in C{tests/test_websocket.py}.
"""

from __future__ import annotations

import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.limits import Limits
from anp_twisted.test.callers import CallerTransport
from anp_twisted.test.test_gateway_websocket import FIN, frame
from anp_twisted.transports.caller import CallerSocket, CallerSockets
from anp_twisted.wire import v2

LIMITS = Limits(websocket_message=5000)


class Owner:
    """
    Takes down what it is told.

    @ivar fails: raises at the next message.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.said: list[Any] = []
        self.fails = False
        self._joined = b""

    def part_received(self, kind: int, data: bytes, last: bool) -> None:
        if self.fails:
            raise ZeroDivisionError
        self._joined += data
        if last:
            self.messages.append((kind, self._joined))
            self._joined = b""

    def socket_closed(self, code: int, reason: bytes) -> None:
        self.said.append((code, reason))

    def socket_gone(self) -> None:
        self.said.append("gone")

    def caller_paused(self) -> None:
        self.said.append("paused")

    def caller_resumed(self) -> None:
        self.said.append("resumed")


class SocketTestCase(SynchronousTestCase):
    """Has an open one."""

    def made(self, offer: bytes = b"") -> tuple[Owner, CallerSocket, CallerTransport]:
        """Make one; with an offer, it is compressed."""
        sockets = CallerSockets(Clock(), LIMITS, compression=True)
        owner, transport = Owner(), CallerTransport()
        socket = sockets.make(owner, b"head", sockets.agree(offer))
        socket.makeConnection(transport)
        self.assertEqual(transport.take(), b"head")
        return owner, socket, transport


class ReceiveTests(SocketTestCase):
    """Bytes in, messages out."""

    @given(
        st.lists(st.tuples(st.booleans(), st.lists(st.text(max_size=60), min_size=1, max_size=4)), max_size=6),
        st.lists(st.integers(1, 40), min_size=1),
    )
    def test_however_it_comes(self, said: list[tuple[bool, list[str]]], cuts: list[int]) -> None:
        """Messages are what they were, in whatever frames and reads they come."""
        owner, socket, _ = self.made()
        data, expected = b"", []
        for text, parts in said:
            kind = v2.TEXT if text else v2.BINARY
            raw = [part.encode() for part in parts]
            for at, part in enumerate(raw):
                data += frame((kind if at == 0 else 0) | (FIN if at == len(raw) - 1 else 0), part)
            expected.append((kind, b"".join(raw)))
        at, turn = 0, 0
        while at < len(data):
            size = cuts[turn % len(cuts)]
            socket.dataReceived(data[at : at + size])
            at, turn = at + size, turn + 1
        assert owner.messages == expected
        assert owner.said == []

    def test_owner_that_fails(self) -> None:
        """Its mistake costs this one WebSocket: 1011."""
        owner, socket, transport = self.made()
        owner.fails = True
        socket.dataReceived(frame(FIN | 1, b"x"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(transport.take()[:4], b"\x88\x10\x03\xf3")
        self.assertEqual(owner.said, [(1011, b"internal error")])
        self.assertTrue(transport.half_closed)

    def test_end(self) -> None:
        """Told once, whatever led to it, and the loss of the transport last."""
        owner, socket, _ = self.made()
        socket.dataReceived(frame(FIN | 8, b"\x0f\xa0x") + frame(FIN | 8, b""))
        socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(owner.said, [(4000, b"x"), "gone"])
        owner, socket, _ = self.made()
        socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(owner.said, [(1006, b""), "gone"])
        owner, socket, _ = self.made()
        socket.close(1000)
        socket.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(owner.said, ["gone"])

    def test_answer_to_our_close(self) -> None:
        """The connection ends in good order, not with a reset: browsers tell the difference."""
        owner, socket, transport = self.made()
        socket.close(4000, b"x")
        self.assertTrue(transport.open)
        socket.dataReceived(frame(FIN | 8, b"\x0f\xa0x"))
        self.assertEqual((transport.disconnecting, transport.aborted, owner.said), (True, False, []))

    def test_breach(self) -> None:
        """It is said, our half is closed, and nothing more is heard of what comes."""
        owner, socket, transport = self.made()
        socket.dataReceived(frame(FIN | 3, b"x") + frame(FIN | 1, b"y"))
        socket.dataReceived(frame(FIN | 1, b"z"))
        self.assertEqual(transport.take()[2:4], b"\x03\xea")
        self.assertTrue(transport.half_closed and transport.reading)
        self.assertEqual((owner.messages, [code for code, _ in owner.said]), ([], [1002]))
        socket.look(10.0)
        self.assertTrue(transport.aborted)


class SendTests(SocketTestCase):
    """Messages in, bytes out."""

    def test_lengths(self) -> None:
        """Each form of the length."""
        _, socket, transport = self.made()
        for size, front in (
            (0, b"\x82\x00"),
            (125, b"\x82\x7d"),
            (126, b"\x82\x7e\x00\x7e"),
            (65535, b"\x82\x7e\xff\xff"),
            (65536, b"\x82\x7f\0\0\0\0\0\x01\0\0"),
        ):
            socket.send_part(v2.BINARY, bytes(size), True)
            self.assertEqual(transport.take(), front + bytes(size))

    def test_parts(self) -> None:
        """The first has the kind, the last has FIN."""
        _, socket, transport = self.made()
        for data, last in ((b"a", False), (b"", False), (b"b", False), (b"", True), (b"c", True)):
            socket.send_part(v2.TEXT, data, last)
        self.assertEqual(transport.take(), b"\x01\x01a" + b"\x00\x01b" + b"\x80\x00" + b"\x81\x01c")

    def test_after_the_close(self) -> None:
        """Nothing follows it."""
        _, socket, transport = self.made()
        socket.close(4000, b"why")
        socket.close(1000)
        socket.send_part(v2.TEXT, b"x", True)
        self.assertEqual(transport.take(), b"\x88\x05\x0f\xa0why")

    def test_pressure(self) -> None:
        """The owner hears once that the caller is behind, and once that it is not."""
        owner, socket, _ = self.made()
        for _ in range(2):
            socket.pauseProducing()
        for _ in range(2):
            socket.resumeProducing()
        self.assertEqual(owner.said, ["paused", "resumed"])


class CompressionTests(SocketTestCase):
    """permessage-deflate."""

    OFFER = b"permessage-deflate; client_no_context_takeover"

    def squeezed(self, data: bytes) -> bytes:
        """What a caller sends for a message."""
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def test_in(self) -> None:
        """Compressed messages and others, in fragments too."""
        owner, socket, _ = self.made(self.OFFER)
        small = self.squeezed(b"x" * 3000)
        socket.dataReceived(frame(FIN | 0x40 | 2, small) + frame(FIN | 1, b"plain"))
        socket.dataReceived(frame(0x40 | 2, small[:5]) + frame(FIN, small[5:]))
        self.assertEqual(owner.messages, [(2, b"x" * 3000), (1, b"plain"), (2, b"x" * 3000)])

    def test_cap(self) -> None:
        """The cap is that of the inflated message, in however many fragments."""
        for pieces in (1, 2, 30):
            owner, socket, _ = self.made(self.OFFER)
            bomb = self.squeezed(bytes(10_000_000))
            size = len(bomb) // pieces + 1
            for at in range(0, len(bomb), size):
                end = FIN if at + size >= len(bomb) else 0
                socket.dataReceived(frame((0x42 if at == 0 else 0) | end, bomb[at : at + size]))
            self.assertEqual([code for code, _ in owner.said], [1009])
            self.assertEqual(owner.messages, [])

    def test_out(self) -> None:
        """Only the first frame of a message has the bit; a part may give no frame at all."""
        _, socket, transport = self.made(self.OFFER)
        inflate = zlib.decompressobj(-12)
        for parts in ([b"hello"], [b"a" * 50, b"b" * 50, b""]):
            for at, part in enumerate(parts):
                socket.send_part(v2.TEXT, part, at == len(parts) - 1)
            sent, content, firsts = transport.take(), b"", []
            while sent:
                firsts.append(sent[0])
                content, sent = content + sent[2 : 2 + sent[1]], sent[2 + sent[1] :]
            self.assertEqual(firsts[0] & 0x4F, 0x41)
            self.assertTrue(all(not first & 0x4F for first in firsts[1:]))
            self.assertTrue(firsts[-1] & FIN)
            self.assertEqual(inflate.decompress(content + b"\0\0\xff\xff"), b"".join(parts))

    def test_off(self) -> None:
        """Without the setting nothing is agreed to, and the bit is a breach."""
        self.assertIsNone(CallerSockets(Clock(), LIMITS).agree(self.OFFER))
        owner, socket, _ = self.made()
        socket.dataReceived(frame(FIN | 0x41, b"x"))
        self.assertEqual([code for code, _ in owner.said], [1002])
