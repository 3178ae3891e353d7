"""Tests for L{anp_twisted.both.tap}."""

from __future__ import annotations

from anp_twisted.both import tap as both
from anp_twisted.test.commandlab import CommandCase


class BothCommandTests(CommandCase):
    """C{twistd anp-both}."""

    def test_defaults(self) -> None:
        """This machine only, and no management port."""
        self.assertEqual(self.names(self.make(both)), ["127.0.0.1 port 9877"])

    def test_management(self) -> None:
        """The management port can be asked for."""
        service = self.make(both, "--port=1", "--management-port=2")
        self.assertEqual(self.names(service), ["127.0.0.1 port 1", "127.0.0.1 port 2"])

    def test_refused(self) -> None:
        """An application that is not there is said before anything listens."""
        self.assertTrue(self.refused(both, "--app=not_there:app").startswith("anp-both: "))
