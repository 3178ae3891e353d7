"""Tests for L{anp_twisted.gateway.receivers}."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.auth.identity import RECEIVER, Identity, Kind
from anp_twisted.errors import ANPError
from anp_twisted.gateway.receivers import Receivers
from anp_twisted.gateway.routes import RouteTable
from anp_twisted.places import parse_place
from anp_twisted.session import events
from anp_twisted.test.gatewaylab import Caller, Lab, LinkInMemory
from anp_twisted.test.registrylab import book, holder
from anp_twisted.wire.heads import RequestHead


class ReceiversTests(SynchronousTestCase):
    """Receivers come, are replaced, drain and go."""

    def setUp(self) -> None:
        """Begin with nobody."""
        self.lab = Lab()

    def paths(self) -> list[list[str]]:
        """The prefixes of each receiver that is connected."""
        return [[pool.place.key.decode() for pool in one.pools] for one in self.lab.receivers.connected()]

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

    def test_shared_capacity(self) -> None:
        """A receiver that links to every process of the gateway divides its capacity among them; others cannot."""
        self.lab.receivers._shared_by = 3
        for values in ({"capacity": 7, "features": ["workers"]}, {"capacity": 7}, {"features": ["workers"]}):
            self.lab.connect(**values)
        self.assertEqual([one.capacity for one in self.lab.receivers.connected()], [3, 7, 34])

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

    def test_asked_again(self) -> None:
        """What the old link had in flight and may be asked twice goes over the new one at once."""
        self.lab.connect(instance="x", capacity=2)
        callers = [self.lab.caller(), self.lab.caller()]
        callers[0].get()
        callers[1].send(b"POST / HTTP/1.1\r\nHost: h\r\n\r\n")
        new = self.lab.connect(instance="x", capacity=2)
        self.assertEqual([request.head.method for request in new.requests], ["GET"])
        self.lab.answer(new)
        self.assertEqual([caller.status for caller in callers], [200, 502])

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


class LinksTests(SynchronousTestCase):
    """Several links of one process."""

    def setUp(self) -> None:
        """Begin with a process that has two."""
        self.lab = Lab()
        self.links = [self.connect(number) for number in range(2)]

    def connect(self, number: int, **values: Any) -> LinkInMemory:
        """Let a link of the process be made."""
        return self.lab.connect(**{"instance": "p", "link": number, "capacity": 3, **values})

    def ask(self, count: int) -> list[Caller]:
        """Let callers ask."""
        callers = [self.lab.caller() for _ in range(count)]
        for caller in callers:
            caller.get()
        return callers

    def test_capacity(self) -> None:
        """It gets no more requests than one link would get, shared among them; the others wait."""
        self.ask(4)
        self.assertEqual([len(link.requests) for link in self.links], [2, 1])
        self.assertEqual(self.lab.receivers.parked, 1)
        self.lab.answer(self.links[0], which=0)
        self.assertEqual([len(link.requests) for link in self.links], [3, 1])
        self.assertEqual(self.lab.receivers.parked, 0)

    def test_another_process(self) -> None:
        """A process with two links gets as much as one with one."""
        other = self.lab.connect(instance="q", capacity=3)
        self.ask(6)
        self.assertEqual((sum(len(link.requests) for link in self.links), len(other.requests)), (3, 3))

    def test_same_link(self) -> None:
        """A new connection of the same link wins at once, again and again; the other links are left alone."""
        self.connect(1)
        new = self.connect(1)
        self.assertEqual(self.lab.links, [self.links[0], new])
        self.ask(3)
        self.assertEqual([len(link.requests) for link in (self.links[0], new)], [2, 1])

    def test_same_number_elsewhere(self) -> None:
        """The numbers of one process are nothing to another, nor to a process of another identity."""
        self.lab.connect(instance="q", link=0)
        link = LinkInMemory(
            self.lab,
            self.lab.hello(instance="p", link=0, capacity=3, paths=["/else"]),
            identity=Identity(Kind.DID, "did:wba:somebody.else"),
        )
        self.lab.links.append(link)
        self.lab.settle()
        pools = self.lab.receivers.routes.pools()
        self.assertEqual((len(self.lab.receivers), [pool.size for pool in pools]), (4, [2, 1]))

    def test_one_lost(self) -> None:
        """The process stays while it has a link; what the lost one held is free again."""
        callers = self.ask(3)
        self.links[1].abort(ANPError("gone"))
        (pool,) = self.lab.receivers.routes.pools()
        self.assertEqual((pool.size, [caller.status for caller in callers]), (1, [0, 0, 0]))
        self.assertEqual([one.in_flight for one in self.lab.receivers.connected()], [3])
        self.links[0].abort(ANPError("gone"))
        self.assertEqual((pool.size, [caller.status for caller in callers]), (0, [502, 502, 502]))

    def test_draining_one(self) -> None:
        """One that drains finishes what it has beside its successor, and that counts."""
        self.ask(2)
        self.links[0].far.leave()
        self.lab.settle()
        successor = self.connect(0)
        self.assertIn(self.links[0], self.lab.links)
        self.ask(2)
        self.assertEqual((len(successor.requests), self.lab.receivers.parked), (1, 1))
        self.lab.answer(self.links[0])
        self.assertEqual(self.lab.receivers.parked, 0)

    def test_all_drain(self) -> None:
        """A process whose links all drain gets nothing; with a new one it does."""
        for link in self.links:
            link.far.leave()
        self.lab.settle()
        (caller,) = self.ask(1)
        self.assertEqual(self.lab.receivers.parked, 1)
        self.lab.answer(self.connect(5))
        self.assertEqual(caller.status, 200)

    def test_disagreement(self) -> None:
        """What one link says of paths and capacity counts for no other."""
        self.connect(2, capacity=50)
        self.connect(3, paths=["/x"])
        self.assertEqual([one.capacity for one in self.lab.receivers.connected()], [3, 3, 50, 3])
        self.assertEqual([len(pool._buckets[0]) for pool in self.lab.receivers.routes.pools()], [2, 1])

    def test_too_many(self) -> None:
        """There is a cap on links."""
        self.assertEqual(self.connect(self.lab.limits.links).closed, (1013, "too many"))

    def test_links_of_workers(self) -> None:
        """Where a receiver has links to other processes as well, it has more numbers; its capacity is shared."""
        limits, clock = self.lab.limits, self.lab.clock
        self.lab.receivers = receivers = Receivers(RouteTable(), clock, limits, shared_by=2)
        last = 3 * limits.links - 1
        links = [self.lab.connect(instance="p", link=number, features=["workers"], capacity=5) for number in (0, last)]
        self.assertEqual([link.closed for link in links], [None, None])
        self.assertEqual({one.process.capacity for one in receivers.connected()}, {3})
        self.assertEqual(len(receivers._processes), 1)
        self.assertEqual(self.lab.connect(instance="p", link=last + 1).closed, (1013, "too many"))

    def test_nothing_left(self) -> None:
        """When the links are gone, nothing of the process is left."""
        for link in list(self.lab.links):
            link.abort(ANPError("gone"))
        receivers = self.lab.receivers
        self.assertEqual((receivers._by_link, receivers._by_number, receivers._processes), ({}, {}, {}))


class TerritoryTests(SynchronousTestCase):
    """Nobody is where somebody else is, whatever the registry says next."""

    def setUp(self) -> None:
        """Begin with a registry of two owners, both with a token."""
        self.lab = Lab()
        self.tokens: dict[str, str | tuple[str, float]] = {"secret-a": ("ann", 100.0), "secret-b": "bob"}
        self.adopt({"ann": ["/a", "ann.example/"], "bob": ["/b"]})

    def adopt(self, routes: dict[str, list[str]]) -> None:
        """Let the registry change."""
        self.lab.receivers.adopt(book(routes, self.tokens))
        self.lab.settle()

    def connect(self, identity: Identity, *paths: str) -> LinkInMemory:
        """Let a receiver connect as somebody."""
        link = LinkInMemory(self.lab, self.lab.hello(paths=list(paths)), identity)
        self.lab.links.append(link)
        self.lab.settle()
        return link

    def places(self) -> dict[str, list[str]]:
        """Where everybody is."""
        return {
            str(one.link.identity): sorted(str(pool.place) for pool in one.pools)
            for one in self.lab.receivers.connected()
        }

    def test_own(self) -> None:
        """Whoever owns places is there, or in those it announces."""
        self.connect(holder("ann", "t0"))
        self.connect(holder("bob", "t1"), "/b/c")
        self.assertEqual(self.places(), {"ann": ["/a", "ann.example/"], "bob": ["/b/c"]})

    def test_others(self) -> None:
        """A place of somebody else is refused with 4003, and so is one below it."""
        for identity in (holder("bob", "t1"), RECEIVER, Identity(Kind.DID, "did:wba:x"), Identity(Kind.TOKEN, "ann2")):
            for path in ("/a", "/a/x"):
                link = self.connect(identity, path)
                self.assertEqual(link.closed, (4003, "not a place of yours"), (identity, path))
        self.assertEqual(self.places(), {})

    def test_first(self) -> None:
        """What the registry says nothing of belongs to the first, and also while that one is away for a moment."""
        first = self.connect(RECEIVER, "/free")
        second = Identity(Kind.DID, "did:wba:x")
        self.assertEqual(self.connect(second, "/free").closed, (4003, "not a place of yours"))
        first.abort(ANPError("gone"))
        self.assertEqual(self.connect(second, "/free").closed, (4003, "not a place of yours"))
        self.lab.receivers.forget_empty(1.0)
        self.connect(second, "/free")
        self.assertEqual(self.places(), {"did:wba:x": ["/free"]})

    def test_shared(self) -> None:
        """Several receivers of one identity share its places."""
        for number in range(3):
            self.connect(holder("ann", "t0"))
            self.assertEqual(self.lab.receivers.routes.pool(parse_place("/a")).size, number + 1)

    def test_registryAgainstFirst(self) -> None:
        """Whoever is in a place that gets an owner has to leave, and the owner gets in at once."""
        squatter = self.connect(RECEIVER, "/new")
        self.adopt({"bob": ["/b", "/new"]})
        self.assertEqual(squatter.closed, (4003, "not allowed any more"))
        self.connect(holder("bob", "t1"))
        self.assertEqual(self.places(), {"bob": ["/b", "/new"]})

    def test_moved(self) -> None:
        """A place that goes from one owner to another does so at once; nothing else of either is touched."""
        ann, bob = self.connect(holder("ann", "t0")), self.connect(holder("bob", "t1"))
        self.adopt({"ann": ["ann.example/"], "bob": ["/a", "/b"]})
        self.assertEqual(self.places(), {"ann": ["ann.example/"], "bob": ["/a", "/b"]})
        caller = self.lab.caller()
        caller.get(b"/a")
        self.assertEqual((len(ann.requests), len(bob.requests)), (0, 1))
        self.assertEqual((ann.closed, bob.closed), (None, None))

    def test_runningGoOn(self) -> None:
        """A request that runs ends where it began, also when the place has gone to another."""
        ann = self.connect(holder("ann", "t0"))
        caller = self.lab.caller()
        caller.get(b"/a")
        self.adopt({"ann": ["ann.example/"], "bob": ["/a", "/b"]})
        self.lab.answer(ann, b"from ann")
        self.assertIn(b"from ann", caller.received())

    def test_waiting(self) -> None:
        """A request for a place whose owner is away waits for it, and is nobody else's."""
        root = self.connect(RECEIVER)
        self.assertEqual(self.places(), {"receiver": ["/"]})
        caller = self.lab.caller()
        caller.get(b"/a")
        self.assertEqual((len(root.requests), caller.status), (0, 0))
        ann = self.connect(holder("ann", "t0"))
        self.lab.answer(ann, b"from ann")
        self.assertIn(b"from ann", caller.received())

    def test_hosts(self) -> None:
        """A request goes to whoever owns its host."""
        root, ann = self.connect(RECEIVER), self.connect(holder("ann", "t0"))
        for host in (b"ann.example", b"ANN.example:8443", b"other.example"):
            self.lab.caller().send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        self.assertEqual((len(ann.requests), len(root.requests)), (2, 1))

    def test_revoked(self) -> None:
        """Whose token is gone is sent away at once, also while it drains; others are not."""
        ann, draining, bob = (self.connect(holder(*who)) for who in (("ann", "t0"), ("ann", "t0"), ("bob", "t1")))
        self.lab.receivers.withdraw(self.lab.receivers.connected()[1])
        del self.tokens["secret-a"]
        self.tokens = {"none": "x", **self.tokens}
        self.adopt({"ann": ["/a", "ann.example/"], "bob": ["/b"]})
        gone = (4003, "not allowed any more")
        self.assertEqual([link.closed for link in (ann, draining, bob)], [gone, gone, None])

    def test_expired(self) -> None:
        """A token that ends takes the link with it."""
        link = self.connect(Identity(Kind.TOKEN, "ann", credential="t0", expires=100.0))
        for seconds, closed in ((99.0, None), (1.0, (4003, "not allowed any more"))):
            self.lab.clock.advance(seconds)
            self.lab.receivers.adopt(self.lab.receivers.territory.book)
            self.assertEqual(link.closed, closed)

    def test_revokedMeanwhile(self) -> None:
        """A token that was revoked between the handshake and HELLO opens nothing."""
        self.assertEqual(self.connect(holder("ann", "t9")).closed, (4003, "not a place of yours"))

    def test_landless(self) -> None:
        """A token of the registry without a place serves nothing."""
        self.tokens["secret-c"] = "eve"
        self.adopt({"ann": ["/a"]})
        self.assertEqual(self.connect(holder("eve", "t2"), "/free").closed, (4003, "not a place of yours"))

    def test_tooMany(self) -> None:
        """There is a cap on the places of one receiver."""
        self.lab.receivers.territory._limits = replace(self.lab.limits, registered_places=3)
        self.adopt({"bob": ["/1", "/2", "/3", "/4"]})
        self.assertEqual(self.connect(holder("bob", "t1")).closed, (4003, "not a place of yours"))
