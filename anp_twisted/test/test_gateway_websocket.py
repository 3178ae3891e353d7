"""
Tests for L{anp_twisted.gateway.websocket} and L{anp_twisted.transports.caller}: a caller's WebSocket and a
stream, the real things between a string transport and a session.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from anp_twisted.errors import ANPError, Code
from anp_twisted.session import events
from anp_twisted.session.stream import Stream
from anp_twisted.test.gatewaylab import Caller, ExchangeTestCase, LinkInMemory
from anp_twisted.wire import v2
from anp_twisted.wire.heads import ResponseHead

FIN = 0x80
FIELDS = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n"
    % b64encode(bytes(16))
)


def frame(first: int, payload: bytes = b"") -> bytes:
    """A masked frame of up to 65535 bytes."""
    size, mask = len(payload), os.urandom(4)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([first]) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class SocketTestCase(ExchangeTestCase):
    """Has a receiver that knows WebSockets."""

    def setUp(self) -> None:
        """Connect it."""
        super().setUp()
        self.link.abort(ANPError("the first one knows none"))
        self.link = self.lab.connect(features=["websocket"])
        self.lab.receivers.forget_empty(1e9)

    def ask(self, extra: bytes = b"") -> Caller:
        """Let a caller ask for a WebSocket."""
        caller = self.lab.caller()
        caller.get(b"/s", FIELDS + extra)
        return caller

    def open(self, extra: bytes = b"") -> tuple[Caller, Stream]:
        """Open one."""
        caller = self.ask(extra)
        stream = self.link.requests[-1].stream
        stream.send_accept(ResponseHead(101, []))
        self.assertEqual(caller.status, 101)
        caller.transport.clear()
        return caller, stream

    def say(self, caller: Caller, *frames: bytes) -> None:
        """Let frames arrive."""
        caller.transport.protocol.dataReceived(b"".join(frames))
        self.lab.settle()

    def lose(self, caller: Caller) -> None:
        """Let the connection of a caller end."""
        from twisted.internet.error import ConnectionDone
        from twisted.python.failure import Failure

        caller.transport.protocol.connectionLost(Failure(ConnectionDone()))
        self.lab.settle()

    def heard(self, link: LinkInMemory | None = None) -> list[tuple[int, bytes, bool]]:
        """What messages reached the receiver."""
        others = (link or self.link).others
        return [(one.kind, one.body, one.last) for one in others if isinstance(one, events.MessageReceived)]

    def resets(self) -> list[int]:
        """The codes of the resets that reached the receiver."""
        return [one.reset.code for one in self.link.others if isinstance(one, events.StreamReset)]


class OpeningTests(SocketTestCase):
    """From the request to the first message."""

    def test_request(self) -> None:
        """It has neither body nor end, and nothing of the hop; the extensions stay here."""
        caller = self.ask(b"Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: http://x\r\n")
        [request] = self.link.requests
        self.assertEqual((request.head.protocol, request.body, request.ended), ("websocket", b"", False))
        names = [name for name, _ in request.head.headers]
        self.assertEqual(names, ["Host", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Origin"])
        self.assertEqual(caller.received(), b"")
        self.assertEqual([type(event) for event in self.link.others], [events.HelloReceived])
        caller.protocol.connectionLost()
        self.check_rest()

    def test_accept(self) -> None:
        """Only then is the connection switched, and what the caller sent too early is read."""
        caller = self.ask(b"Sec-WebSocket-Protocol: a\r\n")
        caller.send(frame(FIN | v2.TEXT, b"early"))
        self.assertEqual((caller.received(), self.heard()), (b"", []))
        self.link.requests[0].stream.send_accept(ResponseHead(101, [("X", "1"), ("Sec-WebSocket-Protocol", "a")]))
        self.assertTrue(caller.received().endswith(b"X: 1\r\nSec-WebSocket-Protocol: a\r\n\r\n"))
        self.lab.settle()
        self.assertEqual(self.heard(), [(v2.TEXT, b"early", True)])
        self.lose(caller)
        self.check_rest()

    def test_bad_accept(self) -> None:
        """A receiver cannot split the head, nor choose what was not offered."""
        for headers in ([("x", "a\r\nb: c")], [("Sec-WebSocket-Protocol", "b")]):
            caller = self.ask()
            self.link.requests[-1].stream.send_accept(ResponseHead(101, headers))
            self.assertEqual((caller.status, self.problem(caller)["source"]), (502, "app"))
        self.check_rest()

    def test_denial(self) -> None:
        """An ordinary answer; the next request of the connection is an ordinary one."""
        caller = self.ask()
        self.lab.answer(self.link, b"no", 403)
        self.assertEqual(caller.status, 403)
        caller.get()
        self.assertEqual(self.link.requests[-1].head.protocol, "")
        self.lab.answer(self.link)
        self.check_rest()

    def test_receiver_without_the_feature(self) -> None:
        """It gets the request as one that asks for nothing, and its answer is the caller's."""
        self.link.abort(ANPError("gone"))
        self.link = self.lab.connect()
        caller = self.ask()
        [request] = self.link.requests
        self.assertEqual((request.head.protocol, request.ended), ("", True))
        self.lab.answer(self.link, b"what?", 426)
        self.assertEqual(caller.status, 426)
        self.check_rest()

    def test_budget(self) -> None:
        """Until it is accepted, the budget for the first byte runs; afterwards none does."""
        late = self.ask()
        caller, _ = self.open()
        self.lab.clock.advance(0)
        for _ in range(20):
            self.lab.advance(15)
            if not caller.transport.disconnecting:
                self.say(caller, frame(FIN | 10))
        self.assertEqual((late.status, self.problem(late)["source"]), (504, "receiver"))
        self.assertEqual(len(self.lab.exchanges), 1)
        self.lose(caller)
        self.check_rest()

    def test_another_receiver(self) -> None:
        """A request that no application saw is asked of another one."""
        caller = self.ask()
        first = self.link
        first.held = False
        second = self.lab.connect(features=["websocket"])
        first.requests[0].stream.reset(Code.REFUSED, "receiver", dispatched=False)
        self.lab.settle()
        second.requests[0].stream.send_accept(ResponseHead(101, []))
        self.assertEqual(caller.status, 101)
        self.lose(caller)
        self.check_rest()


class TalkTests(SocketTestCase):
    """Messages and closes."""

    def test_messages(self) -> None:
        """Both ways, with their kinds and boundaries."""
        caller, stream = self.open()
        self.say(caller, frame(FIN | 1, b"one"), frame(FIN | 2, b""), frame(1, b"tw"), frame(FIN, b"o"))
        self.assertEqual(self.heard(), [(1, b"one", True), (2, b"", True), (1, b"two", True)])
        stream.send_message(v2.TEXT, b"three")
        stream.send_message(v2.BINARY, b"x" * 300, False)
        stream.send_message(v2.BINARY, b"", True)
        self.assertEqual(caller.received(), b"\x81\x05three" + b"\x02\x7e\x01\x2c" + b"x" * 300 + b"\x80\x00")
        self.lose(caller)
        self.check_rest()

    def test_large_message_in_parts(self) -> None:
        """What is there of a large message goes on before it is whole, in good pieces."""
        caller, _ = self.open()
        for number in range(20):
            self.say(caller, frame(1 if number == 0 else 0, b"x" * 5000))
        parts = self.heard()
        self.assertEqual([last for _, _, last in parts], [False] * len(parts))
        self.assertGreaterEqual(min(len(body) for _, body, _ in parts), 32 * 1024)
        self.say(caller, frame(FIN, b"end"))
        self.assertEqual(b"".join(body for _, body, _ in self.heard()), b"x" * 100_000 + b"end")
        self.assertTrue(self.heard()[-1][2])
        self.lose(caller)
        self.check_rest()

    def test_close_by_the_caller(self) -> None:
        """Code and reason go through, and come back; the exchange ends when both legs have."""
        for body in (b"\x0f\xa0bye", b"\x03\xe8", b""):
            caller, stream = self.open()
            self.say(caller, frame(FIN | 8, body))
            self.assertEqual(self.heard()[-1], (v2.CLOSE, body, True))
            self.assertEqual(caller.received(), b"\x88" + bytes([len(body)]) + body)
            self.assertTrue(caller.transport.disconnecting)
            self.lose(caller)
            self.assertEqual(len(self.lab.exchanges), 1)
            stream.reset(Code.NO_ERROR, "app")
            self.check_rest()
        self.assertEqual({record.source for record in self.lab.records}, {"app"})

    def test_receiver_that_does_not_let_go(self) -> None:
        """It has its time; then the stream is taken from it."""
        caller, _ = self.open()
        self.say(caller, frame(FIN | 8, b"\x03\xe8"))
        self.lose(caller)
        self.lab.advance(7)
        self.assertEqual(self.resets(), [Code.NO_ERROR])
        self.check_rest()

    def test_close_by_the_application(self) -> None:
        """Its room is free at once; the caller has a while to answer."""
        caller, stream = self.open()
        stream.send_message(v2.TEXT, b"last")
        stream.send_close(b"\x0f\xa0bye")
        self.assertEqual(caller.received(), b"\x81\x04last\x88\x05\x0f\xa0bye")
        self.assertEqual([receiver.in_flight for receiver in self.lab.receivers.connected()], [0])
        self.assertEqual(len(self.lab.exchanges), 1)
        self.say(caller, frame(FIN | 1, b"ignored"), frame(FIN | 8, b"\x0f\xa0bye"))
        self.assertTrue(caller.aborted)
        self.lose(caller)
        self.check_rest()
        self.assertEqual(self.heard(), [])

    def test_caller_that_does_not_answer_the_close(self) -> None:
        """It is cut after a while."""
        caller, stream = self.open()
        stream.send_close(b"")
        self.assertEqual(caller.received(), b"\x88\x00")
        self.lab.advance(7)
        self.assertTrue(caller.aborted)
        self.lose(caller)
        self.check_rest()

    def test_close_that_cannot_be_sent(self) -> None:
        """A receiver's nonsense is 1011 to the caller."""
        for body in (b"\x03\xed", b"\xff\xff"):
            caller, stream = self.open()
            stream.send_close(body)
            self.assertEqual(caller.received(), b"\x88\x02\x03\xf3")
            self.lose(caller)
        caller, stream = self.open()
        stream.send_close(b"\x03\xe8\xff")
        self.assertEqual(caller.received(), b"\x88\x02\x03\xe8")
        self.lose(caller)
        self.check_rest()

    def test_caller_lost(self) -> None:
        """The receiver hears that nobody is there any more."""
        caller, _ = self.open()
        self.lose(caller)
        self.assertEqual(self.resets(), [Code.CANCELLED])
        self.assertEqual(self.lab.records[-1].source, "caller")
        self.check_rest()

    def test_stream_lost(self) -> None:
        """The caller hears a code that says whether it makes sense to come back."""
        rows: list[tuple[Callable[[Stream], object], int, str]] = [
            (lambda stream: stream.reset(Code.APP_FAILED, "app"), 1011, "app"),
            (lambda stream: stream.reset(Code.DRAINING, "receiver"), 1012, "receiver"),
            (lambda stream: stream.reset(Code.UNREACHABLE, "receiver"), 1012, "receiver"),
            (lambda stream: stream.reset(Code.TOO_LARGE, "receiver"), 1009, "receiver"),
            (lambda stream: stream.reset(Code.REFUSED, "receiver"), 1013, "receiver"),
            (lambda stream: self.link.abort(ANPError("gone")), 1012, "tunnel"),
        ]
        for lose, code, source in rows:
            caller, stream = self.open()
            lose(stream)
            self.assertEqual(caller.received(), b"\x88\x02" + code.to_bytes(2, "big"))
            self.lose(caller)
            self.assertEqual(self.lab.records[-1].source, source)
        self.check_rest()

    def test_stop(self) -> None:
        """At the end of draining the caller hears 1001, and the application too; a second word cuts."""
        caller, _ = self.open()
        self.lab.exchanges.cut_all()
        self.assertEqual(caller.received(), b"\x88\x02\x03\xe9")
        self.assertEqual(self.heard(), [(v2.CLOSE, b"\x03\xe9", True)])
        self.lab.exchanges.cut_all()
        self.assertTrue(caller.aborted)
        self.lose(caller)
        self.link.requests[0].stream.reset(Code.NO_ERROR, "app")
        self.check_rest()

    def test_farewell(self) -> None:
        """While others drain the caller and the application hear 1001, once; who does not answer is cut later."""
        caller, _ = self.open()
        for _ in range(2):
            self.lab.exchanges.farewell()
            self.assertFalse(caller.aborted)
        self.assertEqual(caller.received(), b"\x88\x02\x03\xe9")
        self.assertEqual(self.heard(), [(v2.CLOSE, b"\x03\xe9", True)])
        self.lab.advance(self.lab.limits.closing + 1)
        self.assertTrue(caller.aborted)
        self.lose(caller)
        self.link.requests[0].stream.reset(Code.NO_ERROR, "app")
        self.check_rest()

    def test_log(self) -> None:
        """One line, when it has ended."""
        caller, stream = self.open()
        self.say(caller, frame(FIN | 1, b"12345"))
        stream.send_message(v2.TEXT, b"123")
        self.lab.settle()
        self.assertEqual(self.lab.records, [])
        self.lab.clock.advance(3)
        self.lose(caller)
        [record] = self.lab.records
        self.assertEqual((record.status, record.received, record.sent, record.target), (101, 5, 3, "/s"))
        self.assertGreaterEqual(record.duration, 3)
        self.assertTrue(record.receiver.startswith("receiver@"))


class PressureTests(SocketTestCase):
    """Who does not take stops who gives."""

    def test_slow_application(self) -> None:
        """The caller is not read while the stream is full, nor taken for dead."""
        caller, stream = self.open()
        for _ in range(10):
            self.say(caller, frame(FIN | 2, bytes(60_000)))
        self.assertEqual(caller.transport.producerState, "paused")
        self.lab.advance(100)
        self.assertFalse(caller.aborted)
        for _ in range(3):
            held = stream.inbox.held
            stream.consume(held)
            self.lab.settle()
        self.assertEqual(caller.transport.producerState, "producing")
        self.lose(caller)
        self.check_rest()

    def test_slow_caller(self) -> None:
        """No credit goes back while the caller's socket is full; all of it does when it has drained."""
        caller, stream = self.open()
        caller.transport.protocol.pauseProducing()
        stream.send_message(v2.BINARY, bytes(300_000))
        self.lab.settle()
        self.assertLess(stream.window.credit, 33)
        waiting = stream.backlog
        caller.transport.protocol.resumeProducing()
        self.lab.settle()
        self.assertLess(stream.backlog, waiting)
        self.lose(caller)
        self.check_rest()

    def test_caller_that_takes_nothing(self) -> None:
        """It is cut, however lively it sends."""
        caller, _ = self.open()
        caller.transport.protocol.pauseProducing()
        for _ in range(7):
            self.say(caller, frame(FIN | 1, b"x"))
            self.lab.advance(10)
        self.assertTrue(caller.aborted)
        self.lose(caller)
        self.check_rest()


class LifeTests(SocketTestCase):
    """Whether the caller is still there."""

    def test_pings(self) -> None:
        """Silence is asked about, and an answer is a sign of life."""
        caller, _ = self.open()
        self.lab.advance(22)
        self.assertEqual(caller.received(), b"\x89\x00")
        self.lab.advance(20)
        self.assertEqual(caller.received(), b"\x89\x00\x89\x00")
        self.say(caller, frame(FIN | 10))
        self.lab.advance(50)
        self.assertFalse(caller.aborted)
        self.lose(caller)
        self.check_rest()

    def test_dead(self) -> None:
        """No answer in a minute is the end: 1006 for the application."""
        caller, _ = self.open()
        self.lab.advance(62)
        self.assertTrue(caller.aborted)
        self.lose(caller)
        self.assertEqual(self.resets(), [Code.CANCELLED])
        self.check_rest()

    def test_ping_flood(self) -> None:
        """As many as are allowed in a while are answered; one more is 1008."""
        caller, _ = self.open()
        for _ in range(3):
            self.say(caller, frame(FIN | 9) * 100)
            self.lab.advance(25)
        self.assertEqual(caller.received().count(b"\x8a\x00"), 300)
        caller.transport.clear()
        self.say(caller, frame(FIN | 9) * 101)
        self.assertIn(b"\x03\xf0", caller.received())
        self.assertEqual(self.heard()[-1][1][:2], b"\x03\xf0")
        self.lose(caller)
        self.lab.advance(7)
        self.check_rest()


class CapTests(SocketTestCase):
    """The caps of one message."""

    caps: dict[str, Any] = {"websocket_message": 1000, "websocket_parts": 10}

    def code_of(self, *frames: bytes) -> int:
        """The close code that frames get."""
        caller, stream = self.open()
        self.say(caller, *frames)
        sent = caller.received()
        self.lose(caller)
        stream.reset(Code.NO_ERROR, "app")
        self.check_rest()
        return int.from_bytes(sent[2:4], "big") if sent[:1] == b"\x88" else 0

    def test_size(self) -> None:
        """Joined, not each."""
        self.assertEqual(self.code_of(frame(FIN | 1, b"x" * 1000)), 0)
        self.assertEqual(self.code_of(frame(FIN | 1, b"x" * 1001)), 1009)
        self.assertEqual(self.code_of(frame(1, b"x" * 500), frame(FIN, b"x" * 501)), 1009)

    def test_fragments(self) -> None:
        """Empty ones count."""
        self.assertEqual(self.code_of(frame(1), *[frame(0)] * 8, frame(FIN)), 0)
        self.assertEqual(self.code_of(frame(1), *[frame(0)] * 9, frame(FIN)), 1008)

    def test_breach(self) -> None:
        """What follows a breach is not looked at, and both sides hear the same code."""
        caller, stream = self.open()
        self.say(caller, frame(FIN | 1, b"\xff"), frame(FIN | 1, b"fine"))
        self.say(caller, frame(FIN | 1, b"fine"))
        self.assertEqual([(kind, body[:2]) for kind, body, _ in self.heard()], [(v2.CLOSE, b"\x03\xef")])
        self.assertTrue(caller.transport.disconnecting)
        self.lose(caller)
        stream.reset(Code.NO_ERROR, "app")
        self.check_rest()


class BusyTests(SocketTestCase):
    """A receiver without room."""

    caps = {"in_flight": 1}

    def test_keeps_its_place(self) -> None:
        """A WebSocket on which nothing is said holds nobody up more than it has to: it never gives way."""
        waiting = self.ask()
        self.lab.advance(self.lab.limits.patience * 2)
        self.lab.caller().get()
        self.lab.advance(self.lab.limits.connect_budget)
        self.link.requests[-1].stream.send_accept(ResponseHead(101, []))
        self.lab.settle()
        self.lab.advance(self.lab.limits.patience * 2)
        self.lab.caller().get()
        self.lab.advance(self.lab.limits.connect_budget)
        self.assertEqual((waiting.status, self.lab.exchanges.gave_way, len(self.link.requests)), (101, 0, 1))
