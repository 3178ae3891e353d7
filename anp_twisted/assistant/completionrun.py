"""
How the answer of a run reaches who waits for it over HTTP: from an agent at once, or from a session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant import records
from anp_twisted.assistant.agents import events
from anp_twisted.assistant.agents.events import AgentEvent, Usage
from anp_twisted.assistant.conversations import Conversations, Ticket, error_of
from anp_twisted.assistant.errors import InternalError, RpcError
from anp_twisted.assistant.feeds import Feed
from anp_twisted.assistant.records import Answered
from anp_twisted.assistant.types import ChatDelta


class Hearer(Protocol):
    """What hears an answer."""

    def go_on(self, text: str) -> None:
        """The answer goes on."""

    def complete(self, text: str, reason: str, usage: Usage) -> None:
        """It is complete."""

    def fail(self, error: RpcError) -> None:
        """There is none."""


class Listening:
    """Hears an agent on behalf of a completion."""

    def __init__(self, hearer: Hearer) -> None:
        self._hearer = hearer
        self._text = TextSoFar(hearer)
        self._usage = Usage()

    def hear(self, event: AgentEvent) -> None:
        """Take what the agent says."""
        match event:
            case events.TextDelta(text=text):
                self._text.add(text)
            case events.Usage():
                self._usage = event
            case events.Final(text=text, finish_reason=reason):
                self._text.end(text)
                self._hearer.complete(text, reason, self._usage)
            case events.Failed():
                self._hearer.fail(_error(event))


def _error(event: events.Failed) -> RpcError:
    """Make the error of a run that failed, as if its record had been read."""
    error = error_of(
        records.Failed(
            seq=0, id="", ts=0.0, run_id="", code=event.code, message=event.message, retryable=event.retryable
        )
    )
    if event.retry_after_ms is not None:
        error.retry_after = event.retry_after_ms / 1000
    return error


class TextSoFar:
    """
    What of an answer a client was told.

    A stream of this interface has no way back. Where an agent replaces what it said,
    the client gets the text that counts behind the other, as a paragraph of its own.
    """

    def __init__(self, hearer: Hearer) -> None:
        self._hearer = hearer
        self._said: list[str] = []

    def add(self, text: str) -> None:
        """The answer goes on."""
        self._said.append(text)
        self._hearer.go_on(text)

    def end(self, whole: str) -> None:
        """
        The answer is complete.

        @param whole: all of it.
        """
        said, self._said = "".join(self._said), []
        rest = whole[len(said) :] if whole.startswith(said) else f"\n\n{whole}"
        if rest:
            self._hearer.go_on(rest)


class Following:
    """
    Hears a run of a session on behalf of a completion.

    It is the L{Viewer<anp_twisted.assistant.feeds.Viewer>} of a feed.
    """

    log = Logger()

    def __init__(self, hearer: Hearer, conversations: Conversations) -> None:
        self._hearer = hearer
        self._conversations = conversations
        self._text = TextSoFar(hearer)
        self._feed: Feed | None = None
        self._gone = False

    def begin(self, ticket: Ticket) -> Any:
        """Follow the run, which begins in a later turn of the reactor."""
        if not self._gone and self._conversations.turn(ticket.session, ticket.run_id) is not None:
            self._feed = Feed(ticket.session, self, ticket.said.seq)
            self._feed.follow(ticket.run_id)
        return self._conversations.answer(ticket)

    def answered(self, record: Answered) -> None:
        """The answer is on disk."""
        self.leave()
        self._text.end(record.text)
        usage = Usage(record.input_tokens, record.output_tokens)
        self._hearer.complete(record.text, record.finish_reason, usage)

    def failed(self, failure: Failure) -> None:
        """There is none."""
        self.leave()
        error = failure.value
        if isinstance(error, RpcError):
            self._hearer.fail(error)
        else:
            self.broken(failure)

    def broken(self, failure: Failure) -> None:
        """Something is wrong here."""
        self.log.failure("a completion failed", failure)
        self.leave()
        self._hearer.fail(InternalError())

    def leave(self) -> None:
        """Hear no more of it."""
        self._gone = True
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.end()

    # --- from the feed ---------------------------------------------------------------

    def put_event(self, feed: Feed, data: bytes, seq: int) -> None:
        """Records of the run; its end is waited for elsewhere."""

    def put_delta(self, feed: Feed, delta: ChatDelta, data: bytes) -> None:
        """The answer goes on."""
        self._text.add(delta.delta)

    def when_taken(self, ready: Callable[[], None]) -> None:
        """There is never anything to catch up."""
        ready()

    def feed_ended(self, feed: Feed) -> None:
        """The feed is over."""
        self._feed = None
