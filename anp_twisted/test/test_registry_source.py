"""Rules of L{anp_twisted.registry.source}."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.places import parse_place
from anp_twisted.registry.book import NOTHING
from anp_twisted.registry.source import REGISTRY_FILE, Source, open_store, parse_url


class UrlTests(SynchronousTestCase):
    """What a database may be."""

    def test_drivers(self) -> None:
        """The scheme says which driver."""
        rows = {"sqlite:///a.db": "sqlite", "mysql://u@h/d": "mysql+pymysql", "mariadb://u@h/d": "mysql+pymysql",
                "postgresql://u@h/d": "postgresql+psycopg", "postgres://u@h/d": "postgresql+psycopg"}  # fmt: skip
        self.assertEqual({url: parse_url(url).drivername for url in rows}, rows)

    def test_refused(self) -> None:
        """No other scheme, no database without a name, and no password in what is said of it."""
        for url in ("oracle://u:hunter2@h/d", "mysql://u:hunter2@h", "sqlite://", "sqlite:///:memory:", "hunter2", ""):
            error = self.assertRaises(SettingsError, parse_url, url)
            self.assertNotIn("hunter2", str(error))

    def test_timeouts(self) -> None:
        """Every driver gets timeouts; what the URL says of one counts."""
        for url in ("sqlite:///a.db", "mysql://u@h/d", "postgresql://u@h/d", "postgresql://u@h/d?connect_timeout=9"):
            store = open_store(url)
            self.addCleanup(store.close)
            _, given = store._engine.dialect.create_connect_args(store._engine.url)
            self.assertEqual(str(given.get("connect_timeout", "")), "9" if "=9" in url else "")


class SourceTests(SynchronousTestCase):
    """A registry that may not be there."""

    def test_absent(self) -> None:
        """Without a database and without a file there is nothing, and no file is made to find that out."""
        folder = self.mktemp()
        os.mkdir(folder)
        source = Source(None, folder)
        self.assertTrue(source.absent)
        self.assertIs(source.read_after(None), NOTHING)
        self.assertIsNone(source.read_after(NOTHING.version))
        self.assertEqual(os.listdir(folder), [])

    def test_made(self) -> None:
        """The first change makes it; then it is read when it has changed, or when that is wanted."""
        folder = self.mktemp()
        os.mkdir(folder)
        source, other = Source(None, folder), Source(None, folder)
        self.addCleanup(source.close)
        self.addCleanup(other.close)
        other.store().put_route(parse_place("/a"), "ann")
        self.assertEqual((source.absent, os.listdir(folder)), (False, [REGISTRY_FILE]))
        book = source.read_after(())
        assert book is not None
        self.assertEqual(book.routes, 1)
        self.assertIsNone(source.read_after(book.version))
        self.assertIsNotNone(source.read_after(None))

    def test_named(self) -> None:
        """A database that was named is never absent."""
        source = Source(f"sqlite:///{os.path.abspath(self.mktemp())}", "nowhere")
        self.addCleanup(source.close)
        self.assertFalse(source.absent)
        book = source.read_after(NOTHING.version)
        assert book is not None
        self.assertEqual(book.version, (1,))
