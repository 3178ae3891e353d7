"""
The one step between a request and its exchange: who is calling, and may they?

What is not set up costs nothing: without lists, rates and route options
L{Admission.admit} is one look at one attribute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from anp_twisted.auth.identity import DidRule
from anp_twisted.gateway.callers import TrustedProxies
from anp_twisted.gateway.cors import one
from anp_twisted.gateway.routeoptions import AccessList, OptionsTable, RouteOptions, policies
from anp_twisted.headers import Header
from anp_twisted.http.request import PublicRequest
from anp_twisted.networks import caller_key
from anp_twisted.problems import Source
from anp_twisted.ratelimit import Buckets, Rule, Verdict, charge
from anp_twisted.registry.book import NOTHING, Book

_NOTHING: Final[frozenset[bytes]] = frozenset()


class Refusal(NamedTuple):
    """
    Why a request goes nowhere.

    @ivar what: status, source and title of the problem.
    @ivar retry_after: in how many seconds it may be asked again.
    """

    what: tuple[int, Source, str]
    retry_after: float | None = None


class Preflight(NamedTuple):
    """The gateway answers a browser's question; everything it says is in the fields put on every answer."""


class Permit:
    """
    A request that may go on, and what holds for it until it ends.

    @ivar body: the most bytes its body may have.
    @ivar callers: who may call of those that prove a DID, C{None} if nobody has to.
    @ivar stripped: the prefix that the application does not see.
    """

    __slots__ = ("_route", "body", "callers", "stripped")

    def __init__(
        self,
        route: RouteOptions | None,
        body: int,
        callers: tuple[DidRule, ...] | None = None,
        stripped: bytes = b"",
    ) -> None:
        self._route = route
        self.body = body
        self.callers = callers
        self.stripped = stripped

    def begin(self) -> None:
        """The request starts to run; exactly once."""
        if self._route is not None:
            self._route.running += 1

    def end(self) -> None:
        """It has ended; exactly once."""
        if self._route is not None:
            self._route.running -= 1


class AnswerFields:
    """What the gateway changes in the header fields of an answer, its own answers included."""

    __slots__ = ("_added", "_dropped")

    def __init__(self, dropped: frozenset[bytes], added: list[Header]) -> None:
        """
        @param dropped: lower-case names.
        """
        self._dropped = dropped
        self._added = added

    def __call__(self, headers: list[Header]) -> list[Header]:
        """Make the fields that the caller gets."""
        dropped = self._dropped
        return [field for field in headers if field[0].lower() not in dropped] + self._added


class Admission:
    """
    The rules of one gateway.

    @ivar refused: how many were, by reason.
    @ivar forwards_ids: applications get the id of a request as a header field too.
    """

    def __init__(
        self,
        *,
        proxies: TrustedProxies | None,
        access: AccessList,
        by_caller: Buckets | None,
        routes: OptionsTable,
        body: int,
        shows_ids: str,
        seconds: Callable[[], float],
    ) -> None:
        """
        @param proxies: who is believed, if anybody.
        @param by_caller: one bucket for each caller, whatever the route.
        @param body: the cap of request bodies where a route has none of its own.
        @param shows_ids: who finds the id of a request in C{X-Request-ID}: C{callers}, C{all} or C{off}.
        @param seconds: the clock.
        """
        self._proxies = proxies
        self._access = access
        self._by_caller = by_caller
        self._routes = routes
        self._book = NOTHING
        self._body = body
        self._bodies_differ = any(route.body is not None for route in routes.values())
        self._shows_ids = shows_ids != "off"
        self.forwards_ids = shows_ids == "all"
        self._seconds = seconds
        self._open = not access and by_caller is None
        self._idle = self._open and not routes
        self.refused = dict.fromkeys(("denied", "limited", "crowded", "too_large"), 0)

    def become(self, other: Admission) -> None:
        """
        Follow the rules of another one from now on; what was counted, and what the registry says, stays.

        Requests that run give back what they took under the rules before.
        """
        book, refused = self._book, self.refused
        vars(self).update(vars(other))
        self.refused = refused
        self.adopt(book)

    def adopt(self, book: Book) -> None:
        """
        Go over to the options of the registry as they are now.

        @param book: the same one again is no news.
        """
        if book is self._book:
            return
        self._book = book
        self._routes.adopt(book.options())
        self._bodies_differ = any(route.body is not None for route in self._routes.values())
        self._idle = self._open and not self._routes

    # --- who -------------------------------------------------------------

    def greet(self, request: PublicRequest, number: str) -> str:
        """
        Put into a request who is really calling.

        @param number: the id it gets if no trusted proxy gave it one.
        @return: its id.
        @raise MalformedClaim: if a trusted proxy says what cannot be read.
        """
        if self._proxies is not None:
            number = self._proxies.request_id(request.client, request.headers) or number
        if self._shows_ids:
            request.shown_id = number.encode("ascii")
        if self._proxies is not None:
            self._introduce(self._proxies, request)
        return number

    def _introduce(self, proxies: TrustedProxies, request: PublicRequest) -> None:
        """Replace the proxy's address, scheme and host with the caller's."""
        caller = proxies.caller(request.client, request.headers)
        if caller is None:
            return
        request.client = (caller.address, caller.port)
        if caller.scheme is not None:
            request.scheme = caller.scheme
        if caller.host is not None and caller.host != request.host:
            request.host = caller.host
            request.headers = _with_host(request.headers, caller.host)

    def is_proxy(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy, behind which are many callers."""
        return self._proxies is not None and address in self._proxies.networks

    # --- whether -----------------------------------------------------------

    def admit(self, request: PublicRequest) -> Permit | Refusal | Preflight | None:
        """
        Decide about a request.

        The fields that go on its answer are set, whatever it is.

        @return: C{None} if nothing holds for it.
        @raise AmbiguousTarget: if different options hold by different readings.
        """
        if self._idle:
            return None
        route = self._routes.match_wide(request.host, request.target)
        if not self._admits(route, request.client[0]):
            return self._refuse("denied", (403, "gateway", "this address may not call here"))
        if route is not None and route.cors is not None and request.method == b"OPTIONS":
            fields = route.cors.preflight(request.headers)
            if fields is not None:
                self._dress(request, route, fields)
                return Preflight()
        cors = (
            route.cors.fields(one(request.headers, b"origin")) if route is not None and route.cors is not None else []
        )
        rules = self._rules(route, request.client[0])
        verdicts = charge(rules, self._seconds()) if rules else []
        self._dress(request, route, cors + self._quota_fields(route, rules, verdicts))
        waits = [verdict.seconds for verdict in verdicts if not verdict.allowed]
        if waits:
            return self._refuse("limited", (429, "gateway", "too many requests"), _whole(max(waits)))
        return self._permit(request, route)

    def _admits(self, route: RouteOptions | None, address: str) -> bool:
        """Ask both lists."""
        return self._access.admits(address) and (route is None or route.access.admits(address))

    def _permit(self, request: PublicRequest, route: RouteOptions | None) -> Permit | Refusal | None:
        """Look at what a request wants to use."""
        body = self._body if route is None or route.body is None else route.body
        if request.content_length is not None and request.content_length > body:
            return self._refuse("too_large", (413, "gateway", "the request body is too large"))
        limited = route if route is not None and route.concurrency else None
        if limited is not None and limited.running >= limited.concurrency:
            return self._refuse("crowded", (503, "gateway", "too many requests are running here"), 1.0)
        callers = route.callers if route is not None and route.proves else None
        stripped = b"" if route is None else route.stripped
        if limited is None and callers is None and not (stripped or self._bodies_differ):
            return None
        return Permit(limited, body, callers, stripped)

    def _refuse(self, reason: str, what: tuple[int, Source, str], retry_after: float | None = None) -> Refusal:
        self.refused[reason] += 1
        return Refusal(what, retry_after)

    # --- rates ---------------------------------------------------------------

    def _rules(self, route: RouteOptions | None, address: str) -> list[Rule]:
        """The buckets a request is paid from."""
        owner = caller_key(address)
        rules = [] if self._by_caller is None else [Rule("caller", self._by_caller, owner)]
        return rules if route is None else rules + route.rules(owner)

    def _quota_fields(
        self, route: RouteOptions | None, rules: Sequence[Rule], verdicts: Sequence[Verdict]
    ) -> list[Header]:
        """Tell the caller what is left, or, if nothing is, of which rule."""
        if not rules:
            return []
        refused = not all(verdict.allowed for verdict in verdicts)
        told = [
            f'"{rule.name}";r={verdict.remaining};t={_whole(verdict.seconds)}'
            for rule, verdict in zip(rules, verdicts, strict=True)
            if not (refused and verdict.allowed)
        ]
        named = [("caller", self._by_caller), *(route.named() if route is not None else [])]
        return [(b"RateLimit-Policy", policies(named)), (b"RateLimit", ", ".join(told).encode("ascii"))]

    # --- answers ---------------------------------------------------------------

    def _dress(self, request: PublicRequest, route: RouteOptions | None, fields: list[Header]) -> None:
        """Say what is put on the answer."""
        dropped = _NOTHING if route is None else route.dropped
        added = fields if route is None else route.added(request.scheme) + fields
        if added or dropped:
            request.amend = AnswerFields(dropped, added)


def _whole(seconds: float) -> int:
    """Round up, but not for what arithmetic with fractions adds."""
    return max(1, math.ceil(seconds - 0.001))


def _with_host(headers: Iterable[Header], host: bytes) -> list[Header]:
    """Replace C{Host}, or put it first where there is none."""
    rest = [field for field in headers if field[0].lower() != b"host"]
    return [(b"Host", host), *rest]
