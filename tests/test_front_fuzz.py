"""What the public front takes for a request, h11 reads in the same way: a bounded run of the fuzz target."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.front_rows import ROWS
from tests.fuzz.compare import NEXT, by_front, by_h11, disagreement, outcome
from tests.fuzz.requests import requests

_BOUNDED = settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class FuzzTests(SynchronousTestCase):
    """Accepted requests, compared."""

    @_BOUNDED
    @given(requests)
    def test_same_requests(self, data: bytes) -> None:
        """Method, target, fields, body and boundaries are the same."""
        self.assertEqual(disagreement(data + NEXT), "")

    @_BOUNDED
    @given(requests, st.integers(1, 9))
    def test_same_in_pieces(self, data: bytes, step: int) -> None:
        """How the network cuts the bytes makes no difference."""
        self.assertEqual(outcome(by_front(data + NEXT, step)), outcome(by_front(data + NEXT)))

    def test_rows(self) -> None:
        """The rows of the table that are taken are read alike as well."""
        for row in ROWS:
            self.assertEqual(disagreement(row.sent + NEXT), "", row.name)

    def test_finds(self) -> None:
        """The comparison notices a request that one of the two does not see."""
        smuggled = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + NEXT
        self.assertEqual([one.target for one in by_front(smuggled).complete], [b"/", b"/next"])
        self.assertEqual([one.target for one in by_h11(smuggled).complete], [b"/", b"/next"])
        refused = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        self.assertEqual((by_front(refused).requests, by_front(refused).refused), ([], True))
