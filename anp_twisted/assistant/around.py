"""What the assistant takes from the process it runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from anp_twisted.assistant.journal import OffThread
from anp_twisted.eventloop import Soon
from anp_twisted.limits import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """
    @ivar clock: the reactor's time.
    @ivar soon: runs a function at the end of this turn of the reactor.
    @ivar wall: the time of day, in seconds since the epoch.
    @ivar new_id: makes 16 random hexadecimal digits.
    @ivar off: runs what may block, and tells in the reactor's thread.
    """

    clock: IReactorTime
    soon: Soon
    wall: Callable[[], float]
    new_id: Callable[[], str]
    off: OffThread
    limits: Limits
