"""
What the documentation says can be checked in part: here is that part.
"""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.reference import page
from anp_twisted.config.routes import CorsSettings, RouteSettings
from anp_twisted.config.schema import settings_of

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


class DocumentationTests(SynchronousTestCase):
    """Pages agree with the code, and with each other."""

    def test_settings(self) -> None:
        """The page of the settings is the one that the table gives."""
        written = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
        self.assertEqual(written, page(), "run: python -m anp_twisted.config.reference > docs/reference/settings.md")

    def test_routeOptions(self) -> None:
        """The page of the route options has a row for each of them, and for nothing else."""
        written = (ROOT / "docs" / "reference" / "route-options.md").read_text("utf-8")
        rows = re.findall(r"^\| `([a-z_]+)` \|", written, re.MULTILINE)
        self.assertEqual(rows, [*settings_of(RouteSettings), *settings_of(CorsSettings)])

    def test_links(self) -> None:
        """Each relative link leads to a file."""
        pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        dead = [
            f"{path.relative_to(ROOT)}: {target}"
            for path in pages
            for target in LINK.findall(path.read_text("utf-8"))
            if not (path.parent / target).exists()
        ]
        self.assertEqual(dead, [])

    def test_everyPageIsReachable(self) -> None:
        """Each page is linked from another."""
        pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "newsfragments"]
        linked = {
            (path.parent / target).resolve()
            for path in [ROOT / "README.md", *pages]
            for target in LINK.findall(path.read_text("utf-8"))
        }
        self.assertEqual([str(path) for path in pages if path.resolve() not in linked], [])

    def test_commands(self) -> None:
        """The two commands of the README are one line each."""
        lines = (ROOT / "README.md").read_text("utf-8").splitlines()
        self.assertEqual(len([line for line in lines if line.endswith(".venv/bin/twistd -n anp-both")]), 1)
        self.assertEqual(len([line for line in lines if line.endswith(".venv/bin/trial anp_twisted")]), 1)
