"""Tests for L{anp_twisted.assistant.channels.access}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.access import AllowList


class AllowListTests(SynchronousTestCase):
    """Who may write."""

    def test_empty(self) -> None:
        """An empty list lets nobody in."""
        access = AllowList([])
        self.assertEqual([access.is_allowed(one) for one in ("", "1", "*")], [False, False, False])

    def test_everybody(self) -> None:
        """A star lets everybody in, but for a sender without name or of that name."""
        access = AllowList(["*"])
        self.assertEqual([access.is_allowed(one) for one in ("1", "", "*")], [True, False, False])
        self.assertTrue(access.open)

    def test_exactly(self) -> None:
        """Ids are compared as they are: no case, prefix or space is overlooked."""
        access = AllowList(["User1"])
        found = {one: access.is_allowed(one) for one in ("User1", "user1", "User", "User11", " User1")}
        self.assertEqual([one for one, allowed in found.items() if allowed], ["User1"])

    def test_paired(self) -> None:
        """Who was paired may write from then on, and no longer when that is taken back."""
        paired: set[str] = set()
        access = AllowList([], paired)
        paired.add("7")
        self.assertTrue(access.is_allowed("7"))
        paired.clear()
        self.assertFalse(access.is_allowed("7"))
