"""
When to turn requests away: figures of the process in, a verdict out.

Four figures have a mark each. At a mark, new requests are turned away until every
figure is well below its own again, so that the verdict does not flutter. Pure: who
looks, and how often, is a matter of L{anp_twisted.gateway.watch}.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from anp_twisted.limits import Limits


class Gauge(Enum):
    """What has a mark. The values are what the operator reads."""

    REQUESTS = "requests"
    LAG = "lag"
    MEMORY = "memory"
    DESCRIPTORS = "descriptors"


class State(Enum):
    """
    What becomes of new requests.

    C{CALM}: they are taken. C{SHEDDING}: they are turned away. C{RECOVERING}: they
    are taken again, but it is too early to say that the overload is over.
    """

    CALM = "calm"
    SHEDDING = "shedding"
    RECOVERING = "recovering"


class Input(Enum):
    """What a look can find. C{OVER}: a figure at its mark. C{UNDER}: all well below. C{QUIET}: for long enough."""

    OVER = auto()
    UNDER = auto()
    QUIET = auto()


_NEXT: Final = {
    (State.CALM, Input.OVER): State.SHEDDING,
    (State.SHEDDING, Input.UNDER): State.RECOVERING,
    (State.RECOVERING, Input.OVER): State.SHEDDING,
    (State.RECOVERING, Input.QUIET): State.CALM,
}
"""What is not in here changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One look at the process.

    @ivar requests: running and waiting.
    @ivar lag: how late the look came, in seconds.
    @ivar memory: resident bytes; 0 where nobody can tell.
    @ivar descriptors: open file descriptors; 0 where nobody can tell.
    """

    requests: int = 0
    lag: float = 0.0
    memory: int = 0
    descriptors: int = 0


class Overload:
    """
    The machine.

    @ivar shedding: whether new requests are turned away; read for each of them.
    @ivar state: the same, and what comes after it.
    @ivar causes: the figures that are over their marks, or not yet well below.
    @ivar turned_away: how many requests were.
    @ivar crowd: the mark of the requests.
    @ivar full: no connection can be taken, for lack of descriptors.
    @ivar last: the last look.
    """

    def __init__(self, limits: Limits) -> None:
        self.state = State.CALM
        self.shedding = False
        self.causes: frozenset[Gauge] = frozenset()
        self.turned_away = 0
        self.full = False
        self.last = Sample()
        self._lag = 0.0
        self._since = 0.0
        self._most = 0
        self._memory = 0
        self._descriptors = 0
        self._marks: dict[Gauge, float] = {}
        self.follow(limits)

    def follow(self, limits: Limits) -> None:
        """Judge by other marks from now on."""
        self._limits = limits
        self._marks[Gauge.REQUESTS] = limits.overload_requests
        self._marks[Gauge.LAG] = limits.overload_lag
        self.crowd = limits.overload_requests or 1 << 62
        self.bound(memory=self._memory, descriptors=self._descriptors)

    def bound(self, *, memory: int, descriptors: int) -> None:
        """
        Learn what this process may have.

        @param memory: bytes; 0 where nobody can tell.
        @param descriptors: RLIMIT_NOFILE; 0 where there is none.
        """
        limits = self._limits
        self._memory, self._descriptors = memory, descriptors
        self._marks[Gauge.MEMORY] = limits.overload_memory or memory * limits.overload_memory_share
        # Of few descriptors, few are kept.
        self._most = descriptors - min(limits.descriptors_kept, descriptors // 8)
        self._marks[Gauge.DESCRIPTORS] = self._most * limits.overload_descriptors_share

    @property
    def room(self) -> int:
        """How many more connections change the verdict, by the last look; a large number without a limit."""
        limit = self._most if self.short else math.ceil(self._marks[Gauge.DESCRIPTORS])
        return limit - self.last.descriptors if limit else 1 << 30

    @property
    def short(self) -> bool:
        """Whether descriptors are among the causes."""
        return Gauge.DESCRIPTORS in self.causes

    def look(self, sample: Sample, now: float) -> None:
        """
        Judge the process anew.

        @param now: seconds of any clock that goes forward.
        """
        figures = self._figures(sample)
        self.last = sample
        low, causes = self._limits.overload_low, self.causes
        over = {gauge for gauge, mark in self._marks.items() if mark and figures[gauge] >= mark}
        lasting = {gauge for gauge in causes if figures[gauge] >= self._marks[gauge] * low}
        self.causes = frozenset(over | lasting)
        self.full = self._is_full(sample.descriptors)
        if over:
            self._move(Input.OVER, now)
        elif not self.causes:
            self._move(Input.UNDER, now)
        if now - self._since >= self._limits.overload_calm:
            self._move(Input.QUIET, now)

    def _figures(self, sample: Sample) -> dict[Gauge, float]:
        """What is compared with the marks."""
        lag, self._lag = min(self._lag, sample.lag), sample.lag
        # Where no request runs, turning the next one away would give no memory back.
        memory = sample.memory if sample.requests else 0
        return {
            Gauge.REQUESTS: sample.requests,
            Gauge.LAG: lag,
            Gauge.MEMORY: memory,
            Gauge.DESCRIPTORS: sample.descriptors,
        }

    def _is_full(self, descriptors: int) -> bool:
        """
        Whether connections have to wait.

        They do until there is room for more than one. Requests that run cannot keep
        it from coming: they are not let in above the mark, which is lower.
        """
        mark = self._marks[Gauge.DESCRIPTORS]
        return bool(self._most) and descriptors >= ((self._most + mark) / 2 if self.full else self._most)

    def crowded(self, now: float) -> None:
        """The requests have come to their mark between two looks."""
        self.causes |= {Gauge.REQUESTS}
        self._move(Input.OVER, now)

    def _move(self, given: Input, now: float) -> None:
        """Go on to the next state."""
        following = _NEXT.get((self.state, given))
        if following is not None:
            self.state = following
            self.shedding = following is State.SHEDDING
            self._since = now
