"""
Which version of ANPX a link speaks: the WebSocket subprotocol decides, and nothing else.

C{docs/protocol/anpx.md}, "Transport". A peer that offers or selects none speaks
version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from anp_twisted.limits import Limits
from anp_twisted.session.connection import Role
from anp_twisted.session.v1 import Circumstances, ConnectionV1
from anp_twisted.wire import v1, v2
from anp_twisted.wire.heads import Hello

OFFERED: Final = (v2.SUBPROTOCOL, v1.SUBPROTOCOL)
"""What a receiver offers, the better one first."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """
    What connections of version 1 take from the process they run in.

    @ivar wall: the time of day, in seconds since the epoch.
    @ivar new_id: makes the id of a request, a UUID of version 4.
    """

    wall: Callable[[], float]
    new_id: Callable[[], str]

    def connection(self, role: Role, hello: Hello, limits: Limits, *, now: float) -> ConnectionV1:
        """
        Make one side of a connection.

        @param hello: what this side says in version 2.
        @param now: the time of the clock of the link, in seconds.
        """
        stamp = self.wall()
        peer = Hello(
            versions=[v1.VERSION],
            window=limits.v1_unread,
            connection_window=limits.v1_held,
            max_streams=limits.streams,
            max_frame=limits.v1_frame,
            capacity=limits.v1_capacity,
        )
        around = Circumstances(
            peer=peer, new_id=self.new_id, opened=stamp, epoch=stamp - now, number=int(stamp * 1000) % 2**31
        )
        return ConnectionV1(role, hello, limits, around)


def chosen(offered: Sequence[str], *, with_v1: bool) -> tuple[int, str | None] | None:
    """
    Choose the version as a gateway does.

    @param offered: the subprotocols that the receiver offers.
    @param with_v1: whether version 1 is spoken here.
    @return: the version, and the subprotocol to select, if any; C{None} if there is none to speak.
    """
    if v2.SUBPROTOCOL in offered:
        return v2.VERSION, v2.SUBPROTOCOL
    if not with_v1:
        return None
    if v1.SUBPROTOCOL in offered:
        return v1.VERSION, v1.SUBPROTOCOL
    return None if offered else (v1.VERSION, None)


def agreed(selected: str | None, *, with_v1: bool) -> int | None:
    """
    Read the choice of a gateway.

    @param selected: the subprotocol that it selected, if any.
    @return: the version, C{None} if it is none that is spoken here.
    """
    if selected == v2.SUBPROTOCOL:
        return v2.VERSION
    return v1.VERSION if with_v1 and selected in (None, v1.SUBPROTOCOL) else None
