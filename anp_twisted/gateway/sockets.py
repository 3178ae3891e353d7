"""
The listening sockets of a gateway with several workers: one for each, on one address.

With C{SO_REUSEPORT} the kernel divides the callers evenly. One socket for all was
tried: whoever wakes first accepts a whole burst, so that one worker of two had
every connection of 32. The sockets belong to the first process, which never
accepts: when a worker is killed its queue stays, and the next one finds it.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

from anp_twisted.errors import SettingsError

_QUEUE = 128
"""Callers that wait in the kernel for each worker: for the time that a busy one needs to come round."""


def family_of(host: str) -> socket.AddressFamily:
    """
    @return: the family of an address.
    """
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bind_group(host: str, port: int, count: int, platform: str = sys.platform) -> list[socket.socket]:
    """
    Make sockets that listen on one address.

    @param port: 0 takes any free one, the same for all.
    @raise SettingsError: if that is not possible; the text is one line.
    """
    if platform != "linux":
        raise SettingsError("workers need Linux, where the kernel divides the callers of one port: leave --workers out")
    found: list[socket.socket] = []
    with ExitStack() as undo:
        try:
            # Two gateways would share the port without a word if both only asked for their groups.
            port = _probe(host, port)
            for _ in range(count):
                found.append(undo.enter_context(_bound(host, port, lambda one: _share(one))))
        except OSError as error:
            raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
        undo.pop_all()
    return found


def _probe(host: str, port: int) -> int:
    """Find out that nobody listens there, and on which port that is."""
    with _bound(host, port, lambda one: None) as probe:
        found: int = probe.getsockname()[1]
        return found


def _share(one: socket.socket) -> None:
    """Let others listen there, too."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _bound(host: str, port: int, prepare: Callable[[socket.socket], None]) -> socket.socket:
    """Make a socket that listens."""
    one = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        prepare(one)
        one.bind((host, port))
        one.listen(_QUEUE)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one
