"""Tests for L{anp_twisted.assistant.channels.outbox}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.outbox import Entry, Outbox, Put
from anp_twisted.assistant.messages import OutboundMessage
from anp_twisted.limits import Limits

LIMITS = Limits(
    outbox=6, outbox_per_chat=4, outbox_age=100.0, outbox_pause_first=1.0, outbox_pause_most=8.0, outbox_remembered=3
)


def message(chat: str = "c", text: str = "hello") -> OutboundMessage:
    """A message to a chat."""
    return OutboundMessage(channel="tg", chat_id=chat, content=text)


class OutboxTests(SynchronousTestCase):
    """The order of sending, and what happens after a failure."""

    def setUp(self) -> None:
        """Without chance."""
        self.outbox = Outbox(LIMITS, lambda: 0.0)

    def put(self, *ids: str, chat: str = "c", now: float = 0.0) -> list[Put]:
        """Put messages for one chat."""
        return [self.outbox.put(one, message(chat), now) for one in ids]

    def take(self, now: float = 0.0, at_once: int = 9) -> Entry:
        """Take one that must be there."""
        found = self.outbox.take(now, at_once)
        assert found is not None
        return found

    def test_orderOfAChat(self) -> None:
        """The second message of a chat waits for the first; another chat does not."""
        self.put("1", "2")
        self.put("3", chat="d")
        first, other = self.take(), self.take()
        self.assertEqual((first.id, other.id, self.outbox.take(0.0, 9)), ("1", "3", None))
        self.outbox.done(first)
        self.assertEqual(self.take().id, "2")

    def test_again(self) -> None:
        """After failures the pauses double up to a most, and what is behind waits with it."""
        self.put("1", "2")
        now = 0.0
        for pause in (0.5, 1.0, 2.0, 4.0, 4.0):
            entry = self.take(now)
            self.assertEqual(entry.id, "1")
            self.assertEqual(self.outbox.again(entry, now), now + pause)
            self.assertIsNone(self.outbox.take(now + pause - 0.01, 9))
            now += pause
        self.outbox.done(self.take(now))
        self.assertEqual(self.take(now).id, "2", "the pause was for the first")

    def test_retryAfter(self) -> None:
        """What the service asks for is kept, for one chat or for all of them."""
        self.put("1")
        self.put("2", chat="d")
        self.assertEqual(self.outbox.again(self.take(), 0.0, retry_after=30.0), 30.5)
        other = self.take()
        self.assertEqual(other.id, "2")
        self.outbox.again(other, 0.0, retry_after=50.0, whole_account=True)
        self.assertIsNone(self.outbox.take(49.0, 9))
        self.assertEqual(self.outbox.next_due(0.0), 50.0)
        self.assertEqual(self.take(50.0).id, "1")

    def test_atOnce(self) -> None:
        """No more are under way than the service takes, and chats take turns."""
        for chat in "abc":
            self.put(f"{chat}1", f"{chat}2", chat=chat)
        first, second = self.take(at_once=2), self.take(at_once=2)
        self.assertEqual((first.id, second.id, self.outbox.take(0.0, 2)), ("a1", "b1", None))
        self.outbox.done(first)
        self.assertEqual((self.take(at_once=2).id, self.outbox.under_way), ("c1", 2))

    def test_caps(self) -> None:
        """A chat and the whole outbox have room for so many; whoever puts more hears which is full."""
        self.assertEqual(self.put("1", "2", "3", "4", "5")[3:], [Put.ACCEPTED, Put.BUSY])
        self.assertEqual(self.put("6", "7", "8", chat="d"), [Put.ACCEPTED, Put.ACCEPTED, Put.FULL])
        self.assertEqual((self.outbox.fits("d", 0), self.outbox.fits("d", 1)), (Put.ACCEPTED, Put.FULL))

    def test_known(self) -> None:
        """An id is put once, also for a while after it was done with."""
        self.put("1")
        self.assertEqual(self.put("1"), [Put.KNOWN])
        self.outbox.done(self.take())
        self.assertEqual(self.put("1"), [Put.KNOWN])
        for number in range(3):
            self.outbox.remember(f"x{number}")
        self.assertEqual(self.put("1"), [Put.ACCEPTED])

    def test_expired(self) -> None:
        """What is too old is told, but for what is just being sent; its age counts from an earlier life."""
        self.put("1", "2")
        self.outbox.put("old", message("d"), 0.0, age=60.0)
        entry = self.take()
        self.assertEqual([one.id for one in self.outbox.expired(40.0)], ["old"])
        late = self.outbox.expired(100.0)
        self.assertEqual(sorted(one.id for one in late), ["2", "old"])
        for one in late:
            self.outbox.done(one)
        self.outbox.done(entry)
        self.assertEqual((len(self.outbox), self.outbox.entries(), self.outbox.next_due(100.0)), (0, [], None))

    def test_expiredFirst(self) -> None:
        """What is behind a message that was given up does not wait out its pause."""
        self.outbox.put("old", message(), 0.0, age=95.0)
        self.put("new")
        self.outbox.again(self.take(), 0.0, retry_after=50.0)
        for one in self.outbox.expired(5.0):
            self.outbox.done(one)
        self.assertEqual(self.take(5.0).id, "new")

    def test_nextDue(self) -> None:
        """The next look is when a pause or the life of a message ends."""
        self.put("1")
        self.assertEqual(self.outbox.next_due(0.0), 100.0)
        self.outbox.again(self.take(), 0.0)
        self.assertEqual((self.outbox.next_due(0.0), self.outbox.next_due(0.5)), (0.5, 100.0))

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.tuples(st.sampled_from(["put", "take", "done", "again"]), st.integers(0, 2)), max_size=60))
    def test_everyMessageOnce(self, steps: list[tuple[str, int]]) -> None:
        """Whatever fails however often, each message is done with once, in the order of its chat."""
        outbox = Outbox(LIMITS, lambda: 0.5)
        hand: list[Entry] = []
        put: dict[str, list[str]] = {}
        sent: dict[str, list[str]] = {}

        def finish(entry: Entry) -> None:
            sent.setdefault(entry.message.chat_id, []).append(entry.id)
            outbox.done(entry)

        for number, (step, chat) in enumerate(steps):
            now = float(number)
            if step == "put" and outbox.put(str(number), message(str(chat)), now) is Put.ACCEPTED:
                put.setdefault(str(chat), []).append(str(number))
            elif step == "take" and (found := outbox.take(now, 2)) is not None:
                hand.append(found)
            elif step == "done" and hand:
                finish(hand.pop(0))
            elif step == "again" and hand:
                outbox.again(hand.pop(), now)
            self.assertEqual(outbox.under_way, len(hand))
        while hand or len(outbox):
            finish(hand.pop() if hand else outbox.take(1000.0, 9) or self.fail("nothing is due"))
        self.assertEqual(sent, put)
