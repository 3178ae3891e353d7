"""
One place that listens, as its operator knows it.

Twisted's C{StreamServerEndpointService} is not used: it logs that a port is taken
and lets the process run on without it, unless a private attribute is set.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

from anp_twisted.errors import SettingsError

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


class Listener:
    """
    An endpoint, what it serves, and the port once it listens.

    @ivar port: what listens, C{None} while nothing does.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, factory: IProtocolFactory, *, name: str, scheme: str) -> None:
        """
        @param name: how the operator knows it, for the error when it cannot listen.
        @param scheme: C{http} or C{https}.
        """
        self._endpoint = endpoint
        self._factory = factory
        self._name = name
        self._scheme = scheme
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

    @property
    def url(self) -> str:
        """Where a program on this machine reaches it; the endpoint itself where that is no URL."""
        address: Any = self.port.getHost() if self.port is not None else None
        if not isinstance(address, IPv4Address | IPv6Address):
            return self._name
        host = _EVERYWHERE.get(address.host) or (f"[{address.host}]" if ":" in address.host else address.host)
        return f"{self._scheme}://{host}:{address.port}"

    def stop(self) -> Deferred[Any]:
        """@return: fires when nothing listens any more."""
        port, self.port = self.port, None
        return succeed(None) if port is None else maybeDeferred(port.stopListening)
