"""The figures of several workers as those of one gateway. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anp_twisted.gateway.reports import Figures

_SUMMED = ("connections", "receivers_refused")

Told = Sequence[tuple[int, Figures]]
"""What each worker said, by its number."""


def totals(told: Told) -> dict[str, Any]:
    """
    Add up what can be added up, and show the rest worker by worker.

    @return: the keys of a gateway with one process, C{overload} and C{process} under C{workers}.
    """
    whole: dict[str, Any] = {name: _summed(told, name) for name in ("requests", "callers_refused")}
    for key in _SUMMED:
        whole[key] = sum(figures.stats[key] for _, figures in told)
    whole["receivers"] = [
        {**receiver, "worker": number} for number, figures in told for receiver in figures.stats["receivers"]
    ]
    whole["workers"] = [
        {
            "worker": number,
            "condition": figures.condition,
            **{key: value for key, value in figures.stats.items() if key != "receivers"},
        }
        for number, figures in told
    ]
    return whole


def _summed(told: Told, name: str) -> dict[str, int]:
    """Add up the counts that stand under a name."""
    whole: dict[str, int] = {}
    for _, figures in told:
        for key, value in figures.stats[name].items():
            whole[key] = whole.get(key, 0) + value
    return whole


def condition_of(told: Told, stopping: bool) -> str:
    """
    @return: C{ok} while one worker is, C{overloaded} if all are, C{draining}, or C{starting} if there is none.
    """
    conditions = {figures.condition for _, figures in told}
    if stopping:
        return "draining"
    for condition in ("ok", "overloaded"):
        if condition in conditions:
            return condition
    return "starting"
