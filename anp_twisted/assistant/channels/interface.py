"""
What a channel is: one account of one chat service. Pure.

A channel translates, and nothing else. Who may write, what waits, what is sent
again and when it is started again is the same for all channels and is done
around them. C{docs/reference/channels.md} says how the calls of some services map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from anp_twisted.assistant.channels.pieces import CHARACTERS, Measure
from anp_twisted.assistant.messages import InboundMessage, OutboundMessage
from anp_twisted.errors import ANPError


class Received(Enum):
    """What became of a message that a channel handed over."""

    ACCEPTED = "accepted"
    """It is taken; the service may be told so."""
    REPEATED = "repeated"
    """It was taken before: the service sent it twice."""
    NOT_ALLOWED = "not_allowed"
    """Its sender may not write; he was told how to be let in, or nothing."""
    FULL = "full"
    """
    There is no room now. A service that keeps messages until they are confirmed is
    not told anything and sends it again; with any other the message is lost, and
    the sender is told.
    """
    INVALID = "invalid"
    """It is no message of this channel, or too large."""


class Trouble(Enum):
    """What kind of failure a channel met, which decides what is done about it."""

    AGAIN = "again"
    """It may work later."""
    REFUSED = "refused"
    """It will never work: the chat is gone, the user blocked the account, the message is not accepted."""
    CREDENTIALS = "credentials"
    """The service does not take this account; nothing works until the operator changed something."""


class ChannelFailed(ANPError):
    """
    A channel could not do what it was asked.

    @ivar trouble: what kind of failure.
    @ivar retry_after: seconds that the service asked to wait for, or C{None}.
    @ivar whole_account: whether that concerns all chats of the account.
    """

    def __init__(
        self,
        message: str,
        trouble: Trouble = Trouble.AGAIN,
        *,
        retry_after: float | None = None,
        whole_account: bool = False,
    ) -> None:
        """
        @param message: for the operator and the log, without secrets or contents.
        """
        super().__init__(message)
        self.trouble = trouble
        self.retry_after = retry_after
        self.whole_account = whole_account


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """
    What the service behind a channel takes.

    @ivar text: the most of one message, in units of L{measure}; longer ones are cut in pieces.
    @ivar measure: how the service counts.
    @ivar at_once: messages that may be under way to different chats.
    @ivar repeats_safe: whether a message sent twice with the same id is shown once.
    """

    text: int = 4000
    measure: Measure = CHARACTERS
    at_once: int = 4
    repeats_safe: bool = False


class Port(Protocol):
    """What a channel is given: the assistant as it sees it."""

    def receive(self, message: InboundMessage) -> Received:
        """
        Hand a message over. Never blocks, never raises for what a stranger wrote.

        C{metadata["message_id"]}, the id that the service gave the message, should be there: with it, a
        message that the service sends twice is taken once.
        """

    def is_allowed(self, sender_id: str) -> bool:
        """Ask the allow list and the pairings of this account."""

    def lost(self, failure: ChannelFailed) -> None:
        """Report that the connection to the service is gone; the channel will be stopped and started again."""


@runtime_checkable
class Channel(Protocol):
    """
    One account of one chat service.

    The three coroutines run as tasks of the asyncio loop that the reactor is on. A task that takes too long is
    cancelled.
    """

    @property
    def name(self) -> str:
        """The account, as the settings call it."""

    @property
    def capabilities(self) -> Capabilities:
        """What the service takes."""

    async def start(self) -> None:
        """
        Connect, and return when messages can come and go.

        @raise ChannelFailed: it cannot be done.
        """

    async def stop(self) -> None:
        """Disconnect. Called once after each L{start}, also after one that failed or was cancelled."""

    async def send(self, message: OutboundMessage) -> None:
        """
        Send one message, and return when the service has confirmed it.

        @param message: no longer than the service takes. Its C{id} is the same at each attempt.
        @raise ChannelFailed: it was not sent.
        """

    def is_allowed(self, sender_id: str) -> bool:
        """
        Say whether a sender may write; as a rule what L{Port.is_allowed} says.
        """


MakeChannel = Callable[[str, Port], Channel]
"""Makes a channel of its name and its port."""


class State(Enum):
    """What a channel is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It failed and will be started again."""
    REFUSED = "refused"
    """It failed and will not be started again before the operator changed something."""
    STOPPING = "stopping"


class Input(Enum):
    """What happens to a channel."""

    START = "start"
    STARTED = "started"
    FAILED = "failed"
    DENIED = "denied"
    """It failed in a way that no further attempt mends."""
    STOP = "stop"
    ENDED = "ended"
    """Its C{stop} has returned."""


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.STOPPED, Input.START): State.STARTING,
    (State.STARTING, Input.STARTED): State.RUNNING,
    (State.STARTING, Input.FAILED): State.WAITING,
    (State.STARTING, Input.DENIED): State.REFUSED,
    (State.STARTING, Input.STOP): State.STOPPING,
    (State.RUNNING, Input.FAILED): State.WAITING,
    (State.RUNNING, Input.DENIED): State.REFUSED,
    (State.RUNNING, Input.STOP): State.STOPPING,
    (State.WAITING, Input.START): State.STARTING,
    (State.WAITING, Input.STOP): State.STOPPED,
    (State.REFUSED, Input.STOP): State.STOPPED,
    (State.STOPPING, Input.ENDED): State.STOPPED,
    (State.STOPPING, Input.STARTED): State.STOPPING,
    (State.STOPPING, Input.FAILED): State.STOPPING,
    (State.STOPPING, Input.DENIED): State.STOPPING,
}
"""What is not here does not happen."""
