"""Rules of L{anp_twisted.registry.rows}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.routes import RouteSettings
from anp_twisted.errors import SettingsError
from anp_twisted.registry.rows import check_name, check_place, legacy_routes, proxy_key, read_options


class RowTests(SynchronousTestCase):
    """What may be in a row."""

    def test_names(self) -> None:
        """One word, and none that another way to connect gives."""
        for name in ("ann", "a.b-c_1", "x" * 255):
            self.assertEqual(check_name(name), name)
        for name in ("", "a b", "x" * 256, "receiver", "shared:x", "certificate:x", "did:wba:x", "\u00e9", "a\n"):
            self.assertRaises(SettingsError, check_name, name)

    def test_places(self) -> None:
        """A mistake is told in one line."""
        self.assertEqual(str(check_place("H.example/a")), "h.example/a")
        error = self.assertRaises(SettingsError, check_place, "https://h/a")
        self.assertTrue(str(error).startswith("the place 'https://h/a' must "), error)

    def test_options(self) -> None:
        """As in a settings file, and a mistake is told as there."""
        self.assertEqual(read_options('{"concurrency": 5}'), RouteSettings(concurrency=5))
        self.assertEqual((read_options(""), read_options("{}")), (None, None))
        rows = {
            "{": "not JSON",
            '{"concurency": 5}': "did you mean",
            '{"concurrency": 0}': "whole number",
            "[1]": "must be a table",
        }
        for text, why in rows.items():
            with self.assertRaisesRegex(ValueError, why):
                read_options(text)


class LegacyTests(SynchronousTestCase):
    """The table of existing deployments."""

    def test_keys(self) -> None:
        """The four rules, together."""
        rows = {"/a/ad.json": "/a", "a": "/a", "/a/b///": "/a/b", "a/ad.json": "/a", "/ad.json": "/", "": "/",
                "/a/ad.json/": "/a/ad.json", "/xad.json": "/xad.json"}  # fmt: skip
        self.assertEqual({path: proxy_key(path) for path in rows}, rows)

    def test_routes(self) -> None:
        """The oldest row has the path; what cannot be a prefix is left out, and both are told."""
        rows = [
            ("did:wba:a", "/a/ad.json"),
            ("did:wba:b", "/b"),
            ("did:wba:b", "a/"),
            ("did:wba:a", "/a"),
            ("x", "/a/../b"),
        ]
        routes, left_out = legacy_routes(rows)
        self.assertEqual([(str(row.place), row.owner) for row in routes], [("/a", "did:wba:a"), ("/b", "did:wba:b")])
        self.assertEqual(
            left_out,
            [
                "the proxy_path 'a/' of 'did:wba:b' belongs to 'did:wba:a'",
                "the proxy_path '/a/../b' of 'x' is no prefix",
            ],
        )
