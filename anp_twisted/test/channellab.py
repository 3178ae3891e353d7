"""A chat service in memory: a channel that does what a test tells it, and what stands around it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock

from anp_twisted.assistant.channels.account import Surroundings, Take
from anp_twisted.assistant.channels.interface import Capabilities, ChannelFailed, Port, Received
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.messages import InboundMessage, OutboundMessage
from anp_twisted.limits import Limits


def at_once(work: Callable[[], Any]) -> Deferred[Any]:
    """A thread that is as fast as no thread."""
    return maybeDeferred(work)


def journal() -> Journal:
    """A journal that writes at once."""
    return Journal(at_once)


def run(coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
    """Run a coroutine of a channel that awaits Deferreds."""
    return Deferred.fromCoroutine(coroutine)


def surroundings(clock: Clock, limits: Limits, take: Take = lambda message, allowed: Received.ACCEPTED) -> Surroundings:
    """What accounts need, on a clock of the test; it is 1000 seconds past 1970 when that clock begins."""
    return Surroundings(
        clock=clock, run=run, wall=lambda: 1000.0 + clock.seconds(), jitter=lambda: 0.0, take=take, limits=limits
    )


def inbound(
    text: str = "hello", chat: str = "c", sender: str = "7", channel: str = "fake", **metadata: Any
) -> InboundMessage:
    """A message that somebody wrote."""
    return InboundMessage(
        channel=channel, sender_id=sender, chat_id=chat, content=text, timestamp=1.0, metadata=metadata
    )


def outbound(text: str = "hello", chat: str = "c", name: str = "1") -> OutboundMessage:
    """A message for somebody."""
    return OutboundMessage(channel="fake", chat_id=chat, content=text, id=name)


class FakeChannel:
    """
    A channel.

    @ivar calls: what was asked of it, in order.
    @ivar sent: the messages that the service has confirmed.
    """

    def __init__(self, service: FakeService, name: str, port: Port) -> None:
        self.service = service
        self.name = name
        self.port = port
        self.capabilities = service.capabilities

    async def start(self) -> None:
        """Connect as the service says."""
        self.service.calls.append("start")
        await self.service.starts()

    async def stop(self) -> None:
        """Disconnect as the service says."""
        self.service.calls.append("stop")
        await self.service.stops()

    async def send(self, message: OutboundMessage) -> None:
        """Send as the service says."""
        self.service.calls.append(f"send {message.id}")
        await self.service.sends(message)
        self.service.sent.append(message)

    def is_allowed(self, sender_id: str) -> bool:
        """As the port says."""
        return self.port.is_allowed(sender_id)


class FakeService:
    """The service behind L{FakeChannel}s; a test replaces C{starts}, C{stops} and C{sends}."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sent: list[OutboundMessage] = []
        self.channels: list[FakeChannel] = []
        self.capabilities = Capabilities(at_once=2)
        self.starts: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.stops: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.sends: Callable[[OutboundMessage], Deferred[None]] = lambda message: succeed(None)

    def make(self, name: str, port: Port) -> FakeChannel:
        """Make a channel, as C{MakeChannel} does."""
        channel = FakeChannel(self, name, port)
        self.channels.append(channel)
        return channel

    @property
    def port(self) -> Port:
        """The port of the latest channel."""
        return self.channels[-1].port

    @property
    def texts(self) -> list[str]:
        """What was sent."""
        return [message.content for message in self.sent]


def failing(*failures: ChannelFailed) -> Callable[..., Deferred[None]]:
    """Fail with each of these, and succeed from then on."""
    left = list(failures)

    def call(*ignored: object) -> Deferred[None]:
        if not left:
            return succeed(None)
        failed: Deferred[None] = Deferred()
        failed.errback(left.pop(0))
        return failed

    return call
