"""
Tests for L{anp_twisted.wire.header}.
"""

from __future__ import annotations

import tracemalloc
from struct import pack_into

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FrameError, FrameTooLarge
from anp_twisted.test.frames import MOST, PROPERTY, sealed
from anp_twisted.wire import header

BODY = b"\x03\x00\x00\x00\x02hi"


class LayoutTests(SynchronousTestCase):
    """The 24 bytes, as the normative text gives them."""

    def test_version_1(self) -> None:
        """The last four bytes are zero, and no checksum covers them."""
        made = header.encode(1, (0x01, 0, 0), len(BODY), 0x11223344)
        self.assertEqual(made[:12], b"ANPX\x01\x01\x00\x00\x00\x00\x00\x1f")
        self.assertEqual(made[16:], b"\x11\x22\x33\x44\x00\x00\x00\x00")

    def test_agrees_with_another_encoder(self) -> None:
        """A header made here is the one that plain C{struct} and C{zlib} make."""
        for version, stream in ((1, 0), (2, 0), (2, 7), (2, 2**32 - 1)):
            expected = sealed(version, 0x03, BODY, stream=stream, flags=2)
            made = header.encode(version, (3, 2, stream), len(BODY), int.from_bytes(expected[16:20], "big"))
            self.assertEqual(made + BODY, expected)

    def test_decode(self) -> None:
        """What was written is read."""
        frame = sealed(2, 0x03, BODY, stream=9, flags=2)
        self.assertEqual(header.decode(2, frame, MOST), (3, 2, 9))


class RefusalTests(SynchronousTestCase):
    """Everything that is not a frame of the agreed version is refused."""

    def refused(self, frame: bytes, version: int = 2, most: int = MOST) -> FrameError:
        """Expect that C{frame} is not read."""
        error: FrameError = self.assertRaises(FrameError, header.decode, version, frame, most)
        return error

    def test_short(self) -> None:
        """Less than a header is no frame."""
        for size in range(24):
            self.refused(sealed(2, 1, b"")[:size])

    def test_magic_version_reserved(self) -> None:
        """Other protocols, other versions and the reserved byte, with sound checksums."""
        self.refused(b"ANPY" + sealed(2, 1, BODY)[4:])
        self.refused(sealed(1, 1, BODY))
        self.refused(sealed(3, 1, BODY))
        self.refused(sealed(2, 1, BODY), version=1)
        self.refused(sealed(2, 1, BODY, reserved=1))

    def test_total_length(self) -> None:
        """A total length other than that of the message is refused, and nothing is allocated for it."""
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for version in (1, 2):
            for total in (0, 1, 23, 24, 30, 32, 2**31, 2**32 - 1):
                self.refused(sealed(version, 1, BODY, total=total), version)
        self.assertLess(tracemalloc.get_traced_memory()[1], 64 * 1024)

    def test_padding_of_version_1(self) -> None:
        """The four bytes that no checksum covers are compared with zero."""
        frame = bytearray(sealed(1, 1, BODY))
        pack_into("!I", frame, 20, 1)
        self.refused(bytes(frame), 1)

    def test_stream_id_of_version_2(self) -> None:
        """A frame cannot be moved to another stream without its checksum."""
        frame = bytearray(sealed(2, 3, BODY, stream=1))
        pack_into("!I", frame, 20, 3)
        self.refused(bytes(frame))

    def test_cap(self) -> None:
        """A frame of exactly the cap is taken; one byte more has its own error."""
        frame = sealed(2, 3, BODY, stream=1)
        self.assertEqual(header.decode(2, frame, len(frame))[2], 1)
        self.assertIsInstance(self.refused(frame, most=len(frame) - 1), FrameTooLarge)

    @PROPERTY
    @given(st.binary(max_size=200), st.sampled_from([1, 2]))
    def test_noise(self, noise: bytes, version: int) -> None:
        """Random bytes, with and without the magic, are refused by no other error."""
        self.refused(noise, version)
        self.refused(b"ANPX" + bytes([version]) + noise, version)
