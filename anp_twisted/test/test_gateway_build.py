"""Tests for L{anp_twisted.gateway.build}."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.config.tables import GatewaySettings
from anp_twisted.gateway.build import build_gateway
from anp_twisted.http.crowd import Verdict


class BuildTests(SynchronousTestCase):
    """The parts fit together."""

    def test_settings(self) -> None:
        """The settings arrive, and every request has an id of its own that nobody can guess."""
        reactor = MemoryReactorClock()
        settings = GatewaySettings(public_url="https://gate.example", health_path="/up")
        limits = settings.limits()
        gateway = build_gateway(reactor, settings, limits=limits, token="t" * 43, announce=print, record=print)
        self.assertEqual(gateway.url, "https://gate.example")
        first, second = (gateway._malformed(("192.0.2.1", 1), 400) for _ in range(2))
        self.assertEqual((len(first), len(second), first != second), (24, 24, True))

    def test_proxies(self) -> None:
        """Behind a trusted proxy are many callers: the cap on connections of one address is not for it."""
        reactor = MemoryReactorClock()
        settings = GatewaySettings(trusted_proxy=("10.0.0.0/8",), connections_per_address=1)
        limits = settings.limits()
        gateway = build_gateway(reactor, settings, limits=limits, token="t" * 43, announce=print, record=print)
        for address, last in (("10.0.0.1", Verdict.WELCOME), ("192.0.2.1", Verdict.TOO_MANY_FROM_THERE)):
            verdicts = [gateway.front.crowd.enter(address) for _ in range(2)]
            self.assertEqual(verdicts, [Verdict.WELCOME, last])
