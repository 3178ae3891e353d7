"""
One channel account: started, watched, started again, stopped.

A new channel is made for each start, with a port of its own that closes with it: what
an old one still reports concerns nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.channels.interface import (
    TRANSITIONS,
    Channel,
    ChannelFailed,
    Input,
    MakeChannel,
    Received,
    State,
    Trouble,
)
from anp_twisted.assistant.channels.worker import OutboundWorker, Outlet
from anp_twisted.assistant.messages import InboundMessage
from anp_twisted.limits import Limits

T = TypeVar("T")

Take = Callable[[InboundMessage, bool], Received]
"""Takes a message and whether its sender may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """
    What each account needs of the assistant.

    @ivar run: runs a coroutine of a channel; cancelling the Deferred cancels the coroutine.
    @ivar wall: seconds since 1970.
    @ivar jitter: a number from 0 up to 1.
    @ivar take: what gets the messages that come.
    """

    clock: IReactorTime
    run: Callable[[Coroutine[Any, Any, None]], Deferred[None]]
    wall: Callable[[], float]
    jitter: Callable[[], float]
    take: Take
    limits: Limits


class AccountPort:
    """The L{Port<anp_twisted.assistant.channels.interface.Port>} of one life of a channel."""

    def __init__(self, account: Account, name: str) -> None:
        self._account: Account | None = account
        self._name = name
        self.channel: Channel | None = None

    def receive(self, message: InboundMessage) -> Received:
        """Hand a message over; what comes for another account, or after the end, is not taken."""
        account, channel = self._account, self.channel
        if message.channel != self._name:
            return Received.INVALID
        if account is None or channel is None:
            return Received.FULL
        return account.received(message, channel)

    def is_allowed(self, sender_id: str) -> bool:
        """Ask the list and the pairings."""
        return self._account is not None and self._account.is_allowed(sender_id)

    def lost(self, failure: ChannelFailed) -> None:
        """Report a failure of the channel as a whole."""
        if self._account is not None:
            self._account.failed(failure)

    def close(self) -> None:
        """Let nothing through any more."""
        self._account = None


class Account:
    """
    One account.

    @ivar name: as the settings call it.
    @ivar worker: sends its messages.
    @ivar state: what it is doing.
    @ivar reason: why it is not running, for the operator; empty if there is nothing to say.
    @ivar since: when the state began, in seconds since 1970.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        make: MakeChannel,
        *,
        worker: OutboundWorker,
        allows: Callable[[str], bool],
        around: Surroundings,
    ) -> None:
        """
        @param allows: says whether a sender may write.
        """
        self.name = name
        self.worker = worker
        self.state = State.STOPPED
        self.reason = ""
        self.since = around.wall()
        self.is_allowed = allows
        self._make = make
        self._around = around
        self._port: AccountPort | None = None
        self._starting: Deferred[None] | None = None
        self._ending: Deferred[None] = succeed(None)
        self._timer: IDelayedCall | None = None
        self._failures = 0
        self._running_since = 0.0

    def start(self) -> None:
        """Start it, where it is stopped."""
        self._go(Input.START)
        self._failures = 0
        self._begin()

    def stop(self) -> Deferred[None]:
        """
        Stop it, whatever it is doing.

        @return: fires when it has let go of everything; never fails.
        """
        if self.state in (State.STOPPED, State.STOPPING):
            return self._waiting_for_end()
        before = self.state
        self._go(Input.STOP)
        self.reason = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if before in (State.STARTING, State.RUNNING):
            self._end().addCallback(lambda ignored: self._go(Input.ENDED))
        return self._waiting_for_end()

    def received(self, message: InboundMessage, channel: Channel) -> Received:
        """A channel has a message."""
        try:
            allowed = channel.is_allowed(message.sender_id) is True
        except Exception:  # noqa: BLE001 - boundary: the code of a channel; who cannot be judged may not write.
            self.log.failure("{channel}: is_allowed failed", channel=self.name)
            allowed = False
        return self._around.take(message, allowed)

    def failed(self, failure: ChannelFailed) -> None:
        """The channel cannot go on as it is."""
        if self.state not in (State.STARTING, State.RUNNING):
            return
        denied = failure.trouble is Trouble.CREDENTIALS
        if self.state is State.RUNNING and self._uptime() >= self._around.limits.channel_healthy_after:
            self._failures = 0
        self._failures += 1
        self._go(Input.DENIED if denied else Input.FAILED)
        self.reason = str(failure)
        self.log.warn(
            "channel {channel} is {state}: {reason}", channel=self.name, state=self.state.value, reason=self.reason
        )
        self._end().addCallback(lambda ignored: self._again(failure.retry_after or 0.0))

    def _uptime(self) -> float:
        return self._around.clock.seconds() - self._running_since

    def _begin(self) -> None:
        """Make a channel and start it."""
        self._port = port = AccountPort(self, self.name)
        try:
            port.channel = channel = self._make(self.name, port)
        except Exception as error:  # noqa: BLE001 - boundary: the code of a channel; this account fails, no other.
            self.log.failure("channel {channel} cannot be made", channel=self.name)
            self.failed(error if isinstance(error, ChannelFailed) else ChannelFailed("it cannot be made; see the log"))
            return
        self._starting = starting = self._call(channel.start, self._around.limits.channel_start)
        starting.addCallbacks(self._started, self._not_started, callbackArgs=(channel, port), errbackArgs=(port,))

    def _started(self, ignored: object, channel: Channel, port: AccountPort) -> None:
        self._starting = None
        if self._port is not port:
            return
        self._go(Input.STARTED)
        self.reason = ""
        self._running_since = self._around.clock.seconds()
        self.log.info("channel {channel} is running", channel=self.name)
        outlet = Outlet(lambda message: self._around.run(channel.send(message)), channel.capabilities, self.failed)
        self.worker.open(outlet)

    def _not_started(self, failure: Failure, port: AccountPort) -> None:
        self._starting = None
        if self._port is port:
            self.failed(self._foreseen(failure, "started"))

    def _foreseen(self, failure: Failure, what: str) -> ChannelFailed:
        """Make a failure of what a channel raised."""
        error = failure.value
        if isinstance(error, ChannelFailed):
            return error
        if isinstance(error, CancelledError | DeferredTimeout):
            return ChannelFailed(f"it could not be {what} in time")
        # boundary: the code of a channel; it is started again.
        self.log.failure("channel {channel} could not be {what}", failure, channel=self.name, what=what)
        return ChannelFailed(f"it could not be {what}; see the log")

    def _end(self) -> Deferred[None]:
        """Close the port, let the worker rest and stop the channel."""
        port, self._port = self._port, None
        assert port is not None, "ended twice"
        port.close()
        self.worker.close()
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
        if port.channel is not None:
            self._ending = self._call(port.channel.stop, self._around.limits.channel_stop)
            self._ending.addErrback(self._not_stopped)
        return self._waiting_for_end()

    def _not_stopped(self, failure: Failure) -> None:
        self.log.warn("channel {channel}: {reason}", channel=self.name, reason=str(self._foreseen(failure, "stopped")))

    def _call(self, method: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> Deferred[None]:
        """Run a method of a channel for so long at most."""
        try:
            running = self._around.run(method())
        except Exception:  # noqa: BLE001 - boundary: the code of a channel, where its method is no coroutine.
            running = _failed_deferred()
        return running.addTimeout(seconds, self._around.clock)

    def _waiting_for_end(self) -> Deferred[None]:
        """
        @return: fires when what is ending has ended; each caller has one of its own.
        """
        waiting: Deferred[None] = Deferred()

        def ended(result: None) -> None:
            waiting.callback(None)

        self._ending.addCallback(ended)
        return waiting

    def _again(self, asked: float) -> None:
        """Start again after a pause, unless the operator has something to do first, or it was stopped."""
        if self.state is not State.WAITING or self._timer is not None:
            return
        limits = self._around.limits
        most: float = min(limits.channel_pause_most, limits.channel_pause_first * 2.0 ** min(self._failures - 1, 30))
        pause = asked + most * (0.5 + self._around.jitter() / 2)
        self._timer = self._around.clock.callLater(pause, self._restart)

    def _restart(self) -> None:
        self._timer = None
        self._go(Input.START)
        self._begin()

    def _go(self, given: Input) -> None:
        self.state = TRANSITIONS[self.state, given]
        self.since = self._around.wall()


def _failed_deferred() -> Deferred[None]:
    """Make a Deferred of the exception that is being handled."""
    failed: Deferred[None] = Deferred()
    failed.errback(Failure())
    return failed
