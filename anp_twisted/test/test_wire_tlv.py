"""
Tests for L{anp_twisted.wire.tlv}.
"""

from __future__ import annotations

from time import process_time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameError, FrameTooLarge
from anp_twisted.test.frames import PROPERTY, field
from anp_twisted.wire import tlv

KNOWN = frozenset({1, 3})


class DecodeTests(SynchronousTestCase):
    """L{tlv.decode}"""

    def test_fields(self) -> None:
        """Known fields come back by tag, in any order; what is before the start is not looked at."""
        message = b"header" + field(3, b"body") + field(1, b"")
        self.assertEqual(tlv.decode(message, 6, KNOWN, 16), {3: b"body", 1: b""})

    def test_none(self) -> None:
        """A frame without fields has none."""
        self.assertEqual(tlv.decode(b"", 0, KNOWN, 16), {})

    def test_field_head(self) -> None:
        """Tag and length, in network byte order."""
        self.assertEqual(tlv.field_head(3, 258), b"\x03\x00\x00\x01\x02")
        self.assertEqual(len(tlv.field_head(3, 0)), tlv.OVERHEAD)

    def test_unknown_is_skipped(self) -> None:
        """A field of a later version is skipped by its length, and may come twice."""
        message = field(0xF0, b"a" * 300) + field(1, b"x") + field(0xF0, field(3, b"inside"))
        self.assertEqual(tlv.decode(message, 0, KNOWN, 16), {1: b"x"})

    def test_twice(self) -> None:
        """A known field may come once, even if both are equal."""
        self.assertRaises(FrameError, tlv.decode, field(1, b"x") + field(1, b"x"), 0, KNOWN, 16)

    def test_cut_anywhere(self) -> None:
        """No cut is taken for the end, save between two fields."""
        first = field(1, b"name")
        whole = first + field(3, b"body")
        for size in range(1, len(whole)):
            if size != len(first):
                self.assertRaises(FrameError, tlv.decode, whole[:size], 0, KNOWN, 16)

    def test_length_lies(self) -> None:
        """A length beyond the frame is refused, up to the largest number that fits."""
        for length in (3, 2**31, 2**32 - 1):
            for tag in (1, 0xF0):
                self.assertRaises(FrameError, tlv.decode, field(tag, b"xy", length), 0, KNOWN, 16)

    def test_count(self) -> None:
        """As many fields as the cap are read; one more is refused, known or not."""
        most = field(0xF0, b"") * 16
        self.assertEqual(tlv.decode(most, 0, KNOWN, 16), {})
        self.assertRaises(FrameTooLarge, tlv.decode, most + field(1, b""), 0, KNOWN, 16)

    def test_a_million_empty_fields(self) -> None:
        """They cost what the cap costs."""
        message = field(0xF0, b"") * 1_000_000
        before = process_time()
        self.assertRaises(FrameTooLarge, tlv.decode, message, 0, KNOWN, 16)
        self.assertLess(process_time() - before, 0.05)

    @PROPERTY
    @given(st.lists(st.tuples(st.integers(4, 255), st.binary(max_size=50)), max_size=14), st.binary(), st.binary())
    def test_round_trip(self, strange: list[tuple[int, bytes]], one: bytes, three: bytes) -> None:
        """Known values come out whatever stands around them."""
        fields = [field(tag, value) for tag, value in strange]
        message = b"".join([field(3, three), *fields, tlv.field_head(1, len(one)) + one])
        self.assertEqual(tlv.decode(message, 0, KNOWN, 16), {1: one, 3: three})

    @PROPERTY
    @given(st.binary(max_size=100))
    def test_noise(self, noise: bytes) -> None:
        """Random bytes are fields or a L{FrameError}, and values never reach beyond the message."""
        try:
            found = tlv.decode(noise, 0, KNOWN, 16)
        except FrameError:
            return
        self.assertLessEqual(sum(5 + len(value) for value in found.values()), len(noise))
