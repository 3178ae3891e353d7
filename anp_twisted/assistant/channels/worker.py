"""
Sends what is in an outbox, over one channel account.

Each account has a worker of its own, so that a service that is slow or away holds up
nothing but its own messages. While its channel is not running, messages wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.channels.interface import Capabilities, ChannelFailed, Trouble
from anp_twisted.assistant.channels.outbox import Done, Entry, Outbox, Put
from anp_twisted.assistant.channels.outboxfile import OutboxFile
from anp_twisted.assistant.channels.pieces import pieces
from anp_twisted.assistant.messages import OutboundMessage
from anp_twisted.limits import Limits


@dataclass(slots=True)
class Totals:
    """What became of the messages, since the process began."""

    sent: int = 0
    refused: int = 0
    expired: int = 0
    attempts_failed: int = 0


@dataclass(frozen=True, slots=True)
class Outlet:
    """
    A running channel, as its worker sees it.

    @ivar send: sends one message; the Deferred fires when the service has confirmed it.
    @ivar trouble: hears of failures that concern the channel as a whole.
    """

    send: Callable[[OutboundMessage], Deferred[None]]
    capabilities: Capabilities
    trouble: Callable[[ChannelFailed], None]


class OutboundWorker:
    """
    The worker.

    @ivar totals: what was done.
    """

    log = Logger()

    def __init__(self, name: str, outbox: Outbox, file: OutboxFile, clock: IReactorTime, limits: Limits) -> None:
        """
        @param name: of the account, for the log.
        """
        self.totals = Totals()
        self._name = name
        self._outbox = outbox
        self._file = file
        self._clock = clock
        self._limits = limits
        self._outlet: Outlet | None = None
        self._text = Capabilities()
        self._writing: dict[str, str] = {}
        self._sending: dict[str, Deferred[None]] = {}
        self._timer: IDelayedCall | None = None
        self._pumping = False

    @property
    def queued(self) -> int:
        """How many messages have still to be sent."""
        return len(self._outbox) + len(self._writing)

    def load(self) -> None:
        """
        Take up what an earlier process left.

        @raise OSError: the file is there and cannot be read.
        """
        found = self._file.load()
        for done in found.done:
            self._outbox.remember(done.id)
        for record in found.live:
            put = self._outbox.put(record.id, record.message, self._clock.seconds(), self._file.age(record))
            if put is not Put.ACCEPTED:
                self.log.error("{channel}: no room for a message of before: {put}", channel=self._name, put=put.value)

    def put(self, message: OutboundMessage) -> Deferred[Put]:
        """
        Take a message on, in pieces that the service takes.

        @param message: with an C{id}, under which it is sent once.
        @return: fires when it is on disk, or at once when it is not taken; fails with
            L{WriteFailed<anp_twisted.assistant.journal.WriteFailed>}.
        """
        parts = self._parts(message)
        if not parts:
            return succeed(Put.KNOWN)
        room = self._room(parts)
        if room is not Put.ACCEPTED:
            return succeed(room)
        self._writing.update((name, part.chat_id) for name, part in parts)
        return self._file.put(parts).addBoth(self._written, parts)

    def open(self, outlet: Outlet) -> None:
        """Begin to send."""
        assert self._outlet is None, "opened twice"
        self._outlet = outlet
        self._text = outlet.capabilities
        self._pump()

    def close(self) -> None:
        """Send no more; what is under way is given up and tried again when there is a channel."""
        self._outlet = None
        self._stop_timer()
        for sending in list(self._sending.values()):
            sending.cancel()

    def _parts(self, message: OutboundMessage) -> list[tuple[str, OutboundMessage]]:
        """Cut a message; the first piece has its id, attachments go with the last."""
        texts = pieces(message.content, self._text.text, self._text.measure) or ([""] if message.media else [])
        names = [message.id if not place else f"{message.id}/{place + 1}" for place in range(len(texts))]
        return [
            (
                name,
                msgspec.structs.replace(
                    message,
                    id=name,
                    content=text,
                    reply_to=message.reply_to if name == message.id else None,
                    media=message.media if name == names[-1] else (),
                ),
            )
            for name, text in zip(names, texts, strict=True)
        ]

    def _room(self, parts: list[tuple[str, OutboundMessage]]) -> Put:
        """Look whether there is room beside what is just being written."""
        if any(name in self._writing or self._outbox.knows(name) for name, _ in parts):
            return Put.KNOWN
        chat = parts[0][1].chat_id
        beside = sum(one == chat for one in self._writing.values())
        if len(self._outbox) + len(self._writing) + len(parts) > self._limits.outbox:
            return Put.FULL
        return self._outbox.fits(chat, len(parts) + beside)

    def _written(self, result: Failure | None, parts: list[tuple[str, OutboundMessage]]) -> Put | Failure:
        """The record is on disk, or it is not."""
        for name, _ in parts:
            del self._writing[name]
        if isinstance(result, Failure):
            return result
        now = self._clock.seconds()
        for name, part in parts:
            put = self._outbox.put(name, part, now)
            assert put is Put.ACCEPTED, "no room where room was kept"
        self._pump()
        return Put.ACCEPTED

    def _pump(self) -> None:
        """Send what is due. What is sent may end at once, and comes back here: the loop that runs goes on then."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._expire()
            while self._outlet is not None:
                entry = self._outbox.take(self._clock.seconds(), self._text.at_once)
                if entry is None:
                    break
                self._send(self._outlet, entry)
        finally:
            self._pumping = False
        self._set_timer()

    def _send(self, outlet: Outlet, entry: Entry) -> None:
        sending = outlet.send(entry.message)
        self._sending[entry.id] = sending
        sending.addTimeout(self._limits.channel_send, self._clock)
        sending.addCallbacks(self._sent, self._failed, callbackArgs=(entry,), errbackArgs=(entry,))
        # boundary: one message; the others go on.
        sending.addErrback(
            lambda failure: self.log.failure("{channel}: a message went wrong", failure, channel=self._name)
        )
        sending.addCallback(lambda ignored: self._pump())

    def _sent(self, ignored: object, entry: Entry) -> None:
        del self._sending[entry.id]
        self.totals.sent += 1
        self._finish(entry, Done.SENT)

    def _failed(self, failure: Failure, entry: Entry) -> None:
        """Decide whether it is tried again."""
        del self._sending[entry.id]
        error = failure.value
        if not isinstance(error, ChannelFailed):
            if not isinstance(error, CancelledError | DeferredTimeout):
                # boundary: the code of a channel; whatever it raises, the message is tried again.
                self.log.failure("{channel}: sending failed in an unforeseen way", failure, channel=self._name)
            error = ChannelFailed("not confirmed")
        self.totals.attempts_failed += 1
        if error.trouble is Trouble.REFUSED:
            self.totals.refused += 1
            self._finish(entry, Done.REFUSED, str(error))
            return
        self._outbox.again(
            entry, self._clock.seconds(), retry_after=error.retry_after, whole_account=error.whole_account
        )
        if error.trouble is Trouble.CREDENTIALS and self._outlet is not None:
            self._outlet.trouble(error)

    def _finish(self, entry: Entry, outcome: Done, reason: str = "") -> None:
        self._outbox.done(entry)
        self._file.done(entry, outcome, reason)
        if outcome is not Done.SENT:
            self.log.warn(
                "{channel}: message {id} was not sent: {outcome} {reason}",
                channel=self._name,
                id=entry.id,
                outcome=outcome.value,
                reason=reason,
            )

    def _expire(self) -> None:
        for entry in self._outbox.expired(self._clock.seconds()):
            self.totals.expired += 1
            self._finish(entry, Done.EXPIRED)

    def _set_timer(self) -> None:
        """Look again when something is due."""
        self._stop_timer()
        now = self._clock.seconds()
        due = self._outbox.next_due(now)
        if due is not None and self._outlet is not None:
            self._timer = self._clock.callLater(due - now, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self._pump()
