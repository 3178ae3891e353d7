"""Tests for L{anp_twisted.gateway.entrance}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.errors import CredentialsRefused
from anp_twisted.gateway.entrance import Interview, LinkEntrance
from anp_twisted.gateway.front import Front
from anp_twisted.http.channel import PublicFactory
from anp_twisted.test.gatewaylab import Caller, Lab
from anp_twisted.test.test_gateway_front import UPGRADE, Links

ALICE = Identity(Kind.DID, "did:wba:alice")


class Slow:
    """Judges when the test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Credentials, Deferred[Identity]]] = []
        self.cancelled = 0
        self.broken = False

    def claims(self, credentials: Credentials) -> bool:
        """Everything."""
        return True

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """Take note."""
        if self.broken:
            raise ValueError("secret")

        def cancel(_: object) -> None:
            self.cancelled += 1

        self.asked.append((credentials, Deferred(cancel)))
        return self.asked[-1][1]


class EntranceTests(SynchronousTestCase):
    """Proofs that take their time."""

    def setUp(self) -> None:
        """Make a gateway that asks somebody slow."""
        self.lab = Lab()
        self.slow = Slow()
        self.links = Links()
        self.limits = replace(self.lab.limits, authentications=2)
        links: Any = self.links
        self.interview = Interview(self.slow, self.lab.clock, self.limits)
        self.entrance = LinkEntrance(links, self.interview)
        front = Front(self.lab.exchanges, self.entrance, request_id=lambda: "id-1")
        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)

    def knock(self, more: bytes = b"") -> Caller:
        """Let a receiver ask."""
        caller = self.lab.caller()
        caller.send(b"GET /ws?a HTTP/1.1\r\nHost: h\r\n" + UPGRADE + b"Authorization: DIDWba x\r\n\r\n" + more)
        return caller

    def test_later(self) -> None:
        """The link is made when the proof is judged, and gets what came meanwhile."""
        caller = self.knock(b"early")
        shown, verdict = self.slow.asked[0]
        self.assertEqual((shown.target, shown.host, shown.address), (b"/ws?a", b"h", "198.51.100.7"))
        self.assertEqual((self.links.asked, self.interview.pending), ([], 1))
        caller.send(b" and late")
        verdict.callback(ALICE)
        self.assertEqual(self.links.asked, [(ALICE, ("198.51.100.7", 4711))])
        self.assertTrue(self.links.received.endswith(b"\r\n\r\nearly and late"))
        self.assertEqual((self.interview.pending, caller.received()), (0, b""))

    def test_refused(self) -> None:
        """Who is refused hears the fixed words, and nothing of why."""
        caller = self.knock()
        self.slow.asked[0][1].errback(CredentialsRefused("the key is not bound", 403, title="not here", retry_after=9))
        self.assertEqual(caller.status, 403)
        self.assertIn(b'"title":"not here"', caller.received())
        self.assertIn(b"Retry-After: 9\r\n", caller.received())
        self.assertNotIn(b"bound", caller.received())
        self.assertEqual((self.entrance.refused, self.interview.pending), (1, 0))

    def test_left(self) -> None:
        """Nobody waits for the verdict about a caller who is gone."""
        caller = self.knock()
        assert caller.protocol is not None
        caller.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((self.slow.cancelled, self.interview.pending, self.links.asked), (1, 0, []))

    def test_slow(self) -> None:
        """A verdict that does not come in time is a refusal that may be asked again."""
        caller = self.knock()
        self.lab.clock.advance(self.limits.handshake)
        self.assertEqual((caller.status, self.slow.cancelled, self.interview.pending), (503, 1, 0))

    def test_many(self) -> None:
        """So many proofs are judged at once, and the next has to come back."""
        callers = [self.knock() for _ in range(3)]
        self.assertEqual([caller.status for caller in callers], [0, 0, 503])
        self.slow.asked[0][1].callback(ALICE)
        self.assertEqual((self.knock().status, len(self.slow.asked)), (0, 3))

    def test_broken(self) -> None:
        """A way that breaks proves nothing; its words are for the log."""
        self.slow.broken = True
        caller = self.knock()
        self.assertEqual((caller.status, self.interview.pending, self.links.asked), (503, 0, []))
        self.assertNotIn(b"secret", caller.received())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_inTwoSteps(self) -> None:
        """A verdict may be one that waits for another."""
        second: Deferred[Identity] = Deferred()
        self.slow.authenticate = lambda credentials: succeed(None).addCallback(  # type: ignore[method-assign]
            lambda _: second
        )
        self.knock()
        self.assertEqual(self.links.asked, [])
        second.callback(ALICE)
        self.assertEqual([identity for identity, _ in self.links.asked], [ALICE])

    def test_atOnce(self) -> None:
        """A proof that is judged at once costs no wait."""
        self.slow.authenticate = lambda credentials: succeed(ALICE)  # type: ignore[method-assign]
        self.knock()
        self.assertEqual([identity for identity, _ in self.links.asked], [ALICE])
