"""Rules of L{anp_twisted.ratelimit}."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.ratelimit import Buckets, Rule, charge
from anp_twisted.rates import Rate


class BucketTests(SynchronousTestCase):
    """One rule."""

    def setUp(self) -> None:
        """Three in six seconds."""
        self.buckets = Buckets(Rate(3, 6), 100)

    def test_burst(self) -> None:
        """The quota may come at once, and then no more; each says what is left."""
        verdicts = [self.buckets.take("a", 0.0) for _ in range(5)]
        self.assertEqual([verdict.allowed for verdict in verdicts], [True, True, True, False, False])
        self.assertEqual([verdict.remaining for verdict in verdicts], [2, 1, 0, 0, 0])

    def test_refill(self) -> None:
        """A token comes back every two seconds, and a refusal says when."""
        for _ in range(3):
            self.buckets.take("a", 0.0)
        refused = self.buckets.take("a", 0.5)
        self.assertFalse(refused.allowed)
        self.assertAlmostEqual(refused.seconds, 1.5, delta=0.05)
        self.assertTrue(self.buckets.take("a", 2.0).allowed)
        self.assertFalse(self.buckets.take("a", 3.9).allowed)
        self.assertTrue(self.buckets.take("a", 4.0).allowed)

    def test_full(self) -> None:
        """What is not used is not saved up beyond the quota."""
        self.buckets.take("a", 0.0)
        self.assertEqual(sum(self.buckets.take("a", 1000.0).allowed for _ in range(10)), 3)

    def test_apart(self) -> None:
        """Nobody pays for another."""
        for _ in range(5):
            self.buckets.take("a", 0.0)
        self.assertEqual(self.buckets.take("b", 0.0).remaining, 2)

    def test_look(self) -> None:
        """Looking takes nothing."""
        self.assertEqual([self.buckets.look("a", 0.0).remaining for _ in range(5)], [2] * 5)
        self.assertEqual(len(self.buckets), 0)

    def test_refusalsAreFree(self) -> None:
        """Who goes on asking is let in as soon as one who waits."""
        for _ in range(3):
            self.buckets.take("a", 0.0)
        for step in range(100):
            self.buckets.take("a", step * 0.019)
        self.assertTrue(self.buckets.take("a", 2.0).allowed)

    def test_clockSetBack(self) -> None:
        """A clock that is set back locks nobody out for longer than a window."""
        self.buckets.take("a", 1_000_000.0)
        self.assertFalse(self.buckets.take("a", 0.0).allowed)
        self.assertTrue(self.buckets.take("a", 2.1).allowed or self.buckets.take("a", 6.1).allowed)

    def test_memory(self) -> None:
        """However many callers there are, so many are remembered, those seen last."""
        buckets = Buckets(Rate(1, 1000), 10)
        for number in range(1000):
            buckets.take(f"caller{number}", 0.0)
            buckets.take("busy", float(number) / 1e6)
        self.assertEqual(len(buckets), 10)
        self.assertFalse(buckets.take("caller999", 1.0).allowed)
        self.assertTrue(buckets.take("caller0", 1.0).allowed)

    def test_whoIsForgotten(self) -> None:
        """Whoever was let in longest ago is forgotten first."""
        buckets = Buckets(Rate(2, 1000), 2)
        for owner in ("a", "b", "a", "c"):
            buckets.take(owner, 0.0)
        self.assertFalse(buckets.take("a", 0.0).allowed)
        self.assertEqual(buckets.take("b", 0.0).remaining, 1)

    @given(
        st.integers(1, 20),
        st.integers(1, 60),
        st.lists(st.integers(0, 4000), min_size=1, max_size=80),
        st.sampled_from([0.0, 1.0e5, 1.7e9]),
    )
    def test_asTokens(self, quota: int, window: int, gaps: list[int], start: float) -> None:
        """It decides as a bucket of tokens that is counted exactly, but for one percent of a token."""
        buckets = Buckets(Rate(quota, window), 10)
        rate = Fraction(quota, window)
        tokens, last = Fraction(quota), Fraction(0)
        for gap in gaps:
            now = last + Fraction(gap, 1000)
            tokens = min(Fraction(quota), tokens + (now - last) * rate)
            last = now
            allowed = buckets.take("a", start + float(now)).allowed
            if abs(tokens - 1) > Fraction(2, 100):
                self.assertEqual(allowed, tokens >= 1)
            if allowed:
                tokens -= 1


class ChargeTests(SynchronousTestCase):
    """Several rules for one request."""

    def test_allOrNone(self) -> None:
        """One rule without a token, and none is charged."""
        wide, narrow = Buckets(Rate(10, 10), 10), Buckets(Rate(1, 10), 10)
        rules = [Rule("wide", wide, "a"), Rule("narrow", narrow, "a")]
        self.assertEqual([verdict.allowed for verdict in charge(rules, 0.0)], [True, True])
        for _ in range(20):
            self.assertEqual([verdict.allowed for verdict in charge(rules, 0.0)], [True, False])
        self.assertEqual(wide.look("a", 0.0).remaining, 8)
