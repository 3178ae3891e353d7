"""
The file of an outbox: what was put there is sent, whatever happens to the process.

A message is put when its record is on disk. One that was sent just before the process
was killed may have no record of that, and is sent once more under the same id.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.channels.outbox import Done, Entry
from anp_twisted.assistant.channels.outboxlog import DoneRecord, PutRecord, Record, Recovered, lines, replay
from anp_twisted.assistant.journal import Journal, sync_folder
from anp_twisted.assistant.messages import OutboundMessage
from anp_twisted.limits import Limits


class OutboxFile:
    """
    One file, written by nobody else.

    @ivar size: bytes of it, those included that are about to be written.
    """

    log = Logger()

    def __init__(self, path: str, journal: Journal, wall: Callable[[], float], limits: Limits) -> None:
        """
        @param wall: seconds since 1970.
        """
        self.size = 0
        self._path = path
        self._journal = journal
        self._wall = wall
        self._limits = limits
        self._put: dict[str, PutRecord] = {}
        self._done: dict[str, DoneRecord] = {}

    def load(self) -> Recovered:
        """
        Read the file, when nothing else happens yet. Lines that cannot be read are put aside.

        @return: what has still to be sent and what was done with.
        @raise OSError: it is there and cannot be read.
        """
        try:
            with open(self._path, "rb") as file:
                found = replay(file.read())
        except FileNotFoundError:
            return Recovered()
        if found.bad:
            self.log.error(
                "{path}: {count} lines cannot be read; they are in {path}.bad", path=self._path, count=len(found.bad)
            )
            with open(f"{self._path}.bad", "ab") as file:
                file.write(b"".join(line + b"\n" for line in found.bad))
        self._put = {record.id: record for record in found.live}
        for record in found.done:
            self._remember(record)
        data = self._contents()
        replace_file(self._path, data)
        self.size = len(data)
        return found

    def age(self, record: PutRecord) -> float:
        """How many seconds ago a message was put; a clock that went back makes none younger than now."""
        return max(0.0, self._wall() - record.at)

    def put(self, messages: Iterable[tuple[str, OutboundMessage]]) -> Deferred[None]:
        """
        Write that messages are to be sent, all or none.

        @return: fires when that is on disk; fails with L{WriteFailed<anp_twisted.assistant.journal.WriteFailed>}.
        """
        now = self._wall()
        records = [PutRecord(name, now, message) for name, message in messages]
        self._put.update((record.id, record) for record in records)

        def forget(failure: Failure) -> Failure:
            for record in records:
                self._put.pop(record.id, None)
            return failure

        return self._write(records).addErrback(forget)

    def done(self, entry: Entry, outcome: Done, reason: str = "") -> None:
        """
        Write that a message needs nothing more. That this fails is logged: the message may be sent twice then.

        @param reason: for the operator, without contents.
        """
        record = DoneRecord(entry.id, self._wall(), outcome, reason)
        self._put.pop(entry.id, None)
        self._remember(record)
        self._write([record]).addErrback(
            lambda failure: self.log.error("{path}: that a message was done with is not on disk", path=self._path)
        )
        if self.size > self._limits.outbox_rewrite + 2 * self._least():
            self._rewrite()

    def _remember(self, record: DoneRecord) -> None:
        self._done[record.id] = record
        while len(self._done) > self._limits.outbox_remembered:
            del self._done[next(iter(self._done))]

    def _least(self) -> int:
        """About the size of the file after it was written anew."""
        return sum(len(record.message.content) for record in self._put.values())

    def _contents(self) -> bytes:
        return lines([*self._done.values(), *self._put.values()])

    def _write(self, records: Sequence[Record]) -> Deferred[None]:
        data = lines(records)
        self.size += len(data)
        return self._journal.append(self._path, data)

    def _rewrite(self) -> None:
        """Write the file anew, in its turn: what was appended before is in the contents, what comes later follows."""
        data = self._contents()
        self.size = len(data)
        self._journal.run(self._path, lambda: replace_file(self._path, data)).addErrback(
            lambda failure: self.log.error("{path}: it could not be written anew", path=self._path)
        )


def replace_file(path: str, data: bytes) -> None:
    """
    Put a file in the place of another, so that at each moment one of them is there whole.

    @raise OSError: the old one is still there.
    """
    draft = f"{path}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    os.replace(draft, path)
    sync_folder(os.path.dirname(path))
