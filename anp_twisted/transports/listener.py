"""
One place that listens, as its operator knows it.

Twisted's C{StreamServerEndpointService} is not used: it logs that a port is taken
and lets the process run on without it, unless a private attribute is set.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from anp_twisted.errors import SettingsError

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class Gate:
    """
    A listening socket that can stop to accept between any two connections.

    A port that is read no more still accepts all that wait in the kernel, up to a
    hundred, if it is in the middle of that.

    @ivar shut: whether it looks as if nobody waited.
    """

    def __init__(self, listening: socket.socket) -> None:
        self.shut = False
        self._listening = listening

    def accept(self) -> tuple[socket.socket, Any]:
        """
        Take the next connection.

        @raise BlockingIOError: if there is none, or while the gate is shut.
        """
        if self.shut:
            raise BlockingIOError(errno.EAGAIN, "the gate is shut")
        return self._listening.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listening, name)


class Listener:
    """
    An endpoint, what it serves, and the port once it listens.

    @ivar port: what listens, C{None} while nothing does.
    """

    def __init__(
        self,
        endpoint: IStreamServerEndpoint,
        factory: IProtocolFactory,
        *,
        name: str,
        scheme: str,
        pausable: bool = True,
    ) -> None:
        """
        @param name: how the operator knows it, for the error when it cannot listen.
        @param scheme: C{http} or C{https}.
        @param pausable: whether L{pause} does anything.
        """
        self._endpoint = endpoint
        self._factory = factory
        self._name = name
        self._scheme = scheme
        self._pausable = pausable
        self._gate: Gate | None = None
        self.port: IListeningPort | None = None

    def start(self) -> None:
        """
        Listen.

        @raise SettingsError: if that is not possible; the text is one line.
        """
        failures: list[Failure] = []
        self._endpoint.listen(self._factory).addCallbacks(self._listening, failures.append)
        if failures:
            error = failures[0].value
            reason = error.socketError if isinstance(error, CannotListenError) else error
            raise SettingsError(f"cannot listen on {self._name}: {getattr(reason, 'strerror', None) or reason}")

    def _listening(self, port: IListeningPort) -> None:
        """Keep what listens."""
        self.port = port
        if self._pausable and isinstance(port, Port):
            self._gate = port.socket = Gate(port.socket)

    @property
    def url(self) -> str:
        """Where a program on this machine reaches it; the endpoint itself where that is no URL."""
        address: Any = self.port.getHost() if self.port is not None else None
        if not isinstance(address, IPv4Address | IPv6Address):
            return self._name
        host = _EVERYWHERE.get(address.host) or (f"[{address.host}]" if ":" in address.host else address.host)
        return f"{self._scheme}://{host}:{address.port}"

    def pause(self) -> None:
        """Accept no connection for a while; those that come wait in the kernel."""
        port: Any = self.port
        if self._gate is not None:
            self._gate.shut = True
            port.stopReading()

    def resume(self) -> None:
        """Accept connections again."""
        port: Any = self.port
        if self._gate is not None:
            self._gate.shut = False
            port.startReading()

    def stop(self) -> Deferred[Any]:
        """@return: fires when nothing listens any more."""
        port, self.port, self._gate = self.port, None, None
        return succeed(None) if port is None else maybeDeferred(port.stopListening)
