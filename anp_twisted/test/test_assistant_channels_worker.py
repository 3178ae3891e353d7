"""Tests for L{anp_twisted.assistant.channels.worker}."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.interface import Capabilities, ChannelFailed, Trouble
from anp_twisted.assistant.channels.outbox import Outbox, Put
from anp_twisted.assistant.channels.outboxfile import OutboxFile
from anp_twisted.assistant.channels.worker import OutboundWorker, Outlet
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.messages import OutboundMessage
from anp_twisted.limits import Limits
from anp_twisted.test.channellab import FakeService, failing, journal, outbound

LIMITS = Limits(outbox=5, outbox_per_chat=4, outbox_pause_first=2.0, outbox_age=100.0, channel_send=10.0)


class WorkerTests(SynchronousTestCase):
    """One account's messages."""

    def setUp(self) -> None:
        """A worker that is not open yet."""
        self.folder = self.mktemp()
        os.mkdir(self.folder)
        self.clock = Clock()
        self.service = FakeService()
        self.troubles: list[ChannelFailed] = []
        self.worker = self.make()

    def make(self, writer: Journal | None = None) -> OutboundWorker:
        """A worker over the same file."""
        path = os.path.join(self.folder, "x.jsonl")
        file = OutboxFile(path, writer or journal(), lambda: 1000.0 + self.clock.seconds(), LIMITS)
        worker = OutboundWorker("fake", Outbox(LIMITS, lambda: 0.0), file, self.clock, LIMITS)
        worker.load()
        return worker

    def open(self, worker: OutboundWorker | None = None) -> None:
        """Let it send."""

        def send(message: OutboundMessage) -> Deferred[None]:
            return self.service.sends(message).addCallback(lambda ignored: self.service.sent.append(message))

        (worker or self.worker).open(Outlet(send, self.service.capabilities, self.troubles.append))

    def put(self, *names: str, chat: str = "c") -> list[Put]:
        """Put messages."""
        return [self.successResultOf(self.worker.put(outbound(f"text {name}", chat, name))) for name in names]

    def test_sent(self) -> None:
        """What is put is sent, in order, and is not there any more, here or for another process."""
        self.open()
        self.put("1", "2")
        self.assertEqual((self.service.texts, self.worker.queued), (["text 1", "text 2"], 0))
        self.assertEqual((self.make().queued, self.worker.totals.sent), (0, 2))

    def test_waitsForItsChannel(self) -> None:
        """While there is no channel messages wait, also over the end of the process, in their order."""
        self.put("1", "2")
        self.assertEqual((self.worker.queued, self.service.sent), (2, []))
        again = self.make()
        self.open(again)
        self.assertEqual((self.service.texts, again.queued), (["text 1", "text 2"], 0))

    def test_sentOnce(self) -> None:
        """A message that is put again is not sent again, not by a later process either."""
        self.open()
        self.assertEqual(self.put("1", "1"), [Put.ACCEPTED, Put.KNOWN])
        self.worker = self.make()
        self.open()
        self.assertEqual((self.put("1"), self.service.texts), ([Put.KNOWN], ["text 1"]))

    def test_manyAtOnce(self) -> None:
        """A service that answers at once is no deeper stack."""
        limits = Limits()
        file = OutboxFile(os.path.join(self.folder, "y.jsonl"), journal(), lambda: 0.0, limits)
        worker = OutboundWorker("fake", Outbox(limits, lambda: 0.0), file, self.clock, limits)
        for number in range(900):
            self.successResultOf(worker.put(outbound(chat=str(number % 90), name=str(number))))
        self.open(worker)
        self.assertEqual((len(self.service.sent), worker.queued), (900, 0))

    def test_again(self) -> None:
        """After a failure it is tried again, after the pause that the service asks for; other chats go on."""
        self.service.sends = failing(ChannelFailed("busy", retry_after=30.0))
        self.open()
        self.put("1", "2")
        self.put("3", chat="d")
        self.assertEqual(self.service.texts, ["text 3"])
        self.clock.advance(30.9)
        self.assertEqual(self.service.texts, ["text 3"])
        self.clock.advance(0.2)
        self.assertEqual(self.service.texts, ["text 3", "text 1", "text 2"])
        self.assertEqual(self.worker.totals.attempts_failed, 1)

    def test_wholeAccount(self) -> None:
        """Where the service speaks of the account, every chat waits."""
        self.service.sends = failing(ChannelFailed("busy", retry_after=30.0, whole_account=True))
        self.open()
        self.put("1")
        self.put("2", chat="d")
        self.assertEqual(self.service.sent, [])
        self.clock.pump([30.0, 1.0])
        self.assertEqual(sorted(self.service.texts), ["text 1", "text 2"])

    def test_refused(self) -> None:
        """What the service never takes does not hold up what is behind it."""
        self.service.sends = failing(ChannelFailed("chat is gone", Trouble.REFUSED))
        self.open()
        self.put("1", "2")
        self.assertEqual((self.service.texts, self.worker.queued, self.worker.totals.refused), (["text 2"], 0, 1))
        self.assertEqual(self.make().queued, 0)

    def test_credentials(self) -> None:
        """Where the account is not taken, the channel hears of it, and the message waits for another."""
        self.service.sends = failing(ChannelFailed("token revoked", Trouble.CREDENTIALS))
        self.open()
        self.put("1")
        self.assertEqual(([one.trouble for one in self.troubles], self.worker.queued), ([Trouble.CREDENTIALS], 1))

    def test_silence(self) -> None:
        """A message that is not confirmed in time is tried again."""
        never: Deferred[None] = Deferred()
        answers = [never, succeed(None)]
        self.service.sends = lambda message: answers.pop(0)
        self.open()
        self.put("1")
        self.clock.advance(10.0)
        self.assertEqual(self.service.sent, [])
        self.clock.advance(1.0)
        self.assertEqual(self.service.texts, ["text 1"])

    def test_unforeseen(self) -> None:
        """Whatever a channel raises costs an attempt; it is logged."""
        answers: list[Deferred[None]] = [fail(ZeroDivisionError()), succeed(None)]
        self.service.sends = lambda message: answers.pop(0)
        self.open()
        self.put("1")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(1.0)
        self.assertEqual(self.service.texts, ["text 1"])

    def test_closed(self) -> None:
        """Without its channel it sends nothing; what was under way is sent by the next one."""
        self.service.sends = lambda message: Deferred()
        self.open()
        self.put("1")
        self.worker.close()
        self.service.sends = lambda message: succeed(None)
        self.clock.advance(50.0)
        self.assertEqual((self.service.sent, self.worker.queued, self.clock.getDelayedCalls()), ([], 1, []))
        self.open()
        self.assertEqual(self.service.texts, ["text 1"])

    def test_expired(self) -> None:
        """A message that nobody takes for too long is given up; its age counts over processes."""
        self.put("1")
        self.clock.advance(60.0)
        self.worker = self.make()
        self.service.sends = lambda message: fail(ChannelFailed("away", retry_after=300.0))
        self.open()
        self.clock.advance(39.0)
        self.assertEqual(self.worker.queued, 1)
        self.clock.advance(1.1)
        self.assertEqual((self.worker.queued, self.worker.totals.expired), (0, 1))

    def test_pieces(self) -> None:
        """A long message goes in pieces, each tried by itself; the first one answers, the last has the attachments."""
        self.service.capabilities = Capabilities(text=200)
        failures = failing()
        self.open()
        message = OutboundMessage(channel="fake", chat_id="c", content="word " * 100, id="1", reply_to="9")
        answers = [succeed(None), fail(ChannelFailed("busy")), succeed(None)]
        self.service.sends = lambda message: answers.pop(0) if answers else failures()
        self.successResultOf(self.worker.put(message))
        self.clock.advance(5.0)
        self.assertEqual([one.id for one in self.service.sent], ["1", "1/2", "1/3", "1/4"])
        self.assertEqual([one.reply_to for one in self.service.sent], ["9", None, None, None])
        self.assertEqual(" ".join(self.service.texts).split(), ["word"] * 100)

    def test_full(self) -> None:
        """Whoever puts too much hears it; all pieces are put, or none."""
        self.assertEqual(self.put("1", "2", "3", "4", "5")[3:], [Put.ACCEPTED, Put.BUSY])
        self.assertEqual(self.put("6", "7", chat="d"), [Put.ACCEPTED, Put.FULL])
        self.assertEqual(self.worker.queued, 5)

    def test_roomWhileWriting(self) -> None:
        """What is just being written takes up room, and its id is known."""
        self.worker = self.make(Journal(lambda work: Deferred()))
        waiting = [self.worker.put(outbound(name=str(number))) for number in range(4)]
        self.assertEqual(self.put("5"), [Put.BUSY])
        self.assertEqual(self.put("3"), [Put.KNOWN])
        for one in waiting:
            self.assertNoResult(one)

    def test_diskFull(self) -> None:
        """What cannot be written is not sent, and leaves no trace."""
        self.worker = self.make(Journal(lambda work: fail(OSError("full"))))
        self.open()
        self.failureResultOf(self.worker.put(outbound()))
        self.assertEqual((self.worker.queued, self.service.sent), (0, []))
