"""Rules of L{anp_twisted.registry.schema}; what is done with the tables is tested with L{anp_twisted.registry.sql}."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateTable
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.places import LONGEST_HOST, LONGEST_PATH
from anp_twisted.registry.rows import LONGEST_NAME
from anp_twisted.registry.schema import LEGACY, METADATA, ROUTES, TOKENS


class SchemaTests(SynchronousTestCase):
    """The tables."""

    def room(self, table: object, name: str) -> int:
        """How many characters a column has room for."""
        kind = table.c[name].type  # type: ignore[attr-defined]
        assert isinstance(kind, String) and kind.length is not None
        return kind.length

    def test_room(self) -> None:
        """Whatever is let in has room, so that no database cuts it off."""
        self.assertLessEqual(LONGEST_NAME, min(self.room(ROUTES, "identity"), self.room(TOKENS, "identity")))
        self.assertLessEqual(LONGEST_HOST + 2, self.room(ROUTES, "host"))
        self.assertLessEqual(LONGEST_PATH, self.room(ROUTES, "path"))

    def test_dialects(self) -> None:
        """Every database can make them; MariaDB compares byte by byte."""
        for table in METADATA.sorted_tables:
            for dialect in (sqlite.dialect(), postgresql.dialect(), mysql.dialect()):
                text = str(CreateTable(table).compile(dialect=dialect))
                self.assertEqual("utf8mb4_bin" in text, dialect.name == "mysql")

    def test_legacy(self) -> None:
        """The table of others is never made."""
        self.assertNotIn(LEGACY.name, METADATA.tables)
