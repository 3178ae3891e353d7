"""
A public HTTP request reaches an ASGI application behind NAT, and streams both ways.

A B{gateway} has a public address; a B{receiver} runs beside the application and
keeps a WebSocket open to the gateway. Requests and answers share that link as
ANPX streams. Both are C{twistd} plugins: C{anp-gateway}, C{anp-receiver}, and
C{anp-both} for the two in one process.

For Python programs there are C{Receiver} (asyncio), C{receiver_service} (Twisted)
and C{expose} (a program by itself), from L{anp_twisted.embedding}. Importing this
package imports nothing else and installs no reactor; it is one of these names that
does the rest, and none of them installs a reactor either.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anp_twisted.embedding import Receiver, expose, receiver_service

__version__ = "0.1.0"

__all__ = ["Receiver", "__version__", "expose", "receiver_service"]


def __getattr__(name: str) -> Any:
    """Import what is asked for, see PEP 562."""
    if name in __all__:
        return getattr(import_module("anp_twisted.embedding"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
