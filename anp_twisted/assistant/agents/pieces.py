"""
Bytes on their way from whoever brings them to the coroutine that takes them, with a bound in between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable

from anp_twisted.tasks import Bell, Tasks


class Pieces:
    """
    A queue of bytes with an end.

    @ivar ended: whether nothing more comes in.
    @ivar held: how many bytes wait.
    """

    def __init__(self, tasks: Tasks, most: int, hold: Callable[[bool], None]) -> None:
        """
        @param most: bytes above which whoever brings them should stop.
        @param hold: called with C{True} when it should, which may be often, and with C{False} when it may go on;
            not after the end.
        """
        self.ended = False
        self.held = 0
        self._most = most
        self._hold = hold
        self._holding = False
        self._pieces: deque[bytes] = deque()
        self._error: Exception | None = None
        self._bell: Bell = tasks.bell()

    def put(self, data: bytes) -> None:
        """Bring something."""
        if self.ended or not data:
            return
        self._pieces.append(data)
        self.held += len(data)
        self._bell.ring()
        if self.held > self._most:
            self._holding = True  # said again each time, since some sources begin again by themselves
            self._hold(True)

    def end(self, error: Exception | None = None) -> None:
        """
        Bring the end; the second time does nothing.

        @param error: what is raised behind all that was brought, C{None} if that was everything.
        """
        if not self.ended:
            self.ended = True
            self._error = error
            self._bell.ring()

    async def taken(self) -> AsyncGenerator[bytes, None]:
        """
        Take what was brought.

        @raise Exception: what L{end} was called with.
        """
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self.held -= len(piece)
                if self._holding and self.held <= self._most // 2 and not self.ended:
                    self._holding = False
                    self._hold(False)
                yield piece
            if self.ended:
                break
            await self._bell.wait()
        if self._error is not None:
            raise self._error
