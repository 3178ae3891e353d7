"""Rules of L{anp_twisted.gateway.requestids}."""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.requestids import RequestIds


class RequestIdsTests(SynchronousTestCase):
    """Ids."""

    def test_apart(self) -> None:
        """Each is another, and made of 12 random bytes."""
        numbers = count()
        ids = RequestIds(lambda size: b"".join(next(numbers).to_bytes(12, "big") for _ in range(size // 12)))
        made = [ids() for _ in range(1000)]
        self.assertEqual(len(set(made)), 1000)
        self.assertTrue(all(len(one) == 24 and int(one, 16) >= 0 for one in made))

    def test_fewCalls(self) -> None:
        """Randomness is fetched for many at once, not before it is needed."""
        calls: list[int] = []

        def random(size: int) -> bytes:
            calls.append(size)
            return bytes(size)

        ids = RequestIds(random)
        self.assertEqual(calls, [])
        for _ in range(128):
            ids()
        self.assertEqual(len(calls), 1)
