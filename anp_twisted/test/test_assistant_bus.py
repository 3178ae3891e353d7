"""Tests for L{anp_twisted.assistant.bus}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.bus import Published, Topic


class TopicTests(SynchronousTestCase):
    """What waits, and in which order it is taken."""

    def test_orderOfOneConversation(self) -> None:
        """Messages of one conversation are taken one by one, in order, each when the last is done with."""
        topic = Topic[int](waiting=10, per_key=10, at_once=4)
        self.assertEqual({topic.publish("a", number) for number in range(3)}, {Published.ACCEPTED})
        self.assertEqual((topic.take(), topic.take()), (("a", 0), None))
        topic.done("a")
        self.assertEqual((topic.take(), topic.in_hand, len(topic)), (("a", 1), 1, 1))

    def test_turns(self) -> None:
        """A conversation that writes much does not hold up another."""
        topic = Topic[int](waiting=10, per_key=10, at_once=1)
        for number in range(3):
            topic.publish("a", number)
        topic.publish("b", 9)
        taken = []
        while (found := topic.take()) is not None:
            taken.append(found)
            topic.done(found[0])
        self.assertEqual(taken, [("a", 0), ("b", 9), ("a", 1), ("a", 2)])

    def test_atOnce(self) -> None:
        """No more conversations are worked on than the topic is for."""
        topic = Topic[int](waiting=10, per_key=10, at_once=2)
        for key in "abc":
            topic.publish(key, 0)
        self.assertEqual([topic.take(), topic.take(), topic.take()], [("a", 0), ("b", 0), None])
        topic.done("b")
        self.assertEqual(topic.take(), ("c", 0))

    def test_full(self) -> None:
        """Whoever publishes too much hears it; room comes back when a message is taken."""
        topic = Topic[int](waiting=3, per_key=2, at_once=9)
        outcomes = [topic.publish(key, 0) for key in ("a", "a", "a", "b", "b")]
        accepted = Published.ACCEPTED
        self.assertEqual(outcomes, [accepted, accepted, Published.BUSY, accepted, Published.FULL])
        topic.take()
        self.assertEqual(topic.publish("b", 0), Published.ACCEPTED)

    def test_whileInHand(self) -> None:
        """What comes for a conversation that is being worked on has its turn afterwards, once."""
        topic = Topic[int](waiting=9, per_key=9, at_once=9)
        topic.publish("a", 0)
        topic.take()
        topic.publish("a", 1)
        self.assertIsNone(topic.take())
        topic.done("a")
        self.assertEqual((topic.take(), topic.take()), (("a", 1), None))

    def test_closed(self) -> None:
        """A closed topic tells how many it forgot, takes nothing, and lets what is in hand end."""
        topic = Topic[int](waiting=9, per_key=9, at_once=9)
        topic.publish("a", 0)
        topic.publish("a", 1)
        topic.take()
        self.assertEqual((topic.close(), topic.publish("b", 0), topic.take()), (1, Published.CLOSED, None))
        topic.done("a")
        self.assertEqual((len(topic), topic.in_hand), (0, 0))

    @settings(deadline=None)
    @given(
        st.lists(
            st.one_of(st.tuples(st.just("put"), st.sampled_from("abc")), st.just(("take", "")), st.just(("done", "")))
        )
    )
    def test_nothingIsLost(self, steps: list[tuple[str, str]]) -> None:
        """Whatever happens in whatever order, each accepted message is taken once, in the order of its conversation."""
        topic = Topic[int](waiting=6, per_key=3, at_once=2)
        expected: dict[str, list[int]] = {key: [] for key in "abc"}
        seen: dict[str, list[int]] = {key: [] for key in "abc"}
        hand: list[str] = []

        def take() -> bool:
            found = topic.take()
            if found is not None:
                seen[found[0]].append(found[1])
                hand.append(found[0])
            return found is not None

        for number, (step, key) in enumerate(steps):
            if step == "put" and topic.publish(key, number) is Published.ACCEPTED:
                expected[key].append(number)
            elif step == "take":
                take()
            elif step == "done" and hand:
                topic.done(hand.pop(0))
            self.assertLessEqual(topic.in_hand, 2)
        while hand or len(topic):
            if not take():
                topic.done(hand.pop(0))
        self.assertEqual(seen, expected)
