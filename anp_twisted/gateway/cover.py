"""
Which worker accepts on which port while not all of them are there. Pure.

Each worker has a listening socket of its own, among which the kernel divides the
callers. While a worker is away its socket is still there, and so are the callers
in its queue: another worker accepts them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """
    Tell a worker to accept on the socket of another one, or no longer to.

    @ivar worker: who is told.
    @ivar socket: the number of the other one.
    @ivar accepts: whether to begin or to end.
    """

    worker: int
    socket: int
    accepts: bool


class Cover:
    """
    The table.

    @ivar serving: the workers that are there.
    """

    def __init__(self) -> None:
        self.serving: set[int] = set()
        self._instead: dict[int, int | None] = {}

    def came(self, worker: int) -> list[Turn]:
        """
        A worker accepts on its own socket.

        @return: what is to be told, in order.
        """
        self.serving.add(worker)
        before = self._instead.pop(worker, None)
        turns = [] if before is None else [Turn(before, worker, False)]
        return turns + self._fill()

    def gone(self, worker: int) -> list[Turn]:
        """
        A worker is away or leaves, and with it whatever it did for others; the second time says nothing new.

        @return: what is to be told, in order.
        """
        self.serving.discard(worker)
        self._instead.setdefault(worker, None)
        for socket, instead in self._instead.items():
            if instead == worker:
                self._instead[socket] = None
        return self._fill()

    def _fill(self) -> list[Turn]:
        """Give each lonely socket to the worker that has the fewest."""
        turns = []
        for socket, instead in self._instead.items():
            if instead is None and self.serving:
                loads = list(self._instead.values())
                chosen = min(sorted(self.serving), key=loads.count)
                self._instead[socket] = chosen
                turns.append(Turn(chosen, socket, True))
        return turns
