"""Tests of the table of methods."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.methods import ADMIN, ANYBODY, METHODS, USER
from anp_twisted.assistant.types import Params


class MethodTests(SynchronousTestCase):
    """The table."""

    def test_whoMay(self) -> None:
        """Without a token there are two methods; tokens, channels and pairing are for administrators."""
        self.assertEqual({row.name for row in METHODS.values() if row.access == ANYBODY}, {"health", "connect"})
        for row in METHODS.values():
            self.assertIn(row.access, (ANYBODY, USER, ADMIN))
            if row.name != "token.link" and row.name.partition(".")[0] in ("token", "channel", "pairing"):
                self.assertEqual(row.access, ADMIN)

    def test_rows(self) -> None:
        """Parameters refuse what they do not know, and each row has a sentence."""
        for row in METHODS.values():
            self.assertTrue(issubclass(row.params, Params))
            self.assertTrue(row.params.__struct_config__.forbid_unknown_fields)
            self.assertTrue(row.summary.endswith("."))
