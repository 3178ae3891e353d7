"""
What can be done about the connections of a gateway that has no descriptors left.

A port that merely stops to accept would let its callers wait for those who hold
connections and say nothing, so the idle ones are closed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IAddress

from anp_twisted.http.channel import PublicFactory, Unwelcome
from anp_twisted.http.connection import PublicConnection
from anp_twisted.transports.listener import Listener


class GuardedFactory(PublicFactory):
    """
    Makes the connections of a public port, and tells of each.

    @ivar entering: called for each connection, before it is made.
    """

    entering: Callable[[], None]

    def buildProtocol(self, addr: IAddress | None) -> PublicConnection | Unwelcome:
        """Make the protocol of a new connection."""
        self.entering()
        return super().buildProtocol(addr)


class Doors:
    """The listeners of a gateway and the connections they made."""

    def __init__(self, listeners: Sequence[Listener], factories: Sequence[PublicFactory]) -> None:
        """
        @param listeners: the list may grow.
        """
        self._listeners = listeners
        self._factories = factories
        self._for_good = False

    def pause(self) -> None:
        """Accept no connection; those that come wait in the kernel."""
        for listener in self._listeners:
            listener.pause()

    def resume(self) -> None:
        """Accept connections again."""
        for listener in self._listeners:
            listener.resume()

    def close_resting(self, seconds: float) -> None:
        """Close the connections that have been idle for so long, and the others behind their next answer."""
        for factory in self._factories:
            factory.draining = True
            factory.close_resting(seconds)

    def let_rest(self) -> None:
        """Let connections stay open behind an answer again, unless the gateway drains."""
        for factory in self._factories:
            factory.draining = self._for_good

    def drain(self) -> None:
        """Close what is idle, and let nothing rest any more."""
        self._for_good = True
        for factory in self._factories:
            factory.close_idle()
