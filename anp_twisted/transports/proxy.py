"""
The way to a gateway through an HTTP proxy: C{CONNECT} (RFC 9110, 9.3.6).

The proxy only sees where to; TLS runs inside of the tunnel, from end to end. What
answers may be anything, so its head is bounded in bytes and in time, and nothing
of it is repeated to anyone but its status.
"""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from anp_twisted.errors import ProxyRefused
from anp_twisted.limits import Limits
from anp_twisted.transports.reasons import explain

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_END: Final = re.compile(rb"\r?\n\r?\n")

_BEGIN: Final = b"HTTP/1."

_WORDS: Final = {
    403: "the proxy does not allow connections to the gateway (403)",
    407: "the proxy asks for other credentials (407); they belong into HTTPS_PROXY or the file of --config",
}


def connect_request(host: str, port: int, authorization: str) -> bytes:
    """
    Ask for a tunnel.

    @param host: the gateway's name or address, without brackets.
    @param authorization: the value of C{Proxy-Authorization}, or nothing.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if authorization:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class Tunnel(Protocol):
    """
    The connection to the proxy; once that agreed, everything on it is for the protocol inside.

    @ivar opened: fires with the protocol inside when the tunnel is there.
    """

    transport: Any

    def __init__(self, inner: IProtocolFactory, request: bytes, clock: IReactorTime, limits: Limits) -> None:
        self.opened: Deferred[IProtocol] = Deferred(self._cancelled)
        self._factory = inner
        self._request = request
        self._clock = clock
        self._limits = limits
        self._head = b""
        self._inside: IProtocol | None = None
        self._deadline: IDelayedCall | None = None
        self._connecting: Deferred[IProtocol] | None = None

    def dial(self, proxy: IStreamClientEndpoint) -> None:
        """Connect to the proxy; whatever comes of it reaches L{opened}."""
        self._connecting = proxy.connect(TunnelFactory(self))
        self._connecting.addErrback(self._unreachable)

    def _unreachable(self, reason: Failure) -> None:
        """There is no proxy."""
        if not self.opened.called and not reason.check(CancelledError, ConnectingCancelledError):
            self.opened.errback(ProxyRefused(explain(reason.value, "the proxy")))

    def connectionMade(self) -> None:
        """Ask."""
        self._deadline = self._clock.callLater(self._limits.proxy, self._late)
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        """Wait for the end of the answer's head; what comes behind it belongs to the protocol inside."""
        if self._inside is not None:
            self._inside.dataReceived(data)
        elif not self.opened.called:
            self._head += data
            self._read_head()

    def _read_head(self) -> None:
        """Act on the status once the head is complete; heads below 200 come before it."""
        while (end := _END.search(self._head, 0, self._limits.proxy_head)) is not None:
            head, self._head = self._head[: end.end()], self._head[end.end() :]
            match = _STATUS.match(head)
            if match is None or int(match[1]) >= 200:
                self._answered(int(match[1]) if match else 0)
                return
        if len(self._head) >= self._limits.proxy_head or not self._head.startswith(_BEGIN[: len(self._head)]):
            self._answered(0)

    def _answered(self, status: int) -> None:
        """Act on the status; only 2xx makes a tunnel, and 0 is no status."""
        if 200 <= status < 300:
            self._open()
        elif not status:
            self._refuse("what answers at the proxy's address is no HTTP proxy")
        else:
            self._refuse(_WORDS.get(status, f"the proxy cannot reach the gateway ({status})"), status)

    def _open(self) -> None:
        """Let the protocol inside begin."""
        self._stop_waiting()
        rest, self._head = self._head, b""
        inside = self._factory.buildProtocol(self.transport.getPeer())
        if inside is None:
            self._refuse("the connection is not wanted any more")
            return
        self._inside = inside
        inside.makeConnection(self.transport)
        self.opened.callback(inside)
        if rest:
            inside.dataReceived(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell whoever is inside, or waits."""
        self._stop_waiting()
        if self._inside is not None:
            self._inside.connectionLost(reason)
        elif not self.opened.called:
            self.opened.errback(ProxyRefused("the proxy closed the connection before it answered"))

    def _late(self) -> None:
        """The proxy takes too long."""
        self._deadline = None
        self._refuse(f"the proxy did not answer within {self._limits.proxy:g} s")

    def _refuse(self, text: str, status: int = 0) -> None:
        """End it with a reason."""
        self._stop_waiting()
        self._cut()
        if not self.opened.called:
            self.opened.errback(ProxyRefused(text, status))

    def _cancelled(self, opened: Deferred[IProtocol]) -> None:
        """Nobody waits any more."""
        self._stop_waiting()
        if self._connecting is not None:
            self._connecting.cancel()
        self._cut()

    def _cut(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abortConnection()

    def _stop_waiting(self) -> None:
        """Let no timer run."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class TunnelFactory(Factory):
    """Makes the one L{Tunnel} of an attempt."""

    noisy = False

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def buildProtocol(self, addr: IAddress | None) -> Tunnel:
        """Hand it out."""
        return self._tunnel


@implementer(IStreamClientEndpoint)
class ProxyEndpoint:
    """Connects to a place behind a proxy."""

    def __init__(self, proxy: IStreamClientEndpoint, request: bytes, clock: IReactorTime, limits: Limits) -> None:
        """
        @param proxy: connects to the proxy.
        @param request: see L{connect_request}.
        """
        self._proxy = proxy
        self._request = request
        self._clock = clock
        self._limits = limits

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Connect.

        @return: fires with the protocol when the tunnel is there; fails with
            L{ProxyRefused<anp_twisted.errors.ProxyRefused>}.
        """
        tunnel = Tunnel(protocolFactory, self._request, self._clock, self._limits)
        tunnel.dial(self._proxy)
        return tunnel.opened
