"""Tests of L{anp_twisted.imports}; what is said of applications is tested in C{test_receiver_apps}."""

from __future__ import annotations

import os
import sys
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import AppImportError
from anp_twisted.imports import binds, described, imported

NUMBERS = count()

SOURCE = """
class Inner:
    value = 7
def make(): return Inner
def fail(): raise RuntimeError("first line\\nsecond line")
def leave(): raise SystemExit(3)
"""


def accepted(called: str, found: Any) -> Any:
    """Take everything."""
    return called, found


class ImportedTests(SynchronousTestCase):
    """How a thing is found, and what is said when it is not."""

    def setUp(self) -> None:
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "dont_write_bytecode", True)
        self.folder = self.mktemp()
        os.makedirs(self.folder)

    def module(self, source: str) -> str:
        name = f"anp_test_imported_{next(NUMBERS)}"
        Path(self.folder, name + ".py").write_text(source)
        self.addCleanup(sys.modules.pop, name, None)
        return name

    def reason(self, name: str) -> str:
        error = self.assertRaises(AppImportError, imported, name, self.folder, accepted)
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_found(self) -> None:
        """An attribute, one of an attribute, and what a call returns, each with how to call it in an error."""
        name = self.module(SOURCE)
        self.assertEqual(imported(f"{name}:Inner.value", self.folder, accepted), (f"{name}:Inner.value", 7))
        called, found = imported(f"{name}:make()", self.folder, accepted)
        self.assertEqual((called, found.value), (f"what {name}:make() returned", 7))

    def test_refused(self) -> None:
        """Each way in which a name leads nowhere has a reason of its own."""
        name = self.module(SOURCE)
        for text in ("", "a", ":a", "a:"):
            self.assertIn("is not module:attribute", self.reason(text))
        self.assertIn("there is no module 'anp_no_such'", self.reason("anp_no_such:a"))
        self.assertIn("has no attribute 'b'", self.reason(f"{name}:b"))
        self.assertIn("the class Inner has no attribute 'b'", self.reason(f"{name}:Inner.b"))
        self.assertIn("cannot be called", self.reason(f"{name}:Inner.value()"))
        self.assertIn("RuntimeError: first line second line", self.reason(f"{name}:fail()"))
        self.assertIn("SystemExit: 3", self.reason(f"{name}:leave()"))

    def test_broken(self) -> None:
        """A module that cannot be imported is told from one that is not there."""
        self.assertIn("cannot be imported: SyntaxError", self.reason(f"{self.module('def')}:a"))
        self.assertIn("anp_no_such", self.reason(f"{self.module('import anp_no_such')}:a"))

    def test_words(self) -> None:
        """Things are named by their kind, and calls are tried on their signature alone."""
        self.assertEqual((described(int), described(7)), ("the class int", "of type int"))
        self.assertTrue(binds(signature(accepted), (1, 2)))
        self.assertFalse(binds(signature(accepted), (1,)))
