"""Tests for L{anp_twisted.gateway.receivers}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import ANPError
from anp_twisted.session import events
from anp_twisted.test.gatewaylab import Lab
from anp_twisted.wire.heads import RequestHead


class ReceiversTests(SynchronousTestCase):
    """Receivers come, are replaced, drain and go."""

    def setUp(self) -> None:
        """Begin with nobody."""
        self.lab = Lab()

    def paths(self) -> list[list[str]]:
        """The prefixes of each receiver that is connected."""
        return [[pool.key.decode() for pool in one.pools] for one in self.lab.receivers.connected()]

    def test_join(self) -> None:
        """A receiver serves what it announces, each prefix once."""
        self.lab.connect(paths=["/b", "/a/", "/a"])
        self.assertEqual(self.paths(), [["/a", "/b"]])

    def test_default_path(self) -> None:
        """A receiver that announces nothing serves everything."""
        self.lab.connect(paths=[])
        self.assertEqual(self.paths(), [[""]])

    def test_capacity(self) -> None:
        """The least of what it wants, what it allows and what the gateway gives."""
        for values in ({"capacity": 7}, {"capacity": 500}, {"capacity": 500, "max_streams": 3}):
            self.lab.connect(**values)
        self.assertEqual([one.capacity for one in self.lab.receivers.connected()], [7, 100, 3])

    def test_bad_prefix(self) -> None:
        """A path that is no prefix ends the link with 1008."""
        link = self.lab.connect(paths=["/a/../b"])
        self.assertEqual((link.closed, len(self.lab.receivers)), ((1008, "a path that is no prefix"), 0))

    def test_too_many_paths(self) -> None:
        """There is a cap on what one receiver announces."""
        cap = self.lab.limits.routes_per_receiver
        link = self.lab.connect(paths=[f"/{number}" for number in range(cap + 1)])
        self.assertEqual((link.closed, len(self.lab.receivers.routes)), ((1013, "too many"), 0))

    def test_too_many_receivers(self) -> None:
        """There is a cap on receivers."""
        self.lab = Lab(receivers=1)
        self.lab.connect()
        self.assertEqual(self.lab.connect().closed, (1013, "too many"))

    def test_same_instance(self) -> None:
        """A new connection of the same process wins, and the old one ends at once."""
        old = self.lab.connect(instance="x")
        new = self.lab.connect(instance="x")
        self.assertEqual([one.link for one in self.lab.receivers.connected()], [new])
        self.assertNotIn(old, self.lab.links)
        caller = self.lab.caller()
        caller.get()
        self.lab.answer(new)
        self.assertEqual(caller.status, 200)

    def test_other_instances(self) -> None:
        """Other processes, and those that do not say which they are, stay."""
        for instance in ("x", "y", "", ""):
            self.lab.connect(instance=instance)
        self.assertEqual(len(self.lab.receivers), 4)

    def test_gone(self) -> None:
        """The path of a receiver that left is known for a while, then forgotten."""
        link = self.lab.connect(paths=["/a"])
        link.abort(ANPError("gone"))
        routes = self.lab.receivers.routes
        self.lab.receivers.forget_empty(self.lab.clock.seconds() - 1)
        self.assertEqual(len(routes), 1)
        self.lab.receivers.forget_empty(self.lab.clock.seconds() + 1)
        self.assertEqual(len(routes), 0)

    def test_waited_for(self) -> None:
        """A path that somebody waits for is not forgotten."""
        link = self.lab.connect(paths=["/a"])
        link.abort(ANPError("gone"))
        self.lab.caller().get(b"/a")
        self.lab.receivers.forget_empty(self.lab.clock.seconds() + 1)
        self.assertEqual(len(self.lab.receivers.routes), 1)

    def test_lost_twice(self) -> None:
        """A link that never took part may be lost without harm."""
        link = self.lab.connect(paths=["/a/../b"])
        self.lab.receivers.link_lost(link, ANPError("gone"))  # type: ignore[arg-type]
        self.assertEqual(len(self.lab.receivers), 0)

    def test_receiver_opens_a_stream(self) -> None:
        """A receiver may not open streams: it is an offence, and no request comes of it."""
        link = self.lab.connect()
        link.far.role = link.connection.role
        link.far.outbound._head_kind = link.connection.outbound._head_kind
        stream = link.far.streams
        self.assertEqual(stream, {})
        link.far.peer.max_streams = 10  # type: ignore[union-attr]
        link.far.open(RequestHead("GET", "/", []), None)
        self.lab.settle()
        self.assertEqual(link.connection.offences, 1)
        self.assertFalse([e for e in link.connection.take_events() if isinstance(e, events.RequestReceived)])
