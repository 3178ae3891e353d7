"""
Tests for L{anp_twisted.receiver.websocket}: one WebSocket as an application sees it.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.receiver.websocket import (
    ABNORMAL,
    Assembly,
    CallerGone,
    Stage,
    WebSocketExchange,
    close_body,
    close_of,
    websocket_scope,
)
from anp_twisted.wire import v2
from anp_twisted.wire.heads import RequestHead

FIELDS = [("Host", "example.org:81"), ("Sec-WebSocket-Protocol", "a, B"), ("Sec-WebSocket-Protocol", "c")]


def exchange(most: int = 100) -> WebSocketExchange:
    """One whose caller offers a, B and c."""
    head = RequestHead("GET", "/p%20q?x=1", FIELDS, id="r-1", protocol="websocket")
    return WebSocketExchange(websocket_scope(head, {}), most)


def opened(most: int = 100) -> WebSocketExchange:
    """One that was accepted."""
    one = exchange(most)
    one.next_message()
    one.accept({"type": "websocket.accept"})
    return one


class ScopeTests(SynchronousTestCase):
    """What the application is called with; against uvicorn it is compared in C{tests/test_websocket.py}."""

    def test_all_of_it(self) -> None:
        """Every key that ASGI names."""
        head = RequestHead(
            "GET", "/p%20q?x=1", FIELDS, "https", client=("192.0.2.1", 5), id="r-1", deadline=3.0, protocol="websocket"
        )
        state = {"key": "value"}
        scope = websocket_scope(head, state, "/root")
        headers = [(name.lower().encode(), value.encode()) for name, value in FIELDS]
        ours = scope["extensions"].pop("anp")
        self.assertEqual((ours["request_id"], ours["deadline"], ours["identity"]), ("r-1", 3.0, None))
        self.assertEqual(
            scope,
            {
                "type": "websocket",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "scheme": "wss",
                "server": ("example.org", 81),
                "client": ("192.0.2.1", 5),
                "root_path": "/root",
                "path": "/root/p q",
                "raw_path": b"/root/p%20q",
                "query_string": b"x=1",
                "headers": [*headers, (b"connection", b"Upgrade"), (b"upgrade", b"websocket")],
                "subprotocols": ["a", "B", "c"],
                "state": state,
                "extensions": {"websocket.http.response": {}},
            },
        )
        self.assertIsNot(scope["state"], state)
        self.assertEqual(exchange().scope["scheme"], "ws")


class OpeningTests(SynchronousTestCase):
    """The decision of the application."""

    def refused(self, one: WebSocketExchange, act: Any, message: dict[str, Any]) -> None:
        """A mistake raises, and changes nothing."""
        before = one.stage
        self.assertRaises(InvalidMessage, act, message)
        self.assertIs(one.stage, before)

    def test_connect_comes_first(self) -> None:
        """Once, and then nothing until there is news."""
        one = exchange()
        self.assertEqual(one.next_message(), {"type": "websocket.connect"})
        self.assertIsNone(one.next_message())

    def test_accept(self) -> None:
        """The subprotocol and the fields go into the head; those of the handshake are not the application's."""
        one = exchange()
        fields = [(b"X-A", b"1"), (b"x-a", b"2"), (b"Sec-WebSocket-Accept", b"x"), (b"Upgrade", b"h2c")]
        head = one.accept({"type": "websocket.accept", "subprotocol": "B", "headers": fields})
        self.assertEqual(head.status, 101)
        self.assertEqual(head.headers, [("X-A", "1"), ("x-a", "2"), ("Sec-WebSocket-Protocol", "B")])
        self.assertIs(one.stage, Stage.OPEN)

    def test_accept_by_field(self) -> None:
        """Some frameworks choose the subprotocol with a field."""
        head = exchange().accept({"type": "websocket.accept", "headers": [(b"sec-websocket-protocol", b"c")]})
        self.assertEqual(head.headers, [("sec-websocket-protocol", "c")])

    def test_bad_accept(self) -> None:
        """What was not offered, two of them, a split field, a length."""
        for message in (
            {"subprotocol": "b"},
            {"subprotocol": "a", "headers": [(b"Sec-WebSocket-Protocol", b"c")]},
            {"subprotocol": b"a"},
            {"headers": [(b"x", b"a\r\nb: c")]},
            {"headers": [(b"x y", b"a")]},
            {"headers": [("x", "a")]},
            {"headers": [(b"Content-Length", b"0")]},
        ):
            one = exchange()
            self.refused(one, one.accept, {"type": "websocket.accept", **message})

    def test_close_is_a_denial(self) -> None:
        """Before it was accepted: 403 without a body; then the application hears the end."""
        one = exchange()
        one.next_message()
        head = one.deny({"type": "websocket.close", "code": 4000})
        self.assertEqual((head.status, head.headers, one.stage), (403, [("content-length", "0")], Stage.CLOSED))
        self.assertEqual(one.next_message(), {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""})

    def test_denial(self) -> None:
        """An answer of the application's own, checked as any other."""
        one = exchange()
        head = one.deny(
            {"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"3")]}
        )
        self.assertEqual((head.status, one.stage), (401, Stage.DENYING))
        self.assertRaises(InvalidMessage, one.deny_body, {"type": "websocket.http.response.body", "body": b"four"})
        self.assertEqual(one.deny_body({"type": "websocket.http.response.body", "body": b"a", "more_body": True}), b"a")
        self.assertIs(one.stage, Stage.DENYING)
        self.assertEqual(one.deny_body({"type": "websocket.http.response.body", "body": b"bc"}), b"bc")
        self.assertIs(one.stage, Stage.CLOSED)
        for status in (101, 99, "200"):
            other = exchange()
            self.refused(other, other.deny, {"type": "websocket.http.response.start", "status": status})

    def test_order(self) -> None:
        """What may be sent in which stage, and nothing else."""
        allowed = {
            Stage.ASKED: {"websocket.accept", "websocket.close", "websocket.http.response.start"},
            Stage.OPEN: {"websocket.send", "websocket.close"},
            Stage.DENYING: {"websocket.http.response.body"},
            Stage.CLOSED: set(),
        }
        kinds = {
            *allowed[Stage.ASKED],
            *allowed[Stage.OPEN],
            *allowed[Stage.DENYING],
            "http.response.start",
            "nonsense",
        }
        for stage, good in allowed.items():
            for kind in kinds:
                one = exchange()
                one.stage = stage
                if kind in good:
                    self.assertEqual(one.check({"type": kind}), kind)
                else:
                    self.assertRaises(InvalidMessage, one.check, {"type": kind})
        one.stage = Stage.GONE
        self.assertRaises(CallerGone, one.check, {"type": "websocket.send"})
        self.assertTrue(issubclass(CallerGone, OSError))


class TalkTests(SynchronousTestCase):
    """Messages of an open one."""

    def test_received(self) -> None:
        """Text is text and bytes are bytes, in order."""
        one = opened()
        one.feed(v2.TEXT, "h\u00e9".encode(), True, 40)
        one.feed(v2.BINARY, b"", True, 32)
        self.assertEqual(one.next_message(), {"type": "websocket.receive", "text": "h\u00e9"})
        self.assertEqual(one.next_message(), {"type": "websocket.receive", "bytes": b""})
        self.assertIsNone(one.next_message())

    def test_sent(self) -> None:
        """Either text or bytes, whole."""
        one = opened()
        for message, expected in (
            ({"text": "\u00e9"}, (v2.TEXT, b"\xc3\xa9")),
            ({"text": ""}, (v2.TEXT, b"")),
            ({"bytes": b"x", "text": None}, (v2.BINARY, b"x")),
            ({"bytes": bytearray(b"y")}, (v2.BINARY, b"y")),
        ):
            self.assertEqual(one.send({"type": "websocket.send", **message}), expected)
        for wrong in (
            {},
            {"text": "a", "bytes": b"b"},
            {"text": b"a"},
            {"bytes": "a"},
            {"text": "\ud800"},
            {"text": 1},
        ):
            self.assertRaises(InvalidMessage, one.send, {"type": "websocket.send", **wrong})

    def test_close(self) -> None:
        """Code and reason go out, and come back when the application listens on."""
        one = opened()
        one.feed(v2.TEXT, b"unread", True, 38)
        self.assertEqual(one.close({"type": "websocket.close", "code": 4000, "reason": "why"}), b"\x0f\xa0why")
        self.assertEqual(one.next_message(), {"type": "websocket.disconnect", "code": 4000, "reason": "why"})
        self.assertEqual(opened().close({"type": "websocket.close"}), b"\x03\xe8")
        self.assertEqual(opened().close({"type": "websocket.close", "code": None, "reason": None}), b"\x03\xe8")

    def test_closes_that_cannot_be_sent(self) -> None:
        """Reserved codes, long reasons, and what is no text."""
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, "1000", 1000.0):
            self.assertRaises(InvalidMessage, close_body, code, "")
        for reason in ("x" * 124, "\u00e9" * 62, b"x", "\ud800"):
            self.assertRaises(InvalidMessage, close_body, 1000, reason)
        self.assertEqual(len(close_body(4999, "x" * 123)), 125)

    def test_close_of(self) -> None:
        """The body of a close frame, none included."""
        self.assertEqual(close_of(b""), (1005, ""))
        self.assertEqual(close_of(b"\x03\xe8"), (1000, ""))
        self.assertEqual(close_of(b"\x0f\xa0\xc3\xa9"), (4000, "\u00e9"))

    def test_disconnect(self) -> None:
        """What came before a close is still heard, before a loss it is not; the end is told as often as asked."""
        for code, before in ((1000, 1), (ABNORMAL, 0)):
            one = opened()
            one.feed(v2.TEXT, b"x", True, 33)
            one.disconnect(code, "bye" if before else "")
            one.disconnect()
            got = [one.next_message() for _ in range(before + 2)]
            expected = {"type": "websocket.disconnect", "code": code, "reason": "bye" if before else ""}
            self.assertEqual(got[before:], [expected] * 2)

    def test_too_large(self) -> None:
        """The cap is that of the joined message."""
        one = opened(10)
        self.assertTrue(one.feed(v2.TEXT, b"x" * 10, True, 42))
        self.assertTrue(one.feed(v2.TEXT, b"x" * 6, False, 38))
        self.assertFalse(one.feed(v2.TEXT, b"x" * 5, True, 37))

    def test_feed_when_not_open(self) -> None:
        """What comes behind the close of the application is dropped."""
        one = opened()
        one.close({"type": "websocket.close"})
        self.assertTrue(one.feed(v2.TEXT, b"x" * 1000, True, 1032))
        self.assertEqual(one.next_message(), {"type": "websocket.disconnect", "code": 1000, "reason": ""})


class CreditTests(SynchronousTestCase):
    """An application that does not receive stops its caller; one that does can get more than the window."""

    def test_whole_messages(self) -> None:
        """Each gives back what it took when it is received."""
        one = opened()
        for _ in range(3):
            one.feed(v2.TEXT, b"x", True, 33)
        self.assertEqual(one.take_credit(), 0)
        one.next_message()
        self.assertEqual((one.take_credit(), one.take_credit()), (33, 0))

    def test_parts_wait(self) -> None:
        """Nothing is given back for a part while nobody asks, or a message before it was not taken."""
        one = opened()
        one.feed(v2.TEXT, b"first", True, 37)
        one.feed(v2.TEXT, b"part", False, 36)
        self.assertEqual(one.take_credit(), 0)
        one.next_message()
        self.assertEqual(one.take_credit(), 37)
        self.assertIsNone(one.next_message())
        self.assertEqual(one.take_credit(), 36)
        one.feed(v2.TEXT, b" end", True, 36)
        self.assertEqual(one.next_message(), {"type": "websocket.receive", "text": "part end"})
        self.assertEqual(one.take_credit(), 36)

    @given(st.lists(st.tuples(st.binary(max_size=5), st.booleans(), st.booleans()), max_size=30))
    def test_books(self, parts: list[tuple[bytes, bool, bool]]) -> None:
        """Whatever comes in whatever parts, all credit comes back once, and every message is the sum of its parts."""
        assembly = Assembly(1000)
        said, got, spent, back = [b""], [], 0, 0
        for body, last, ask in [*parts, (b"", True, True)]:
            assert assembly.add(v2.BINARY, body, last, 32 + len(body))
            spent += 32 + len(body)
            said[-1] += body
            if last:
                said.append(b"")
            while ask and (taken := assembly.take()) is not None:
                got.append(taken[1])
        while (taken := assembly.take()) is not None:
            got.append(taken[1])
        back += assembly.due
        self.assertEqual((got, back), (said[:-1], spent))
