"""Tests for L{anp_twisted.config.basics}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.schema import Places, settings_of
from anp_twisted.config.tables import COMMANDS


class CommonTests(SynchronousTestCase):
    """What every command has."""

    def test_everywhere(self) -> None:
        """Each command has each of them, said in the same places."""
        common = settings_of(CommonSettings)
        for name, cls in COMMANDS.items():
            rows = settings_of(cls)
            self.assertEqual(
                {key: rows[key].places for key in common}, {key: common[key].places for key in common}, name
            )

    def test_places(self) -> None:
        """A token is never an argument, and a settings file does not name another one."""
        rows = settings_of(CommonSettings)
        self.assertIs(rows["token"].places, Places.NOT_BY_ARGV)
        self.assertIs(rows["config"].places, Places.NOT_IN_FILE)
