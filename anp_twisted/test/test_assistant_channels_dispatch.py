"""Tests for L{anp_twisted.assistant.channels.dispatch}."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.bus import Published, Topic
from anp_twisted.assistant.channels.dispatch import Dispatcher
from anp_twisted.assistant.channels.intake import chat_key
from anp_twisted.assistant.channels.outbox import Put
from anp_twisted.assistant.errors import AgentFailed
from anp_twisted.assistant.messages import InboundMessage, OutboundMessage
from anp_twisted.test.channellab import inbound


class DispatchTests(SynchronousTestCase):
    """From the bus to the assistant and back."""

    def setUp(self) -> None:
        """An assistant that answers when the test says so."""
        self.asked: list[tuple[str, Deferred[str]]] = []
        self.delivered: list[OutboundMessage] = []
        self.put: Callable[[], Deferred[Put]] = lambda: succeed(Put.ACCEPTED)
        self.topic = Topic[InboundMessage](waiting=100, per_key=100, at_once=2)
        self.dispatcher = Dispatcher(self.topic, self.answer, self.deliver, new_id=lambda: "new")

    def answer(self, message: InboundMessage) -> Deferred[str]:
        """Note it."""
        waiting: Deferred[str] = Deferred()
        self.asked.append((message.content, waiting))
        return waiting

    def deliver(self, message: OutboundMessage) -> Deferred[Put]:
        """Note it."""
        self.delivered.append(message)
        return self.put()

    def publish(self, *messages: InboundMessage) -> None:
        """Publish messages and say so."""
        for message in messages:
            self.assertEqual(self.topic.publish(chat_key(message), message), Published.ACCEPTED)
        self.dispatcher.wake()

    @property
    def texts(self) -> list[str]:
        """What the assistant was asked."""
        return [text for text, _ in self.asked]

    def test_answered(self) -> None:
        """The answer goes to the chat of the message, as a reply to it, under an id that a repetition has, too."""
        self.publish(inbound("hello", chat="c", message_id=42))
        self.asked[0][1].callback("world")
        expected = OutboundMessage(channel="fake", chat_id="c", content="world", reply_to="42", id="re:c:42")
        self.assertEqual(self.delivered, [expected])
        self.assertEqual((self.topic.in_hand, len(self.topic)), (0, 0))

    def test_turns(self) -> None:
        """A chat is answered one message at a time; others beside it, as many as the topic allows."""
        self.publish(inbound("a1", chat="a"), inbound("a2", chat="a"), inbound("b1", chat="b"), inbound("c1", chat="c"))
        self.assertEqual(self.texts, ["a1", "b1"])
        self.asked[1][1].callback("x")
        self.assertEqual(self.texts, ["a1", "b1", "c1"])
        self.asked[0][1].callback("x")
        self.assertEqual(self.texts[3:], ["a2"])

    def test_noAnswer(self) -> None:
        """Where there is none, the sender is told why in fixed words, once for each message."""
        self.publish(inbound("hello", message_id="42"))
        self.asked[0][1].errback(AgentFailed())
        self.assertEqual([one.content for one in self.delivered], ["There is no answer: the agent failed."])
        self.assertEqual(self.delivered[0].id, "re:c:42")

    def test_goesWrong(self) -> None:
        """What goes wrong in an unforeseen way is logged, told to nobody, and the next message has its turn."""
        self.publish(inbound("1"), inbound("2"))
        self.asked[0][1].errback(ZeroDivisionError())
        self.assertEqual((len(self.flushLoggedErrors(ZeroDivisionError)), self.delivered), (1, []))
        self.assertEqual(self.texts, ["1", "2"])

    def test_cannotBeAsked(self) -> None:
        """A message with which nothing can be asked fails as one to which there is no answer."""
        self.dispatcher = Dispatcher(self.topic, lambda message: 1 // 0, self.deliver, new_id=str)  # type: ignore[arg-type, return-value]
        self.publish(inbound("1"))
        self.assertEqual((len(self.flushLoggedErrors(ZeroDivisionError)), self.topic.in_hand), (1, 0))

    def test_outbox(self) -> None:
        """A full outbox, or one that cannot be written, does not stop the chat."""
        self.publish(inbound("1"), inbound("2"), inbound("3"))
        self.put = lambda: succeed(Put.FULL)
        self.asked[0][1].callback("x")
        self.put = lambda: fail(OSError())
        self.asked[1][1].callback("x")
        self.assertEqual(self.texts, ["1", "2", "3"])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_atOnce(self) -> None:
        """An assistant that answers at once is no deeper stack."""
        self.topic = Topic[InboundMessage](waiting=2000, per_key=2000, at_once=1)
        self.dispatcher = Dispatcher(self.topic, lambda message: succeed(message.content), self.deliver, new_id=str)
        self.publish(*[inbound(str(number)) for number in range(1500)])
        self.assertEqual([one.content for one in self.delivered], [str(number) for number in range(1500)])

    def test_finish(self) -> None:
        """Finishing, it takes nothing more and waits for what is being answered."""
        self.publish(inbound("1"), inbound("2"))
        finishing = self.dispatcher.finish()
        self.assertNoResult(finishing)
        self.asked[0][1].callback("x")
        self.successResultOf(finishing)
        self.assertEqual((self.texts, len(self.delivered)), (["1"], 1))
        self.successResultOf(self.dispatcher.finish())

    def test_stop(self) -> None:
        """Stopped, it takes nothing more and lets go of what is being answered, in silence."""
        self.publish(inbound("1"), inbound("2"))
        self.dispatcher.stop()
        self.assertEqual((self.texts, self.delivered, self.topic.in_hand), (["1"], [], 0))
        self.assertEqual(self.flushLoggedErrors(), [])
