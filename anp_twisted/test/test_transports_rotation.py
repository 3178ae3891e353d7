"""Tests for L{anp_twisted.transports.rotation}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import LinkLost, LinkRefused
from anp_twisted.limits import DEFAULT_LIMITS
from anp_twisted.transports.rotation import RotatingEndpoint, Rotation

LOST = LinkLost("gone")
NO = LinkRefused("no")


class RotationTests(SynchronousTestCase):
    """Who is asked next, and when."""

    def make(self, count: int, first: int = 0) -> Rotation:
        """Make one whose chance is always the longest delay."""
        self.clock = Clock()
        self.clock.advance(1000.0)
        return Rotation(DEFAULT_LIMITS, self.clock.seconds, draw=lambda: 1.0, count=count, first=first)

    def test_round(self) -> None:
        """All are asked without a pause; a round in which none answered is one failure."""
        rotation = self.make(3)
        seen = []
        for _ in range(6):
            rotation.failed(NO)
            seen.append((rotation.index, rotation.failures, rotation(0)))
        self.assertEqual(seen, [(1, 0, 0.0), (2, 0, 0.0), (0, 1, 0.5), (1, 1, 0.0), (2, 1, 0.0), (0, 2, 1.0)])

    def test_refused_by_one(self) -> None:
        """A gateway that refuses the token does not keep us from asking the next."""
        rotation = self.make(2)
        rotation.failed(LinkRefused("", 401))
        self.assertEqual((rotation.index, rotation(0)), (1, 0.0))

    def test_healthy(self) -> None:
        """When a link that lived is lost, the first is preferred again."""
        rotation = self.make(2, first=1)
        rotation.opened()
        self.clock.advance(DEFAULT_LIMITS.healthy_after)
        rotation.lost(LOST)
        self.assertEqual((rotation.index, rotation.failures, rotation(0)), (0, 1, 0.5))

    def test_accepts_and_drops(self) -> None:
        """A gateway whose links do not live is not asked over and over while there is another."""
        rotation = self.make(2)
        rotation.opened()
        rotation.lost(LOST)
        self.assertEqual((rotation.index, rotation(0), rotation.reason), (1, 0.0, LOST))
        rotation.opened()
        rotation.lost(LOST)
        self.assertEqual((rotation.index, rotation.failures, rotation(0)), (0, 1, 0.5))

    def test_alone(self) -> None:
        """With one gateway it is the back-off of one."""
        rotation = self.make(1)
        for failures in (1, 2, 3):
            rotation.opened()
            rotation.lost(LOST)
            self.assertEqual((rotation.index, rotation.failures, rotation(0)), (0, failures, 0.5 * 2 ** (failures - 1)))

    def test_endpoint(self) -> None:
        """The one whose turn it is is dialled."""
        dialled: list[int] = []

        class Endpoint:
            def __init__(self, number: int) -> None:
                self.number = number

            def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
                dialled.append(self.number)
                return Deferred()

        rotation = self.make(2)
        endpoints: Any = [Endpoint(0), Endpoint(1)]
        endpoint = RotatingEndpoint(endpoints, rotation)
        for _ in range(3):
            endpoint.connect(Factory())
            rotation.failed(NO)
        self.assertEqual(dialled, [0, 1, 0])
