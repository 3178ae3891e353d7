"""Tests of L{anp_twisted.receiver.service}: real links over pipes in memory."""

from __future__ import annotations

import asyncio

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from anp_twisted.errors import ANPError, AppStartError, Code, LinkLost, LinkRefused
from anp_twisted.limits import Limits
from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.service import Phase
from anp_twisted.receiver.uplink import Gateway, hello_of, reason_text
from anp_twisted.test.receiver_lab import ReceiverLab
from anp_twisted.test.receiver_rig import on_loop, the_loop
from anp_twisted.transports.link import State

QUICK = Limits(cancel_grace=0.0)


async def hello(scope: Message, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


class Gated:
    """
    An application that answers when it is told to.

    @ivar life: what its lifespan was asked.
    """

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.life: list[str] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.go.wait()
            await hello(scope, receive, send)
            return
        for _ in range(2):
            kind = (await receive())["type"]
            self.life.append(kind.removeprefix("lifespan."))
            await send({"type": kind + ".complete"})


@implementer(ILogObserver)
class Lines:
    """
    An observer.

    @ivar lines: what the receiver logged.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if str(event.get("log_namespace", "")).startswith("anp_twisted.receiver"):
            self.lines.append(formatEvent(event))


class LogTestCase(TestCase):
    """
    Collects the log.

    @ivar lines: its lines.
    """

    def setUp(self) -> None:
        observer = Lines()
        self.lines = observer.lines
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)


class StartTests(LogTestCase):
    """From the start to a link."""

    @on_loop
    async def test_application_first(self) -> None:
        """The application has started before anybody is dialled; then callers are told where it is."""
        app = Gated()
        lab = ReceiverLab(app, paths=("/api", "/docs"), public_url="https://gate.example/")
        lab.service.startService()
        self.assertEqual((lab.dialled, lab.service.phase), ([], Phase.STARTING))
        await lab.settle()
        self.assertEqual((app.life, len(lab.dialled), lab.service.phase), (["startup"], 1, Phase.SERVING))
        self.assertEqual(lab.announced, ["https://gate.example/api"])
        self.assertEqual(self.lines, ["connected to ws://192.0.2.1:9877/ws, serving /api /docs"])
        await lab.stop()

    @on_loop
    async def test_application_refuses(self) -> None:
        """Without application nobody is dialled, and the process ends with its reason."""

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        lab = ReceiverLab(app)
        await lab.start()
        self.assertEqual([type(error) for error in lab.given_up], [AppStartError])
        self.assertEqual((str(lab.given_up[0]), lab.dialled), ("the application could not start: no database", []))
        await lab.stop()

    @on_loop
    async def test_serves(self) -> None:
        """A request that comes over the link is answered over it."""
        lab = ReceiverLab(hello)
        await lab.start()
        caller = lab.gateway.request()
        await lab.settle()
        self.assertIsNone(await caller.outcome)
        self.assertEqual(caller.body, b"hello")
        await lab.stop()

    @on_loop
    async def test_strange_url(self) -> None:
        """A public URL that is none is not printed."""
        for url in ("", "http://a\x1b[2J", "javascript:alert(1)", "http://a b"):
            lab = ReceiverLab(hello, public_url=url)
            await lab.start()
            self.assertEqual((lab.announced, len(lab.gateway.links)), ([], 1))
            await lab.stop()

    @on_loop
    async def test_stopped_while_starting(self) -> None:
        """A receiver that is stopped while its application starts dials nobody."""
        hanging = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            await hanging.wait()

        lab = ReceiverLab(app, Limits())
        lab.service.startService()
        await lab.settle()
        await lab.stop()
        self.assertEqual((lab.dialled, lab.given_up), ([], []))


class DialTests(LogTestCase):
    """Without a link."""

    @on_loop
    async def test_lost(self) -> None:
        """A lost link is replaced by another one of the same instance."""
        lab = ReceiverLab(hello)
        await lab.start()
        await lab.settle(lab.limits.healthy_after)
        lab.gateway.links[0].abort(ANPError("gone"))
        await lab.settle()
        self.assertEqual(
            self.lines[-1:],
            ["lost the link to ws://192.0.2.1:9877/ws: the connection was lost: ConnectionLost; next attempt in 0.5 s"],
        )
        await lab.settle(lab.limits.reconnect_first)
        peers = [link.connection.peer for link in lab.gateway.links]
        self.assertEqual([peer.instance for peer in peers if peer], ["i", "i"])
        self.assertEqual(lab.announced, ["http://gate.example/"] * 2)
        await lab.stop()

    @on_loop
    async def test_refused_token(self) -> None:
        """A token that is refused is shown again, but rarely."""
        lab = ReceiverLab(hello)
        lab.refuse = 401
        await lab.start()
        self.assertEqual(
            self.lines[-1:],
            ["cannot connect to ws://192.0.2.1:9877/ws: the gateway refused the token (401); next attempt in 15.0 s"],
        )
        await lab.stop()

    @on_loop
    async def test_gives_up(self) -> None:
        """Where attempts are limited, the last one ends the process; nobody is dialled for ever."""
        lab = ReceiverLab(hello, attempts=2)
        lab.refuse = -1
        await lab.start()
        self.assertEqual(lab.given_up, [])
        await lab.settle(lab.limits.reconnect_first)
        reasons = [str(error) for error in lab.given_up]
        self.assertEqual(reasons, ["gave up after 2 attempts: nothing listens at the gateway's address"])
        self.assertTrue(self.lines[-1].endswith("nothing listens at the gateway's address; giving up"), self.lines)
        await lab.stop()

    @on_loop
    async def test_stopped_while_dialling(self) -> None:
        """To stop ends the wait for the next attempt."""
        lab = ReceiverLab(Gated())
        lab.refuse = -1
        await lab.start()
        await lab.stop()
        self.assertEqual(len(lab.dialled), 1)


class WorkersTests(LogTestCase):
    """A gateway of several processes."""

    def open_links(self, lab: ReceiverLab) -> int:
        """How many links are open."""
        return sum(link.state is State.OPEN for link in lab.gateway.links)

    @on_loop
    async def test_each_worker(self) -> None:
        """It dials until each worker has one link; what leads to one a second time is closed."""
        lab = ReceiverLab(Gated())
        lab.gateway.places = [(1, 3), (1, 3), (2, 3), (2, 3), (3, 3)]
        await lab.start()
        await lab.settle(30.0)
        self.assertEqual((len(lab.dialled), self.open_links(lab), len(lab.service.uplinks)), (5, 3, 3))
        self.assertEqual([str(reason) for reason in lab.gateway.lost], ["the peer closed the link with 1001"] * 2)
        peers = [link.connection.peer for link in lab.gateway.links]
        # No two that are open have the same: a gateway would take the newer one for the other's successor.
        self.assertEqual([peer.link for peer in peers if peer], [0, 1, 2, 3, 1])
        await lab.settle(100.0)
        self.assertEqual(len(lab.dialled), 5)
        await lab.stop()

    @on_loop
    async def test_worker_dies(self) -> None:
        """The link of a worker that died is looked for until another process is that worker."""
        lab = ReceiverLab(Gated(), attempts=3)
        lab.gateway.places = [(1, 2), (2, 2), *[(1, 2)] * 6, (2, 2)]
        await lab.start()
        await lab.settle(5.0)
        self.assertEqual(self.open_links(lab), 2)
        lab.gateway.links[1].abort(ANPError("killed"))
        await lab.settle(60.0)
        self.assertEqual((len(lab.dialled), self.open_links(lab), len(lab.service.uplinks)), (9, 2, 2))
        self.assertEqual(lab.given_up, [])
        await lab.stop()

    @on_loop
    async def test_not_alone(self) -> None:
        """A link that cannot be made is no reason to give up while another one is there."""
        lab = ReceiverLab(Gated(), attempts=2)
        lab.gateway.places = [(1, 2)]
        await lab.start()
        lab.refuse = -1
        await lab.settle(60.0)
        self.assertGreater(len(lab.dialled), 3)
        self.assertEqual(lab.given_up, [])
        lab.gateway.links[0].abort(ANPError("gone"))
        await lab.settle(60.0)
        self.assertTrue(lab.given_up)
        await lab.stop()

    @on_loop
    async def test_fewer(self) -> None:
        """A gateway that comes back as one process gets one link."""
        lab = ReceiverLab(Gated())
        lab.gateway.places = [(1, 2), (2, 2)]
        await lab.start()
        await lab.settle(5.0)
        for link in list(lab.gateway.links):
            link.abort(ANPError("restarted"))
        await lab.settle(60.0)
        self.assertEqual((self.open_links(lab), len(lab.service.uplinks)), (1, 1))
        await lab.stop()


class GoawayTests(LogTestCase):
    """The gateway says goodbye."""

    @on_loop
    async def test_next_gateway(self) -> None:
        """What runs finishes on the old link, beside a new one; then the old one is closed, and is not missed."""
        app = Gated()
        lab = ReceiverLab(app, attempts=1)
        await lab.start()
        old = lab.gateway.links[0]
        caller = lab.gateway.request()
        await lab.settle()
        old.leave(retry_after=3.0)
        await lab.settle()
        self.assertEqual(len(lab.dialled), 1)
        await lab.settle(3.5)
        self.assertEqual(len(lab.gateway.links), 2)
        peers = [link.connection.peer for link in lab.gateway.links]
        self.assertEqual([peer.instance for peer in peers if peer], ["i", "i"])
        app.go.set()
        await lab.settle()
        self.assertIsNone(await caller.outcome)
        self.assertEqual([str(reason) for reason in lab.gateway.lost], ["the peer closed the link with 1001"])
        self.assertEqual((len(lab.service.uplinks), lab.given_up), (1, []))
        another = lab.gateway.request()
        await lab.settle(100.0)
        self.assertIsNone(await another.outcome)
        self.assertEqual(len(lab.dialled), 2)
        await lab.stop()

    @on_loop
    async def test_lost_meanwhile(self) -> None:
        """An old link that is lost before its requests end is not replaced a second time."""
        lab = ReceiverLab(Gated())
        await lab.start()
        lab.gateway.request()
        await lab.settle()
        lab.gateway.links[0].leave()
        await lab.settle(1.0)
        lab.gateway.links[0].abort(ANPError("gone"))
        await lab.settle(100.0)
        self.assertEqual((len(lab.dialled), len(lab.service.uplinks)), (2, 1))
        await lab.stop()

    @on_loop
    async def test_stopped_meanwhile(self) -> None:
        """A receiver that is stopped before it found the next gateway looks for it no longer."""
        app = Gated()
        lab = ReceiverLab(app)
        await lab.start()
        lab.gateway.request()
        await lab.settle()
        lab.gateway.links[0].leave(retry_after=10.0)
        await lab.settle()
        stopped = lab.service.stopService()
        await lab.settle(15.0)
        self.assertEqual((stopped.called, len(lab.dialled)), (False, 1))
        app.go.set()
        await lab.settle()
        await stopped.asFuture(the_loop())
        self.assertEqual((len(lab.dialled), lab.clock.getDelayedCalls()), (1, []))

    @on_loop
    async def test_both_leave(self) -> None:
        """A gateway that says goodbye to a receiver that is stopping is not replaced."""
        app = Gated()
        lab = ReceiverLab(app)
        await lab.start()
        lab.gateway.request()
        await lab.settle()
        stopped = lab.service.stopService()
        lab.gateway.links[0].leave()
        await lab.settle(15.0)
        self.assertEqual((stopped.called, len(lab.dialled), len(lab.service.uplinks)), (False, 1, 1))
        app.go.set()
        await lab.settle()
        await stopped.asFuture(the_loop())

    @on_loop
    async def test_again_and_again(self) -> None:
        """Goodbyes without end leave a bounded number of links, the oldest are closed."""
        lab = ReceiverLab(Gated())
        await lab.start()
        for _ in range(12):
            lab.gateway.request()
            await lab.settle()
            lab.gateway.links[-1].leave()
            await lab.settle(1.0)
        self.assertEqual((len(lab.gateway.links), len(lab.service.uplinks)), (13, 8))
        self.assertEqual(len(lab.gateway.lost), 5)
        lab.service.bridge.abort()
        await lab.stop()


class StopTests(LogTestCase):
    """The receiver is to stop."""

    @on_loop
    async def test_drains(self) -> None:
        """Goodbye is said, what runs is answered, the link is closed in order, then the application stops."""
        app = Gated()
        lab = ReceiverLab(app)
        await lab.start()
        caller = lab.gateway.request()
        await lab.settle()
        stopped = lab.service.stopService()
        await lab.settle(5.0)
        self.assertEqual((stopped.called, app.life, lab.gateway.links[0].connection.room), (False, ["startup"], 0))
        app.go.set()
        lab.moving = False
        await lab.settle()
        # The answer is on its way, so the link is still there, and the receiver with it.
        self.assertEqual((stopped.called, caller.outcome.done()), (False, False))
        lab.moving = True
        await lab.settle()
        self.assertIsNone(await caller.outcome)
        self.assertEqual(caller.body, b"hello")
        self.assertEqual([str(reason) for reason in lab.gateway.lost], ["the peer closed the link with 1001"])
        await stopped.asFuture(the_loop())
        self.assertEqual((app.life, lab.service.phase), (["startup", "shutdown"], Phase.STOPPED))
        await lab.settle(100.0)
        self.assertEqual((len(lab.dialled), lab.clock.getDelayedCalls()), (1, []))

    @on_loop
    async def test_deadline(self) -> None:
        """What does not end in time is cut, and told so."""
        app = Gated()
        lab = ReceiverLab(app)
        await lab.start()
        caller = lab.gateway.request()
        await lab.settle()
        stopped = lab.service.stopService()
        await lab.settle(lab.limits.drain - 1)
        self.assertFalse(caller.outcome.done())
        await lab.settle(1)
        await stopped.asFuture(the_loop())
        reset = await caller.outcome
        assert reset is not None
        self.assertEqual((reset.code, app.life), (Code.DRAINING, ["startup", "shutdown"]))
        self.assertIn("1 requests did not end in time", self.lines)

    @on_loop
    async def test_at_once(self) -> None:
        """Asked again, it waits for nothing, not even for the application."""
        never = asyncio.Event()

        async def app(scope: Message, receive: Receive, send: Send) -> None:
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
            await never.wait()

        lab = ReceiverLab(app, Limits())
        await lab.start()
        caller = lab.gateway.request()
        await lab.settle()
        stopped = lab.service.stopService()
        await lab.settle()
        self.assertFalse(stopped.called)
        lab.service.stop_at_once()
        self.assertTrue(lab.pipes[0].ends[0][1].aborted)
        await lab.settle()
        self.assertTrue(stopped.called)
        self.assertTrue(caller.outcome.done())
        self.assertEqual(lab.clock.getDelayedCalls(), [])

    @on_loop
    async def test_at_once_needs_a_stop(self) -> None:
        """Without a stop before there is nothing to hurry."""
        lab = ReceiverLab(hello)
        await lab.start()
        lab.service.stop_at_once()
        self.assertEqual(lab.service.phase, Phase.SERVING)
        await lab.stop()

    @on_loop
    async def test_link_lost_meanwhile(self) -> None:
        """A link that is lost while draining is not replaced, and its calls get no more than the grace."""
        lab = ReceiverLab(Gated())
        await lab.start()
        lab.gateway.request()
        await lab.settle()
        stopped = lab.service.stopService()
        await lab.settle()
        lab.gateway.links[0].abort(ANPError("gone"))
        await lab.settle()
        await stopped.asFuture(the_loop())
        self.assertEqual(len(lab.dialled), 1)

    @on_loop
    async def test_again(self) -> None:
        """A receiver that was stopped can be started again."""
        lab = ReceiverLab(hello)
        for count in (1, 2):
            await lab.start()
            self.assertEqual(len(lab.gateway.links), count)
            await lab.stop()


class HelloTests(SynchronousTestCase):
    """What a receiver says of itself."""

    def hello(self, limits: Limits) -> None:
        gateway = Gateway(url="", endpoint=None, headers=dict, paths=("/a", "/b"), instance="i")  # type: ignore[arg-type]
        said = hello_of(gateway, limits, 3)
        self.assertEqual((said.versions, said.paths, said.instance, said.link), ([2], ["/a", "/b"], "i", 3))
        self.assertTrue(said.software.startswith("anp-twisted/"))
        self.assertLessEqual(said.capacity, said.max_streams)
        self.assertLessEqual(said.max_streams, limits.streams)
        # Streams that no one reads may hold all they were given, and another still moves.
        self.assertGreater(said.connection_window, said.capacity * said.window)
        self.assertLess(said.connection_window, 2**31)

    def test_windows(self) -> None:
        """Whatever the capacity, all stalled streams together cannot stop another."""
        for capacity in (1, 100, 1024, 1_000_000):
            self.hello(Limits(in_flight=capacity))

    def test_reasons(self) -> None:
        """Refused credentials are told apart, whatever way they were refused."""
        for reason, text in [
            (LinkRefused("the gateway answered 401", 401), "the gateway refused the token (401)"),
            (LinkRefused("the gateway answered 503", 503), "the gateway answered 503"),
            (LinkLost("closed", 4003), "the gateway refused the token (4003)"),
            (LinkLost("closed", 1001), "closed"),
            (ANPError(), "the link is gone"),
            (None, "the link is gone"),
        ]:
            self.assertEqual(reason_text(reason), text)
