"""
Joins the chunks of one message of version 1.

C{docs/protocol/anpx.md}, "Version 1". Chunks come in the order of their indices,
since they come over one WebSocket. Each is looked at once and passed on at once,
so nothing is kept but what comes ahead of the metadata, and the cost is linear.
"""

from __future__ import annotations

from enum import Enum, auto

from anp_twisted.errors import StreamFault
from anp_twisted.wire.v1 import Chunk


class Progress(Enum):
    """
    How far a message is.

    C{AHEAD}: body came, the metadata has not. C{BODY}: the metadata is there.
    C{COMPLETE}: nothing follows.
    """

    AHEAD = auto()
    BODY = auto()
    COMPLETE = auto()


class Assembly:
    """
    One message.

    @ivar progress: how far it is.
    @ivar meta: its metadata, once that came.
    @ivar grown: when its latest chunk came, in seconds of the clock of whoever calls.
    """

    __slots__ = ("_ahead", "_most", "_next", "_total", "grown", "meta", "progress")

    def __init__(self, most: int, now: float) -> None:
        """
        @param most: chunks it may have.
        """
        self.progress = Progress.AHEAD
        self.meta: bytes | None = None
        self.grown = now
        self._most = most
        self._next = 0
        self._total: int | None = None
        self._ahead: list[bytes] = []

    def add(self, chunk: Chunk, meta: bytes | None, body: bytes, now: float) -> bytes | None:
        """
        Take a chunk.

        @param meta: its metadata, where this chunk has it.
        @return: the body that can be passed on; C{None} while the metadata is missing.
        @raise StreamFault: it does not go with what came before, or is the last and the metadata never came.
        """
        self.grown = now
        self._check(chunk)
        self._next += 1
        if meta is not None:
            if self.meta is not None:
                raise StreamFault("metadata twice")
            self.meta = meta
            self.progress = Progress.BODY
        last = chunk.final or self._next == self._total
        if self.meta is None:
            if last:
                raise StreamFault("no metadata")
            self._ahead.append(body)
            return None
        if last:
            self.progress = Progress.COMPLETE
        ahead, self._ahead = self._ahead, []
        return b"".join([*ahead, body]) if ahead else body

    def _check(self, chunk: Chunk) -> None:
        """
        @raise StreamFault: this chunk cannot come now.
        """
        if self.progress is Progress.COMPLETE:
            raise StreamFault("a chunk behind the last")
        if chunk.index != self._next:
            raise StreamFault("a chunk twice" if chunk.index < self._next else "a chunk is missing")
        if chunk.total is not None:
            if self._total is not None and chunk.total != self._total:
                raise StreamFault("the number of chunks changes")
            self._total = chunk.total
        if self._total is not None and chunk.index >= self._total:
            raise StreamFault("a chunk beyond their number")
        if chunk.final and self._total is not None and chunk.index + 1 != self._total:
            raise StreamFault("the last chunk comes early")
        if chunk.index >= self._most or (self._total is not None and self._total > self._most):
            raise StreamFault("too many chunks")
