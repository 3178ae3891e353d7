"""Tests of L{anp_twisted.receiver.asgi}."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase, TestCase
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from anp_twisted.errors import InvalidMessage
from anp_twisted.receiver.asgi import HttpExchange, Incoming, Message, Outgoing, http_scope, server_of
from anp_twisted.test.receiver_rig import on_loop, the_loop
from anp_twisted.wire.heads import Pairs, RequestHead

HOST: Pairs = [("Host", "example.org")]


def scope_of(target: str = "/", headers: Pairs = HOST, **fields: Any) -> dict[str, Any]:
    return http_scope(RequestHead(fields.pop("method", "GET"), target, headers, **fields), {})


def exchange(method: str = "GET", headers: Pairs = HOST, pieces: int = 4) -> HttpExchange:
    return HttpExchange(scope_of(method=method, headers=headers), pieces)


def start(status: object = 200, headers: object = ()) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: object = b"", more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


class FakeTransport(asyncio.Transport):
    """As much of a transport as uvicorn asks for."""

    def write(self, data: object) -> None:
        pass

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("203.0.113.7", 4711) if name == "peername" else default


class ScopeTests(TestCase):
    """What an application is called with."""

    async def uvicorns(self, request: bytes, root_path: str = "") -> dict[str, Any]:
        """
        @return: the scope that uvicorn makes of a request.
        """
        seen: asyncio.Future[dict[str, Any]] = the_loop().create_future()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.set_result(scope)
            await send(start())
            await send(body())

        config = Config(app, log_config=None, lifespan="off", root_path=root_path, interface="asgi3")
        protocol = HttpToolsProtocol(config, ServerState(), {"key": "value"}, the_loop())
        protocol.connection_made(FakeTransport())
        protocol.data_received(request)
        scope = await seen
        protocol.connection_lost(None)
        return scope

    @on_loop
    async def test_as_uvicorn(self) -> None:
        """The scope of a request is what uvicorn makes of the same bytes."""
        cases: list[tuple[str, str, str, Pairs, str]] = [
            ("GET", "/", "1.1", HOST, ""),
            (
                "POST",
                "/a%2Fb/%E2%82%AC/%ff?q=1&q=2&e=%20+",
                "1.1",
                [*HOST, ("X-A", "1"), ("x-a", "2"), ("X-B", "\xe9")],
                "",
            ),
            ("DELETE", "//a/../b;c=d/?", "1.0", [*HOST, ("Cookie", "a=b"), ("Cookie", "c=d")], "/mounted"),
            ("OPTIONS", "/a?b?c=%23", "1.1", [*HOST, ("Content-Length", "0")], ""),
            ("PATCH", "/a#fragment", "1.1", HOST, ""),
        ]
        for method, target, version, headers, root_path in cases:
            fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
            request = f"{method} {target} HTTP/{version}\r\n{fields}\r\n".encode("latin-1")
            expected = await self.uvicorns(request, root_path)
            head = RequestHead(method, target, headers, version=version, client=("203.0.113.7", 4711))
            scope = http_scope(head, {"key": "value"}, root_path)
            ours = {"request_id": "", "deadline": 0.0, "identity": None, "target": target}
            known: dict[str, Any] = {"http.response.early_hint": {}, "http.response.trailers": {}}
            self.assertEqual(scope.pop("extensions"), {**known, "anp": ours})
            # uvicorn knows the socket it listens on; the receiver has none.
            self.assertEqual((scope.pop("server"), expected.pop("server")), (("example.org", 80), None))
            self.assertEqual(scope, expected)

    def test_identity(self) -> None:
        """Who the caller has proved to be is told, and nothing where nobody proved anything."""
        self.assertIsNone(scope_of()["extensions"]["anp"]["identity"])
        proved = scope_of(identity=("did", "did:wba:a.example:b"))["extensions"]["anp"]["identity"]
        self.assertEqual(proved, {"kind": "did", "name": "did:wba:a.example:b"})

    def test_method_is_upper_case(self) -> None:
        """ASGI wants the method in upper case."""
        self.assertEqual(scope_of(method="get")["method"], "GET")

    def test_raw_bytes(self) -> None:
        """Bytes that no URL should hold are kept in the raw path, and replaced in the decoded one."""
        scope = scope_of("/\xe9?\xe9")
        self.assertEqual((scope["raw_path"], scope["path"], scope["query_string"]), (b"/\xe9", "/\ufffd", b"\xe9"))

    def test_bodyOfUnknownLength(self) -> None:
        """A body without length is announced as uvicorn announces it."""
        chunked = (b"transfer-encoding", b"chunked")
        for headers, with_body, expected in (
            (HOST, True, True),
            (HOST, False, False),
            ([*HOST, ("Content-Length", "3")], True, False),
        ):
            scope = http_scope(RequestHead("POST", "/", list(headers)), {}, with_body=with_body)
            self.assertEqual(chunked in scope["headers"], expected)

    def test_state_is_a_copy(self) -> None:
        """What a request adds to the state is seen by no other."""
        state = {"a": 1}
        scope = http_scope(RequestHead("GET", "/", HOST), state)
        scope["state"]["b"] = 2
        self.assertEqual(state, {"a": 1})

    def test_server(self) -> None:
        """The server is the host the caller asked for, with the port of the scheme unless one is given."""
        for host, scheme, expected in [
            (b"example.org", "https", ("example.org", 443)),
            (b"example.org:8080", "http", ("example.org", 8080)),
            (b"[::1]", "http", ("::1", 80)),
            (b"[::1]:81", "http", ("::1", 81)),
            (b"example.org:", "http", ("example.org", 80)),
            (b"", "http", None),
            (b":80", "http", None),
            (b"a:b", "http", None),
        ]:
            self.assertEqual(server_of(host, scheme), expected, host)


class RequestTests(SynchronousTestCase):
    """C{receive()}."""

    def test_nothing_yet(self) -> None:
        """There is nothing to say until something came."""
        self.assertIsNone(exchange().next_message())

    def test_end_behind_the_body(self) -> None:
        """An end that comes alone is an empty last message."""
        one = exchange("POST")
        one.feed(b"a", False)
        self.assertEqual(one.next_message(), {"type": "http.request", "body": b"a", "more_body": True})
        one.feed(b"", True)
        self.assertEqual(one.next_message(), {"type": "http.request", "body": b"", "more_body": False})
        self.assertIsNone(one.next_message())

    def test_disconnect(self) -> None:
        """After the caller left, what was not taken is dropped, as is what comes late."""
        one = exchange("POST")
        one.feed(b"abc", False)
        one.disconnect()
        one.feed(b"late", True)
        self.assertEqual((one.next_message(), len(one._pieces)), ({"type": "http.disconnect"}, 0))

    def test_many_pieces(self) -> None:
        """Pieces beyond the cap are joined, so that tiny ones cost no more than large ones."""
        one = exchange("POST", pieces=4)
        for number in range(100):
            one.feed(b"%02d" % number, False)
        self.assertEqual(len(one._pieces), 4)
        messages = [one.next_message() for _ in range(4)]
        bodies = [message["body"] for message in messages if message is not None]
        self.assertEqual((bodies[:3], len(bodies[3]), bodies[3][-4:]), ([b"00", b"01", b"02"], 194, b"9899"))

    def test_reluctant(self) -> None:
        """A caller is told to send its body once, and not when it did so by itself or was answered."""
        fields = [*HOST, ("Expect", "100-continue")]
        one = exchange("POST", fields)
        self.assertEqual([one.must_ask(), one.must_ask()], [True, False])
        one = exchange("POST", fields)
        one.feed(b"a", False)
        self.assertFalse(one.must_ask())
        one = exchange("POST", fields)
        one.start(start(417))
        self.assertFalse(one.must_ask())
        one = exchange("POST", fields)
        one.feed(b"", True)
        self.assertFalse(one.must_ask())
        self.assertFalse(exchange("POST").must_ask())

    @given(st.lists(st.binary(max_size=6), max_size=12), st.lists(st.booleans(), max_size=30))
    def test_any_pieces(self, pieces: list[bytes], takes: list[bool]) -> None:
        """However the two sides take turns: the body is whole, it ends once, pieces beyond the cap are joined."""
        one = exchange("POST")
        waiting = [(piece, index == len(pieces) - 1) for index, piece in enumerate(pieces)] or [(b"", True)]
        got: list[Message] = []
        for take in takes:
            if take:
                message = one.next_message()
                got += [] if message is None else [message]
            elif waiting:
                one.feed(*waiting.pop(0))
            self.assertLessEqual(len(one._pieces), 4)
        for rest in waiting:
            one.feed(*rest)
        while (message := one.next_message()) is not None:
            got.append(message)
        self.assertEqual(b"".join(message["body"] for message in got), b"".join(pieces))
        self.assertEqual([message["more_body"] for message in got], [True] * (len(got) - 1) + [False])
        self.assertTrue(all(type(message["body"]) is bytes for message in got))


class AnswerTests(SynchronousTestCase):
    """C{send()}."""

    def refused(self, one: HttpExchange, message: Message) -> None:
        before = (one.outgoing, one._left)
        send = one.start if message["type"] == "http.response.start" else one.body
        self.assertRaises(InvalidMessage, send, message)
        self.assertEqual((one.outgoing, one._left), before)

    def test_fields(self) -> None:
        """Fields keep order, case and repetitions."""
        fields = [(b"Set-Cookie", b"a"), (b"set-cookie", b"b"), (b"X", b"\xe9\t ")]
        head = exchange().start(start(201, iter(fields)))
        self.assertEqual(head.headers, [("Set-Cookie", "a"), ("set-cookie", "b"), ("X", "\xe9\t ")])

    def test_lists_as_fields(self) -> None:
        """A field may be any pair."""
        self.assertEqual(exchange().start(start(200, [[b"a", b"b"]])).headers, [("a", "b")])

    def test_bad_status(self) -> None:
        """A status that is no final one is refused."""
        for status in (None, "200", 99, 100, 101, 199, 1000, True, 200.0):
            self.refused(exchange(), start(status))

    def test_bad_fields(self) -> None:
        """Whatever could split or distort the answer is refused."""
        for fields in (
            [(b"x", b"a\r\nb: c")],
            [(b"x", b"a\nb")],
            [(b"x", b"\0")],
            [(b"x y", b"a")],
            [(b"", b"a")],
            [(b"x:", b"a")],
            [("x", b"a")],
            [(b"x", "a")],
            [(b"x",)],
            [b"xy"],
            7,
            [(b"content-length", b"1"), (b"Content-Length", b"1")],
            [(b"content-length", b"+1")],
            [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        ):
            self.refused(exchange(), start(200, fields))

    def test_connection_fields(self) -> None:
        """What concerns one connection only stays here."""
        fields = [(b"Connection", b"close, x-own"), (b"Transfer-Encoding", b"chunked"), (b"X-Own", b"1"), (b"A", b"b")]
        self.assertEqual(exchange().start(start(200, fields)).headers, [("A", "b")])

    def test_length(self) -> None:
        """The declared length has to be met exactly."""
        one = exchange()
        one.start(start(200, [(b"content-length", b"3")]))
        self.assertEqual(one.body(body(b"ab", True)), b"ab")
        self.refused(one, body(b"cd", True))
        self.refused(one, body(b"", False))
        self.assertEqual(one.body(body(b"c", False)), b"c")
        self.assertIs(one.outgoing, Outgoing.DONE)

    def test_no_body_allowed(self) -> None:
        """204 and 304 have no body; a 304 may tell the length of what it stands for."""
        for status, fields in ((204, []), (304, [(b"content-length", b"7")])):
            one = exchange()
            one.start(start(status, fields))
            self.refused(one, body(b"x"))
            self.assertEqual(one.body(body()), b"")

    def test_head(self) -> None:
        """The answer to HEAD may hold what GET would have had; nothing of it is sent."""
        one = exchange("HEAD")
        one.start(start(200, [(b"content-length", b"3")]))
        self.assertEqual(one.body(body(b"longer than that", True)), b"")
        self.assertEqual(one.body(body()), b"")

    def test_body_types(self) -> None:
        """Whatever can change later is copied; what is no bytes is refused."""
        one = exchange()
        one.start(start())
        data = bytearray(b"abc")
        sent = one.body(body(data, True))
        data[:] = b"xyz"
        self.assertEqual((sent, type(sent)), (b"abc", bytes))
        self.assertEqual(one.body(body(memoryview(b"abc"), True)), b"abc")
        self.refused(one, body("abc"))
        self.refused(one, body(None))

    def test_defaults(self) -> None:
        """All that a message may leave out has its default."""
        one = exchange()
        self.assertEqual(one.start({"type": "http.response.start", "status": 200}).headers, [])
        self.assertEqual(one.body({"type": "http.response.body"}), b"")
        self.assertIs(one.outgoing, Outgoing.DONE)

    @given(st.lists(st.sampled_from(["start", "more", "last", "other"]), max_size=8))
    def test_any_order(self, kinds: list[str]) -> None:
        """A head, then pieces, then the last of them; anything else is refused and changes nothing."""
        one = exchange()
        expected = Outgoing.HEAD
        for kind in kinds:
            if kind == "start" and expected is Outgoing.HEAD:
                one.start(start())
                expected = Outgoing.BODY
            elif kind in ("more", "last") and expected is Outgoing.BODY:
                one.body(body(b"x", kind == "more"))
                expected = Outgoing.BODY if kind == "more" else Outgoing.DONE
            else:
                message = {"start": start(), "other": {"type": "http.response.trailers"}}.get(kind, body(b"x"))
                send = one.start if expected is Outgoing.HEAD else one.body
                self.assertRaises(InvalidMessage, send, message)
            self.assertIs(one.outgoing, expected)

    def test_disconnect_at_the_end(self) -> None:
        """Once the answer is complete, receive() has only that to say."""
        one = exchange("POST")
        one.feed(b"unread", True)
        one.start(start())
        one.body(body())
        self.assertEqual(one.next_message(), {"type": "http.disconnect"})
        self.assertIs(one.incoming, Incoming.ENDED)
