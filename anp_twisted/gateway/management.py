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
from twisted.internet.defer import Deferred, succeed
from twisted.web.iweb import IRequest
from twisted.web.server import Site

from anp_twisted.gateway.registryapi import MOST_BODY, RegistryApi, Reply
from anp_twisted.gateway.service import GatewayService
from anp_twisted.transports.listener import Listener
from anp_twisted.transports.listening import tcp_listener


class ManagementPages:
    """
    C{/health}, C{/stats} and, where there is a registry, C{/registry/…} as JSON.

    C{/health} answers 200 while the gateway is there, overloaded or not, and 503 while it starts or drains.
    """

    app = Klein()

    def __init__(
        self,
        stats: Callable[[], dict[str, Any] | Deferred[dict[str, Any]]],
        condition: Callable[[], str | Deferred[str]],
        api: RegistryApi | None = None,
    ) -> None:
        """
        @param api: answers what is asked of the registry.
        @param stats: the figures to show, made of what JSON knows.
        @param condition: C{ok}, C{overloaded}, C{starting} or C{draining}.
        """
        self._stats = stats
        self._condition = condition
        self._api = api

    def site(self) -> Site:
        """Make what a listening endpoint needs."""
        return Site(self.app.resource())

    @app.route("/health", methods=["GET", "HEAD"])
    def health(self, request: IRequest) -> Deferred[bytes]:
        """Say whether the gateway takes requests."""
        found = self._condition()
        later = found if isinstance(found, Deferred) else succeed(found)
        return later.addCallback(self._health, request)

    def _health(self, condition: str, request: IRequest) -> bytes:
        if condition not in ("ok", "overloaded"):
            request.setResponseCode(503)
        return self._json(request, {"status": condition})

    @app.route("/stats", methods=["GET", "HEAD"])
    def stats(self, request: IRequest) -> Deferred[bytes]:
        """Show what goes on."""
        found = self._stats()
        later = found if isinstance(found, Deferred) else succeed(found)
        return later.addCallback(lambda figures: self._json(request, figures))

    @app.route("/registry/<path:path>", methods=["GET", "POST", "PUT", "DELETE"])
    def registry(self, request: IRequest, path: str) -> Deferred[bytes]:
        """Show or change the registry, for whoever has the token."""
        if self._api is None:
            request.setResponseCode(404)
            return succeed(b"")
        method, body = str(request.method, "latin-1"), request.content.read(MOST_BODY + 1)
        authorization = str(request.getHeader(b"authorization") or b"", "latin-1")
        return self._api.answer(method, path, authorization, body).addCallback(self._reply, request)

    def _reply(self, reply: Reply, request: IRequest) -> bytes:
        request.setResponseCode(reply.status)
        if reply.status == 401:
            request.setHeader(b"WWW-Authenticate", b"Bearer")
        return b"" if reply.value is None else self._json(request, reply.value)

    @staticmethod
    def _json(request: IRequest, value: dict[str, Any]) -> bytes:
        """Write a JSON answer that nobody stores."""
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        body = msgspec.json.encode(value)
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return body


def management_listener(reactor: Any, gateway: GatewayService, port: int, api: RegistryApi | None = None) -> Listener:
    """
    Make the listener of a gateway's own pages.

    @param port: on the loopback address; 0 takes any free one.
    @param api: answers what is asked of the registry.
    """
    return pages_listener(reactor, ManagementPages(gateway.stats, lambda: gateway.condition, api), port)


def pages_listener(reactor: Any, pages: ManagementPages, port: int) -> Listener:
    """
    Make the listener of such pages.

    @param port: on the loopback address; 0 takes any free one.
    """
    return tcp_listener(reactor, pages.site(), host="127.0.0.1", port=port, pausable=False)
