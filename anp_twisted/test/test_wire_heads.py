"""
Tests for L{anp_twisted.wire.heads}.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameTooLarge, HeadError
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.frames import PROPERTY
from anp_twisted.wire import heads
from anp_twisted.wire.heads import Goaway, Hello, RequestHead, Reset, ResponseHead, Trailers

MOST = DEFAULT_LIMITS.head
SHAPES: tuple[type[Any], ...] = (RequestHead, ResponseHead, Trailers, Hello, Reset, Goaway)
latin = st.text(alphabet=st.characters(max_codepoint=0xFF), max_size=30)
pairs = st.lists(st.tuples(latin, latin), max_size=10)


def request(**changes: object) -> bytes:
    """The JSON of a request head, with some keys changed."""
    return json.dumps({"method": "GET", "target": "/", "headers": [], **changes}).encode()


def hello(**changes: object) -> bytes:
    """The JSON of a HELLO, with some keys changed."""
    return json.dumps({"versions": [2], "window": 1, "connection_window": 1, "max_streams": 0, **changes}).encode()


class RoundTripTests(SynchronousTestCase):
    """What one side says, the other hears."""

    def test_request_loses_nothing(self) -> None:
        """Order, case and repetitions of fields, and each byte of the target."""
        head = RequestHead(
            "PATCH",
            "/%2F//a?x=1&x=2;\xe9\xff",
            [("Cookie", "a=1"), ("X-B", ""), ("cookie", "b=\xe9"), ("Cookie", "a=1")],
            "https",
            "1.0",
            ("2001:db8::1", 65535),
            "01HZX",
            12.5,
        )
        self.assertEqual(heads.decode_head(RequestHead, heads.encode(head), MOST, 128), head)

    def test_defaults_are_left_out(self) -> None:
        """A small request is small."""
        self.assertEqual(heads.encode(RequestHead("GET", "/", [])), b'{"method":"GET","target":"/","headers":[]}')
        self.assertEqual(heads.encode(Reset(6)), b'{"code":6}')

    @PROPERTY
    @given(pairs, st.integers(100, 999))
    def test_any_fields(self, headers: list[tuple[str, str]], status: int) -> None:
        """All that latin-1 has."""
        head = ResponseHead(status, headers)
        self.assertEqual(heads.decode_head(ResponseHead, heads.encode(head), MOST, 128), head)
        trailers = Trailers(headers)
        self.assertEqual(heads.decode_head(Trailers, heads.encode(trailers), MOST, 128), trailers)

    def test_hello(self) -> None:
        """What is not said has its default."""
        read = heads.decode(Hello, hello(paths=["/", "/a"]), MOST)
        self.assertEqual((read.max_frame, read.capacity, read.instance, read.paths), (1024 * 1024, 1, "", ["/", "/a"]))

    def test_unknown_keys(self) -> None:
        """A later version may add some to each value."""
        self.assertEqual(heads.decode(Reset, b'{"code":6,"why":{"deep":[1]}}', MOST), Reset(6))
        self.assertEqual(heads.decode(RequestHead, request(new=1), MOST), RequestHead("GET", "/", []))

    def test_text_of_most_characters(self) -> None:
        """The longest public text fits the cap that the session puts on a RESET, however it is escaped."""
        for character in ("\x00", '"', "\U0001f4a9"):
            text = heads.encode(Reset(65535, "gateway", character * heads.MOST_TEXT, False))
            self.assertLessEqual(len(text), DEFAULT_LIMITS.reason * 8)
            heads.decode(Reset, text, DEFAULT_LIMITS.reason * 8)


class RefusalTests(SynchronousTestCase):
    """Texts of another shape are a L{HeadError}, and nothing else escapes."""

    def refused(self, shape: type[Any], text: bytes) -> None:
        """Expect that C{text} is not read."""
        self.assertRaises(HeadError, heads.decode, shape, text, MOST)

    def test_not_json(self) -> None:
        """Cut, empty, followed by more, or not UTF-8."""
        for text in (
            b"",
            b"{",
            b"nul",
            b"{}{}",
            b"\xff",
            b'{"code":6',
            b'{"code":6}x',
            b'{"code":"\xff"}',
            b"\xef\xbb\xbf{}",
        ):
            for shape in SHAPES:
                self.refused(shape, text)

    def test_nesting(self) -> None:
        """Ten thousand levels end in an error, not in the stack."""
        for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
            deep = opening * 10_000 + (b"1" if closing == b"}" else b"") + closing * 10_000
            for text in (deep, b'{"code":6,"x":' + deep + b"}", b'{"code":' + deep + b"}"):
                self.assertRaises(HeadError, heads.decode, Reset, text, 1024 * 1024)

    def test_wrong_types(self) -> None:
        """Every key with every kind of value it cannot have."""
        wrong: object
        for shape in SHAPES:
            for wrong in ([], {}, None, "x", 1, [1], {"code": None}, {"versions": 2}, {"status": "200", "headers": {}}):
                self.refused(shape, json.dumps(wrong).encode())
        value: object
        for key in ("method", "target", "headers", "scheme", "version", "client", "id", "deadline"):
            for value in ({}, [[]], True, [1, 2, 3], {"a": 1}):
                self.refused(RequestHead, request(**{key: value}))

    def test_headers(self) -> None:
        """Fields are pairs of texts."""
        for value in ({"a": "b"}, ["a"], [["a"]], [["a", "b", "c"]], [["a", 1]], [[None, "b"]], [["a", ["b"]]]):
            self.refused(RequestHead, request(headers=value))
            self.refused(ResponseHead, json.dumps({"status": 200, "headers": value}).encode())

    def test_method(self) -> None:
        """A token of a length that methods have: nothing that could end a line."""
        for value in ("", "GE T", "GET\r\nX: y", "GET\n", "\r\n", "G\x00T", "\u00c9", "G/T", "A" * 41, "GET "):
            self.refused(RequestHead, request(method=value))
        heads.decode(RequestHead, request(method="A" * 40), MOST)
        heads.decode(RequestHead, request(method="M-SEARCH"), MOST)

    def test_target(self) -> None:
        """No white space and no control character; other bytes as they came."""
        for value in ("", "/ ", "/\r\nX: y", "/\n", "/\t", "/\x00", "/\x7f", "/\u0100", "/\u20ac"):
            self.refused(RequestHead, request(target=value))
        for value in ("*", "/%0d%0a", "/\x80\xff", "/" + "a" * 60_000):
            self.assertEqual(heads.decode(RequestHead, request(target=value), MOST).target, value)

    def test_other_texts_of_a_request(self) -> None:
        """Scheme, version, client, id and deadline have their own narrow shapes."""
        for key, values in (
            ("scheme", ("ws", "HTTP", "http\n", "")),
            ("version", ("", "1.1\n", "11", "1.", "HTTP/1.1")),
            ("id", ("a b", "a\n", "\u00e9", "x" * 129)),
            ("client", (["1.2.3.4"], ["1.2.3.4", -1], ["1.2.3.4", 65536], ["x" * 65, 1], [1, "1.2.3.4"])),
            ("deadline", (-1, "1", -0.5)),
            ("protocol", ("h2c", "WebSocket", "websocket\n", 1)),
        ):
            for value in values:
                self.refused(RequestHead, request(**{key: value}))

    def test_numbers_without_end(self) -> None:
        """Numbers that no float and no integer of ours can hold."""
        for text in (b"1e999", b"-1e999", b"NaN", b"Infinity", b"1" * 400, b"1" * 60_000):
            self.refused(Reset, b'{"code":' + text + b"}")
            self.refused(RequestHead, request(deadline=0).replace(b'"deadline": 0', b'"deadline": ' + text))

    def test_status(self) -> None:
        """Three digits, as a number."""
        for value in (99, 1000, 0, -1, "200", "200 x", 200.5, True, None):
            self.refused(ResponseHead, json.dumps({"status": value, "headers": []}).encode())

    def test_hello(self) -> None:
        """Numbers within their ranges, and lists that end."""
        cases: dict[str, list[object]] = {
            "versions": [["2"], 2, None],
            "window": [0, -1, 2**31, "1", 1.5],
            "connection_window": [0, 2**31],
            "max_streams": [-1, 2**31],
            "max_frame": [0, 256 * 1024 - 1, 2**31],
            "capacity": [0, -1],
            "paths": ["/", ["a"], ["/a b"], ["/\n"], [""], ["/"] * 257, ["/" + "a" * 1024]],
            "instance": ["a b", "x" * 129],
            "software": ["x" * 129],
            "features": [["x" * 65], ["x"] * 65],
        }
        for key, values in cases.items():
            for value in values:
                self.refused(Hello, hello(**{key: value}))

    def test_reset_and_goaway(self) -> None:
        """Codes of a later version are taken; texts have their caps."""
        self.assertEqual(heads.decode(Reset, b'{"code":65535}', MOST).code, 65535)
        for text in ({"code": 65536}, {"code": -1}, {"code": 1, "text": "x" * 1025}, {"code": 1, "source": "x" * 17}):
            self.refused(Reset, json.dumps(text).encode())
        for text in ({"last": -1}, {"last": 2**32}, {"last": 1, "retry_after": -1}, {"last": 1, "text": "x" * 1025}):
            self.refused(Goaway, json.dumps(text).encode())

    def test_lone_surrogates(self) -> None:
        """Half of a character is none."""
        self.refused(Reset, rb'{"code":1,"text":"\ud800"}')

    def test_cap_of_bytes(self) -> None:
        """A mebibyte is refused before it is read; exactly the cap is read."""
        text = request(id="x")
        self.assertRaises(FrameTooLarge, heads.decode, RequestHead, text, len(text) - 1)
        self.assertEqual(heads.decode(RequestHead, text, len(text)).id, "x")
        self.assertRaises(FrameTooLarge, heads.decode, RequestHead, b"[" * 1024 * 1024, MOST)

    @PROPERTY
    @given(st.binary(max_size=100), st.sampled_from(SHAPES))
    def test_noise(self, noise: bytes, shape: type[Any]) -> None:
        """Random bytes."""
        self.refused(shape, noise)

    @PROPERTY
    @given(
        st.recursive(st.none() | st.booleans() | st.floats() | latin, lambda s: st.lists(s) | st.dictionaries(latin, s))
    )
    def test_any_json(self, value: object) -> None:
        """Random JSON in place of a value, and of a part of one."""
        self.refused(Hello, json.dumps(value).encode())
        with contextlib.suppress(HeadError):
            head = heads.decode_head(RequestHead, request(headers=value), MOST, 128)
            self.assertEqual([list(pair) for pair in head.headers], value)


class HeadTests(SynchronousTestCase):
    """L{heads.decode_head} looks at the fields too."""

    def test_count(self) -> None:
        """As many fields as the cap are taken, one more is not."""
        most = heads.encode(Trailers([("a", "b")] * 128))
        self.assertEqual(len(heads.decode_head(Trailers, most, MOST, 128).headers), 128)
        self.assertRaises(FrameTooLarge, heads.decode_head, Trailers, most, MOST, 127)

    def test_latin(self) -> None:
        """A character that stands for no byte is refused, spelled out or escaped."""
        for text in ('[["a","\u0100"]]', '[["\u20ac","b"]]', r'[["a","\u0100"]]', r'[["a","\ud83d\udca9"]]'):
            text = f'{{"headers":{text}}}'
            self.assertRaises(HeadError, heads.decode_head, Trailers, text.encode(), MOST, 128)

    def test_escapes_of_latin(self) -> None:
        """Escapes are legal JSON, whatever they stand for."""
        read = heads.decode_head(Trailers, rb'{"headers":[["\u0061","\u00ff\u000d"]]}', MOST, 128)
        self.assertEqual(read.headers, [("a", "\xff\r")])
