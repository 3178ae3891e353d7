"""
Imports the application that C{--app} or C{--wsgi} names, and says what is wrong where it cannot be one.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import Signature, signature
from typing import TYPE_CHECKING, Any, Final, cast

from anp_twisted.errors import AppImportError
from anp_twisted.imports import binds, described, imported
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
    return imported(name, folder, lambda called, found: _application(called, found, interface))


def _application(name: str, found: Any, interface: Interface) -> Any:
    """Check that something can be called as the interface asks for."""
    if not callable(found):
        raise AppImportError(f"{name} is {described(found)} and cannot be called")
    try:
        parameters = signature(found)
    except (TypeError, ValueError):
        return found  # written in C: the first call will tell
    if not binds(parameters, interface.example):
        raise AppImportError(f"{name} cannot be called with {interface.takes}{_advice(name, parameters, interface)}")
    return found


def _advice(name: str, parameters: Signature, interface: Interface) -> str:
    """Say what the operator may have meant."""
    if binds(parameters, ()):
        return f"; if it makes the application, say {name}()"
    other = WSGI if interface is ASGI else ASGI
    return f"; if it is {other.name}, say {other.option}" if binds(parameters, other.example) else ""
