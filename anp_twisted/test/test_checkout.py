"""
From a checkout, C{trial anp_twisted} runs the fast part of C{tests/} as well.

C{trial} asks a test module for C{testSuite} before it looks for classes. An
installed package has no C{tests/} beside it, and then this adds nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final
from unittest import TestSuite

from twisted.trial.runner import TestLoader

import anp_twisted

ROOT: Final = Path(anp_twisted.__file__).parent.parent

FAST: Final = ("tests.test_docs", "tests.test_vectors")
"""Modules that take no noticeable time and leave the process alone."""


def testSuite() -> TestSuite:
    """
    @return: the fast tests of the checkout this package lies in, or none.
    """
    if not (ROOT / "pyproject.toml").is_file() or not (ROOT / "tests" / "__init__.py").is_file():
        return TestSuite()
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    suite: TestSuite = TestLoader().loadByNames(list(FAST))
    return suite
