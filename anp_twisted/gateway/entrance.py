"""
The way in for receivers: who they are is checked before a byte of WebSocket is spoken.

A proof may take a moment, since a key may have to be fetched. Meanwhile the
connection waits, and what its peer sends early waits with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.auth.authenticator import Authenticator
from anp_twisted.auth.identity import Credentials, Identity
from anp_twisted.errors import CredentialsRefused
from anp_twisted.headers import Header, get_all, tokens
from anp_twisted.http.request import Answer, PublicRequest
from anp_twisted.limits import Limits
from anp_twisted.paths import path_of
from anp_twisted.problems import Source
from anp_twisted.transports.server import LinkServerFactory

#: How the subprotocols of receivers begin.
_SUBPROTOCOLS = b"anpx."

Refuse = Callable[[tuple[int, Source, str], float | None], None]
"""Answers a request with the problem it is told, and in how many seconds another one makes sense."""


def credentials_of(request: PublicRequest) -> Credentials:
    """
    @return: what the caller of a request showed.
    """
    return Credentials(
        method=request.method,
        target=request.target,
        headers=request.headers,
        host=request.host,
        address=request.client[0],
        secure=request.scheme == b"https",
        certificate=request.certificate,
    )


class Pending:
    """
    A request whose proof is being judged; a L{RequestConsumer<anp_twisted.http.request.RequestConsumer>}.

    Its caller may leave meanwhile, and then nobody needs the verdict.
    """

    def __init__(self, verdict: Deferred[Identity]) -> None:
        self._verdict = verdict

    def body_received(self, data: bytes) -> None:
        """There is no body."""

    def body_ended(self, trailers: list[Header]) -> None:
        """There was none."""

    def caller_lost(self) -> None:
        """Nobody waits for the verdict any more."""
        self._verdict.cancel()

    def caller_paused(self) -> None:
        """Nothing is written yet."""

    def caller_resumed(self) -> None:
        """Nothing is written yet."""


class Interview:
    """
    Asks for proofs, a bounded number at a time and each for a bounded time.

    @ivar pending: how many are being judged.
    """

    log = Logger()

    def __init__(self, authenticator: Authenticator, clock: IReactorTime, limits: Limits) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._limits = limits
        self.pending = 0

    def ask(self, credentials: Credentials) -> Deferred[Identity]:
        """
        @return: fires with who it is; fails with
            L{CredentialsRefused<anp_twisted.errors.CredentialsRefused>}, or with
            C{CancelledError} if it was cancelled.
        """
        verdict: Deferred[Identity] = Deferred()
        if self.pending >= self._limits.authentications:
            verdict.errback(CredentialsRefused("too many at once", 503, title="too many at once", retry_after=1.0))
            return verdict
        self.pending += 1
        # boundary: whatever goes wrong inside a way to prove something proves nothing.
        try:
            verdict = self._authenticator.authenticate(credentials)
        except Exception:  # noqa: BLE001 - boundary: see above
            verdict.errback()
        verdict.addTimeout(self._limits.handshake, self._clock)
        return verdict.addBoth(self._judged)

    def _judged(self, result: Identity | Failure) -> Identity | Failure:
        self.pending -= 1
        if isinstance(result, Identity) or result.check(CredentialsRefused, CancelledError):
            return result
        if result.check(TimeoutError):
            reason = CredentialsRefused("no verdict in time", 503, title="the proof cannot be checked now")
        else:
            self.log.failure("a proof of identity could not be judged", result)
            reason = CredentialsRefused("internal error", 503, title="the proof cannot be checked now")
        reason.retry_after = 1.0
        return Failure(reason)


class LinkEntrance:
    """
    Lets receivers in.

    @ivar refused: attempts that were turned away.
    """

    log = Logger()

    def __init__(self, links: LinkServerFactory, interview: Interview) -> None:
        self._links = links
        self._interview = interview
        self.refused = 0

    def enter(self, request: PublicRequest, refuse: Refuse) -> None:
        """
        Hand the connection of a receiver over to the link, at once or when its proof has been judged.

        @param refuse: called if it is not; never if the caller is gone.
        """
        what = self._misfit(request)
        if what is not None:
            self._turn_away(request, refuse, CredentialsRefused(what[2], what[0], title=what[2]))
            return
        verdict = self._interview.ask(credentials_of(request))
        verdict.addCallback(partial(self._admit, request))
        verdict.addErrback(partial(self._refused, request, refuse))
        # A Deferred that waits for another one counts as called, so the request says whether there was a verdict.
        if request.answer is Answer.WAITING:
            request.attach(Pending(verdict))

    def is_for(self, request: PublicRequest) -> bool:
        """
        Tell whether a request to the path of receivers is one of theirs.

        Applications like that path, too. A WebSocket that shows no credential and
        offers no subprotocol of receivers is a caller's.
        """
        if request.upgrade != b"websocket" or get_all(request.headers, b"authorization"):
            return True
        offered = tokens(get_all(request.headers, b"sec-websocket-protocol"))
        return any(protocol.startswith(_SUBPROTOCOLS) for protocol in offered)

    def _misfit(self, request: PublicRequest) -> tuple[int, Source, str] | None:
        """Say what makes a request none of a receiver, whoever sends it."""
        if request.method != b"GET":
            return (405, "gateway", "receivers connect with GET")
        if request.upgrade != b"websocket":
            return (426, "gateway", "receivers connect here with a WebSocket")
        if request.has_body:
            return (400, "gateway", "the handshake of a WebSocket has no body")
        if get_all(request.headers, b"origin"):
            return (403, "gateway", "browsers have no business here")
        return None

    def _admit(self, request: PublicRequest, identity: Identity) -> None:
        request.upgrade_to(self._links.protocol(identity, request.client))

    def _refused(self, request: PublicRequest, refuse: Refuse, reason: Failure) -> None:
        """Turn somebody away, unless nobody is there any more."""
        if isinstance(reason.value, CredentialsRefused):
            self._turn_away(request, refuse, reason.value)
        elif not reason.check(CancelledError):
            self.log.failure("a receiver could not be let in", reason)
            refuse((500, "gateway", "internal error"), None)

    def _turn_away(self, request: PublicRequest, refuse: Refuse, reason: CredentialsRefused) -> None:
        self.refused += 1
        # Some put the token into the query, and the log is for more eyes than the token.
        request.target = path_of(request.target)
        self.log.warn("receiver at {caller} refused: {reason}", caller=request.client[0], reason=str(reason))
        refuse((reason.status, "gateway", reason.title), reason.retry_after)
