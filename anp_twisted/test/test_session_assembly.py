"""Rules of L{anp_twisted.session.assembly}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import StreamFault
from anp_twisted.session.assembly import Assembly, Progress
from anp_twisted.test.frames import PROPERTY
from anp_twisted.wire.v1 import Chunk

META = b"{}"


def join(*chunks: Chunk, meta_in: int = 0, most: int = 100) -> tuple[list[bytes | None], Progress]:
    """What comes of chunks whose bodies are their indices."""
    assembly = Assembly(most, 0.0)
    bodies = [
        assembly.add(chunk, META if place == meta_in else None, b"%d" % chunk.index, 1.0)
        for place, chunk in enumerate(chunks)
    ]
    return bodies, assembly.progress


class AssemblyTests(SynchronousTestCase):
    """Chunks in their order."""

    def refused(self, *chunks: Chunk, meta_in: int = 0, most: int = 100) -> None:
        """All but the last are taken."""
        join(*chunks[:-1], meta_in=meta_in, most=most)
        self.assertRaises(StreamFault, join, *chunks, meta_in=meta_in, most=most)

    def test_complete(self) -> None:
        """The final flag ends a message, and so does the number of its chunks."""
        for last in (Chunk(1, None, True), Chunk(1, 2), Chunk(1, 2, True)):
            self.assertEqual(join(Chunk(0), last), ([b"0", b"1"], Progress.COMPLETE))
        self.assertEqual(join(Chunk(0, 3), Chunk(1)), ([b"0", b"1"], Progress.BODY))
        self.assertEqual(join(Chunk(0, 1)), ([b"0"], Progress.COMPLETE))

    def test_meta_late(self) -> None:
        """What comes ahead of the metadata is kept and passed on with it."""
        self.assertEqual(
            join(Chunk(0, 4), Chunk(1, 4), Chunk(2, 4), Chunk(3, 4), meta_in=2),
            ([None, None, b"012", b"3"], Progress.COMPLETE),
        )

    def test_attacks(self) -> None:
        """Each way to contradict what came before."""
        self.refused(Chunk(0), Chunk(0))  # twice
        self.refused(Chunk(0), Chunk(2))  # a gap
        self.refused(Chunk(1))
        self.refused(Chunk(0, None, True), Chunk(1))  # behind the last
        self.refused(Chunk(0, 2), Chunk(1, 3))  # their number changes
        self.refused(Chunk(0, 0))  # there are none
        self.refused(Chunk(0, 3, True))  # the last comes early
        self.refused(Chunk(0, 2**32 - 1))
        self.refused(*(Chunk(number) for number in range(6)), most=5)
        self.refused(Chunk(0), Chunk(1, None, True), meta_in=5)  # it never came

    def test_meta_twice(self) -> None:
        """Metadata comes once."""
        assembly = Assembly(9, 0.0)
        assembly.add(Chunk(0), META, b"", 0.0)
        self.assertRaises(StreamFault, assembly.add, Chunk(1), META, b"", 0.0)

    def test_grown(self) -> None:
        """It is known when the latest came."""
        assembly = Assembly(9, 1.0)
        self.assertEqual(assembly.grown, 1.0)
        assembly.add(Chunk(0), META, b"", 3.5)
        self.assertEqual(assembly.grown, 3.5)

    @given(st.lists(st.binary(max_size=5), min_size=1, max_size=20), st.data())
    @PROPERTY
    def test_whole(self, parts: list[bytes], data: st.DataObject) -> None:
        """However a message is cut, and wherever its metadata is: the same bytes in the same order."""
        where = data.draw(st.integers(0, len(parts) - 1))
        told = data.draw(st.sampled_from([None, len(parts)]))
        assembly = Assembly(100, 0.0)
        found = b""
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            chunk = Chunk(index, told, last and (told is None or data.draw(st.booleans())))
            found += assembly.add(chunk, META if index == where else None, part, 0.0) or b""
        self.assertEqual(found, b"".join(parts))
        self.assertIs(assembly.progress, Progress.COMPLETE)
