"""Tests for L{anp_twisted.gateway.totals}."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.gateway.reports import Figures
from anp_twisted.gateway.totals import condition_of, totals


def figures(condition: str = "ok", **stats: Any) -> Figures:
    """What a worker says."""
    usual = {"requests": {"running": 1, "served": 2}, "connections": 3, "receivers_refused": 0, "receivers": []}
    usual["callers_refused"] = {}
    return Figures(condition, {**usual, **stats})


class TotalsTests(SynchronousTestCase):
    """Several workers as one gateway."""

    def test_sums(self) -> None:
        """What can be added up is; each worker is shown as well, without its receivers, which know theirs."""
        found = totals([(1, figures()), (3, figures("overloaded", receivers=[{"name": "r"}], process={"timers": 1}))])
        self.assertEqual((found["requests"], found["connections"]), ({"running": 2, "served": 4}, 6))
        self.assertEqual(found["receivers"], [{"name": "r", "worker": 3}])
        self.assertEqual([one["worker"] for one in found["workers"]], [1, 3])
        self.assertEqual(
            (found["workers"][1]["condition"], found["workers"][1]["process"]), ("overloaded", {"timers": 1})
        )
        self.assertNotIn("receivers", found["workers"][1])

    def test_refused(self) -> None:
        """Callers who were refused are counted for each reason, whichever worker knows it."""
        told = [
            (number, figures(callers_refused=refused))
            for number, refused in enumerate([{"limited": 2}, {"limited": 3, "blocked": 1}, {}])
        ]
        self.assertEqual(totals(told)["callers_refused"], {"limited": 5, "blocked": 1})

    def test_nobody(self) -> None:
        """Without a worker there is nothing, in the same shape."""
        found = totals([])
        self.assertEqual((found["requests"], found["connections"], found["workers"]), ({}, 0, []))

    def test_condition(self) -> None:
        """One that takes requests is enough."""
        rows: list[tuple[list[str], bool, str]] = [
            ([], False, "starting"),
            (["draining"], False, "starting"),
            (["overloaded", "draining"], False, "overloaded"),
            (["overloaded", "ok"], False, "ok"),
            (["ok"], True, "draining"),
        ]
        for conditions, stopping, expected in rows:
            told = [(number, figures(one)) for number, one in enumerate(conditions)]
            self.assertEqual(condition_of(told, stopping), expected)
