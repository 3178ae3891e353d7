"""
What happens to a message that a channel hands over, before anybody works on it. Pure.

In this order: it has a shape, its sender may write, it was not taken before, there is
room. A message that is not taken leaves no trace, so that the service may send it
again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from anp_twisted.assistant.bus import Published, Topic
from anp_twisted.assistant.channels.interface import Received
from anp_twisted.assistant.channels.pairing import PairingDesk, Reply, Request
from anp_twisted.assistant.messages import InboundMessage
from anp_twisted.limits import Limits

_OF = {
    Published.ACCEPTED: Received.ACCEPTED,
    Published.FULL: Received.FULL,
    Published.BUSY: Received.FULL,
    Published.CLOSED: Received.FULL,
}


class Verdict(NamedTuple):
    """
    What became of a message.

    @ivar told: the request whose code the sender is to be told now, or C{None}.
    """

    received: Received
    told: Request | None = None


class Intake:
    """The same for all channels of an assistant."""

    def __init__(self, topic: Topic[InboundMessage], desk: PairingDesk | None, limits: Limits) -> None:
        """
        @param topic: where messages wait.
        @param desk: who gives codes to strangers; C{None} where strangers are told nothing.
        """
        self._topic = topic
        self._desk = desk
        self._limits = limits
        self._taken: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    def receive(self, message: InboundMessage, *, allowed: bool, now: float) -> Verdict:
        """
        Judge a message, and take it if it is to be taken.

        @param allowed: whether its sender may write.
        @param now: seconds since 1970.
        """
        if not self._has_shape(message):
            return Verdict(Received.INVALID)
        if not allowed:
            return Verdict(Received.NOT_ALLOWED, self._request(message, now))
        mark = self._mark(message)
        if mark is not None and mark in self._taken:
            return Verdict(Received.REPEATED)
        received = _OF[self._topic.publish(chat_key(message), message)]
        if received is Received.ACCEPTED and mark is not None:
            self._taken[mark] = None
            while len(self._taken) > self._limits.inbound_remembered:
                self._taken.popitem(last=False)
        return Verdict(received)

    def _has_shape(self, message: InboundMessage) -> bool:
        limits = self._limits
        return (
            0 < len(message.sender_id) <= 255
            and 0 < len(message.chat_id) <= 255
            and bool(message.content.strip() or message.media)
            and len(message.content) <= limits.inbound_text
            and len(message.media) <= limits.inbound_media
        )

    def _request(self, message: InboundMessage, now: float) -> Request | None:
        """Ask for a code, in a chat that nobody else reads."""
        if self._desk is None or message.metadata.get("kind", "direct") != "direct":
            return None
        reply, request = self._desk.ask(message.channel, message.sender_id, now)
        return request if reply is Reply.CODE else None

    @staticmethod
    def _mark(message: InboundMessage) -> tuple[str, str, str] | None:
        """What a message is recognised by when it comes again."""
        given = message.metadata.get("message_id")
        return (message.channel, message.chat_id, str(given)) if given else None


def chat_key(message: InboundMessage) -> str:
    """
    @return: the conversation that a message belongs to, unique over all channels.
    """
    thread = message.metadata.get("thread") or ""
    return "\n".join((message.channel, message.chat_id, str(thread)))
