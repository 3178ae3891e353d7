"""Tests for L{anp_twisted.assistant.channels.account}."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.account import Account
from anp_twisted.assistant.channels.interface import ChannelFailed, Received, State, Trouble
from anp_twisted.assistant.channels.outbox import Outbox
from anp_twisted.assistant.channels.outboxfile import OutboxFile
from anp_twisted.assistant.channels.worker import OutboundWorker
from anp_twisted.assistant.messages import InboundMessage
from anp_twisted.limits import Limits
from anp_twisted.test.channellab import FakeService, failing, inbound, journal, outbound, surroundings

LIMITS = Limits(
    channel_start=10.0, channel_stop=5.0, channel_pause_first=2.0, channel_pause_most=8.0, channel_healthy_after=60.0
)


class AccountTests(SynchronousTestCase):
    """The life of a channel."""

    def setUp(self) -> None:
        """An account that is stopped."""
        folder = self.mktemp()
        os.mkdir(folder)
        self.clock = Clock()
        self.service = FakeService()
        self.taken: list[tuple[str, bool]] = []
        around = surroundings(self.clock, LIMITS, self.take)
        file = OutboxFile(os.path.join(folder, "x"), journal(), around.wall, LIMITS)
        self.worker = OutboundWorker("fake", Outbox(LIMITS, lambda: 0.0), file, self.clock, LIMITS)
        self.account = Account(
            "fake", self.service.make, worker=self.worker, allows=lambda sender: sender == "7", around=around
        )

    def take(self, message: InboundMessage, allowed: bool) -> Received:
        """Note it."""
        self.taken.append((message.content, allowed))
        return Received.ACCEPTED

    def calls(self, *expected: str) -> None:
        """What was asked of the service since the last time."""
        self.assertEqual(self.service.calls, list(expected))
        self.service.calls.clear()

    def is_(self, state: State, reason: str = "") -> None:
        """The state with its reason."""
        self.assertEqual((self.account.state, self.account.reason), (state, reason))

    def test_life(self) -> None:
        """It starts, takes and sends messages, and stops."""
        self.account.start()
        self.is_(State.RUNNING)
        self.assertEqual(self.service.port.receive(inbound("hi")), Received.ACCEPTED)
        self.assertEqual(self.service.port.receive(inbound("ho", sender="8")), Received.ACCEPTED)
        self.assertEqual(self.taken, [("hi", True), ("ho", False)])
        self.worker.put(outbound())
        self.successResultOf(self.account.stop())
        self.calls("start", "send 1", "stop")
        self.is_(State.STOPPED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_sendsWhenItRuns(self) -> None:
        """Until it runs messages wait."""
        starting: Deferred[None] = Deferred()
        self.service.starts = lambda: starting
        self.worker.put(outbound())
        self.account.start()
        self.is_(State.STARTING)
        self.assertEqual(self.service.sent, [])
        starting.callback(None)
        self.assertEqual(self.service.texts, ["hello"])

    def test_doesNotStart(self) -> None:
        """One that does not start is stopped and started again, with pauses that double up to a most."""
        self.service.starts = failing(*[ChannelFailed("away")] * 5)
        self.account.start()
        for pause in (1.0, 2.0, 4.0, 4.0, 4.0):
            self.is_(State.WAITING, "away")
            self.calls("start", "stop")
            self.clock.advance(pause - 0.01)
            self.calls()
            self.clock.advance(0.01)
        self.is_(State.RUNNING)
        self.calls("start")

    def test_retryAfter(self) -> None:
        """It waits as long as the service asks for."""
        self.service.starts = failing(ChannelFailed("too often", retry_after=60.0))
        self.account.start()
        self.clock.advance(60.9)
        self.is_(State.WAITING, "too often")
        self.clock.advance(0.2)
        self.is_(State.RUNNING)

    def test_takesTooLong(self) -> None:
        """One that does not come to an end with starting is cancelled and stopped."""
        self.service.starts = Deferred
        self.account.start()
        self.clock.advance(10.0)
        self.is_(State.WAITING, "it could not be started in time")
        self.calls("start", "stop")

    def test_denied(self) -> None:
        """Where the service does not take the account, nothing is tried until it is stopped and started."""
        self.service.starts = failing(ChannelFailed("bad token", Trouble.CREDENTIALS))
        self.account.start()
        self.clock.advance(10_000.0)
        self.is_(State.REFUSED, "bad token")
        self.calls("start", "stop")
        self.successResultOf(self.account.stop())
        self.account.start()
        self.is_(State.RUNNING)

    def test_deniedWhileSending(self) -> None:
        """That can also come to light when something is sent; the message waits."""
        self.account.start()
        self.service.sends = lambda message: fail(ChannelFailed("revoked", Trouble.CREDENTIALS))
        self.worker.put(outbound())
        self.is_(State.REFUSED, "revoked")
        self.assertEqual(self.worker.queued, 1)
        self.calls("start", "send 1", "stop")

    def test_lost(self) -> None:
        """One that loses its service is made anew; the old one is not heard any more."""
        self.account.start()
        old = self.service.port
        old.lost(ChannelFailed("reset"))
        self.is_(State.WAITING, "reset")
        old.lost(ChannelFailed("again"))
        self.assertEqual(old.receive(inbound()), Received.FULL)
        self.assertFalse(old.is_allowed("7"))
        self.clock.advance(1.0)
        self.is_(State.RUNNING)
        self.assertEqual(len(self.service.channels), 2)
        old.lost(ChannelFailed("once more"))
        self.is_(State.RUNNING)
        self.calls("start", "stop", "start")
        self.assertEqual(self.taken, [])

    def test_healthy(self) -> None:
        """After it ran well for a while, the pauses begin anew."""
        self.service.starts = failing(ChannelFailed("away"), ChannelFailed("away"))
        self.account.start()
        self.clock.pump([1.0, 2.0])
        self.is_(State.RUNNING)
        self.clock.advance(60.0)
        self.service.port.lost(ChannelFailed("reset"))
        self.clock.advance(1.0)
        self.is_(State.RUNNING)

    def test_stopsSlowly(self) -> None:
        """One that does not stop in time is left behind; nothing is started before."""
        stopping: Deferred[None] = Deferred()
        self.service.stops = lambda: stopping
        self.account.start()
        self.service.port.lost(ChannelFailed("reset"))
        self.clock.advance(4.0)
        self.calls("start", "stop")
        self.clock.pump([1.0, 1.0])
        self.is_(State.RUNNING)

    def test_stoppedWhileStarting(self) -> None:
        """Stopping while it starts cancels the start; whoever waits is told when it has let go."""
        cancelled: list[object] = []
        stopping: Deferred[None] = Deferred()
        self.service.starts = lambda: Deferred(cancelled.append)
        self.service.stops = lambda: stopping
        self.account.start()
        ends = [self.account.stop(), self.account.stop()]
        self.is_(State.STOPPING)
        self.assertEqual(len(cancelled), 1)
        self.assertNoResult(ends[0])
        stopping.callback(None)
        for one in ends:
            self.successResultOf(one)
        self.is_(State.STOPPED)
        self.calls("start", "stop")

    def test_stoppedWhileWaiting(self) -> None:
        """Stopping between two starts leaves nothing behind."""
        self.service.starts = failing(ChannelFailed("away"))
        self.account.start()
        self.successResultOf(self.account.stop())
        self.is_(State.STOPPED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_failsToStop(self) -> None:
        """What goes wrong while it stops is logged, and stops nobody."""
        self.service.stops = lambda: fail(ZeroDivisionError())
        self.account.start()
        self.successResultOf(self.account.stop())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.is_(State.STOPPED)

    def test_cannotBeMade(self) -> None:
        """A channel that cannot even be made is tried again; there is nothing to stop."""
        self.account._make = lambda name, port: 1 // 0  # type: ignore[assignment, return-value]
        self.account.start()
        self.is_(State.WAITING, "it cannot be made; see the log")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.calls()
        self.successResultOf(self.account.stop())

    def test_unforeseen(self) -> None:
        """Whatever a channel raises is a failure of this account alone; it is logged."""
        self.service.starts = lambda: fail(ZeroDivisionError())
        self.account.start()
        self.is_(State.WAITING, "it could not be started; see the log")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(self.account.stop())

    def test_cannotJudge(self) -> None:
        """Where a channel cannot say whether somebody may write, he may not."""
        self.account.start()
        for answer in (lambda sender: 1 // 0, lambda sender: "yes"):
            self.service.channels[-1].is_allowed = answer  # type: ignore[method-assign, assignment]
            self.service.port.receive(inbound())
        self.assertEqual(self.taken, [("hello", False)] * 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_notItsOwn(self) -> None:
        """A channel speaks for itself only."""
        self.account.start()
        self.assertEqual(self.service.port.receive(inbound(channel="other")), Received.INVALID)
        self.service.starts = lambda: succeed(None)
        self.assertEqual(self.taken, [])
