"""
What an operator can put right is said in one line, without a traceback.

C{twistd} lets an error of the start pass to the interpreter, which would print
where in the source it was raised. Exiting instead would be worse: a daemon's
parent waits for an exception to be reported, and would wait for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from twisted.internet.error import CannotListenError

from anp_twisted.errors import ANPError
from anp_twisted.ops.lines import printable

ExceptHook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def say_in_one_line(command: str, otherwise: ExceptHook) -> ExceptHook:
    """
    @param command: begins the line, C{anp-gateway}.
    @param otherwise: gets what no operator can put right.
    @return: a hook for C{sys.excepthook}.
    """

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, (ANPError, CannotListenError)):
            sys.stderr.write(f"{command}: {printable(str(error))}\n")
        else:
            otherwise(kind, error, traceback)

    return hook


def install(command: str) -> None:
    """
    @param command: begins the line, C{anp-gateway}.
    """
    sys.excepthook = say_in_one_line(command, sys.__excepthook__)
