"""
Tests for L{anp_twisted.wire.v2}.
"""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameError, FrameTooLarge
from anp_twisted.test.frames import MOST, PROPERTY, V2_FRAMES, field, flips, sealed, v2_frames
from anp_twisted.wire import v2
from anp_twisted.wire.v2 import BODY, FLAG_END, META_TAG, Frame, Kind

CONNECTION = (Kind.HELLO, Kind.GOAWAY, Kind.PING, Kind.PONG)
STREAM = (Kind.REQUEST, Kind.RESPONSE, Kind.DATA, Kind.RESET, Kind.MESSAGE)
FIXED = {Kind.WINDOW: 4, Kind.PING: 8, Kind.PONG: 8, Kind.MESSAGE: 1}


def minimal(kind: Kind, **fields: int) -> bytes:
    """A sound frame of a type, with its field and nothing else."""
    return sealed(2, kind, field(META_TAG[kind], bytes(FIXED.get(kind, 2))), **fields)


class FrameTests(SynchronousTestCase):
    """Frames and what is done to them on the way."""

    def test_layout(self) -> None:
        """Head first, body second, the flag and the stream id in the header."""
        body = field(0x04, b"{}") + field(BODY, b"hi")
        self.assertEqual(v2.encode(Kind.RESPONSE, 9, True, b"{}", b"hi"), sealed(2, 2, body, stream=9, flags=2))

    def test_body_may_be_a_view(self) -> None:
        """A slice of a larger piece is not copied before it is a frame."""
        view = memoryview(b"_hello_")[1:6]
        self.assertEqual(v2.encode(Kind.DATA, 1, False, None, view), v2.encode(Kind.DATA, 1, False, None, b"hello"))

    def test_empty_body_is_left_out(self) -> None:
        """An END alone is a bare header."""
        self.assertEqual(v2.encode(Kind.DATA, 1, True, None, b""), sealed(2, 3, b"", stream=1, flags=2))
        self.assertEqual(len(v2.encode(Kind.DATA, 1, True, None, memoryview(b""))), 24)

    def test_every_kind_is_tried(self) -> None:
        """The list of frames here knows each type there is."""
        self.assertEqual({frame.kind for frame in V2_FRAMES}, set(Kind))

    def test_every_kind_whole(self) -> None:
        """What was encoded is decoded."""
        for frame in V2_FRAMES:
            self.assertEqual(v2.decode(v2.encode_frame(frame), MOST), frame)

    def test_every_kind_cut(self) -> None:
        """No beginning of a frame is a frame."""
        for frame in V2_FRAMES:
            whole = v2.encode_frame(frame)
            for size in range(len(whole)):
                self.assertRaises(FrameError, v2.decode, whole[:size], MOST)

    def test_every_bit(self) -> None:
        """Each single flipped bit is noticed, those of the stream id included."""
        for frame in V2_FRAMES:
            for damaged in flips(v2.encode_frame(frame)):
                self.assertRaises(FrameError, v2.decode, damaged, MOST)

    @PROPERTY
    @given(v2_frames())
    def test_round_trip(self, frame: Frame) -> None:
        """Any frame survives."""
        self.assertEqual(v2.decode(v2.encode_frame(frame), MOST), frame)

    @PROPERTY
    @given(st.integers(0, 255), st.sampled_from([0, 1, 2, 3, 255]), st.integers(0, 3), st.binary(max_size=200))
    def test_noise(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        """Random fields with sound checksums are a frame or a L{FrameError}."""
        with contextlib.suppress(FrameError):
            v2.decode(sealed(2, kind, body, flags=flags, stream=stream), MOST)


class RefusalTests(SynchronousTestCase):
    """Sound checksums around something that is no frame."""

    def refused(self, frame: bytes) -> FrameError:
        """Expect that C{frame} is not read."""
        error: FrameError = self.assertRaises(FrameError, v2.decode, frame, MOST)
        return error

    def test_kinds(self) -> None:
        """Types that version 2 does not have, the error type of version 1 among them."""
        for kind in set(range(256)) - set(Kind):
            self.refused(sealed(2, kind, b"", stream=1))
            self.refused(sealed(2, kind, b""))

    def test_places(self) -> None:
        """The connection and the streams have their own types; only WINDOW is on both."""
        for kind in CONNECTION:
            v2.decode(minimal(kind), MOST)
            self.refused(minimal(kind, stream=1))
        for kind in STREAM:
            v2.decode(minimal(kind, stream=1), MOST)
            self.refused(minimal(kind))
        v2.decode(minimal(Kind.WINDOW), MOST)
        v2.decode(minimal(Kind.WINDOW, stream=1), MOST)

    def test_flags(self) -> None:
        """END fits the types with a body; there is no other flag, and that of version 1 is none."""
        for kind in Kind:
            stream = 0 if kind in CONNECTION else 1
            for flags in (0x01, 0x03, 0x04, 0x80, 0xFF):
                self.refused(minimal(kind, stream=stream, flags=flags))
            ending = minimal(kind, stream=stream, flags=FLAG_END)
            if kind in (Kind.REQUEST, Kind.RESPONSE, Kind.DATA, Kind.MESSAGE):
                self.assertTrue(v2.decode(ending, MOST).end)
            else:
                self.refused(ending)

    def test_missing_field(self) -> None:
        """Only DATA goes without the field of its type."""
        for kind in Kind:
            bare = sealed(2, kind, b"", stream=0 if kind in CONNECTION else 1)
            if kind is Kind.DATA:
                self.assertIsNone(v2.decode(bare, MOST).meta)
            else:
                self.refused(bare)

    def test_fixed_lengths(self) -> None:
        """A credit has four bytes, a PING eight, the kind of a message one."""
        for kind, size in FIXED.items():
            stream = 0 if kind in CONNECTION else 1
            for wrong in (0, size - 1, size + 1, size * 2):
                self.refused(sealed(2, kind, field(META_TAG[kind], bytes(wrong)), stream=stream))

    def test_twice(self) -> None:
        """Each known field comes at most once."""
        for kind in Kind:
            stream = 0 if kind in CONNECTION else 1
            once = field(META_TAG[kind], bytes(FIXED.get(kind, 2)))
            self.refused(sealed(2, kind, once * 2, stream=stream))
        self.refused(sealed(2, Kind.DATA, field(BODY, b"x") * 2, stream=1))

    def test_body_where_none_belongs(self) -> None:
        """Body bytes on a type without a body are an unknown field: skipped, never delivered."""
        frame = sealed(2, Kind.WINDOW, field(0x11, b"\0\0\0\1") + field(BODY, b"smuggled"))
        self.assertEqual(v2.decode(frame, MOST), Frame(Kind.WINDOW, 0, False, b"\0\0\0\1"))

    def test_caps(self) -> None:
        """Of fields, and of bytes."""
        frame = sealed(2, Kind.DATA, field(0xF0, b"") * 17, stream=1)
        self.assertIsInstance(self.refused(frame), FrameTooLarge)
        self.assertRaises(FrameTooLarge, v2.decode, minimal(Kind.PING), 24)
        self.assertRaises(FrameTooLarge, v2.decode, minimal(Kind.PING), MOST, 0)


class CreditTests(SynchronousTestCase):
    """The field of a WINDOW frame."""

    def test_round_trip(self) -> None:
        """From the least to the most."""
        for credit in (1, 65536, 2**31 - 1):
            self.assertEqual(v2.unpack_credit(v2.pack_credit(credit)), credit)

    def test_refused(self) -> None:
        """A credit of nothing is a waste; more than half the number range would overflow sums."""
        for credit in (0, 2**31, 2**32 - 1):
            self.assertRaises(FrameError, v2.unpack_credit, v2.pack_credit(credit))
