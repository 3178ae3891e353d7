"""Tests of L{anp_twisted.receiver.apps}."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import AppImportError
from anp_twisted.receiver.apps import load_app

NUMBERS = count()

SOURCE = """
async def app(scope, receive, send): ...
class Inner:
    async def method(self, scope, receive, send): ...
inner = Inner()
value = 7
def make(): return app
def make_value(): return value
def make_nothing(): raise RuntimeError("first line\\nsecond line")
def leave(): raise SystemExit(3)
def wsgi(environ, start_response): ...
class Callable:
    async def __call__(self, scope, receive, send): ...
async def three(scope, receive, send, *, more=1): ...
"""


class LoadTests(SynchronousTestCase):
    """How an application is found, and what is said when it is not."""

    def setUp(self) -> None:
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "dont_write_bytecode", True)
        self.folder = self.mktemp()
        os.makedirs(self.folder)

    def module(self, source: str) -> str:
        """
        @return: the name of a new module.
        """
        name = f"anp_test_app_{next(NUMBERS)}"
        Path(self.folder, name + ".py").write_text(source)
        self.addCleanup(sys.modules.pop, name, None)
        return name

    def reason(self, name: str) -> str:
        """
        @return: why it cannot be loaded.
        """
        error = self.assertRaises(AppImportError, load_app, name, self.folder)
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_found(self) -> None:
        """Attributes, methods, what a factory makes and instances that can be called are applications."""
        name = self.module(SOURCE)
        app = load_app(f"{name}:app", self.folder)
        module = sys.modules[name]
        self.assertIs(app, module.app)
        self.assertIs(load_app(f"{name}:make()", self.folder), module.app)
        self.assertEqual(load_app(f"{name}:inner.method", self.folder), module.inner.method)
        self.assertIsInstance(load_app(f"{name}:Callable()", self.folder), module.Callable)
        load_app(f"{name}:three", self.folder)
        self.assertEqual(sys.path.count(self.folder), 1)

    def test_packages(self) -> None:
        """The module may be in a package."""
        package = f"anp_test_package_{next(NUMBERS)}"
        os.makedirs(os.path.join(self.folder, package))
        Path(self.folder, package, "main.py").write_text(SOURCE)
        self.addCleanup(sys.modules.pop, package, None)
        self.addCleanup(sys.modules.pop, f"{package}.main", None)
        load_app(f"{package}.main:app", self.folder)
        self.assertEqual(
            self.reason(f"{package}.other:app"),
            f"there is no module '{package}.other' in {self.folder} or the environment",
        )

    def test_malformed(self) -> None:
        """A name that is none is refused before anything is imported."""
        for name in ("", "module", "module:", ":app"):
            self.assertIn("is not module:attribute", self.reason(name))

    def test_no_module(self) -> None:
        """A missing module is told apart from one that misses another."""
        self.assertEqual(
            self.reason("anp_test_absent.main:app"),
            f"there is no module 'anp_test_absent' in {self.folder} or the environment",
        )
        name = self.module("import anp_test_absent")
        self.assertEqual(
            self.reason(f"{name}:app"),
            f"{name} cannot be imported: ModuleNotFoundError: No module named 'anp_test_absent' ({name}.py, line 1)",
        )

    def test_error_inside(self) -> None:
        """What the module raises is told in one line, with its place."""
        for source, expected in [
            ("\n1 / 0", "ZeroDivisionError: division by zero ({0}.py, line 2)"),
            ("raise SystemExit(3)", "SystemExit: 3 ({0}.py, line 1)"),
            ("def f(:", "SyntaxError: invalid syntax ({0}.py, line 1)"),
            ("raise KeyError", "KeyError ({0}.py, line 1)"),
        ]:
            name = self.module(source)
            self.assertEqual(self.reason(f"{name}:app"), f"{name} cannot be imported: {expected.format(name)}")

    def test_no_attribute(self) -> None:
        """A missing attribute is named, with what it is missing in."""
        name = self.module(SOURCE)
        self.assertEqual(self.reason(f"{name}:ap"), f"module {name} has no attribute 'ap'")
        self.assertEqual(self.reason(f"{name}:inner.ap"), "of type Inner has no attribute 'ap'")

    def test_not_callable(self) -> None:
        """What cannot be called is none, given or made."""
        name = self.module(SOURCE)
        self.assertEqual(self.reason(f"{name}:value"), f"{name}:value is of type int and cannot be called")
        self.assertEqual(self.reason(f"{name}:value()"), f"{name}:value is of type int and cannot be called")
        self.assertEqual(
            self.reason(f"{name}:make_value()"),
            f"what {name}:make_value() returned is of type int and cannot be called",
        )

    def test_wrong_signature(self) -> None:
        """What does not take scope, receive and send is none; a forgotten pair of parentheses is pointed out."""
        name = self.module(SOURCE)
        reason = "cannot be called with scope, receive and send, so it is no ASGI 3 application"
        self.assertEqual(self.reason(f"{name}:wsgi"), f"{name}:wsgi {reason}; if it is a WSGI application, say --wsgi")
        self.assertEqual(
            self.reason(f"{name}:make"), f"{name}:make {reason}; if it makes the application, say {name}:make()"
        )

    def test_factory_fails(self) -> None:
        """What a factory raises is told in one line."""
        name = self.module(SOURCE)
        self.assertEqual(
            self.reason(f"{name}:make_nothing()"),
            f"{name}:make_nothing() failed: RuntimeError: first line second line ({name}.py, line 9)",
        )
        self.assertIn("failed: SystemExit: 3", self.reason(f"{name}:leave()"))

    def test_real_reason(self) -> None:
        """The original exception is the cause."""
        name = self.module("1 / 0")
        error = self.assertRaises(AppImportError, load_app, f"{name}:app", self.folder)
        self.assertIsInstance(error.__cause__, ZeroDivisionError)
