"""
Tests for L{anp_twisted.session.windows}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import FlowControlError
from anp_twisted.session.windows import ReceiveWindow, SendWindow, SharedWindow
from anp_twisted.test.frames import PROPERTY


class SendWindowTests(SynchronousTestCase):
    """Credit that may be used."""

    def test_take_and_grant(self) -> None:
        """What is taken is gone, what is granted is there."""
        window = SendWindow(10)
        window.take(10)
        window.grant(3)
        self.assertEqual(window.credit, 3)

    def test_never_beyond(self) -> None:
        """To send more than the credit is a mistake of ours, not of a peer."""
        for size in (11, -1):
            self.assertRaises(AssertionError, SendWindow(10).take, size)

    def test_sum_is_bounded(self) -> None:
        """A peer cannot make the sum leave 31 bits, in one step or in many."""
        window = SendWindow(2**31 - 2)
        window.grant(1)
        self.assertRaises(FlowControlError, window.grant, 1)
        self.assertRaises(FlowControlError, window.grant, 2**31 - 1)
        self.assertEqual(window.credit, 2**31 - 1)


class ReceiveWindowTests(SynchronousTestCase):
    """Credit that was given."""

    def test_half_of_it(self) -> None:
        """Nothing is granted before half of the window waits; then all that waits is."""
        window = ReceiveWindow(10)
        window.received(10)
        self.assertEqual([window.consumed(2), window.consumed(2), window.consumed(1), window.consumed(2)], [0, 0, 5, 0])
        self.assertEqual((window.expected, window.held), (5, 3))

    def test_too_much(self) -> None:
        """The last byte of the credit is taken, the one behind it is not."""
        window = ReceiveWindow(10)
        window.received(10)
        self.assertRaises(FlowControlError, window.received, 1)

    def test_consumed_more_than_held(self) -> None:
        """A consumer that counts wrongly is a mistake of ours."""
        window = ReceiveWindow(10)
        window.received(3)
        for size in (4, -1):
            self.assertRaises(AssertionError, window.consumed, size)

    def test_release(self) -> None:
        """What nobody will take is let go once."""
        window = ReceiveWindow(10)
        window.received(3)
        self.assertEqual((window.release(), window.release(), window.held), (3, 0, 0))

    def test_smallest(self) -> None:
        """A window of one byte works."""
        window = ReceiveWindow(1)
        window.received(1)
        self.assertEqual(window.consumed(1), 1)

    @PROPERTY
    @given(st.sampled_from([ReceiveWindow, SharedWindow]), st.integers(1, 100), st.lists(st.integers(0, 60)))
    def test_both_ends(self, kind: type[ReceiveWindow], size: int, steps: list[int]) -> None:
        """However sending and consuming mix, both sides count alike and neither is ever stuck."""
        ours, theirs = kind(size), SendWindow(size)
        for number, step in enumerate(steps):
            if number % 2:
                sent = min(step, theirs.credit)
                theirs.take(sent)
                ours.received(sent)
            else:
                granted = ours.consumed(min(step, ours.held))
                if granted:
                    theirs.grant(granted)
            ours.invariants()
            self.assertEqual(theirs.credit, ours.expected)
            self.assertTrue(ours.held or theirs.credit * 2 > size)


class SharedWindowTests(SynchronousTestCase):
    """Credit that many consumers hold parts of."""

    def test_half_of_what_nobody_holds(self) -> None:
        """While little is held, that is half of the window; the more is held, the less must come together."""
        window = SharedWindow(10)
        window.received(5)
        self.assertEqual([window.consumed(4), window.consumed(1)], [0, 5])
        window.received(10)
        self.assertEqual([window.consumed(1), window.consumed(1)], [1, 1])

    def test_slow_consumers_leave_a_quick_one_alone(self) -> None:
        """Whatever part they hold for ever, the rest goes round and round."""
        for stalled in range(10):
            window = SharedWindow(10)
            window.received(stalled)
            for _ in range(100):
                self.assertGreater(window.expected, 0)
                window.received(1)
                window.consumed(1)
