"""
What a public request is: a link of a receiver, the health page, or something to
forward.

It is called for every request, so it looks at as little as it can. Nothing that
is forwarded passes a router of a web framework.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from anp_twisted.auth.identity import DidRule
from anp_twisted.errors import RequestRefused
from anp_twisted.gateway.admission import Admission, Permit, Preflight, Refusal
from anp_twisted.gateway.balancer import Pool
from anp_twisted.gateway.callerproof import CallerProofs
from anp_twisted.gateway.entrance import LinkEntrance
from anp_twisted.gateway.exchange import Exchange
from anp_twisted.gateway.exchanges import Exchanges
from anp_twisted.gateway.forwarded import MalformedClaim
from anp_twisted.gateway.websocket import WebSocketExchange
from anp_twisted.http import handshake
from anp_twisted.http.request import PublicRequest
from anp_twisted.paths import AmbiguousTarget, path_of
from anp_twisted.problems import Source

_AMBIGUOUS: tuple[int, Source, str] = (400, "route", "the target can be read in more than one way")

_NO_WEBSOCKET = {
    400: "the WebSocket handshake is malformed",
    405: "a WebSocket is opened with GET",
    426: "the version of the WebSocket protocol is 13",
}

#: Where receivers connect.
LINK_PATH = b"/ws"


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
        self._entrance.enter(request, partial(self._exchanges.refuse, request, self._request_id()))


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
        admission: Admission | None = None,
        patient: bool = False,
        proofs: CallerProofs | None = None,
    ) -> None:
        """
        @param entrance: for receivers.
        @param request_id: makes the id of the next request.
        @param health_path: answered here; empty for none.
        @param starting: whether receivers may still be on their way back, so that
            an unknown path is not yet a wrong one.
        @param admission: says who is calling and who may; without one, whoever is
            at the other end of the socket is, and everybody may.
        @param proofs: asks callers who they are, where a route wants to know.
        @param patient: let requests wait for receivers that may be on their way back.
        """
        self._exchanges = exchanges
        self._overload = exchanges.overload
        self._entrance = entrance
        self._request_id = request_id
        self._health_path = health_path.encode("ascii")
        self._starting = starting
        self._patient = patient
        self._admission = admission
        self._proofs = proofs

    def __call__(self, request: PublicRequest) -> None:
        """Decide what a request is."""
        number = self._request_id()
        if self._admission is not None:
            try:
                number = self._admission.greet(request, number)
            except MalformedClaim:
                what: tuple[int, Source, str] = (400, "gateway", "a proxy's words about the caller are malformed")
                self._exchanges.refuse(request, number, what)
                return
        path = path_of(request.target)
        if path == LINK_PATH and self._entrance.is_for(request):
            self._entrance.enter(request, partial(self._exchanges.refuse, request, number))
        elif path == self._health_path and path:
            self._health(request)
        elif self._overload.shedding:
            self._exchanges.turn_away(request, number)
        else:
            self._forward(request, number)

    def _forward(self, request: PublicRequest, number: str) -> None:
        """Decide whether a request may go on."""
        try:
            admitted = self._admission.admit(request) if self._admission is not None else None
            if isinstance(admitted, Refusal | Preflight):
                self._stay(request, number, admitted)
                return
        except AmbiguousTarget:
            self._exchanges.refuse(request, number, _AMBIGUOUS)
            return
        if admitted is not None and admitted.callers is not None:
            self._ask(request, number, admitted, admitted.callers)
        else:
            self._route(request, number, admitted)

    def _ask(self, request: PublicRequest, number: str, permit: Permit, allowed: tuple[DidRule, ...]) -> None:
        """Let a caller prove who it is, and then go on."""
        refuse = partial(self._exchanges.refuse, request, number)
        if self._proofs is None:
            refuse((503, "gateway", "nobody can prove anything here"))
        else:
            self._proofs.ask(request, allowed, partial(self._route, request, number, permit), refuse)

    def _route(self, request: PublicRequest, number: str, admitted: Permit | None) -> None:
        """Find the receivers of a request and begin the exchange."""
        try:
            pool = self._exchanges.receivers.routes.match(request.host, request.target)
        except AmbiguousTarget:
            self._exchanges.refuse(request, number, _AMBIGUOUS)
            return
        if pool is None and self._patient and self._starting():
            pool = self._exchanges.receivers.lobby
        if pool is not None:
            if request.upgrade and handshake.asked(request):
                self._open(request, pool, number, admitted)
            else:
                Exchange(self._exchanges, request, pool, number, admitted).start()
        elif self._starting():
            self._exchanges.refuse(request, number, (503, "route", "no receiver is connected yet"), 2)
        else:
            self._exchanges.refuse(request, number, (404, "route", "no receiver serves this path"))

    def _open(self, request: PublicRequest, pool: Pool, number: str, permit: Permit | None) -> None:
        """Begin the exchange for a WebSocket, or say why it is none."""
        try:
            wanted = handshake.read(request)
        except RequestRefused as refusal:
            self._exchanges.refuse(request, number, (refusal.status, "gateway", _NO_WEBSOCKET[refusal.status]))
            return
        WebSocketExchange(self._exchanges, request, pool, number, permit, handshake=wanted).start()

    def _stay(self, request: PublicRequest, number: str, verdict: Refusal | Preflight) -> None:
        """Answer a request that the operator's rules keep here."""
        if isinstance(verdict, Refusal):
            self._exchanges.refuse(request, number, verdict.what, verdict.retry_after)
        else:
            request.respond(204, [])
            self._exchanges.log_request(request, number, "gateway")

    def _health(self, request: PublicRequest) -> None:
        """Answer that the gateway is alive; how many receivers it has is nobody's business here."""
        body = b'{"status":"ok"}'
        fields = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body))]
        request.respond(200, fields, body=body)
