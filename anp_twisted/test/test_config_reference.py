"""Rules of L{anp_twisted.config.reference}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.reference import page
from anp_twisted.config.schema import settings_of
from anp_twisted.config.tables import COMMANDS


class PageTests(SynchronousTestCase):
    """The page says all there is."""

    def test_everySetting(self) -> None:
        """Each command has a section, and there each setting has one row of four cells."""
        sections = page().split("\n## ")[1:]
        self.assertEqual([section.split("\n")[0] for section in sections], [f"anp-{name}" for name in COMMANDS])
        for section, cls in zip(sections, COMMANDS.values(), strict=True):
            rows = [line.replace("\\|", "/") for line in section.splitlines() if line.startswith("| `")]
            self.assertEqual(len(rows), len(settings_of(cls)))
            for row, setting in zip(rows, settings_of(cls).values(), strict=True):
                self.assertEqual(row.count("|"), 5, row)
                self.assertIn(setting.help.replace("|", "/"), row)

    def test_theToken(self) -> None:
        """The token is shown as no option."""
        self.assertNotIn("`--token`", page())
        self.assertIn("| `token` |", page())
