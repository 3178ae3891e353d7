"""Tests for L{anp_twisted.assistant.channels.host}."""

from __future__ import annotations

import os
from itertools import count

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.host import ChannelHost, ChannelPlan, Means
from anp_twisted.assistant.channels.interface import ChannelFailed, Received
from anp_twisted.assistant.errors import NotFound
from anp_twisted.assistant.messages import InboundMessage
from anp_twisted.errors import SettingsError
from anp_twisted.limits import Limits
from anp_twisted.test.channellab import FakeService, inbound, journal, surroundings


class HostTests(SynchronousTestCase):
    """Channels, assistant and operator together."""

    def setUp(self) -> None:
        """Two channels: one for sender 7, one for nobody."""
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.clock = Clock()
        self.first, self.second = FakeService(), FakeService()
        self.numbers = count()
        self.ids = count()
        self.host = self.make()

    def make(self, *, pairing: bool = True) -> ChannelHost:
        """A host over the same folder, started."""
        limits = Limits()
        means = Means(
            around=lambda take: surroundings(self.clock, limits, take),
            journal=journal(),
            folder=self.folder,
            code=lambda: f"ABCD{next(self.numbers):04}",
            new_id=lambda: f"id{next(self.ids)}",
            limits=limits,
        )
        plans = [ChannelPlan("fake", self.first.make, ("7",)), ChannelPlan("other", self.second.make)]
        host = ChannelHost(plans, self.answer, means, pairing=pairing)
        host.startService()
        return host

    def answer(self, message: InboundMessage) -> Deferred[str]:
        """The assistant says everything twice."""
        return succeed(message.content * 2)

    def test_answer(self) -> None:
        """What somebody writes who may is answered, where he wrote it."""
        self.assertEqual(self.first.port.receive(inbound("ho", chat="c")), Received.ACCEPTED)
        self.assertEqual([(one.chat_id, one.content) for one in self.first.sent], [("c", "hoho")])
        self.assertEqual(self.second.sent, [])

    def test_pairing(self) -> None:
        """A stranger is told a code; once the operator approves it he is answered, also by a later process."""
        stranger = inbound("let me in", sender="9", channel="other")
        self.assertEqual(self.second.port.receive(stranger), Received.NOT_ALLOWED)
        self.assertIn("ABCD-0000", self.second.texts[0])
        listed = self.host.pairing_list()
        self.assertEqual(
            [(one.code, one.channel, one.sender_id) for one in listed.requests], [("ABCD0000", "other", "9")]
        )
        self.assertEqual(listed.requests[0].expires_at, "1970-01-01T01:16:40.000Z")
        decision = self.successResultOf(self.host.pairing_approve("abcd-0000"))
        self.assertEqual((decision.channel, decision.sender_id, decision.state), ("other", "9", "approved"))
        self.assertEqual(self.second.port.receive(stranger), Received.ACCEPTED)
        self.assertEqual(self.second.texts[1:], ["let me inlet me in"])
        self.successResultOf(self.host.stopService())
        self.host = self.make()
        self.assertEqual(self.second.port.receive(stranger), Received.ACCEPTED)
        self.assertEqual([one.sender_id for one in self.host.pairing_list().approved], ["9"])

    def test_revoke(self) -> None:
        """Who is let in no longer is a stranger again, also for a later process."""
        stranger = inbound(sender="9", channel="other")
        self.second.port.receive(stranger)
        self.successResultOf(self.host.pairing_approve("ABCD0000"))
        self.assertTrue(self.successResultOf(self.host.pairing_revoke("other", "9")).revoked)
        self.assertFalse(self.successResultOf(self.host.pairing_revoke("other", "9")).revoked)
        self.assertEqual(self.second.port.receive(stranger), Received.NOT_ALLOWED)
        self.host = self.make()
        self.assertEqual(self.second.port.receive(stranger), Received.NOT_ALLOWED)

    def test_reject(self) -> None:
        """A rejected request is gone; a code that nobody has is not found."""
        self.second.port.receive(inbound(sender="9", channel="other"))
        self.assertEqual(self.host.pairing_reject("ABCD0000").state, "rejected")
        self.assertEqual(self.host.pairing_list().requests, ())
        for ask in (self.host.pairing_reject, self.host.pairing_approve):
            self.assertRaises(NotFound, ask, "ABCD0000")

    def test_withoutPairing(self) -> None:
        """Where it is off, strangers are told nothing."""
        self.host = self.make(pairing=False)
        self.assertEqual(self.second.port.receive(inbound(sender="9", channel="other")), Received.NOT_ALLOWED)
        self.assertEqual((self.second.sent, self.host.pairing_list().requests), ([], ()))

    def test_slowChannel(self) -> None:
        """A channel that sends nothing, or does not run, does not delay another."""
        self.first.sends = lambda message: Deferred()
        self.first.port.receive(inbound("1", chat="a"))
        self.first.port.receive(inbound("2", chat="b"))
        self.second.port.receive(inbound(sender="9", channel="other"))
        self.assertEqual(len(self.second.sent), 1)
        self.assertEqual([one.queued for one in self.host.channel_list().channels], [2, 0])

    def test_status(self) -> None:
        """An operator sees what each channel is doing and why."""
        self.second.port.lost(ChannelFailed("reset by the service"))
        listed = self.host.channel_list().channels
        self.assertEqual([(one.name, one.state) for one in listed], [("fake", "running"), ("other", "waiting")])
        one = self.host.channel_status("other")
        self.assertEqual((one.reason, one.since), ("reset by the service", "1970-01-01T00:16:40.000Z"))
        self.assertRaises(NotFound, self.host.channel_status, "x")

    def test_restart(self) -> None:
        """What was not sent when the process stopped is sent by the next one."""
        self.first.sends = lambda message: fail(ChannelFailed("away"))
        self.first.port.receive(inbound("ho"))
        self.successResultOf(self.host.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.first.sends = lambda message: succeed(None)
        self.host = self.make()
        self.assertEqual(self.first.texts, ["hoho"])

    def test_answersUnderWay(self) -> None:
        """Stopping gives answers under way some time, and then no more."""
        answers: list[Deferred[str]] = [Deferred(), Deferred()]
        waiting = list(answers)
        self.answer = lambda message: waiting.pop(0)  # type: ignore[method-assign]
        self.host = self.make()
        for chat in ("a", "b"):
            self.first.port.receive(inbound(chat=chat))
        stopping = self.host.stopService()
        answers[0].callback("in time")
        self.assertEqual(self.first.texts, ["in time"])
        self.clock.advance(Limits().drain / 2)
        self.successResultOf(stopping)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_stopped(self) -> None:
        """Stopped, it takes nothing."""
        port = self.first.port
        self.successResultOf(self.host.stopService())
        self.assertEqual(port.receive(inbound()), Received.FULL)
        self.assertEqual((self.first.calls, self.second.calls), (["start", "stop"], ["start", "stop"]))

    def test_damagedPairings(self) -> None:
        """Approvals that cannot be read let nobody in, and are not written over: the start fails."""
        path = os.path.join(self.folder, "pairings.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write("[{")
        self.assertIn("pairings.json", str(self.assertRaises(SettingsError, self.make)))

    def test_privateFiles(self) -> None:
        """Nobody else can read what is kept."""
        self.first.sends = lambda message: Deferred()
        self.first.port.receive(inbound("ho"))
        self.second.port.receive(inbound(sender="9", channel="other"))
        self.successResultOf(self.host.pairing_approve("ABCD0000"))
        modes = {name: os.stat(os.path.join(self.folder, name)).st_mode & 0o777 for name in os.listdir(self.folder)}
        self.assertEqual(modes, dict.fromkeys(("fake.outbox.jsonl", "other.outbox.jsonl", "pairings.json"), 0o600))
