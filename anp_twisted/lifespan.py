"""
The ASGI lifespan of an application: no I/O, no coroutine.

An application that knows nothing of lifespans raises or returns when it is
called with one; it is served all the same. One that says it failed is not.

ASGI, "Lifespan Protocol", 2.0.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from enum import Enum, auto
from typing import Any, Final

from anp_twisted.errors import InvalidMessage


class Mode(Enum):
    """
    What an application is expected to know of lifespans; the values are what the operator writes.

    C{AUTO}: one that knows nothing of them is served all the same. C{ON}: it is
    not. C{OFF}: the application is not asked.
    """

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Phase(Enum):
    """
    The life of an application.

    C{STARTING}: it was asked to start. C{RUNNING}: it has started. C{STOPPING}:
    it was asked to stop. C{STOPPED}: it has stopped. C{REFUSED}: it could not
    start. C{UNHEARD}: it takes no part, or no longer; there is nothing to ask it.
    """

    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    STOPPED = auto()
    REFUSED = auto()
    UNHEARD = auto()


class Input(Enum):
    """What moves an application from one L{Phase} to the next; the strings are ASGI message types."""

    STARTED = "lifespan.startup.complete"
    START_FAILED = "lifespan.startup.failed"
    STOP = "stop"
    STOP_COMPLETE = "lifespan.shutdown.complete"
    STOP_FAILED = "lifespan.shutdown.failed"
    RETURNED = "returned"


_NEXT: Final = {
    (Phase.STARTING, Input.STARTED): Phase.RUNNING,
    (Phase.STARTING, Input.START_FAILED): Phase.REFUSED,
    (Phase.STARTING, Input.RETURNED): Phase.UNHEARD,
    (Phase.STARTING, Input.STOP): Phase.UNHEARD,
    (Phase.RUNNING, Input.STOP): Phase.STOPPING,
    (Phase.RUNNING, Input.RETURNED): Phase.UNHEARD,
    (Phase.STOPPING, Input.STOP_COMPLETE): Phase.STOPPED,
    (Phase.STOPPING, Input.STOP_FAILED): Phase.STOPPED,
    (Phase.STOPPING, Input.RETURNED): Phase.STOPPED,
}

_ASKED: Final = {Phase.STARTING: "lifespan.startup", Phase.STOPPING: "lifespan.shutdown"}
_FROM_APP: Final = {
    row.value: row for row in (Input.STARTED, Input.START_FAILED, Input.STOP_COMPLETE, Input.STOP_FAILED)
}


class Lifespan:
    """
    The machine.

    @ivar phase: where in its life the application is.
    @ivar mode: what is expected of it.
    @ivar state: what it keeps for its requests; each scope gets a shallow copy.
    @ivar complaint: what it said when it could not start or stop.
    """

    def __init__(self, mode: Mode = Mode.AUTO) -> None:
        self.phase = Phase.UNHEARD if mode is Mode.OFF else Phase.STARTING
        self.mode = mode
        self.state: dict[str, Any] = {}
        self.complaint = ""
        self._told: set[Phase] = set()

    @property
    def scope(self) -> dict[str, Any]:
        """What the application is called with."""
        return {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}

    @property
    def settled(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.phase not in _ASKED

    def next_message(self) -> dict[str, Any] | None:
        """
        Answer C{receive()}.

        @return: C{None} while there is nothing to ask.
        """
        kind = _ASKED.get(self.phase)
        if kind is None or self.phase in self._told:
            return None
        self._told.add(self.phase)
        return {"type": kind}

    def send(self, message: MutableMapping[str, Any]) -> None:
        """
        Take an answer of the application.

        @raise InvalidMessage: if it is out of order; nothing changes.
        """
        kind = message.get("type")
        given = _FROM_APP.get(kind) if isinstance(kind, str) else None
        if given is None or (self.phase, given) not in _NEXT:
            raise InvalidMessage(f"{kind!r} cannot be sent while the lifespan is {self.phase.name}")
        if given is Input.START_FAILED or given is Input.STOP_FAILED:
            self.complaint = str(message.get("message", "")) or "no reason given"
        self.phase = _NEXT[self.phase, given]

    def stop(self) -> None:
        """Ask the application to stop, if it takes part."""
        self.phase = _NEXT.get((self.phase, Input.STOP), self.phase)

    def returned(self) -> None:
        """Note that the call of the application is over, by whatever way."""
        if self.phase is Phase.STARTING and self.mode is Mode.ON:
            self.phase = Phase.REFUSED
            self.complaint = "it takes no part in the lifespan, and --lifespan on demands that"
            return
        self.phase = _NEXT.get((self.phase, Input.RETURNED), self.phase)
