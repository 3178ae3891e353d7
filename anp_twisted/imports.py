"""
Imports what an operator names as C{module:attribute}, and says in one line what is wrong where it cannot.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from inspect import Signature, isclass
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from anp_twisted.errors import AppImportError


def imported(name: str, folder: str, check: Callable[[str, Any], Any]) -> Any:
    """
    Import something.

    @param name: C{module:attribute}, or C{module:factory()} for what a call
        without arguments returns; both parts may have dots.
    @param folder: where modules are looked for first; it stays on the path,
        since what is imported may import more when it is called.
    @param check: called with how to call the thing in an error, and with the
        thing; returns it, or raises L{AppImportError}.
    @raise AppImportError: if that fails; the text is one line with the real reason.
    """
    module_name, colon, attribute = name.partition(":")
    if not module_name or not colon or not attribute:
        raise AppImportError(f"{name!r} is not module:attribute or module:factory()")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found = _attribute(_module(module_name, folder), attribute.removesuffix("()"))
    if not attribute.endswith("()"):
        return check(name, found)
    return check(f"what {name} returned", _made(name, found))


def _module(name: str, folder: str) -> ModuleType:
    """Import the module."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # The module itself, or a package it is in, is missing; anything else is missing inside of it.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise AppImportError(f"there is no module {error.name!r} in {folder} or the environment") from error
        raise AppImportError(f"{name} cannot be imported: {_reason(error)}") from error
    except (Exception, SystemExit) as error:  # boundary: the module may raise anything
        raise AppImportError(f"{name} cannot be imported: {_reason(error)}") from error


def _attribute(module: ModuleType, path: str) -> Any:
    """Find the attribute."""
    found: Any = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            where = f"module {module.__name__}" if found is module else described(found)
            raise AppImportError(f"{where} has no attribute {part!r}") from error
    return found


def _made(name: str, factory: Any) -> Any:
    """Call the factory."""
    if not callable(factory):
        raise AppImportError(f"{name.removesuffix('()')} is {described(factory)} and cannot be called")
    try:
        return factory()
    except (Exception, SystemExit) as error:  # boundary: the factory may raise anything
        raise AppImportError(f"{name} failed: {_reason(error)}") from error


def binds(parameters: Signature, example: tuple[object, ...]) -> bool:
    """Whether something with such parameters can be called with such arguments."""
    try:
        parameters.bind(*example)
    except TypeError:
        return False
    return True


def described(value: object) -> str:
    """Name the kind of a value."""
    return f"the class {value.__name__}" if isclass(value) else f"of type {type(value).__name__}"


def _reason(error: BaseException) -> str:
    """Say in one line what was raised, and where."""
    text = " ".join(str(error).split())
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError):
        return reason
    frames = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if len(frames) < 2:
        return reason
    return f"{reason} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
