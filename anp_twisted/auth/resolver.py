"""
Fetches DID documents: requests to wherever a stranger says.

So it asks public addresses only, and it is the address that is asked which was
checked, whatever the name server says next. It follows nobody elsewhere, waits
and reads for a bounded time and size, and asks for a peer so often at most.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.auth.binding import key_bound
from anp_twisted.auth.did import HTTPS, Did
from anp_twisted.auth.document import Document, parse_document
from anp_twisted.errors import ANPError, CredentialsRefused
from anp_twisted.limits import Limits
from anp_twisted.networks import caller_key
from anp_twisted.ratelimit import Buckets
from anp_twisted.rates import Rate

_UNREACHABLE: Final = "the DID document cannot be fetched"


class Fetch(Protocol):
    """Fetches one document."""

    def __call__(self, url: str) -> Deferred[bytes]:
        """
        @return: fires with the body of the answer; fails with L{CredentialsRefused}. It may be cancelled.
        """


class Resolver(Protocol):
    """Finds documents."""

    def resolve(self, did: Did, peer: str) -> Deferred[Document]:
        """
        @param peer: the address of who asks for it.
        @return: fires with the document; fails with L{CredentialsRefused}.
        """


@dataclass(slots=True)
class Entry:
    """
    What is known of a DID.

    @ivar until: when it is asked for again.
    @ivar size: bytes it counts for.
    """

    outcome: Document | CredentialsRefused
    until: float
    size: int


class DocumentCache:
    """Documents, and failures, bounded in bytes: those not asked for longest go first."""

    _FAILURE = 1024

    def __init__(self, clock: IReactorTime, limits: Limits) -> None:
        self._seconds = clock.seconds
        self._limits = limits
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.size = 0

    def get(self, did: Did) -> Document | CredentialsRefused | None:
        """
        @return: what is known, C{None} if that is nothing.
        """
        entry = self._entries.get(did.text)
        if entry is None or entry.until <= self._seconds():
            return None
        self._entries.move_to_end(did.text)
        return entry.outcome

    def put(self, did: Did, outcome: Document | CredentialsRefused, size: int = 0) -> None:
        """
        @param size: of the document, in bytes.
        """
        limits, failed = self._limits, isinstance(outcome, CredentialsRefused)
        self._forget(did.text)
        lasts = limits.did_negative_cache if failed else limits.did_cache
        self._entries[did.text] = Entry(outcome, self._seconds() + lasts, size + self._FAILURE)
        self.size += size + self._FAILURE
        while self.size > limits.did_cache_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, did: str) -> None:
        entry = self._entries.pop(did, None)
        if entry is not None:
            self.size -= entry.size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0


class DocumentResolver:
    """
    Finds documents in the cache, or fetches them once for all who wait.

    @ivar fetched: how many were asked for.
    """

    log = Logger()

    def __init__(
        self,
        fetch: Fetch,
        clock: IReactorTime,
        limits: Limits,
        *,
        ports: Collection[int] = (HTTPS,),
        bound: Callable[[str, bytes], bool] = key_bound,
    ) -> None:
        """
        @param ports: of the hosts that are asked; empty is any.
        @param bound: see L{key_bound}.
        """
        self._fetch = fetch
        self._bound = bound
        self._seconds = clock.seconds
        self._ports = frozenset(ports)
        self._most = limits.authentications
        self._cache = DocumentCache(clock, limits)
        self._rate = Buckets(Rate(limits.did_fetches, 1), limits.rate_buckets)
        self._waiting: dict[str, list[Deferred[Document]]] = {}
        self.fetched = 0

    def resolve(self, did: Did, peer: str) -> Deferred[Document]:
        """See L{Resolver.resolve}."""
        known = self._cache.get(did)
        if known is not None:
            return fail(known) if isinstance(known, CredentialsRefused) else succeed(known)
        if self._ports and did.port not in self._ports:
            return fail(CredentialsRefused(f"documents are not fetched from port {did.port}"))
        waiting = self._waiting.get(did.text)
        first = waiting is None
        if waiting is None:
            if not self._rate.take(caller_key(peer) if peer else "", self._seconds()).allowed:
                title = "too many DIDs were asked for"
                return fail(CredentialsRefused("too many DIDs by one peer", 429, title=title, retry_after=1.0))
            waiting = self._waiting[did.text] = []
        answer: Deferred[Document] = Deferred(waiting.remove)
        waiting.append(answer)
        if first:  # where all who waited gave up, what they asked for is still on its way
            self.fetched += 1
            self._fetch(did.url).addCallback(self._fetched, did).addBoth(self._told, did)
        return answer

    def _fetched(self, body: bytes, did: Did) -> Document:
        document = parse_document(body, did.text)
        if did.key_bound and not self._bound(did.text, body):
            raise CredentialsRefused("the DID document is not vouched for by the key in the name of the DID")
        self._cache.put(did, document, len(body))
        return document

    def _told(self, result: Document | Failure, did: Did) -> None:
        """Tell all who wait."""
        outcome = result if isinstance(result, Document) else self._refusal(result, did)
        for answer in self._waiting.pop(did.text):
            if isinstance(outcome, Document):
                answer.callback(outcome)
            else:
                answer.errback(outcome)

    def _refusal(self, reason: Failure, did: Did) -> CredentialsRefused:
        """Name a failure, and remember it for a while."""
        refusal = reason.value
        if not isinstance(refusal, CredentialsRefused):
            self.log.failure("the document of {did} could not be fetched", reason, did=did)
            refusal = CredentialsRefused(_UNREACHABLE)
        self._cache.put(did, refusal)
        return refusal


class KnownDocuments:
    """Documents that the operator vouches for; for all others somebody else is asked."""

    def __init__(self, documents: dict[str, Document], beyond: Resolver) -> None:
        self._documents = documents
        self._beyond = beyond

    def resolve(self, did: Did, peer: str) -> Deferred[Document]:
        """See L{Resolver.resolve}."""
        document = self._documents.get(did.text)
        return self._beyond.resolve(did, peer) if document is None else succeed(document)


class WebFetch:
    """Fetches over HTTPS, from addresses that it may ask."""

    def __init__(self, reactor: Any, limits: Limits, *, may_ask: Callable[[str], bool], trust: Any) -> None:
        """
        @param reactor: makes connections, and has the time.
        @param may_ask: whether an address may be asked.
        @param trust: from a host name to the TLS context that verifies it.
        """
        self._reactor = reactor
        self._limits = limits
        self._may_ask = may_ask
        self._trust = trust

    def __call__(self, url: str) -> Deferred[bytes]:
        """See L{Fetch}."""
        from treq.client import HTTPClient
        from twisted.web.client import Agent

        from anp_twisted.auth.guarded import GuardedEndpoints

        endpoints = GuardedEndpoints(self._reactor, may_ask=self._may_ask, trust=self._trust)
        client = HTTPClient(Agent.usingEndpointFactory(self._reactor, endpoints))
        # What is compressed has no size before it is read: ask for it as it is.
        headers: dict[str | bytes, str | bytes] = {
            "Accept": "application/did+json, application/json",
            "Accept-Encoding": "identity",
        }
        asked: Deferred[Any] = client.get(url, headers=headers, allow_redirects=False, unbuffered=True)
        read: Deferred[bytes] = asked.addCallback(self._read)
        read.addTimeout(self._limits.did_timeout, self._reactor)
        return read.addErrback(self._failed)

    def _read(self, response: Any) -> Deferred[bytes]:
        """Take the body of a good answer."""
        from anp_twisted.auth.guarded import Body

        body = Body(self._limits.did_document)
        original = response.original
        if response.code != 200:
            body.refuse(f"{_UNREACHABLE}: its host answered {response.code}")
        elif isinstance(original.length, int) and original.length > self._limits.did_document:
            body.refuse("the DID document is too large")
        original.deliverBody(body)
        return body.whole

    def _failed(self, reason: Failure) -> bytes:
        """Keep to reasons that can be told in one line."""
        if isinstance(reason.value, ANPError):
            reason.raiseException()
        if reason.check(TimeoutError):
            raise CredentialsRefused(f"{_UNREACHABLE} in {self._limits.did_timeout:g} s")
        raise CredentialsRefused(f"{_UNREACHABLE}: {type(reason.value).__name__}")
