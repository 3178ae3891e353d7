"""
Tests for L{anp_twisted.problems}.
"""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.headers import get_all
from anp_twisted.problems import problem


class ProblemTests(SynchronousTestCase):
    """The error answers of this package."""

    def test_body(self) -> None:
        """The body says what failed, where, and under which id."""
        _, body = problem(502, "receiver", "The receiver was lost", "r-1")
        self.assertEqual(
            msgspec.json.decode(body),
            {
                "type": "urn:anp:problem:receiver:502",
                "title": "The receiver was lost",
                "status": 502,
                "source": "receiver",
                "request_id": "r-1",
            },
        )

    def test_headers(self) -> None:
        """The type is the one of RFC 9457, the length fits and nobody stores it."""
        headers, body = problem(404, "route", "No route", "r-1")
        self.assertEqual(get_all(headers, b"content-type"), [b"application/problem+json"])
        self.assertEqual(get_all(headers, b"content-length"), [b"%d" % len(body)])
        self.assertEqual(get_all(headers, b"cache-control"), [b"no-store"])
        self.assertEqual(get_all(headers, b"retry-after"), [])

    def test_retry_after(self) -> None:
        """Retry-After is in whole seconds, never too early and never negative."""
        for seconds, value in ((0.2, b"1"), (3, b"3"), (0, b"0"), (-5, b"0")):
            headers, _ = problem(503, "gateway", "Busy", "r-1", seconds)
            self.assertEqual(get_all(headers, b"retry-after"), [value])

    def test_markup(self) -> None:
        """A strange id cannot leave its JSON string."""
        _, body = problem(400, "gateway", "Bad", '"},{<b>\r\n\u202e')
        self.assertEqual(msgspec.json.decode(body)["request_id"], '"},{<b>\r\n\u202e')
        self.assertNotIn(b"\n", body)
