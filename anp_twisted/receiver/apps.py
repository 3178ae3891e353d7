"""
Imports the application that C{--app} or C{--wsgi} names, and says what is wrong where it cannot.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from inspect import Signature, isclass, signature
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, cast

from anp_twisted.errors import AppImportError
from anp_twisted.receiver.asgi import App

if TYPE_CHECKING:
    from anp_twisted.receiver.wsgi import WsgiApp


@dataclass(frozen=True, slots=True)
class Interface:
    """
    A way to call an application.

    @ivar example: arguments of the right number.
    """

    name: str
    option: str
    takes: str
    example: tuple[object, ...]


ASGI: Final = Interface(
    "an ASGI application", "--app", "scope, receive and send, so it is no ASGI 3 application", ({}, None, None)
)
WSGI: Final = Interface(
    "a WSGI application", "--wsgi", "environ and start_response, so it is no WSGI application", ({}, None)
)


def load_app(name: str, folder: str) -> App:
    """
    Import an application.

    @param name: C{module:attribute}, or C{module:factory()} for what a call
        without arguments returns; both parts may have dots.
    @param folder: where modules are looked for first; it stays on the path,
        since the application may import more when it is called.
    @raise AppImportError: if that fails; the text is one line with the real reason.
    """
    return cast(App, _load(name, folder, ASGI))


def load_wsgi(name: str, folder: str) -> WsgiApp:
    """
    Import a WSGI application, as L{load_app} does.

    @raise AppImportError: as there.
    """
    return cast("WsgiApp", _load(name, folder, WSGI))


def _load(name: str, folder: str, interface: Interface) -> Any:
    """Import something that can be called as an interface wants it."""
    module_name, colon, attribute = name.partition(":")
    if not module_name or not colon or not attribute:
        raise AppImportError(f"{name!r} is not module:attribute or module:factory()")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found = _attribute(_module(module_name, folder), attribute.removesuffix("()"))
    if not attribute.endswith("()"):
        return _application(name, found, interface)
    return _application(f"what {name} returned", _made(name, found), interface)


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
            where = f"module {module.__name__}" if found is module else _described(found)
            raise AppImportError(f"{where} has no attribute {part!r}") from error
    return found


def _made(name: str, factory: Any) -> Any:
    """Call the factory."""
    if not callable(factory):
        raise AppImportError(f"{name.removesuffix('()')} is {_described(factory)} and cannot be called")
    try:
        return factory()
    except (Exception, SystemExit) as error:  # boundary: the factory may raise anything
        raise AppImportError(f"{name} failed: {_reason(error)}") from error


def _application(name: str, found: Any, interface: Interface) -> Any:
    """Check that something can be called as the interface asks for."""
    if not callable(found):
        raise AppImportError(f"{name} is {_described(found)} and cannot be called")
    try:
        parameters = signature(found)
    except (TypeError, ValueError):
        return found  # written in C: the first call will tell
    if not _binds(parameters, interface.example):
        raise AppImportError(f"{name} cannot be called with {interface.takes}{_advice(name, parameters, interface)}")
    return found


def _advice(name: str, parameters: Signature, interface: Interface) -> str:
    """Say what the operator may have meant."""
    if _binds(parameters, ()):
        return f"; if it makes the application, say {name}()"
    other = WSGI if interface is ASGI else ASGI
    return f"; if it is {other.name}, say {other.option}" if _binds(parameters, other.example) else ""


def _binds(parameters: Signature, example: tuple[object, ...]) -> bool:
    """Whether it can be called with such arguments."""
    try:
        parameters.bind(*example)
    except TypeError:
        return False
    return True


def _described(value: object) -> str:
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
