"""
The pages that belong to the gateway itself, for its operator.

They listen on the loopback address only and are served by Klein; nothing that is
forwarded comes here. Importing this module imports Klein, and with it a reactor:
only a composition root does that, after it has chosen one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from klein import Klein
from twisted.web.iweb import IRequest
from twisted.web.server import Site

from anp_twisted.gateway.build import tcp_listener
from anp_twisted.gateway.listener import Listener
from anp_twisted.gateway.service import GatewayService


class ManagementPages:
    """
    C{/health} and C{/stats} as JSON.

    C{/health} answers 200 while the gateway takes requests and 503 while it drains.
    """

    app = Klein()

    def __init__(self, stats: Callable[[], dict[str, Any]], healthy: Callable[[], bool]) -> None:
        """
        @param stats: the figures to show, made of what JSON knows.
        @param healthy: whether the gateway takes requests.
        """
        self._stats = stats
        self._healthy = healthy

    def site(self) -> Site:
        """Make what a listening endpoint needs."""
        return Site(self.app.resource())

    @app.route("/health", methods=["GET", "HEAD"])
    def health(self, request: IRequest) -> bytes:
        """Say whether the gateway takes requests."""
        healthy = self._healthy()
        if not healthy:
            request.setResponseCode(503)
        return self._json(request, {"status": "ok" if healthy else "draining"})

    @app.route("/stats", methods=["GET", "HEAD"])
    def stats(self, request: IRequest) -> bytes:
        """Show what goes on."""
        return self._json(request, self._stats())

    @staticmethod
    def _json(request: IRequest, value: dict[str, Any]) -> bytes:
        """Write a JSON answer that nobody stores."""
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        body = msgspec.json.encode(value)
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body


def management_listener(reactor: Any, gateway: GatewayService, port: int) -> Listener:
    """
    Make the listener of a gateway's own pages.

    @param port: on the loopback address; 0 takes any free one.
    """
    pages = ManagementPages(gateway.stats, lambda: not gateway.draining)
    return tcp_listener(reactor, pages.site(), host="127.0.0.1", port=port)
