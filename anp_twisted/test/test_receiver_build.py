"""Tests of L{anp_twisted.receiver.build}."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from anp_twisted.errors import ANPError, CredentialError
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.build import BearerHeaders, build_receiver, new_instance
from anp_twisted.receiver.lag import LagWatch
from anp_twisted.receiver.service import Phase, lanes_of
from anp_twisted.receiver.uplink import Gateway
from anp_twisted.test.receiver_rig import the_loop


class Tokens:
    """A token that changes, and may be gone."""

    def __init__(self) -> None:
        self.token = "first"

    def read(self) -> str:
        if not self.token:
            raise CredentialError("cannot read the token")
        return self.token


class BearerHeadersTests(SynchronousTestCase):
    """What an attempt shows."""

    def test_read_anew(self) -> None:
        """Each attempt shows what the token is then."""
        tokens = Tokens()
        headers = BearerHeaders(tokens)
        self.assertEqual(headers(), {"Authorization": "Bearer first"})
        tokens.token = "second"
        self.assertEqual(headers(), {"Authorization": "Bearer second"})

    def test_gone(self) -> None:
        """A token that cannot be read any more is shown as it was; one that never could is an error."""
        tokens = Tokens()
        headers = BearerHeaders(tokens)
        tokens.token = ""
        self.assertEqual(headers(), {"Authorization": "Bearer first"})
        self.assertRaises(CredentialError, BearerHeaders, tokens)


class BuildTests(TestCase):
    """The parts fit together."""

    def test_starts_and_stops(self) -> Deferred[None]:
        """What is built can be started and stopped on the reactor of the process."""
        from twisted.internet import reactor

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            raise AssertionError

        gateway = Gateway(url="ws://192.0.2.1:1/ws", endpoint=None, headers=dict, paths=("/",), instance=new_instance())  # type: ignore[arg-type]
        failures: list[ANPError] = []
        announced: list[str] = []
        receiver = build_receiver(
            reactor, app, lanes_of([gateway]), limits=DEFAULT_LIMITS, announce=announced.append, give_up=failures.append
        )
        self.assertIs(receiver.bridge.loop, the_loop())
        watch = receiver.beside
        assert isinstance(watch, LagWatch)
        receiver.startService()
        self.assertTrue(watch.running)
        stopped: Deferred[None] = receiver.stopService()
        return stopped.addCallback(
            lambda _: self.assertEqual(
                (failures, announced, receiver.phase, watch.running), ([], [], Phase.STOPPED, False)
            )
        )

    def test_instances(self) -> None:
        """No two processes have the same name."""
        self.assertEqual(len({new_instance() for _ in range(100)}), 100)
