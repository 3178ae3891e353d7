"""Rules of L{anp_twisted.rates}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.rates import Rate, parse_rate


class RateTests(SynchronousTestCase):
    """How rates are written."""

    def test_rows(self) -> None:
        """A number, a slash, a time."""
        rows = {"5/s": Rate(5, 1), "100/m": Rate(100, 60), "1000/15m": Rate(1000, 900), "1/h": Rate(1, 3600),
                "2/1d": Rate(2, 86_400)}  # fmt: skip
        self.assertEqual({text: parse_rate(text) for text in rows}, rows)

    def test_shown(self) -> None:
        """What is shown can be read."""
        self.assertEqual(str(Rate(100, 60)), "100/60s")
        self.assertEqual(parse_rate(str(Rate(7, 30))), Rate(7, 30))

    def test_refused(self) -> None:
        """Nothing else, above all no zero: who wants to let nobody in denies."""
        for text in ("", "5", "0/s", "5/0s", "-1/s", "5/", "/s", "5/x", "5 / s", "1.5/s", "5/s\n", "9999999999/s"):
            self.assertRaises(ValueError, parse_rate, text)
