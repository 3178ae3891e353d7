"""Tests for L{anp_twisted.assistant.channels.intake}."""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.bus import Topic
from anp_twisted.assistant.channels.intake import Intake, Verdict, chat_key
from anp_twisted.assistant.channels.interface import Received
from anp_twisted.assistant.channels.pairing import PairingDesk
from anp_twisted.assistant.messages import InboundMessage, Media
from anp_twisted.limits import Limits
from anp_twisted.test.channellab import inbound

LIMITS = Limits(inbound_text=10, inbound_media=1, inbound_remembered=2)


class IntakeTests(SynchronousTestCase):
    """What is taken and what is not."""

    def setUp(self) -> None:
        """A topic with room for three messages, two of one chat."""
        numbers = count()
        self.topic = Topic[InboundMessage](waiting=3, per_key=2, at_once=9)
        self.desk = PairingDesk(LIMITS, lambda: f"CODE{next(numbers)}")
        self.intake = Intake(self.topic, self.desk, LIMITS)

    def judge(self, *texts: str, allowed: bool = True, **given: Any) -> list[Received]:
        """Hand messages over."""
        return [self.intake.receive(inbound(text, **given), allowed=allowed, now=0.0).received for text in texts]

    def test_accepted(self) -> None:
        """What somebody writes who may is published."""
        self.assertEqual(self.judge("a", "b"), [Received.ACCEPTED] * 2)
        self.assertEqual(len(self.topic), 2)

    def test_stranger(self) -> None:
        """A stranger's message is not published; he gets a code in a direct chat, and in a group nothing."""
        verdict = self.intake.receive(inbound("a"), allowed=False, now=0.0)
        self.assertEqual((verdict.received, verdict.told), (Received.NOT_ALLOWED, self.desk.waiting(0.0)[0]))
        group = self.intake.receive(inbound("a", sender="8", kind="group"), allowed=False, now=0.0)
        self.assertEqual(group, Verdict(Received.NOT_ALLOWED, None))
        self.assertEqual((len(self.topic), len(self.desk.waiting(0.0))), (0, 1))

    def test_withoutPairing(self) -> None:
        """Where there is no pairing, strangers are told nothing."""
        intake = Intake(self.topic, None, LIMITS)
        self.assertEqual(intake.receive(inbound(), allowed=False, now=0.0), Verdict(Received.NOT_ALLOWED))

    def test_repeated(self) -> None:
        """A message that the service sends twice is taken once; without an id nobody can tell."""
        self.assertEqual(self.judge("a", "a", message_id="1"), [Received.ACCEPTED, Received.REPEATED])
        self.assertEqual(self.judge("a", chat="d", message_id="1"), [Received.ACCEPTED])
        self.assertEqual(self.judge("a"), [Received.ACCEPTED])

    def test_notTakenLeavesNoTrace(self) -> None:
        """What there was no room for is taken when it comes again and there is room."""
        self.judge("a", "b")
        self.assertEqual(self.judge("c", message_id="1"), [Received.FULL])
        self.topic.take()
        self.assertEqual(self.judge("c", message_id="1"), [Received.ACCEPTED])

    def test_shape(self) -> None:
        """What has no sender, chat or content, or too much of it, is no message, whoever wrote it."""
        media = Media(kind="image", url="https://a/b")
        bad = [inbound(" "), inbound("x" * 11), inbound(sender=""), inbound(chat=""), inbound(chat="x" * 256)]
        bad.append(
            InboundMessage(channel="fake", sender_id="7", chat_id="c", content="", timestamp=1.0, media=(media, media))
        )
        for allowed in (True, False):
            found = {self.intake.receive(message, allowed=allowed, now=0.0) for message in bad}
            self.assertEqual(found, {Verdict(Received.INVALID)})
        good = InboundMessage(channel="fake", sender_id="7", chat_id="c", content="", timestamp=1.0, media=(media,))
        self.assertEqual(self.intake.receive(good, allowed=True, now=0.0).received, Received.ACCEPTED)

    def test_memoryIsBounded(self) -> None:
        """Of the ids that were taken only the latest are known."""
        for number in ("1", "2", "3"):
            self.judge("a", message_id=number)
            found = self.topic.take()
            assert found is not None
            self.topic.done(found[0])
        self.assertEqual(self.judge("a", message_id="3"), [Received.REPEATED])
        self.assertEqual(self.judge("a", message_id="1"), [Received.ACCEPTED])

    def test_chats(self) -> None:
        """Channel, chat and thread name a conversation; no other triple names the same."""
        messages = [
            inbound(chat="c"),
            inbound(chat="c", channel="other"),
            inbound(chat="c", thread="t"),
            inbound(chat="d"),
        ]
        self.assertEqual(len({chat_key(message) for message in messages}), 4)
