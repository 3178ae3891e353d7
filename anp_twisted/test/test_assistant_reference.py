"""Tests of the reference page."""

from __future__ import annotations

from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.errors import ERRORS
from anp_twisted.assistant.methods import METHODS
from anp_twisted.assistant.reference import page
from anp_twisted.assistant.types import AnyEvent
from anp_twisted.test.test_layers import CHECKOUT


class PageTests(SynchronousTestCase):
    """The page says all there is."""

    def test_everything(self) -> None:
        """Each method with its parameters, each event, each error."""
        sections = {part.partition("`")[0]: part for part in page().split("### `")[1:]}
        self.assertTrue(set(METHODS) < set(sections))
        for row in METHODS.values():
            for name in row.params.__struct_fields__:
                self.assertIn(f"| `{name}` |", sections[row.name])
        for event in get_args(AnyEvent):
            self.assertIn(event.__struct_config__.tag, sections)
        for error in ERRORS:
            self.assertIn(f"| {error.rpc_code} | `{error.word}` |", page())

    def test_markdown(self) -> None:
        """Nothing of the markup of docstrings is left, and each row of a table has its cells."""
        for markup in ("@ivar", "C{", "L{", "@raise"):
            self.assertNotIn(markup, page())
        for line in page().splitlines():
            if line.startswith("| `"):
                self.assertEqual(line.replace("\\|", "").count("|"), 4, line)

    def test_current(self) -> None:
        """The page in the documentation is this one."""
        path = CHECKOUT.parent / "docs" / "reference" / "assistant-rpc.md"
        if not path.exists():
            self.skipTest("not in a checkout")
        self.assertEqual(path.read_text(encoding="utf-8"), page() + "\n")
