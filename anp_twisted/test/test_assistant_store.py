"""Tests of the files of sessions: whatever was done to them, nothing is invented and nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import records, store
from anp_twisted.assistant.keys import SessionKey
from anp_twisted.assistant.records import Codec, Damaged, Header
from anp_twisted.limits import DEFAULT_LIMITS

KEY = SessionKey("default", "ws", "@bob", "direct", "s", "")
HEADER = Header(session_key=str(KEY), session_id="i", agent_id="default", created_at=0.5)


def lines(count: int) -> list[bytes]:
    """Make the lines of a session with so many records."""
    codec = Codec()
    made = [codec.header(HEADER)]
    for seq in range(1, count + 1):
        answer = records.Answered(seq=seq, id=f"a{seq}", ts=float(seq), run_id=f"r{seq}", text="word " * seq)
        made.append(codec.line(answer, "i"))
    return made


class StoreTests(SynchronousTestCase):
    """Files."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / KEY.file_name
        self.patch(os, "fsync", lambda descriptor: None)

    def load(self) -> store.Loaded | None:
        """Read the file."""
        return store.load(str(self.path), Codec(), DEFAULT_LIMITS)

    def test_whole(self) -> None:
        """A whole file is read as it was written, and left so."""
        data = b"".join(lines(3))
        self.path.write_bytes(data)
        loaded = self.load()
        assert loaded is not None
        self.assertEqual((loaded.index.last_seq, loaded.cut, loaded.damaged), (3, 0, ()))
        self.assertEqual(loaded.index.header, HEADER)
        start, end = loaded.index.span(2, 3)
        self.assertEqual(store.read(str(self.path), start, end), b"".join(lines(3)[2:]))
        self.assertEqual(self.path.read_bytes(), data)

    def test_torn(self) -> None:
        """Wherever the file ends, whole lines count and the rest is cut off; the next line begins at a line's start."""
        data = b"".join(lines(3))
        ends = [sum(map(len, lines(3)[:count])) for count in range(1, 5)]
        for length in range(len(data) + 1):
            self.path.write_bytes(data[:length])
            loaded = self.load()
            whole = [end for end in ends if end <= length]
            if not whole:
                self.assertIsNone(loaded)
                self.assertEqual(self.path.stat().st_size, 0)
                continue
            assert loaded is not None
            self.assertEqual((loaded.index.last_seq, loaded.damaged), (len(whole) - 1, ()))
            self.assertEqual(self.path.stat().st_size, whole[-1])

    def test_zeros(self) -> None:
        """A file system that lost power may leave zeros; they are no line."""
        self.path.write_bytes(b"".join(lines(2)) + b"\x00" * 4096)
        loaded = self.load()
        assert loaded is not None
        self.assertEqual((loaded.index.last_seq, loaded.cut), (2, 4096))

    def test_damaged(self) -> None:
        """A line that cannot be read keeps its place, stays where it is, and is put aside once."""
        made = lines(3)
        made[2] = b"}" + made[2][1:]
        self.path.write_bytes(b"".join(made))
        for _ in range(2):
            loaded = self.load()
            assert loaded is not None
            self.assertEqual((loaded.index.last_seq, loaded.damaged), (3, (2,)))
        self.assertEqual(self.path.read_bytes(), b"".join(made))
        beside = self.folder / f"{KEY.file_name}.bad"
        self.assertEqual(beside.read_bytes(), b"2 " + made[2])
        self.assertEqual(beside.stat().st_mode & 0o777, 0o600)

    def test_lostHeader(self) -> None:
        """Without its first line a session is still one: the name of the file tells whose."""
        self.path.write_bytes(b"x" * 30 + b"\n" + b"".join(lines(2)[1:]))
        loaded = self.load()
        assert loaded is not None
        self.assertEqual((loaded.index.last_seq, loaded.index.header.session_key), (2, str(KEY)))

    def test_missing(self) -> None:
        """No file is no session; one that may not be read is not no session."""
        self.assertIsNone(self.load())
        self.path.mkdir()
        self.assertRaises(OSError, self.load)

    @given(st.integers(0, 2**16), st.integers(0, 255))
    def test_anyByte(self, place: int, byte: int) -> None:
        """Whichever byte is changed, all other records are there and in their places."""
        data = bytearray(b"".join(lines(4)))
        body = len(lines(0)[0])
        place = body + place % (len(data) - body)
        data[place] = byte
        self.path.write_bytes(data)
        loaded = self.load()
        assert loaded is not None
        if byte != 10 and data.count(b"\n") == 5:
            raw = [
                store.read(str(self.path), *loaded.index.span(seq, seq)) for seq in range(1, loaded.index.last_seq + 1)
            ]
            found = [Codec().read(line[:-1], seq, "i") for seq, line in enumerate(raw, 1)]
            good = [one for one in found if not isinstance(one, Damaged) and one.id == f"a{one.seq}"]
            self.assertGreaterEqual(len(good), 3)

    def test_shortRead(self) -> None:
        """A file that somebody made shorter fails, and serves no half of a record."""
        self.path.write_bytes(b"".join(lines(1)))
        self.assertRaises(OSError, store.read, str(self.path), 0, 10_000)


class CatalogueTests(SynchronousTestCase):
    """What is in a folder."""

    def setUp(self) -> None:
        """Name the folder."""
        self.folder = Path(self.mktemp())

    def found(self) -> dict[str, int | None]:
        """Look into it."""
        return {key: brief.last_seq for key, brief in store.catalogue(str(self.folder), Codec()).items()}

    def test_made(self) -> None:
        """The folder is made for its owner alone."""
        self.assertEqual(self.found(), {})
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)

    def test_found(self) -> None:
        """Sessions, with their last place where the last line tells it, and nothing else."""
        self.folder.mkdir()
        (self.folder / KEY.file_name).write_bytes(b"".join(lines(3)))
        (self.folder / "notes.txt").write_bytes(b"x")
        (self.folder / f"{KEY.file_name}.bad").write_bytes(b"x")
        torn = KEY._replace(peer="torn")
        (self.folder / torn.file_name).write_bytes(lines(0)[0][:-4])
        long = KEY._replace(peer="long")
        (self.folder / long.file_name).write_bytes(b"".join(lines(1)) + b"y" * 100_000 + b"\n")
        self.assertEqual(self.found(), {str(KEY): 3, str(long): None})

    def test_tombstone(self) -> None:
        """A session whose deletion was cut short goes now, with what lies beside it."""
        self.folder.mkdir()
        path = self.folder / KEY.file_name
        dead = Codec().line(records.Deleted(seq=4, id="d", ts=1.0), "i")
        path.write_bytes(b"".join(lines(3)) + dead)
        (self.folder / f"{KEY.file_name}.bad").write_bytes(b"x")
        self.assertEqual(self.found(), {})
        self.assertEqual(os.listdir(self.folder), [])
