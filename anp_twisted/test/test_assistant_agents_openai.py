"""Tests of L{anp_twisted.assistant.agents.openai}."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.assistant.agents.chat import ChatAgent, ReplyHead
from anp_twisted.assistant.agents.events import Agent, Failed
from anp_twisted.assistant.agents.openai import ServerUpstream, make_client
from anp_twisted.errors import BackendFault, CredentialError, SettingsError
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import AgentRules, Stage, context, turn, turns, until
from anp_twisted.test.model_lab import FakeServer
from anp_twisted.test.receiver_rig import on_loop


def client_of(server: Any) -> Any:
    """
    @return: treq's client with the server in the place of the network.
    """
    from treq.client import HTTPClient

    return HTTPClient(server)


class RuleTests(AgentRules, TestCase):
    """The rules of all agents."""

    uses_tools = False

    def setUp(self) -> None:
        self.server = FakeServer()

    def agent(self, stage: Stage) -> Agent:
        upstream = ServerUpstream(client_of(self.server), "http://model/v1/", stage.tasks, stage.limits, key="k")
        return ChatAgent(upstream, stage.tasks, stage.limits)

    def left(self) -> Iterable[object]:
        return self.server.open


class RequestTests(TestCase):
    """What goes to a server, and what becomes of what it does."""

    def setUp(self) -> None:
        self.stage = Stage(Limits(agent_backlog=100))
        self.server = FakeServer()
        self.client = client_of(self.server)
        self.upstream = ServerUpstream(self.client, "http://model/v1", self.stage.tasks, self.stage.limits, key="k")

    @on_loop
    async def test_request(self) -> None:
        """The key goes in the field for it, and the path is that of the interface."""
        parts = self.upstream.ask(b"{}")
        self.server.refusals.append(
            (429, {"Retry-After": "7", "Content-Type": "Application/JSON; charset=utf-8"}, b"x")
        )
        self.assertEqual(await anext(parts), ReplyHead(429, "application/json", "7"))
        self.assertEqual(await anext(parts), b"x")
        await parts.aclose()
        method, url, fields = self.server.asked[0]
        self.assertEqual((method, url), (b"POST", b"http://model/v1/chat/completions"))
        self.assertEqual(fields.getRawHeaders("authorization"), ["Bearer k"])
        self.assertEqual(fields.getRawHeaders("content-type"), ["application/json"])

    @on_loop
    async def test_noKey(self) -> None:
        """Without a key there is no such field; a redirect is an answer like any other."""
        upstream = ServerUpstream(self.client, "http://model", self.stage.tasks, self.stage.limits)
        self.server.refusals.append((307, {"Location": "http://elsewhere/"}, b""))
        parts = upstream.ask(b"{}")
        self.assertEqual(await anext(parts), ReplyHead(307))
        await parts.aclose()
        self.assertEqual(len(self.server.asked), 1)
        self.assertFalse(self.server.asked[0][2].hasHeader("authorization"))
        self.assertEqual(self.server.open, set())

    @on_loop
    async def test_unreachable(self) -> None:
        """Why there is no answer is said for the log, without what a library says."""
        from twisted.web.client import ResponseFailed

        lost = ResponseFailed([Failure(ConnectionLost("a canary"))])
        for error, text in ((ConnectionRefusedError(), "nothing listens"), (lost, "the connection was lost")):
            self.server.refusals.append(error)
            with self.assertRaises(BackendFault) as caught:
                await anext(self.upstream.ask(b"{}"))
            self.assertIn(text, str(caught.exception))
            self.assertNotIn("canary", str(caught.exception))

    @on_loop
    async def test_abortEarly(self) -> None:
        """An abort before the head of the answer cancels the request."""
        waiting: Deferred[Any] = Deferred()
        self.patch(self.server, "request", lambda *_: waiting)
        agent = ChatAgent(self.upstream, self.stage.tasks, self.stage.limits)
        hearing = self.stage.begin(agent.run(turn("a"), context()))
        await turns()
        hearing.run.abort()
        await until(lambda: not self.stage.runs)
        self.assertIsInstance(hearing.end, Failed)
        waiting.addErrback(lambda reason: reason.trap(CancelledError, BackendFault))
        self.assertTrue(waiting.called)

    @on_loop
    async def test_backPressure(self) -> None:
        """What nobody takes is not read."""
        body = b'{"messages": [{"role": "user", "content": "flood"}]}'
        parts = self.upstream.ask(body)
        await anext(parts)
        await anext(parts)
        response = next(iter(self.server.open))
        await turns(50)
        self.assertGreaterEqual(response.paused, 1)
        for _ in range(20):
            await anext(parts)
        await parts.aclose()
        self.assertEqual(self.server.open, set())


class ClientTests(SynchronousTestCase):
    """What sends requests."""

    def test_verified(self) -> None:
        """Certificates are those of the authorities that are named, or of the system."""
        _, pool = make_client(MemoryReactorClock(), Limits())
        self.assertTrue(pool.persistent)
        self.assertRaises(CredentialError, make_client, MemoryReactorClock(), Limits(), "/nowhere.pem")

    def test_noTreq(self) -> None:
        """Without treq there is a reason, and what to do."""
        modules: dict[str, Any] = sys.modules
        make_client(MemoryReactorClock(), Limits())  # imports it
        self.addCleanup(modules.__setitem__, "treq.client", modules["treq.client"])
        modules["treq.client"] = None
        error = self.assertRaises(SettingsError, make_client, MemoryReactorClock(), Limits())
        self.assertIn("anp-twisted[assistant]", str(error))
