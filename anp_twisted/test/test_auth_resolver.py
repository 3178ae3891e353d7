"""Tests for L{anp_twisted.auth.resolver}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.did import parse_did
from anp_twisted.auth.document import Document
from anp_twisted.auth.resolver import DocumentResolver, KnownDocuments
from anp_twisted.errors import CredentialsRefused
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.test.didlab import ALICE, Agent, Library, did_of

LIMITS = replace(DEFAULT_LIMITS, did_cache_bytes=10_000)
PEER = "192.0.2.9"


class ResolverTests(SynchronousTestCase):
    """What is asked for, how often, and what is remembered."""

    def setUp(self) -> None:
        """Make one whose fetches the test answers."""
        self.clock = Clock()
        self.asked: list[tuple[str, Deferred[bytes]]] = []
        self.bound: list[str] = []
        self.resolver = self.make()

    def make(self, **settings: Any) -> DocumentResolver:
        """Make a resolver."""
        return DocumentResolver(self.fetch, self.clock, LIMITS, bound=self.is_bound, **settings)

    def is_bound(self, did: str, body: bytes) -> bool:
        """Say that no document belongs to its key."""
        self.bound.append(did)
        return False

    def fetch(self, url: str) -> Deferred[bytes]:
        """Take note."""
        self.asked.append((url, Deferred()))
        return self.asked[-1][1]

    def ask(self, did: str = ALICE, peer: str = PEER) -> Deferred[Document]:
        """Ask for a document."""
        return self.resolver.resolve(parse_did(did), peer)

    def refused(self, answer: Deferred[Document], status: int = 401) -> None:
        """It is refused."""
        self.assertEqual(self.failureResultOf(answer, CredentialsRefused).value.status, status)

    def test_once(self) -> None:
        """All who wait for a document share one request, and who comes later has what it brought."""
        answers = [self.ask(), self.ask(peer="192.0.2.10")]
        self.assertEqual([url for url, _ in self.asked], ["https://example.org/alice/did.json"])
        self.asked[0][1].callback(Agent().body())
        answers.append(self.ask())
        self.assertEqual([self.successResultOf(answer).id for answer in answers], [ALICE] * 3)
        self.assertEqual((len(self.asked), self.resolver.fetched), (1, 1))

    def test_expires(self) -> None:
        """A document is asked for again after a while: a key that was withdrawn must not work for ever."""
        self.ask()
        self.asked[0][1].callback(Agent().body())
        self.clock.advance(LIMITS.did_cache - 1)
        self.successResultOf(self.ask())
        self.clock.advance(1)
        self.assertNoResult(self.ask())
        self.assertEqual(len(self.asked), 2)

    def test_failed(self) -> None:
        """A failure is believed for a shorter while."""
        for failure in (CredentialsRefused("not there"), ValueError("a fault of ours")):
            answer = self.ask()
            self.asked[-1][1].errback(failure)
            self.refused(answer)
            self.refused(self.ask())
            self.clock.advance(LIMITS.did_negative_cache)
        self.assertEqual(len(self.asked), 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_other(self) -> None:
        """The document of somebody else is none."""
        answer = self.ask()
        self.asked[0][1].callback(Agent("did:wba:example.org:bob").body())
        self.refused(answer)

    def test_rate(self) -> None:
        """One peer can make us ask so often, and then no more; others can go on."""
        for number in range(LIMITS.did_fetches):
            self.assertNoResult(self.ask(f"did:wba:example.org:a{number}"))
        self.refused(self.ask("did:wba:example.org:more"), 429)
        self.assertNoResult(self.ask("did:wba:example.org:a0"))
        self.assertNoResult(self.ask("did:wba:example.org:more", peer="192.0.2.10"))
        self.clock.advance(1.0)
        self.assertNoResult(self.ask("did:wba:example.org:still"))
        self.assertEqual(len(self.asked), LIMITS.did_fetches + 2)

    def test_ports(self) -> None:
        """Documents are not fetched from anywhere but where they may be."""
        for port in ("22", "6379", "8443"):
            self.refused(self.ask(f"did:wba:example.org%3A{port}"))
        self.resolver = self.make(ports=(443, 8443))
        self.refused(self.ask("did:wba:example.org%3A22"))
        self.assertEqual(self.asked, [])
        self.assertNoResult(self.ask("did:wba:example.org%3A8443"))
        self.resolver = self.make(ports=())
        self.assertNoResult(self.ask("did:wba:example.org%3A22"))

    def test_size(self) -> None:
        """What is remembered is bounded; what was not asked for longest goes."""
        agents = [Agent(f"did:wba:example.org:a{number}") for number in range(8)]
        for agent in agents:
            self.ask(agent.did)
            self.clock.advance(1.0)
            self.asked[-1][1].callback(agent.body())
        self.assertLessEqual(self.resolver._cache.size, LIMITS.did_cache_bytes)
        self.successResultOf(self.ask(agents[-1].did))
        self.assertNoResult(self.ask(agents[0].did))

    def test_left(self) -> None:
        """Who leaves does not take the answer from the others."""
        first, second = self.ask(), self.ask()
        first.cancel()
        first.addErrback(lambda _: None)
        self.asked[0][1].callback(Agent().body())
        self.assertEqual(self.successResultOf(second).id, ALICE)

    def test_left_and_back(self) -> None:
        """Who asks when all others have given up waits for what they asked for."""
        self.ask().addErrback(lambda _: None).cancel()
        later = self.ask()
        self.assertEqual(len(self.asked), 1)
        self.asked[0][1].callback(Agent().body())
        self.assertEqual(self.successResultOf(later).id, ALICE)

    def test_bound(self) -> None:
        """A DID with the fingerprint of a key needs a document that the key vouches for."""
        did = "did:wba:example.org:e1_abc"
        answer = self.ask(did)
        self.asked[0][1].callback(Agent(did).body())
        self.refused(answer)
        self.assertEqual(self.bound, [did])
        self.ask()
        self.asked[1][1].callback(Agent().body())
        self.assertEqual(self.bound, [did])


class KnownTests(SynchronousTestCase):
    """Documents that need not be fetched."""

    def test_known(self) -> None:
        """They are used as they are, and all others are asked for."""
        bob = Agent("did:wba:example.org:bob")
        library = Library(bob)
        known = KnownDocuments({ALICE: Agent().parsed()}, library)
        self.assertEqual(self.successResultOf(known.resolve(did_of(), PEER)).id, ALICE)
        self.assertEqual(self.successResultOf(known.resolve(did_of(bob.did), PEER)).id, bob.did)
        self.assertEqual(library.asked, [(bob.did, PEER)])
