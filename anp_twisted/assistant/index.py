"""
What is known of a session's log without reading it again.

Pure. The same L{Index.add} is called for each record that is found in a file and
for each that is appended, so a session that was opened again knows what it knew.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from anp_twisted.assistant import records
from anp_twisted.assistant.records import AnyRecord, Compacted, Damaged, Deleted, Header, Said


class OpenRun(NamedTuple):
    """A run without an end: where it was asked for, and the id of its answer."""

    seq: int
    message_id: str
    answer_id: str


class Kept(NamedTuple):
    """
    What was sent under an idempotency key.

    @ivar said: the message; its text is not kept.
    """

    fingerprint: str
    run_id: str
    said: OpenRun
    ts: float


class Index:
    """
    Where each record is, and what the latest ones mean.

    @ivar header: of the file.
    @ivar size: bytes of the file.
    @ivar runs: those without an end, by id.
    @ivar ends: the place of the end of each run that had an idempotency key.
    @ivar compacted: the place of the latest compaction, 0 if there is none.
    @ivar upto: the last place that it covers.
    @ivar updated_at: when the latest record was made.
    @ivar deleted: the latest record is a tombstone.
    """

    def __init__(self, header: Header, size: int, keep: float, most_keys: int) -> None:
        """
        @param size: bytes of the header's line.
        @param keep: seconds for which idempotency keys are remembered.
        @param most_keys: how many at most; beyond, the oldest are forgotten.
        """
        self.header = header
        self.size = size
        self.runs: dict[str, OpenRun] = {}
        self.ends: dict[str, int] = {}
        self.compacted = 0
        self.upto = 0
        self.updated_at = header.created_at
        self.deleted = False
        self._keep = keep
        self._most_keys = most_keys
        self._starts = array("Q")
        self._keys: dict[tuple[str, str], Kept] = {}

    @property
    def last_seq(self) -> int:
        """The place of the latest record."""
        return len(self._starts)

    def add(self, record: AnyRecord | Damaged, length: int) -> None:
        """
        Note a record behind the others.

        @param length: bytes of its line.
        """
        assert record.seq == len(self._starts) + 1, "records come in order"
        self._starts.append(self.size)
        self.size += length
        self.updated_at = max(self.updated_at, record.ts)
        match record:
            case Said():
                self._asked(record)
            case Compacted():
                self.compacted, self.upto = record.seq, record.upto
            case Deleted():
                self.deleted = True
            case _ if isinstance(record, records.ENDS):
                self.runs.pop(record.run_id, None)
                if record.run_id in self.ends:
                    self.ends[record.run_id] = record.seq

    def _asked(self, said: Said) -> None:
        """Note that a run began."""
        where = OpenRun(said.seq, said.id, said.answer_id)
        self.runs[said.run_id] = where
        if said.idempotency is not None:
            place = (said.idempotency.principal, said.idempotency.key)
            self._keys[place] = Kept(said.idempotency.fingerprint, said.run_id, where, said.ts)
            self.ends[said.run_id] = 0
            if len(self._keys) > self._most_keys:
                self._forget(next(iter(self._keys)))

    def _forget(self, place: tuple[str, str]) -> None:
        kept = self._keys.pop(place)
        self.ends.pop(kept.run_id, None)

    def kept(self, principal: str, key: str, now: float) -> Kept | None:
        """
        @param now: seconds since the epoch.
        @return: what was sent under a key, if that is not too long ago.
        """
        for place, kept in list(self._keys.items()):
            if now - kept.ts < self._keep:
                break
            self._forget(place)
        return self._keys.get((principal, key))

    def span(self, first: int, last: int) -> tuple[int, int]:
        """
        @param first: a place, from 1 on.
        @param last: a place that is not before it.
        @return: the bytes from the first to the last, as the first and the one behind the end.
        """
        end = self._starts[last] if last < len(self._starts) else self.size
        return self._starts[first - 1], end
