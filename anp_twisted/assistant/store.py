"""
The files of sessions: what is found in them, and how damage is met.

Everything here blocks and runs in a thread. A last line without its end was never
acknowledged and is cut off. Any other line that cannot be read stays where it is,
keeps its place, and is copied to a file beside it; nothing that was there is ever
taken for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from anp_twisted.assistant import keys, records
from anp_twisted.assistant.index import Index
from anp_twisted.assistant.journal import sync_folder
from anp_twisted.assistant.records import AnyRecord, Codec, Damaged, Deleted, Header
from anp_twisted.errors import CredentialError
from anp_twisted.limits import KIB, MIB, Limits

_CHUNK: Final = 1 * MIB
_TAIL: Final = 64 * KIB


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    A file that was read.

    @ivar cut: bytes of a torn line that were cut off.
    @ivar damaged: places of lines that cannot be read.
    """

    index: Index
    cut: int = 0
    damaged: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Brief:
    """
    What is known of a session whose file was not read.

    @ivar last_seq: the place of its latest record; C{None} if only reading the file tells.
    """

    header: Header
    updated_at: float
    last_seq: int | None = None


@dataclass(slots=True)
class _Pieces:
    """The lines of a file that is read piece by piece, and what is left behind the last of them."""

    path: str
    rest: bytes = field(default=b"", init=False)

    def __iter__(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            while chunk := file.read(_CHUNK):
                *lines, self.rest = (self.rest + chunk).split(b"\n")
                yield from lines


def load(path: str, codec: Codec, limits: Limits) -> Loaded | None:
    """
    Read a file, and mend it.

    @return: C{None} if there is none, or nothing in it that was ever acknowledged.
    @raise OSError: it cannot be read.
    """
    pieces = _Pieces(path)
    damaged: list[tuple[int, bytes]] = []
    index: Index | None = None
    try:
        for line in pieces:
            if index is None:
                header = records.read_header(line) or _lost_header(path, line)
                index = Index(header, len(line) + 1, limits.assistant_key_memory, limits.assistant_keys)
                continue
            record = codec.read(line, index.last_seq + 1, index.header.session_id)
            if isinstance(record, Damaged):
                damaged.append((record.seq, line))
            index.add(record, len(line) + 1)
    except FileNotFoundError:
        return None
    _mend(path, index.size if index is not None else 0, len(pieces.rest))
    if index is None:
        return None
    if index.deleted:
        # The process ended, or failed, between the tombstone and the end of the file.
        remove(path)
        return None
    _quarantine(path, damaged)
    return Loaded(index, len(pieces.rest), tuple(seq for seq, _ in damaged))


def _lost_header(path: str, line: bytes) -> Header:
    """Stand in for a first line that cannot be read: the name of the file tells the key."""
    return Header(
        session_key=str(keys.from_file_name(os.path.basename(path))),
        session_id=f"lost-{sha256(line).hexdigest()[:16]}",
        agent_id=keys.from_file_name(os.path.basename(path)).agent,
        created_at=os.stat(path).st_mtime,
    )


def _mend(path: str, size: int, torn: int) -> None:
    """Cut a torn line off."""
    if torn:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _quarantine(path: str, damaged: list[tuple[int, bytes]]) -> None:
    """Copy lines that cannot be read to where somebody may look at them, each once."""
    if not damaged:
        return
    beside = f"{path}.bad"
    known: set[bytes] = set()
    with suppress(FileNotFoundError), open(beside, "rb") as file:
        known = {line.partition(b" ")[0] for line in file}
    new = [(seq, line) for seq, line in damaged if str(seq).encode() not in known]
    if new:
        descriptor = os.open(beside, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(b"%d %s\n" % item for item in new))


def read(path: str, start: int, end: int) -> bytes:
    """
    Read a part of a file.

    @raise OSError: it cannot be read, or is shorter.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, end - start, start)
    finally:
        os.close(descriptor)
    if len(data) != end - start:
        raise OSError("the file is shorter than it was")
    return data


def remove(path: str) -> None:
    """
    Remove a file whose tombstone is written, and what lies beside it.

    @raise OSError: that is not possible.
    """
    for one in (path, f"{path}.bad"):
        with suppress(FileNotFoundError):
            os.unlink(one)
    sync_folder(os.path.dirname(path))


def catalogue(folder: str, codec: Codec) -> dict[str, Brief]:
    """
    Find the sessions of a folder, and remove those that were being deleted.

    @return: by their keys.
    @raise OSError: the folder cannot be made or read.
    @raise CredentialError: nothing that is encrypted in it can be read with this key, or without one.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    found: dict[str, Brief] = {}
    sealed: list[bool] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                key = str(keys.from_file_name(entry.name))
            except ValueError:
                continue
            brief = _brief(entry.path, codec, sealed)
            if brief is not None:
                found[key] = brief
    # One that cannot be read may be damaged; if it is all of them, it is the key.
    if sealed and not any(sealed):
        raise CredentialError(f"what is said in {folder} is encrypted, with another key than this: --content-key-file")
    return found


def _brief(path: str, codec: Codec, sealed: list[bool]) -> Brief | None:
    """
    Look at the first and the last line of a file.

    @param sealed: gets whether the last line could be read, if it is encrypted.
    """
    with open(path, "rb") as file:
        first = file.readline(_TAIL)
        if not first.endswith(b"\n"):
            return None
        size = file.seek(0, os.SEEK_END)
        file.seek(max(len(first), size - _TAIL))
        tail = file.read()
        changed = os.fstat(file.fileno()).st_mtime
    header = records.read_header(first) or _lost_header(path, first)
    lines = tail.split(b"\n")
    last = _last_record(lines, codec, header.session_id)
    if len(lines) > 1 and records.is_sealed(lines[-2]):
        sealed.append(last is not None)
    if isinstance(last, Deleted):
        remove(path)
        return None
    return Brief(header, changed, last.seq if last is not None else None)


def _last_record(lines: list[bytes], codec: Codec, session_id: str) -> AnyRecord | None:
    """Find the record in the last whole line; the first one of C{lines} may lack its beginning."""
    if len(lines) < 2 or not lines[-2]:
        return None
    return codec.read_last(lines[-2], session_id)
