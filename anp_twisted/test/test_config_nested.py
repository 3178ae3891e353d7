"""Rules of L{anp_twisted.config.nested}."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config import kinds, nested
from anp_twisted.config.schema import Places, setting


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A table in a table."""

    word: str = setting(kinds.TEXT, "A word.", places=Places.ONLY_IN_FILE)
    size: int = setting(kinds.SIZE, "A size.", 5, Places.ONLY_IN_FILE)

    def __post_init__(self) -> None:
        """Refuse one pair."""
        if self.word == "small" and self.size > 10:
            raise ValueError("must not be small and large")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A table."""

    number: int = setting(kinds.COUNT, "A number.", 1, Places.ONLY_IN_FILE)
    inner_table: Inner | None = setting(nested.table(Inner), "A table.", None, Places.ONLY_IN_FILE)


TABLES = nested.tables(kinds.PREFIX, nested.table(Outer))


class NestedTests(SynchronousTestCase):
    """Tables in tables."""

    def refused(self, value: object) -> str:
        """What the operator reads."""
        error = self.assertRaises(ValueError, TABLES.from_toml, value)
        return nested.located(error, "routes in [gateway] of f")

    def test_typed(self) -> None:
        """Each table becomes an instance, in the order of the file, with the defaults of its class."""
        value: Any = {"/b": {"number": 3}, "/a": {"inner-table": {"word": "x", "size": "1KiB"}}, "/c": {}}
        self.assertEqual(
            TABLES.from_toml(value),
            (
                ("/b", Outer(number=3)),
                ("/a", Outer(inner_table=Inner(word="x", size=1024))),
                ("/c", Outer()),
            ),
        )

    def test_errorsSayWhere(self) -> None:
        """An error names the value, the tables it is in, and what would be right."""
        place = '"/a" in routes in [gateway] of f'
        rows: list[tuple[object, str]] = [
            ({"/a": {"nummber": 1}}, f"unknown key 'nummber' in {place}; did you mean 'number'?"),
            ({"/a": {"number": "x"}}, f"number in {place} must be a whole number from 1 to 1000000"),
            (
                {"/a": {"inner_table": {"word": "w", "sise": 1}}},
                f"unknown key 'sise' in inner_table in {place}; did you mean 'size'?",
            ),
            ({"/a": {"inner_table": {"word": ""}}}, f"word in inner_table in {place} must not be empty"),
            ({"/a": {"inner_table": {}}}, f"inner_table in {place} must have the key 'word'"),
            (
                {"/a": {"inner_table": {"word": "small", "size": 11}}},
                f"inner_table in {place} must not be small and large",
            ),
            (
                {"/a": {"inner_table": {"word": "w"}, "inner-table": {"word": "w"}}},
                f"inner-table in {place} is given twice",
            ),
            ({"/a": 5}, f"{place} must be a table"),
            ({"a": {}}, '"a" in routes in [gateway] of f must be a path that starts with / and has no space, ? or #'),
            ([], "routes in [gateway] of f must be a table"),
        ]
        for value, sentence in rows:
            self.assertEqual(self.refused(value), sentence)

    def test_notAsText(self) -> None:
        """A table has no form for the command line."""
        self.assertRaises(ValueError, TABLES.from_text, "x")
        self.assertRaises(ValueError, nested.table(Inner).from_text, "x")

    def test_plain(self) -> None:
        """An error of a value that is no table reads as ever."""
        self.assertEqual(nested.located(ValueError("must be x"), "--port"), "--port must be x")
