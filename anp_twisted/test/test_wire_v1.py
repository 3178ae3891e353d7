"""
Tests for L{anp_twisted.wire.v1}.
"""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameError, FrameTooLarge, HeadError
from anp_twisted.test.frames import MOST, PROPERTY, V1_FRAMES, field, flips, sealed, v1_frames
from anp_twisted.wire import v1
from anp_twisted.wire.v1 import Chunk, Frame, Kind

FLAG = v1.FLAG_CHUNK
NAME = field(v1.REQUEST_ID, b"id")
INDEX = field(v1.CHUNK_IDX, b"\x00\x00\x00\x00")


class FrameTests(SynchronousTestCase):
    """Frames and what is done to them on the way."""

    def test_layout(self) -> None:
        """The bytes are those that another encoder makes."""
        body = NAME + field(v1.RESP_META, b"{}") + field(v1.HTTP_BODY, b"hi")
        self.assertEqual(v1.encode(Frame(Kind.RESPONSE, "id", b"{}", b"hi")), sealed(1, 0x02, body))

    def test_layout_of_a_chunk(self) -> None:
        """The flag is set, and the final mark is one byte, as the published text has it."""
        body = NAME + field(0x0A, b"\0\0\0\x01") + field(0x0B, b"\0\0\0\x02") + field(0x0C, b"\x01")
        self.assertEqual(v1.encode(Frame(Kind.REQUEST, "id", chunk=Chunk(1, 2, True))), sealed(1, 0x01, body, flags=1))

    def test_empty_body_is_left_out(self) -> None:
        """Peers take a missing body for an empty one."""
        self.assertEqual(v1.encode(Frame(Kind.REQUEST, "id", b"{}")).count(b"\x03\x00\x00\x00\x00"), 0)

    def test_every_kind_whole(self) -> None:
        """What was encoded is decoded."""
        for frame in V1_FRAMES:
            self.assertEqual(v1.decode(v1.encode(frame), MOST), frame)

    def test_every_kind_cut(self) -> None:
        """No beginning of a frame is a frame."""
        for frame in V1_FRAMES:
            whole = v1.encode(frame)
            for size in range(len(whole)):
                self.assertRaises(FrameError, v1.decode, whole[:size], MOST)

    def test_every_bit(self) -> None:
        """Each single flipped bit is noticed, those of the padding included."""
        for frame in V1_FRAMES:
            for damaged in flips(v1.encode(frame)):
                self.assertRaises(FrameError, v1.decode, damaged, MOST)

    @PROPERTY
    @given(v1_frames())
    def test_round_trip(self, frame: Frame) -> None:
        """Any frame survives."""
        self.assertEqual(v1.decode(v1.encode(frame), MOST), frame)

    @PROPERTY
    @given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=200))
    def test_noise(self, kind: int, flags: int, body: bytes) -> None:
        """Random fields with sound checksums are a frame or a L{FrameError}."""
        with contextlib.suppress(FrameError):
            v1.decode(sealed(1, kind, body, flags=flags), MOST)


class RefusalTests(SynchronousTestCase):
    """Sound checksums around something that is no frame."""

    def refused(self, body: bytes, kind: int = Kind.REQUEST, flags: int = 0) -> FrameError:
        """Expect that a frame with this body is not read."""
        error: FrameError = self.assertRaises(FrameError, v1.decode, sealed(1, kind, body, flags=flags), MOST)
        return error

    def test_kind_and_flags(self) -> None:
        """Types and flags that version 1 does not have."""
        for kind in (0, 3, 0x10, 0xFE):
            self.refused(NAME, kind)
        for flags in (2, 3, 0x80, 0xFF):
            self.refused(NAME + INDEX, flags=flags)

    def test_request_id(self) -> None:
        """An id is there, short and printable; only an error may lack it."""
        self.refused(b"")
        self.refused(field(v1.REQUEST_ID, b""), Kind.RESPONSE)
        self.assertIsInstance(self.refused(field(v1.REQUEST_ID, b"x" * 65)), FrameTooLarge)
        self.assertIsInstance(self.refused(field(v1.REQUEST_ID, b"x" * 10_000)), FrameTooLarge)
        for bad in (b"\x00", b"a b", b"a\nb", b"\xff\xfe", "\u00e9".encode(), b"\x7f"):
            self.refused(field(v1.REQUEST_ID, bad))
        self.assertEqual(v1.decode(sealed(1, Kind.ERROR, b""), MOST).request_id, "")

    def test_chunk_fields_without_flag(self) -> None:
        """The flag and the fields must agree."""
        for extra in (INDEX, field(v1.CHUNK_TOT, b"\0\0\0\1"), field(v1.FINAL_CHUNK, b"\1")):
            self.refused(NAME + extra)

    def test_chunk_without_index(self) -> None:
        """A chunk says which it is."""
        self.refused(NAME + field(v1.CHUNK_TOT, b"\0\0\0\1"), flags=FLAG)

    def test_numbers_of_a_wrong_length(self) -> None:
        """Index and total have four bytes."""
        for value in (b"", b"\0", b"\0\0\0", b"\0" * 5, b"\0" * 8):
            self.refused(NAME + field(v1.CHUNK_IDX, value), flags=FLAG)
            self.refused(NAME + INDEX + field(v1.CHUNK_TOT, value), flags=FLAG)

    def test_final_mark(self) -> None:
        """One byte 1 as published or four bytes as some peers send it, and nothing else."""
        for value in (b"\x01", b"\0\0\0\x01"):
            frame = sealed(1, Kind.RESPONSE, NAME + INDEX + field(v1.FINAL_CHUNK, value), flags=FLAG)
            self.assertEqual(v1.decode(frame, MOST).chunk, Chunk(0, None, True))
        for value in (b"", b"\0", b"\x02", b"\0\x01", b"\x01\0\0\0"):
            self.refused(NAME + INDEX + field(v1.FINAL_CHUNK, value), flags=FLAG)

    def test_known_fields_twice(self) -> None:
        """Each known field comes at most once."""
        for tag in (v1.HTTP_META, v1.HTTP_BODY):
            self.refused(NAME + field(tag, b"") * 2)
        self.refused(NAME * 2)

    def test_field_of_the_other_kind_is_skipped(self) -> None:
        """A field that this type does not have is unknown to it."""
        frame = v1.decode(sealed(1, Kind.REQUEST, NAME + field(v1.RESP_META, b"{}") * 2), MOST)
        self.assertIsNone(frame.meta)

    def test_caps(self) -> None:
        """Of fields, and of bytes."""
        self.refused(NAME + field(0xF0, b"") * 16)
        self.assertRaises(FrameTooLarge, v1.decode, sealed(1, 1, NAME), len(sealed(1, 1, NAME)) - 1)


class MetaTests(SynchronousTestCase):
    """The JSON of requests and responses."""

    def test_request(self) -> None:
        """Missing mappings are empty; keys of a later version are ignored."""
        read = v1.decode_request(b'{"method":"GET","path":"/a b?x=\xc3\xa9","more":[1]}', 1000)
        self.assertEqual((read.method, read.path, read.headers, read.query), ("GET", "/a b?x=\u00e9", {}, {}))
        read = v1.decode_request(b'{"method":"PUT","path":"/","headers":{"a":"b"},"query":{"c":"d"}}', 1000)
        self.assertEqual((read.headers, read.query), ({"a": "b"}, {"c": "d"}))

    def test_response(self) -> None:
        """The published text has no headers; running peers send them."""
        self.assertEqual(v1.decode_response(b'{"status":204}', 1000), v1.ResponseMeta(204))
        read = v1.decode_response(b'{"status":200,"reason":"OK","headers":{"a":"b"}}', 1000)
        self.assertEqual(read, v1.ResponseMeta(200, "OK", {"a": "b"}))

    def test_wrong_requests(self) -> None:
        """Another shape, or characters that would make two lines of one."""
        wrong: object
        for wrong in (
            *({}, [], 1, None, {"method": "GET"}, {"method": 1, "path": "/"}, {"method": "GET", "path": ["/"]}),
            {"method": "GET", "path": "/", "headers": {"a": ["b"]}},
            {"method": "GET", "path": "/", "headers": [["a", "b"]]},
            *({"method": method, "path": "/"} for method in ("", "GE T", "GET\r\nX: y", "GET\n", "\u00c9", "A" * 41)),
            *({"method": "GET", "path": path} for path in ("", "/\r\nX: y", "/\n", "/\x00", "/\x7f")),
        ):
            self.assertRaises(HeadError, v1.decode_request, json.dumps(wrong).encode(), 1000)

    def test_wrong_responses(self) -> None:
        """A status is an integer of three digits."""
        for status in (0, 99, 1000, -200, "200", "200 x", 200.5, True, None):
            wrong = json.dumps({"status": status}).encode()
            self.assertRaises(HeadError, v1.decode_response, wrong, 1000)

    def test_not_json(self) -> None:
        """Cut text, bad UTF-8 and nesting without end are no JSON of ours."""
        deep = b'{"method":"GET","path":"/","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
        for wrong in (b"", b"{", b'{"method":"GET","path":"/"', b'{"method":"\xff","path":"/"}', deep):
            self.assertRaises(HeadError, v1.decode_request, wrong, 100_000)

    def test_cap(self) -> None:
        """A text over the cap is not read at all."""
        text = b'{"method":"GET","path":"/"}'
        self.assertRaises(FrameTooLarge, v1.decode_request, text, len(text) - 1)
        self.assertRaises(FrameTooLarge, v1.decode_response, b" " * (1024 * 1024), 65536)
