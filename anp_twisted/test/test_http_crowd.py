"""
Tests for L{anp_twisted.http.crowd}.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.http.crowd import Crowd, Verdict, origin_of
from anp_twisted.limits import DEFAULT_LIMITS

LIMITS = replace(DEFAULT_LIMITS, connections=20, connections_per_address=10)


def crowd(exempt: str = "") -> Crowd:
    """Twenty in all, ten from one address."""
    return Crowd(LIMITS, lambda host: host == exempt)


class OriginTests(SynchronousTestCase):
    """Whose connection it is."""

    def test_origins(self) -> None:
        """An IPv4 address is one origin however it is written; so are the addresses of a /64."""
        self.assertEqual(origin_of("192.0.2.1"), "192.0.2.1")
        self.assertEqual(origin_of("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(origin_of("2001:db8:1:2:3::1"), origin_of("2001:DB8:1:2::ffff"))
        self.assertNotEqual(origin_of("2001:db8:1:2::1"), origin_of("2001:db8:1:3::1"))
        self.assertEqual(origin_of("fe80::1%eth0"), origin_of("fe80::2"))
        self.assertEqual(origin_of(""), "")

    @given(st.text(max_size=50))
    def test_any_text(self, host: str) -> None:
        """Nothing fails, whatever an address looks like."""
        origin_of(host)


class CrowdTests(SynchronousTestCase):
    """The caps."""

    def test_each(self) -> None:
        """One address too many is told so, then not even that; others come in."""
        many = crowd()
        self.assertEqual([many.enter("192.0.2.1") for _ in range(10)], [Verdict.WELCOME] * 10)
        self.assertFalse(many.hopeless("192.0.2.1"))
        self.assertEqual(many.enter("::ffff:192.0.2.1"), Verdict.TOO_MANY_FROM_THERE)
        self.assertTrue(many.hopeless("192.0.2.1"))
        self.assertEqual((many.enter("192.0.2.2"), many.turned_away), (Verdict.WELCOME, 1))

    def test_sum(self) -> None:
        """The cap on all holds for every address."""
        many = crowd()
        verdicts = [many.enter(f"192.0.2.{number}") for number in range(22)]
        self.assertEqual(verdicts, [Verdict.WELCOME] * 20 + [Verdict.TOO_MANY] * 2)
        self.assertTrue(many.hopeless("192.0.2.99"))

    def test_exempt(self) -> None:
        """A proxy counts in the sum alone, and so do callers on a UNIX socket."""
        for host in ("192.0.2.1", ""):
            many = crowd("192.0.2.1")
            self.assertEqual([many.enter(host) for _ in range(20)], [Verdict.WELCOME] * 20)
            self.assertEqual(many.enter(host), Verdict.TOO_MANY)

    def test_leave(self) -> None:
        """Who leaves makes room, and nothing is kept of an address without connections."""
        many = crowd()
        for _ in range(10):
            many.enter("192.0.2.1")
        many.leave("192.0.2.1")
        self.assertEqual(many.enter("192.0.2.1"), Verdict.WELCOME)
        for _ in range(10):
            many.leave("192.0.2.1")
        self.assertEqual((len(many), many._each), (0, {}))
