"""Tests for L{anp_twisted.gateway.callerproof}."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import Credentials, Identity, Kind
from anp_twisted.config.routes import RouteSettings
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import CredentialsRefused
from anp_twisted.gateway.build import build_admission
from anp_twisted.gateway.callerproof import CallerProofs
from anp_twisted.gateway.entrance import Interview
from anp_twisted.gateway.front import Front
from anp_twisted.http.channel import PublicFactory
from anp_twisted.test.didlab import ALICE
from anp_twisted.test.gatewaylab import Caller, Lab

WHO = Identity(Kind.DID, ALICE)
PROOF = b"Authorization: DIDWba x\r\n"


class Judge:
    """Says what the test wants, when it wants."""

    def __init__(self) -> None:
        self.verdict: Deferred[Identity] = Deferred()
        self.asked: list[Credentials] = []

    def claims(self, credentials: Credentials) -> bool:
        """Everything."""
        return True

    def authenticate(self, credentials: Credentials) -> Deferred[Identity]:
        """Take note."""
        self.asked.append(credentials)
        return self.verdict


class CallerTests(SynchronousTestCase):
    """Routes that want to know who calls."""

    def setUp(self) -> None:
        """Make a gateway with such a route, and a receiver for everything."""
        self.lab = Lab()
        self.judge = Judge()
        routes = (
            ("/a", RouteSettings(auth="did")),
            ("/b", RouteSettings(auth="did", allow_did=("did:wba:b.example:*",))),
        )
        settings = GatewaySettings(routes=routes, public_host=("gate.example",))
        admission = build_admission(settings, self.lab.limits, self.lab.clock)
        self.interview = Interview(self.judge, self.lab.clock, self.lab.limits)
        front = Front(
            self.lab.exchanges,
            None,  # type: ignore[arg-type]
            request_id=lambda: "id-1",
            admission=admission,
            proofs=CallerProofs(self.interview),
        )
        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)
        self.link = self.lab.connect()

    def ask(self, head: bytes = b"GET /a/x", body: bytes = b"") -> Caller:
        """Send a request with a proof."""
        caller = self.lab.caller()
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        caller.send(head + b" HTTP/1.1\r\nHost: h\r\n" + PROOF + length + b"\r\n" + body)
        return caller

    def identities(self) -> list[Any]:
        """Who the receiver was told is calling."""
        return [event.head.identity for event in self.link.requests]

    def test_later(self) -> None:
        """The request goes on when the proof is judged, and says who it is from."""
        self.ask()
        self.assertEqual((self.link.requests, self.interview.pending), ([], 1))
        self.judge.verdict.callback(WHO)
        self.lab.settle()
        self.assertEqual(self.identities(), [("did", ALICE)])
        self.assertEqual(self.judge.asked[0].target, b"/a/x")

    def test_atOnce(self) -> None:
        """So it does when that takes no time."""
        self.judge.verdict = succeed(WHO)
        self.ask()
        self.assertEqual(self.identities(), [("did", ALICE)])

    def test_body(self) -> None:
        """What came meanwhile is not lost and keeps its order; the rest waits in the caller's socket."""
        for pieces in ((b"abc", b"def"), (b"abcdef",), (b"", b"abcdef"), (b"abc", b"", b"def")):
            self.judge.verdict = Deferred()
            caller = self.lab.caller()
            caller.send(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n" + PROOF + b"\r\n" + pieces[0])
            if len(pieces) > 1:
                self.assertEqual(caller.transport.producerState, "paused")
            for piece in pieces[1:-1]:
                caller.send(piece)
            self.judge.verdict.callback(WHO)
            self.lab.settle()
            for piece in pieces[1:][-1:]:
                caller.send(piece)
            self.assertEqual(self.link.bodies(self.link.requests[-1].stream), b"abcdef")

    def test_refused(self) -> None:
        """Who proves nothing hears how to, and nothing reaches the application."""
        self.judge.verdict = fail(CredentialsRefused("the signature is wrong"))
        caller = self.ask()
        self.assertEqual((caller.status, self.link.requests), (401, []))
        self.assertIn(b"WWW-Authenticate: DIDWba\r\n", caller.received())
        self.assertNotIn(b"signature", caller.received())

    def test_allowed(self) -> None:
        """Where DIDs are named, no other may call."""
        self.judge.verdict.callback(WHO)
        caller = self.ask(b"GET /b")
        self.assertEqual((caller.status, self.link.requests), (403, []))
        self.assertNotIn(b"WWW-Authenticate", caller.received())
        self.judge.verdict = succeed(Identity(Kind.DID, "did:wba:b.example:x"))
        self.ask(b"GET /b")
        self.assertEqual(len(self.link.requests), 1)

    def test_left(self) -> None:
        """Nobody waits for the verdict about a caller who is gone."""
        caller = self.ask()
        assert caller.protocol is not None
        caller.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((self.interview.pending, self.link.requests), (0, []))

    def test_elsewhere(self) -> None:
        """Other routes ask nobody, and nobody is anybody there."""
        self.ask(b"GET /c")
        self.assertEqual((self.judge.asked, self.identities()), ([], [None]))

    def test_forged(self) -> None:
        """What a caller says of its identity goes nowhere."""
        caller = self.lab.caller()
        caller.get(b"/c", b"ANP-Identity: did:wba:evil\r\nanp-identity: x\r\n")
        names = {name.lower() for name, _ in self.link.requests[0].head.headers}
        self.assertNotIn("anp-identity", names)

    def test_order(self) -> None:
        """Requests behind one that is being judged wait for their turn."""
        caller = self.ask()
        caller.get(b"/c")
        self.assertEqual(self.link.requests, [])
        self.judge.verdict.errback(CredentialsRefused())
        self.lab.settle()
        self.assertEqual([event.head.target for event in self.link.requests], ["/c"])
        self.assertEqual(json.loads(caller.received().partition(b"\r\n\r\n")[2].partition(b"HTTP")[0])["status"], 401)

    def test_nobody(self) -> None:
        """A gateway that could judge nobody lets nobody in."""
        admission = build_admission(
            GatewaySettings(routes=(("/", RouteSettings(auth="did")),), public_host=("localhost",)),
            self.lab.limits,
            self.lab.clock,
        )
        front = Front(self.lab.exchanges, None, request_id=lambda: "", admission=admission)  # type: ignore[arg-type]
        self.lab.factory = PublicFactory(self.lab.clock, self.lab.limits, front)
        self.assertEqual(self.ask().status, 503)
