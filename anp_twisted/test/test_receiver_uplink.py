"""Tests of L{anp_twisted.receiver.uplink}: several links and several gateways, over pipes in memory."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import ANPError, LinkLost, LinkRefused, ProxyRefused
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.service import Choice, lanes_of
from anp_twisted.receiver.uplink import Gateway, reason_text
from anp_twisted.test.receiver_lab import ReceiverLab
from anp_twisted.test.receiver_rig import on_loop
from anp_twisted.test.test_receiver_service import Gated, LogTestCase

A, B = "192.0.2.1", "192.0.2.2"


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


class LaneTests(SynchronousTestCase):
    """How links are laid out."""

    def test_layout(self) -> None:
        """Each gateway has its links, or each link its choice of gateways; numbers begin at 0 for each."""
        made = [
            Gateway(url=url, endpoint=None, headers=dict, paths=("/",), instance="i")  # type: ignore[arg-type]
            for url in "ab"
        ]
        for choice, expected in [
            (Choice.ALL, [("a", 0), ("a", 1), ("b", 0), ("b", 1)]),
            (Choice.FIRST, [("ab", 0), ("ab", 1)]),
        ]:
            lanes = lanes_of(made, links=2, choice=choice)
            found = [("".join(gateway.url for gateway in lane.gateways), lane.number) for lane in lanes]
            self.assertEqual(found, expected)

    def test_proxy(self) -> None:
        """What a proxy refuses is not the token's fault."""
        self.assertEqual(reason_text(ProxyRefused("the proxy says no (403)", 403)), "the proxy says no (403)")


class LinksTests(LogTestCase):
    """Several links to one gateway."""

    @on_loop
    async def test_numbers(self) -> None:
        """They are of one process and numbered; each serves."""
        lab = ReceiverLab(hello, links=3)
        await lab.start()
        peers = [link.connection.peer for link in lab.gateway.links]
        self.assertEqual([(peer.instance, peer.link) for peer in peers if peer], [("i", 0), ("i", 1), ("i", 2)])
        self.assertEqual(len({peer.capacity for peer in peers if peer}), 1)
        self.assertEqual(lab.service.linked_count, 3)
        for link in lab.gateway.links:
            caller = lab.gateway.request(link=link)
            await lab.settle()
            self.assertIsNone(await caller.outcome)
        self.assertEqual(self.lines[-1], f"connected to ws://{A}:9877/ws (link 3), serving /")
        await lab.stop()

    @on_loop
    async def test_one_lost(self) -> None:
        """One that is lost comes back with its number; the others stay."""
        lab = ReceiverLab(hello, links=2)
        await lab.start()
        lab.gateway.links[1].abort(ANPError("gone"))
        await lab.settle()
        self.assertEqual((lab.service.linked_count, [type(one) for one in lab.troubles]), (1, [LinkLost]))
        await lab.settle(1.0)
        peers = [link.connection.peer for link in lab.gateway.links]
        self.assertEqual(([peer.link for peer in peers if peer], lab.service.linked_count), ([0, 1, 1], 2))
        await lab.stop()

    @on_loop
    async def test_goodbye_to_one(self) -> None:
        """When the gateway lets one go, its successor has the same number, and what runs on it ends there."""
        app = Gated()
        lab = ReceiverLab(app, links=2)
        await lab.start()
        caller = lab.gateway.request(link=lab.gateway.links[1])
        await lab.settle()
        lab.gateway.links[1].leave()
        await lab.settle(1.0)
        self.assertEqual([peer.link for link in lab.gateway.links if (peer := link.connection.peer)], [0, 1, 1])
        app.go.set()
        await lab.settle()
        self.assertIsNone(await caller.outcome)
        self.assertEqual((len(lab.service.uplinks), lab.service.linked_count), (2, 2))
        await lab.stop()

    @on_loop
    async def test_drain(self) -> None:
        """Goodbye is said on all of them."""
        app = Gated()
        lab = ReceiverLab(app, links=2)
        await lab.start()
        callers = [lab.gateway.request(link=link) for link in lab.gateway.links]
        await lab.settle()
        stopped = lab.service.stopService()
        await lab.settle()
        self.assertEqual(([link.connection.room for link in lab.gateway.links], stopped.called), ([0, 0], False))
        app.go.set()
        await lab.settle()
        self.assertEqual([await caller.outcome for caller in callers], [None, None])
        self.assertEqual([str(reason) for reason in lab.gateway.lost], ["the peer closed the link with 1001"] * 2)
        await lab.settle()
        self.assertTrue(stopped.called)


class AllTests(LogTestCase):
    """A link to each gateway."""

    @on_loop
    async def test_each(self) -> None:
        """One that cannot be reached does not concern the other."""
        lab = ReceiverLab(hello, hosts=(A, B))
        lab.doors[0].refuse = -1
        await lab.start()
        self.assertEqual((lab.open_at, lab.service.linked_count), ([0, 1], 1))
        lab.doors[0].refuse = 0
        await lab.settle(1.0)
        self.assertEqual((lab.open_at, lab.service.linked_count), ([1, 1], 2))
        await lab.stop()

    @on_loop
    async def test_gives_up(self) -> None:
        """It gives up when all of them were tried in vain, not while one is linked."""
        lab = ReceiverLab(hello, hosts=(A, B), attempts=2)
        lab.doors[0].refuse = -1
        await lab.start()
        await lab.settle(20.0)
        self.assertEqual((lab.given_up, lab.open_at), ([], [0, 1]))
        lab.doors[1].refuse = -1
        lab.gateway.links[0].abort(ANPError("gone"))
        await lab.settle(20.0)
        self.assertIn("nothing listens", str(lab.given_up[0]))
        await lab.stop()


class FirstTests(LogTestCase):
    """A link to the first gateway that answers."""

    @on_loop
    async def test_preferred(self) -> None:
        """The first in the list is enough."""
        lab = ReceiverLab(hello, hosts=(A, B), choice=Choice.FIRST)
        await lab.start()
        await lab.settle(20.0)
        self.assertEqual((lab.doors_dialled, lab.open_at), ([A], [1, 0]))
        await lab.stop()

    @on_loop
    async def test_next(self) -> None:
        """Whatever one says, the next one is asked at once."""
        for refusal in (-1, 401, 503):
            lab = ReceiverLab(hello, hosts=(A, B), choice=Choice.FIRST, attempts=1)
            lab.doors[0].refuse = refusal
            await lab.start()
            self.assertEqual((lab.doors_dialled, lab.open_at, lab.given_up), ([A, B], [0, 1], []))
            self.assertEqual(len(set(lab.dialled)), 1)
            await lab.stop()
        self.assertIn(
            f"cannot connect to ws://{A}:9877/ws: the gateway answered 503; ws://{B}:9877/ws in 0.0 s", self.lines
        )
        self.assertIn(f"connected to ws://{B}:9877/ws, serving /", self.lines)

    @on_loop
    async def test_nobody(self) -> None:
        """Rounds in which nobody answers come with pauses that grow: 0.5, 1 and 2 s, in the steps of the laboratory."""
        lab = ReceiverLab(hello, hosts=(A, B), choice=Choice.FIRST)
        lab.refuse = -1
        await lab.start()
        await lab.settle(4.0)
        self.assertEqual([round(when - 1000.0, 1) for when in lab.dialled], [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0])
        self.assertEqual([type(one) for one in lab.troubles], [LinkRefused] * 8)
        await lab.stop()

    @on_loop
    async def test_gives_up(self) -> None:
        """A limit counts rounds."""
        lab = ReceiverLab(hello, hosts=(A, B), choice=Choice.FIRST, attempts=2)
        lab.refuse = -1
        await lab.start()
        self.assertEqual(lab.given_up, [])
        await lab.settle(0.5)
        self.assertTrue(str(lab.given_up[0]).startswith("gave up after 2 attempts: "))
        self.assertEqual(lab.doors_dialled, [A, B, A, B])
        await lab.stop()

    @on_loop
    async def test_back_and_forth(self) -> None:
        """When the link that was healthy is lost, the round begins at the first again."""
        lab = ReceiverLab(hello, hosts=(A, B), choice=Choice.FIRST)
        lab.doors[0].refuse = -1
        await lab.start()
        await lab.settle(lab.limits.healthy_after)
        lab.doors[0].refuse = 0
        lab.gateway.links[0].abort(ANPError("gone"))
        await lab.settle(1.0)
        self.assertEqual((lab.doors_dialled, lab.open_at), ([A, B, A], [1, 0]))
        await lab.stop()

    @on_loop
    async def test_goodbye(self) -> None:
        """A gateway that says goodbye is left for the next one, whatever pause it asks for."""
        lab = ReceiverLab(hello, hosts=(A, B), choice=Choice.FIRST)
        await lab.start()
        lab.gateway.links[0].leave(retry_after=30.0)
        await lab.settle()
        self.assertEqual((lab.doors_dialled, lab.open_at, lab.service.linked_count), ([A, B], [0, 1], 1))
        await lab.stop()
