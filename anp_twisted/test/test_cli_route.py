"""Rules of L{anp_twisted.cli.route}."""

from __future__ import annotations

from anp_twisted.cli import route
from anp_twisted.test.test_cli_registry import CommandTestCase


class RouteTests(CommandTestCase):
    """Add, remove, list."""

    def test_add(self) -> None:
        """A place and its options, in order; what is not said of the options leaves them as they are."""
        self.run_command(route, "add", "*.Example.ORG/b/", "did:wba:x")
        self.run_command(route, "add", "/a", "ann", "--options", '{"concurrency": 5}')
        self.run_command(route, "add", "/a", "ann")
        self.assertEqual(self.run_command(route, "list"), ['/a  ann  {"concurrency": 5}', "*.example.org/b  did:wba:x"])
        self.run_command(route, "add", "/a", "ann", "--options", "{}")
        self.assertEqual(self.run_command(route, "list")[0], "/a  ann")

    def test_refused(self) -> None:
        """One line, and nothing has changed."""
        self.run_command(route, "add", "/a", "ann")
        rows = {
            ("add", "/a", "bob"): "belongs to ann",
            ("add", "/a?x", "bob"): "the place",
            ("add", "/b", "b ob"): "an owner has",
            ("add", "/b", ""): "an owner has",
            ("add", "/b", "bob", "--options", "{"): "not JSON",
            ("add", "/b", "bob", "--options", '{"concurency": 5}'): "did you mean",
            ("remove", "/b"): "belongs to nobody",
        }
        for arguments, why in rows.items():
            self.assertIn(why, self.refused(route, *arguments))
        self.assertEqual(self.run_command(route, "list"), ["/a  ann"])

    def test_remove(self) -> None:
        """Then another may have it."""
        self.run_command(route, "add", "/a", "ann")
        self.run_command(route, "remove", "/a/")
        self.run_command(route, "add", "/a", "bob")
        self.assertEqual(self.run_command(route, "list"), ["/a  bob"])
