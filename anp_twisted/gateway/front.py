"""
What a public request is: a link of a receiver, the health page, or something to
forward.

It is called for every request, so it looks at as little as it can. Nothing that
is forwarded passes a router of a web framework.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from anp_twisted.gateway.exchange import Exchange
from anp_twisted.gateway.exchanges import Exchanges
from anp_twisted.gateway.routes import AmbiguousTarget, path_of
from anp_twisted.headers import get_all
from anp_twisted.http.request import PublicRequest
from anp_twisted.problems import Source
from anp_twisted.transports.server import LinkServerFactory

#: Where receivers connect.
LINK_PATH = b"/ws"


class LinkEntrance:
    """
    The way in for receivers: it checks who they are before a byte of WebSocket is spoken.

    @ivar refused: attempts that were turned away.
    """

    log = Logger()

    def __init__(self, links: LinkServerFactory, identify: Callable[[bytes], str | None]) -> None:
        """
        @param identify: from the value of C{Authorization} to an identity, or
            C{None} when it proves none.
        """
        self._links = links
        self._identify = identify
        self.refused = 0

    def enter(self, request: PublicRequest) -> tuple[int, Source, str] | None:
        """
        Hand the connection of a receiver over to the link.

        @return: why it was not, C{None} if it was.
        """
        reason, identity = self._examine(request)
        if reason is not None:
            self.refused += 1
            self.log.warn("receiver at {caller} refused: {reason}", caller=request.client[0], reason=reason[2])
            return reason
        request.upgrade_to(self._links.protocol(identity, request.client))
        return None

    def _examine(self, request: PublicRequest) -> tuple[tuple[int, Source, str] | None, str]:
        """Say what is wrong with an attempt, or who makes it."""
        if request.method != b"GET":
            return (405, "gateway", "receivers connect with GET"), ""
        if request.upgrade != b"websocket":
            return (426, "gateway", "receivers connect here with a WebSocket"), ""
        if get_all(request.headers, b"origin"):
            return (403, "gateway", "browsers have no business here"), ""
        credentials = get_all(request.headers, b"authorization")
        identity = self._identify(credentials[0]) if len(credentials) == 1 else None
        if identity is None:
            return (401, "gateway", "the receiver's token is missing or wrong"), ""
        return None, identity


class LinkFront:
    """
    Takes every request of a listener that is for receivers only, whatever its path.

    Older receivers connect to a port of its own, at C{/}.
    """

    def __init__(self, exchanges: Exchanges, entrance: LinkEntrance, request_id: Callable[[], str]) -> None:
        self._exchanges = exchanges
        self._entrance = entrance
        self._request_id = request_id

    def __call__(self, request: PublicRequest) -> None:
        """Let a receiver in, or say why not."""
        refusal = self._entrance.enter(request)
        if refusal is not None:
            self._exchanges.refuse(request, self._request_id(), refusal)


class Front:
    """Takes every request of a public listener."""

    def __init__(
        self,
        exchanges: Exchanges,
        entrance: LinkEntrance,
        *,
        request_id: Callable[[], str],
        health_path: str = "/health",
        starting: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param entrance: for receivers.
        @param request_id: makes the id of the next request.
        @param health_path: answered here; empty for none.
        @param starting: whether receivers may still be on their way back, so that
            an unknown path is not yet a wrong one.
        """
        self._exchanges = exchanges
        self._entrance = entrance
        self._request_id = request_id
        self._health_path = health_path.encode("ascii")
        self._starting = starting

    def __call__(self, request: PublicRequest) -> None:
        """Decide what a request is."""
        number = self._request_id()
        path = path_of(request.target)
        if path == LINK_PATH:
            refusal = self._entrance.enter(request)
            if refusal is not None:
                self._exchanges.refuse(request, number, refusal)
        elif path == self._health_path and path:
            self._health(request)
        else:
            self._forward(request, number)

    def _forward(self, request: PublicRequest, number: str) -> None:
        """Find the receivers of a request and begin the exchange."""
        try:
            pool = self._exchanges.receivers.routes.match(request.target)
        except AmbiguousTarget:
            self._exchanges.refuse(request, number, (400, "route", "the target can be read in more than one way"))
            return
        if pool is not None:
            Exchange(self._exchanges, request, pool, number).start()
        elif self._starting():
            self._exchanges.refuse(request, number, (503, "route", "no receiver is connected yet"), 2)
        else:
            self._exchanges.refuse(request, number, (404, "route", "no receiver serves this path"))

    def _health(self, request: PublicRequest) -> None:
        """Answer that the gateway is alive; how many receivers it has is nobody's business here."""
        body = b'{"status":"ok"}'
        fields = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
        request.respond(200, fields, body=body)
