"""Rules of L{anp_twisted.transports.websocket}: what a hostile peer can do once it has its 101."""

from __future__ import annotations

import socket
from itertools import pairwise
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketServerFactory
from autobahn.websocket.protocol import WebSocketClientProtocol, WebSocketServerProtocol
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import tcp
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import LinkLost
from anp_twisted.limits import Limits
from anp_twisted.test.test_transports_server import ServerTestCase, head
from anp_twisted.test.wires import WireEnd, hello
from anp_twisted.transports.framing import xor
from anp_twisted.transports.websocket import UNSENT, set_options, tune
from anp_twisted.wire import heads, v2

MASK = b"\0\0\0\0"  # so that what is in a frame looks as it does
HELLO = v2.encode(v2.Kind.HELLO, 0, False, heads.encode(hello()))


def frame(payload: bytes, first: int = 0x82, *, mask: bytes = MASK, size: int | None = None) -> bytes:
    """Make any frame, a wrong one too."""
    number = len(payload) if size is None else size
    flag = 0x80 if mask else 0
    if number < 126:
        length = bytes([flag | number])
    elif number < 65536:
        length = bytes([flag | 126]) + number.to_bytes(2, "big")
    else:
        length = bytes([flag | 127]) + number.to_bytes(8, "big")
    return bytes([first]) + length + mask + (xor(mask, payload) if mask else payload)


class OptionTests(SynchronousTestCase):
    """Autobahn's options."""

    def test_all(self) -> None:
        """Each option that Autobahn has is set, so that no default of a later version slips in."""
        for factory, protocol in (
            (WebSocketServerFactory(reactor=Clock()), WebSocketServerProtocol),
            (WebSocketClientFactory(reactor=Clock()), WebSocketClientProtocol),
        ):
            given: dict[str, Any] = {}
            real = factory.setProtocolOptions

            def note(real: Any = real, given: dict[str, Any] = given, **options: Any) -> None:
                given.update(options)
                real(**options)

            self.patch(factory, "setProtocolOptions", note)
            set_options(factory, Limits(frame=4711))
            options = set(protocol.CONFIG_ATTRS) - {"logOctets", "logFrames", "trackTimings"}
            derived = {"allowedOriginsPatterns", "flashSocketPolicy"}
            self.assertEqual(options - derived - set(given), set())
            self.assertEqual((factory.maxFramePayloadSize, factory.maxMessagePayloadSize), (4711, 4711))
            self.assertFalse(factory.logOctets or factory.logFrames or factory.trackTimings)


def connection(bare: socket.socket) -> Any:
    """Make what Twisted has around a socket."""
    return tcp.Connection(bare, Protocol(), object())  # type: ignore[arg-type]


class TuneTests(SynchronousTestCase):
    """The options of a socket."""

    def test_socket(self) -> None:
        """Small frames leave at once, and little waits in the kernel; below TLS as well."""
        with socket.socket() as bare:
            transport = connection(bare)
            wrapped: Any = ProtocolWrapper(WrappingFactory(Factory()), Protocol())
            wrapped.transport = transport
            tune(wrapped)
            self.assertTrue(bare.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
            if option is not None:
                self.assertEqual(bare.getsockopt(socket.IPPROTO_TCP, option), UNSENT)

    def test_without(self) -> None:
        """A platform that cannot bound the kernel is no reason to fail, nor is a transport without a socket."""
        self.patch(socket, "TCP_NOTSENT_LOWAT", None)
        with socket.socket() as bare:
            tune(connection(bare))
            self.assertTrue(bare.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        tune(WireEnd())


class PeerTests(ServerTestCase):
    """A link that is open, and then."""

    def setUp(self) -> None:
        super().setUp()
        self.answer(head())
        self.answer(frame(HELLO))
        self.assertEqual(self.owner.log, ["open"])

    def closed_with(self, data: bytes) -> int:
        """Send bytes; the close code that comes back, 0 for none."""
        answer = self.answer(data)
        at = answer.rfind(b"\x88")
        return int.from_bytes(answer[at + 2 : at + 4], "big") if at >= 0 else 0

    def assertEnds(self, data: bytes, code: int) -> None:
        """These bytes close the link with that code; afterwards nothing is read, and the socket goes."""
        self.setUp()
        self.assertEqual(self.closed_with(data), code, data[:20])
        self.assertEqual(self.owner.log, ["open", "lost"])
        self.assertEqual(self.answer(frame(HELLO) * 3 + frame(b"", 0x89)), b"")
        self.clock.advance(5.0)
        self.assertTrue(self.end.aborted)
        self.lose()

    def test_breaches(self) -> None:
        """Breaches of RFC 6455 are 1002."""
        for data in (
            frame(b"x", 0xC2),
            frame(b"x", mask=b""),
            frame(b"", 0x89, size=126) + bytes(126),
            frame(b"", 0x09),
            frame(b"", 0x83),
            frame(b"", 0x8B),
            frame(b"x", 0x80),
            frame(b"x", 0x02) + frame(b"x", 0x82),
            b"\x82\xfe\x00\x05" + MASK + bytes(5),
            b"\x82\xff" + (125).to_bytes(8, "big") + MASK,
            b"\x82\xff" + (1 << 63).to_bytes(8, "big") + MASK,
            frame(b"x", 0x88),
        ):
            self.assertEnds(data, 1002)

    def test_messageInMessage(self) -> None:
        """A whole message between the fragments of another is 1002, in a piece of its own as well."""
        self.answer(frame(b"x", 0x02))
        self.assertEqual(self.closed_with(frame(v2.encode(v2.Kind.PING, 0, False, bytes(8)))), 1002)

    def test_closeCodes(self) -> None:
        """Reserved close codes are 1002; a reason that is no text is 1007."""
        for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 65535):
            self.assertEnds(frame(code.to_bytes(2, "big"), 0x88), 1002)
        self.assertEnds(frame(b"\x03\xe8\xff", 0x88), 1007)

    def test_text(self) -> None:
        """A text message is 1003 as soon as it begins, sound or not."""
        self.assertEnds(frame(b"{}", 0x81), 1003)
        self.assertEnds(frame(b"\xff", 0x01), 1003)

    def test_tooBig(self) -> None:
        """A message over the cap is 1009 before a byte of it is read, in one frame or in several."""
        self.assertEnds(frame(b"", size=(1 << 20) + 1), 1009)
        self.assertEnds(frame(b"", size=(1 << 63) - 1), 1009)
        piece = bytes(700_000)
        self.assertEnds(frame(piece, 0x02) + frame(b"", 0x00, size=700_000), 1009)

    def test_fragments(self) -> None:
        """A message may come in 64 fragments; more, even empty ones, are 1008."""
        ping = v2.encode(v2.Kind.PING, 0, False, b"12345678")
        sound = frame(ping[:8], 0x02) + frame(b"", 0x00) * 62 + frame(ping[8:], 0x80)
        self.assertIn(b"ANPX\x02\x15", self.answer(sound))
        self.assertEqual(self.owner.log, ["open"])
        self.assertEnds(frame(b"", 0x02) + frame(b"", 0x00) * 100_000, 1008)
        self.assertEnds(frame(b"x", 0x02) + frame(b"x", 0x00) * 100_000, 1008)

    def test_byteByByte(self) -> None:
        """A fragmented message in the smallest pieces is the same message, and costs no more than its bytes."""
        ping = v2.encode(v2.Kind.PING, 0, False, b"12345678")
        answers = b""
        fragmented = frame(ping[:10], 0x02) + frame(ping[10:], 0x80)
        for octet in fragmented + fragmented + frame(ping):
            answers += self.answer(bytes([octet]))
        self.assertEqual(answers.count(b"ANPX\x02\x15"), 3)

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 1 << 16), max_size=12))
    def test_lookalikes(self, kinds: list[int], cuts: list[int]) -> None:
        """
        However frames of all kinds are mixed and cut into pieces, each is read by the one
        who began to read it, although what is in them looks like frames.
        """
        self.setUp()
        opaque = frame(b"xy")
        ping = v2.encode(v2.Kind.PING, 0, False, opaque)
        makers = [
            frame(ping),
            frame(ping[:30], 0x02) + frame(ping[30:], 0x80),
            frame(opaque * 10, 0x89),
            frame(ping, 0x02) + frame(opaque, 0x89, mask=bytes(4)) + frame(b"", 0x80, mask=bytes(4)),
        ]
        stream = b"".join(makers[kind] for kind in kinds)
        places = sorted({cut % len(stream) for cut in cuts} | {0, len(stream)})
        answers = b"".join(self.answer(stream[a:b]) for a, b in pairwise(places))
        self.assertEqual(answers.count(b"ANPX\x02\x15"), sum(kind != 2 for kind in kinds))
        self.assertEqual(answers.count(b"\x8a"), sum(kind > 1 for kind in kinds))
        self.assertEqual(self.owner.log, ["open"])

    def test_pings(self) -> None:
        """WebSocket PINGs are answered, between the fragments of a message too; a flood is 1008."""
        self.assertEqual(self.answer(frame(b"hi", 0x89)), b"\x8a\x02hi")
        # From its second octet on this one is a whole message.
        pieces = [self.answer(bytes([octet])) for octet in frame(b"hi", 0x89, mask=b"\x80\0\0\0")]
        self.assertEqual(b"".join(pieces), b"\x8a\x02hi")
        ping = v2.encode(v2.Kind.PING, 0, False, b"12345678")
        answer = self.answer(frame(ping[:8], 0x02) + frame(b"", 0x89) + frame(ping[8:], 0x80))
        self.assertIn(b"\x8a\x00", answer)
        self.assertIn(b"ANPX\x02\x15", answer)
        self.assertEnds(frame(b"", 0x89) * 100_000, 1008)
        self.assertEnds(frame(b"", 0x8A) * 100_000, 1008)

    def test_sessionFault(self) -> None:
        """What is no frame of ANPX is 1002, in a word that does not depend on the peer."""
        self.assertEnds(frame(b"rubbish"), 1002)
        self.assertEnds(frame(HELLO), 1002)

    def test_deafAfterFault(self) -> None:
        """Behind a fault nothing is looked at, in the same piece or later, so that the close frame gets out."""
        self.assertEqual(self.closed_with(frame(b"rubbish") + frame(b"", 0x88)), 1002)
        self.patch(self.protocol, "_dataReceived", self.fail)
        self.patch(self.protocol, "_take_whole", self.fail)
        self.answer(frame(b"", 0x88))
        self.assertFalse(self.end.aborted)

    def test_closed(self) -> None:
        """A close of the peer is answered and told with its code; the socket ends when the answer is out."""
        answer = self.answer(frame(b"\x0f\xa3bye", 0x88))
        self.assertEqual(answer[:1], b"\x88")
        self.assertTrue(self.end.disconnecting)
        reason = self.owner.reasons[0]
        assert isinstance(reason, LinkLost)
        self.assertEqual(reason.closed_with, 4003)
        self.lose()
        self.assertEqual(self.owner.log, ["open", "lost"])

    def test_close(self) -> None:
        """Our close waits for the peer's, reads on until then, and takes nothing of it."""
        self.owner.link.close(1001, "\u00e9" * 100)
        close = self.end.take(1000)
        self.assertEqual((close[:1], close[2:4]), (b"\x88", (1001).to_bytes(2, "big")))
        self.assertLessEqual(close[1], 125)
        self.answer(frame(HELLO))
        self.assertFalse(self.end.aborted)
        self.answer(frame((1001).to_bytes(2, "big"), 0x88))
        self.assertTrue(self.end.aborted)
        self.lose()

    def test_wakeAfterTheirClose(self) -> None:
        """Nothing is written behind a close frame."""
        self.answer(frame(b"", 0x88))
        self.owner.link.wake()
        self.turns.end()
        self.assertEqual(self.end.take(1000), b"")

    def test_machineFails(self) -> None:
        """A mistake of our own code ends one link with 1011, and is logged."""

        def fail(message: bytes, now: float) -> None:
            raise RuntimeError("a secret")

        self.patch(self.owner.link.connection, "receive", fail)
        self.assertEqual(self.closed_with(frame(HELLO)), 1011)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_openFails(self) -> None:
        """So does one while the link opens, which Autobahn would swallow."""
        super().setUp()

        def fail(producer: Any, streaming: bool) -> None:
            raise RuntimeError("a secret")

        self.patch(self.end, "registerProducer", fail)
        self.assertEqual(self.closed_with(head()), 1011)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_producer(self) -> None:
        """The link is the one producer while it lives, and none when it was cut."""
        self.assertIs(self.end.producer, self.owner.link)
        self.owner.link.abort(LinkLost("gone"))
        self.assertIsNone(self.end.producer)


class SilenceTests(SynchronousTestCase):
    """Autobahn's log."""

    def test_nothing(self) -> None:
        """No line of it quotes a peer."""
        from anp_twisted.transports.websocket import LinkSocket

        for level in ("debug", "info", "warn", "error"):
            self.assertIsNone(getattr(LinkSocket.log, level)("{x}", x="anything"))
            self.assertEqual(getattr(LinkSocket.log, level).__name__, "_no_op")
