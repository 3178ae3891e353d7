"""Rules of L{anp_twisted.transports.framing}."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.transports import framing
from anp_twisted.transports.framing import FrameCutter, MessageCutter, front, xor

MASK = b"\x01\x80\xfe\x37"
SIZES = (0, 1, 125, 126, 127, 65535, 65536, 70000)


def frame(payload: bytes, mask: bytes) -> bytes:
    """Make a whole frame."""
    return front(len(payload), mask) + (xor(mask, payload) if mask else payload)


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Cut bytes at places that are taken modulo their number."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return (data[a:b] for a, b in pairwise(places))


class XorTests(SynchronousTestCase):
    """Masks."""

    @given(st.binary(min_size=4, max_size=4), st.integers(0, 3000))
    def test_definition(self, mask: bytes, size: int) -> None:
        """Octet i is combined with octet i modulo 4 of the mask: RFC 6455, 5.3; at any size."""
        data = bytes(i * 7 % 256 for i in range(size))
        self.assertEqual(xor(mask, data), bytes(octet ^ mask[i % 4] for i, octet in enumerate(data)))

    def test_withoutNative(self) -> None:
        """Where Autobahn's native masker is missing, a large frame is masked the same."""
        data = bytes(range(256)) * 20
        expected = xor(MASK, data)
        self.patch(framing, "_NATIVE", False)
        self.assertEqual(xor(MASK, data), expected)


class CutterTests(SynchronousTestCase):
    """What is cut, and what is left."""

    def test_sizes(self) -> None:
        """Every form of the length comes back, masked or not."""
        for mask in (b"", MASK):
            for size in SIZES:
                cutter = FrameCutter(bool(mask), 1 << 20)
                payload = bytes(size)
                self.assertEqual(cutter.feed(frame(payload, mask)), [payload])
                self.assertEqual(cutter.foreign, b"")

    @given(st.lists(st.integers(0, 300), max_size=12), st.lists(st.integers(0, 1 << 20), max_size=20), st.booleans())
    def test_anyPieces(self, sizes: list[int], cuts: list[int], masked: bool) -> None:
        """However a stream is cut into pieces, the same messages come out of it."""
        messages = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
        stream = b"".join(frame(message, MASK if masked else b"") for message in messages)
        cutter = FrameCutter(masked, 1 << 20)
        self.assertEqual([message for piece in pieces(stream, cuts) for message in cutter.feed(piece)], messages)
        self.assertEqual(cutter.foreign, b"")

    @given(st.integers(0, 40))
    def test_foreign(self, cut: int) -> None:
        """From the first other frame on all bytes are left, and those before it are taken."""
        for other in (b"\x89\x00", b"\x81\x01a", b"\x02\x00", b"\xc2\x00", b"\x88\x02\x03\xe8"):
            stream = frame(b"one", b"") + other + frame(b"two", b"")
            cutter = FrameCutter(False, 100)
            found: list[bytes] = []
            left = b""
            for piece in pieces(stream, [cut]):
                if left:
                    left += piece
                    continue
                found += cutter.feed(piece)
                left = cutter.foreign
            self.assertEqual((found, left), ([b"one"], other + frame(b"two", b"")))

    def test_breaches(self) -> None:
        """A wrong mask bit, a length that is not the shortest and one over the cap are Autobahn's to refuse."""
        for breach in (
            b"\x82\x81abcdx",
            b"\x82\x7e\x00\x7d" + bytes(125),
            b"\x82\x7f" + (65535).to_bytes(8, "big"),
            b"\x82\x7f" + b"\xff" * 8,
            front(101, b""),
            front(1 << 40, b""),
        ):
            cutter = FrameCutter(False, 100)
            self.assertEqual(cutter.feed(breach), [])
            self.assertTrue(cutter.foreign or len(breach) < 10, breach)
        self.assertEqual(FrameCutter(True, 100).feed(frame(b"x", b"")), [])

    def test_nothingBeforeItComes(self) -> None:
        """A length that was only announced takes no room."""
        cutter = FrameCutter(False, 1 << 20)
        cutter.feed(front(1 << 20, b""))
        self.assertLess(len(cutter._partial), 20)


class MessageCutterTests(SynchronousTestCase):
    """Text beside binary."""

    @given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=8), st.lists(st.integers(0, 3000)))
    def test_any_pieces(self, said: list[tuple[bool, bytes]], cuts: list[int]) -> None:
        """Whole frames of both kinds come back in order, in whatever pieces they came."""
        sent = b"".join(front(len(data), MASK, 0x81 if text else 0x82) + xor(MASK, data) for text, data in said)
        cutter = MessageCutter(1000)
        got = [message for piece in pieces(sent, cuts) for message in cutter.feed_messages(piece)]
        self.assertEqual(got, [(1 if text else 2, data) for text, data in said])
        self.assertEqual(cutter.foreign, b"")

    def test_foreign(self) -> None:
        """Anything else is left where it begins: control frames, fragments, what is too large, or not masked."""
        good = front(1, MASK, 0x81) + xor(MASK, b"x")
        for other in (
            front(0, MASK, 0x89),
            front(1, MASK, 0x01) + b"x",
            front(0, MASK, 0x80),
            front(0, MASK, 0xC1),
            front(1001, MASK, 0x82),
            front(0, b"", 0x81),
        ):
            cutter = MessageCutter(1000)
            self.assertEqual(cutter.feed_messages(good + other + good), [(1, b"x")])
            self.assertEqual(cutter.foreign, other + good)
