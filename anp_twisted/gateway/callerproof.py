"""
Callers that have to prove who they are, where a route asks for it.

What a caller sends meanwhile is held back, at most what was on its way when the
question came up: the rest waits in the caller's socket.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.auth.identity import DidRule, Identity, scope_of
from anp_twisted.errors import CredentialsRefused
from anp_twisted.gateway.entrance import Interview, Pending, Refuse, credentials_of
from anp_twisted.headers import Header
from anp_twisted.http.request import Answer, PublicRequest

_CHALLENGE: Final = (b"WWW-Authenticate", b"DIDWba")


class Held(Pending):
    """A request whose caller is being asked; it keeps what comes, in its order."""

    def __init__(self, request: PublicRequest, verdict: Deferred[Identity]) -> None:
        super().__init__(verdict)
        self._request = request
        self._pieces: list[bytes] = []
        self._ended: list[Header] | None = None
        request.attach(self)
        request.pause_body()

    def body_received(self, data: bytes) -> None:
        """Keep a piece; they are few, since nothing more is read."""
        self._pieces.append(data)

    def body_ended(self, trailers: list[Header]) -> None:
        """Keep that it was all."""
        self._ended = trailers

    def pass_on(self, go_on: Callable[[], None]) -> None:
        """
        Let somebody else have the request, with what came meanwhile.

        @param go_on: attaches another consumer, or answers.
        """
        # Before the other one is there: it may have reasons of its own to hold the body back.
        self._request.resume_body()
        go_on()
        consumer = self._request.consumer
        if consumer is None or consumer is self:
            return
        for piece in self._pieces:
            consumer.body_received(piece)
        if self._ended is not None:
            consumer.body_ended(self._ended)


class CallerProofs:
    """Asks callers who they are."""

    log = Logger()

    def __init__(self, interview: Interview) -> None:
        self._interview = interview

    def ask(
        self, request: PublicRequest, allowed: tuple[DidRule, ...], go_on: Callable[[], None], refuse: Refuse
    ) -> None:
        """
        Go on with a request when its caller has proved who it is.

        @param allowed: who may call; nobody named is everybody with a proof.
        @param go_on: called once, with C{request.identity} set; at once or later.
        @param refuse: called instead, unless the caller is gone.
        """
        verdict = self._interview.ask(credentials_of(request))
        verdict.addCallback(partial(self._known, request, allowed))
        held: list[Held] = []
        verdict.addCallback(lambda _: held[0].pass_on(go_on) if held else go_on())
        verdict.addErrback(partial(self._refused, request, refuse))
        if request.answer is Answer.WAITING and request.identity is None:
            held.append(Held(request, verdict))

    def _known(self, request: PublicRequest, allowed: tuple[DidRule, ...], identity: Identity) -> None:
        if allowed and not scope_of(allowed, identity.name)[0]:
            raise CredentialsRefused(f"{identity} may not call", 403, title="this DID may not call here")
        request.identity = identity

    def _refused(self, request: PublicRequest, refuse: Refuse, reason: Failure) -> None:
        error = reason.value
        if isinstance(error, CredentialsRefused):
            self.log.info("caller {caller} refused: {reason}", caller=request.client[0], reason=str(error))
            if error.status == 401:
                request.amend = _challenging(request.amend)
            refuse((error.status, "gateway", error.title), error.retry_after)
        elif not reason.check(CancelledError):
            self.log.failure("a caller could not be served", reason)
            refuse((500, "gateway", "internal error"), None)


def _challenging(amend: Callable[[list[Header]], list[Header]] | None) -> Callable[[list[Header]], list[Header]]:
    """Say how to prove it (RFC 9110, 11.6.1), besides what is changed anyway."""

    def with_challenge(headers: list[Header]) -> list[Header]:
        changed = headers if amend is None else amend(headers)
        return [*changed, _CHALLENGE]

    return with_challenge
