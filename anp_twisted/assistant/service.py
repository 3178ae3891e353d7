"""
The assistant gateway as a Twisted service: what listens, how it starts, how it stops.

Stopping takes nothing new, lets answers become complete within the time to drain,
ends the rest, says goodbye to the clients and waits for the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import Logger

from anp_twisted.assistant.around import Around
from anp_twisted.assistant.connection import GOING_AWAY
from anp_twisted.assistant.connections import Connections
from anp_twisted.assistant.conversations import Conversations
from anp_twisted.http.channel import PublicFactory
from anp_twisted.transports.listener import Listener

_LOOK = 0.02
"""Seconds between two looks at what is still open while stopping."""


class Phase(Enum):
    """What the gateway does."""

    STOPPED = auto()
    SERVING = auto()
    DRAINING = auto()


@dataclass(frozen=True, slots=True)
class Agents:
    """
    What has to be ended with the gateway. Neither fails.

    @ivar stop: ends what runs, and fires when nothing of it is left.
    @ivar close: lets go of what agents share, behind that.
    """

    stop: Callable[[], Deferred[None]]
    close: Callable[[], Deferred[None]]


class AssistantService(MultiService):
    """
    All of it.

    @ivar factory: makes the connections of a listener.
    @ivar url: where it is reached, once it listens.
    """

    log = Logger()

    def __init__(
        self,
        around: Around,
        conversations: Conversations,
        connections: Connections,
        agents: Agents,
        *,
        announce: Callable[[str], None],
    ) -> None:
        """
        @param announce: gets the URL when everything listens.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.factory: PublicFactory
        self.url = ""
        self._around = around
        self._conversations = conversations
        self._connections = connections
        self._agents = agents
        self._announce = announce
        self._listeners: list[Listener] = []
        self._phase = Phase.STOPPED
        self._hurry = False

    def status(self) -> str:
        """@return: what C{health} says."""
        return "ok" if self._phase is Phase.SERVING else "stopping"

    def listen_on(self, listener: Listener) -> None:
        """Listen there when the service starts."""
        self._listeners.append(listener)

    def startService(self) -> None:
        """
        Listen.

        @raise SettingsError: a listener cannot; none listens then.
        """
        started: list[Listener] = []
        try:
            for listener in self._listeners:
                listener.start()
                started.append(listener)
        except Exception:  # boundary: whatever hindered one listener, no other may stay
            for listener in started:
                listener.stop()
            raise
        self._phase = Phase.SERVING
        self.url = self._listeners[0].url
        super().startService()  # type: ignore[no-untyped-call]
        self._announce(self.url)

    def stop_at_once(self) -> None:
        """Let whatever the stop waits for not be waited for any more."""
        self._hurry = True

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        @return: fires when nothing is left.
        """
        self._phase = Phase.DRAINING
        self._conversations.stop()
        for listener in self._listeners:
            yield listener.stop()
        self.factory.close_idle()
        yield super().stopService()  # type: ignore[no-untyped-call]
        yield self._until(lambda: not self._conversations.running, self._around.limits.drain)
        self._conversations.abort_all()
        yield self._agents.stop()
        yield self._agents.close()
        yield self._conversations.sessions.stop()
        self._connections.close_all(GOING_AWAY, "the server stops")
        yield self._until(lambda: not len(self._connections), self._around.limits.closing)
        self._connections.abort_all()
        yield self._conversations.sessions.stop()
        self._phase = Phase.STOPPED

    @inlineCallbacks
    def _until(self, condition: Callable[[], bool], seconds: float) -> Generator[Deferred[Any], Any, None]:
        """Wait for something, but not for ever."""
        clock = self._around.clock
        end = clock.seconds() + seconds
        while not condition() and clock.seconds() < end and not self._hurry:
            yield deferLater(clock, _LOOK, lambda: None)
