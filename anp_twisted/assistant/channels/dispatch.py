"""
Takes messages from the bus to the assistant, and its answers to the outbox they belong in.

Chats are answered side by side, each one message at a time.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant.bus import Topic
from anp_twisted.assistant.channels.outbox import Put
from anp_twisted.assistant.errors import RpcError
from anp_twisted.assistant.messages import InboundMessage, OutboundMessage

Answer = Callable[[InboundMessage], Deferred[str]]
"""Asks the assistant; fails with an L{RpcError} where it has no answer. Asked twice it answers once."""

Deliver = Callable[[OutboundMessage], Deferred[Put]]
"""Puts a message into the outbox of its channel."""


class Dispatcher:
    """The one who works on the messages that come."""

    log = Logger()

    def __init__(
        self, topic: Topic[InboundMessage], answer: Answer, deliver: Deliver, *, new_id: Callable[[], str]
    ) -> None:
        """
        @param topic: L{wake} is to be called when something was published.
        @param new_id: makes an id that nothing else has.
        """
        self._topic = topic
        self._answer = answer
        self._deliver = deliver
        self._new_id = new_id
        self._running: dict[str, Deferred[None]] = {}
        self._waking = False
        self._finished: Deferred[None] | None = None

    def wake(self) -> None:
        """Work on what waits. What ends at once comes back here: the loop that runs goes on then."""
        if self._waking:
            return
        self._waking = True
        try:
            while (found := self._topic.take()) is not None:
                self._work(*found)
        finally:
            self._waking = False

    def finish(self) -> Deferred[None]:
        """
        Take no more.

        @return: fires when what is being answered was answered; cancelling it lets go of that.
        """
        waiting: Deferred[None] = Deferred(lambda ignored: self.stop())
        self._topic.close()
        self._finished = waiting
        self._look_whether_finished()
        return waiting

    def _look_whether_finished(self) -> None:
        if self._finished is not None and not self._running:
            waiting, self._finished = self._finished, None
            waiting.callback(None)

    def stop(self) -> None:
        """Take no more, and let go of what is being answered: the answers are in the sessions."""
        self._topic.close()
        for running in list(self._running.values()):
            running.cancel()

    def _work(self, key: str, message: InboundMessage) -> None:
        running: Deferred[None] = maybeDeferred(self._answer, message).addCallbacks(
            self._answered, self._no_answer, callbackArgs=(message,), errbackArgs=(message,)
        )
        self._running[key] = running
        running.addErrback(self._lost, message)
        running.addCallback(lambda ignored: self._done(key))

    def _answered(self, text: str, message: InboundMessage) -> Deferred[None]:
        return self._put(message, text)

    def _no_answer(self, failure: Failure, message: InboundMessage) -> Deferred[None] | Failure:
        """Tell the sender why there is no answer, in words that are for strangers."""
        error = failure.value
        if not isinstance(error, RpcError):
            return failure
        return self._put(message, f"There is no answer: {error.args[0]}.")

    def _put(self, message: InboundMessage, text: str) -> Deferred[None]:
        """Answer a message; one that the service sends again, after a restart of ours perhaps, is answered once."""
        given = message.metadata.get("message_id")
        reply = OutboundMessage(
            channel=message.channel,
            chat_id=message.chat_id,
            content=text,
            reply_to=str(given) if given else None,
            id=f"re:{message.chat_id}:{given}" if given else f"re:{self._new_id()}",
        )
        return self._deliver(reply).addCallback(self._look, message)

    def _look(self, put: Put, message: InboundMessage) -> None:
        if put not in (Put.ACCEPTED, Put.KNOWN):
            self.log.error("{channel}: the outbox is {put}: an answer is lost", channel=message.channel, put=put.value)

    def _lost(self, failure: Failure, message: InboundMessage) -> None:
        # boundary: one message; the others of its chat go on.
        if not self._topic.closed:
            self.log.failure("{channel}: a message went wrong", failure, channel=message.channel)

    def _done(self, key: str) -> None:
        del self._running[key]
        self._topic.done(key)
        self.wake()
        self._look_whether_finished()
