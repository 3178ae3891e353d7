"""Rules of L{anp_twisted.ops.excepthook}."""

from __future__ import annotations

import io
import sys

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import SettingsError
from anp_twisted.ops import excepthook


class ExceptHookTests(SynchronousTestCase):
    """The last word of a process."""

    def said(self, error: BaseException) -> tuple[str, list[object]]:
        """What is written, and what is left to the interpreter."""
        rest: list[object] = []
        self.patch(sys, "stderr", io.StringIO())
        excepthook.say_in_one_line("anp-gateway", lambda *seen: rest.append(seen[1]))(type(error), error, None)
        assert isinstance(sys.stderr, io.StringIO)
        return sys.stderr.getvalue(), rest

    def test_operator(self) -> None:
        """What the operator can put right is one line."""
        self.assertEqual(self.said(SettingsError("bad\nvalue")), ("anp-gateway: bad\\nvalue\n", []))
        said, rest = self.said(CannotListenError("any", 80, OSError("in use")))
        self.assertEqual((said.count("\n"), rest), (1, []))
        self.assertIn("80: in use", said)

    def test_others(self) -> None:
        """Anything else is the interpreter's."""
        error = ValueError("x")
        self.assertEqual(self.said(error), ("", [error]))

    def test_install(self) -> None:
        """It becomes the hook of the process."""
        self.patch(sys, "excepthook", sys.__excepthook__)
        excepthook.install("anp-gateway")
        self.assertIsNot(sys.excepthook, sys.__excepthook__)
