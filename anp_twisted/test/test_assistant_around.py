"""Tests of what the assistant takes from its process."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from anp_twisted.test.assistantlab import AssistantTests


class AroundTests(AssistantTests):
    """The value."""

    def test_frozen(self) -> None:
        """Nobody changes it for the others."""
        self.assertRaises(FrozenInstanceError, setattr, self.lab.around, "limits", None)

    def test_ids(self) -> None:
        """No id comes twice."""
        self.assertNotEqual(self.lab.around.new_id(), self.lab.around.new_id())
