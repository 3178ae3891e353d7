"""Tests for L{anp_twisted.assistant.chat.chat}."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.chat import Chat
from anp_twisted.assistant.chat.link import CallFailed, LinkDown
from anp_twisted.assistant.chat.transcript import Kind
from anp_twisted.test.chatlab import AT, KEY, FakeGateway, delta, final, said


class ChatTests(SynchronousTestCase):
    """A conversation over connections that come and go."""

    def setUp(self) -> None:
        """A gateway, and nobody connected."""
        self.gateway = FakeGateway()
        self.chat = Chat("main", self.gateway.terminal(), self.gateway.means())

    def say(self, text: str = "hello") -> Deferred[Kind]:
        """Say something."""
        return Deferred.fromCoroutine(self.chat.say(text))

    def test_say(self) -> None:
        """What is said goes out once; the answer is shown as it comes, and the end ends it."""
        saying = self.say()
        methods = [method for method, _ in self.gateway.calls]
        self.assertEqual(methods, ["connect", "session.create", "session.subscribe", "chat.send_stream"])
        self.gateway.tell(said(), delta("he"))
        self.assertEqual(self.gateway.text, "he")
        self.assertNoResult(saying)
        self.gateway.tell(delta("llo", 2), final("hello"))
        self.assertEqual((self.successResultOf(saying), self.gateway.text), (Kind.DONE, "hello\n"))
        self.say()
        self.assertEqual(self.gateway.named("chat.send_stream")[1].idempotency_key, "key2")
        self.assertEqual(len(self.gateway.named("session.create")), 1)

    def test_eventsBeforeTheAnswer(self) -> None:
        """Events that come before the call is answered are not lost."""
        accepted: Deferred[object] = Deferred()
        self.gateway.answers["chat.send_stream"] = lambda params: accepted
        saying = self.say()
        self.gateway.tell(said(), delta("hello"), final("hello"))
        self.assertEqual(self.gateway.text, "")
        accepted.callback(types.Accepted("m", "u", "r", 5, AT))
        self.assertEqual((self.successResultOf(saying), self.gateway.text), (Kind.DONE, "hello\n"))

    def test_others(self) -> None:
        """What others do in the same session is not shown; neither are other sessions."""
        saying = self.say()
        self.gateway.tell(said(), delta("other", run="q"), final("other", 6, "q"))
        self.gateway.tell(types.ChatDelta("other", "m", "r", 0, 0, "x"))
        self.gateway.tell(delta("mine"), final("mine", 7))
        self.assertEqual((self.successResultOf(saying), self.gateway.text), (Kind.DONE, "mine\n"))

    def test_resume(self) -> None:
        """After a lost connection it goes on where it was, from the last record that came; nothing is shown twice."""
        saying = self.say()
        self.gateway.tell(said(), delta("hello "))
        self.gateway.dials = [LinkDown("away")] * 2
        self.gateway.drop()
        self.gateway.clock.pump([1.0, 2.0])
        self.assertEqual([one.after_seq for one in self.gateway.named("session.subscribe")], [4, 5])
        self.assertEqual(len(self.gateway.named("chat.send_stream")), 1)
        self.gateway.tell(delta("hello wor"), final("hello world"))
        self.assertEqual((self.successResultOf(saying), self.gateway.text), (Kind.DONE, "hello world\n"))
        self.assertIn("reset; connecting again", self.gateway.notes)

    def test_saidOnce(self) -> None:
        """What was not confirmed is said again, with the same key."""
        answers: list[Deferred[object]] = [fail(LinkDown("reset")), Deferred()]
        self.gateway.answers["chat.send_stream"] = lambda params: answers.pop(0)
        self.say()
        self.assertEqual([one.idempotency_key for one in self.gateway.named("chat.send_stream")], ["key1", "key1"])

    def test_pauses(self) -> None:
        """Attempts come with growing pauses, without end."""
        self.say()
        self.gateway.dials = [LinkDown("away")] * 20
        self.gateway.drop()
        self.gateway.clock.pump([1.0, 2.0, 4.0, 4.0])
        self.assertEqual(len(self.gateway.dials), 15)
        self.gateway.clock.pump([4.0] * 20)
        self.assertEqual((self.gateway.dials, len(self.gateway.links)), ([], 2))

    def test_nobodyThere(self) -> None:
        """Where there never was a gateway, it is told at once."""
        self.gateway.dials = [LinkDown("connection refused")]
        self.failureResultOf(self.say(), LinkDown)

    def test_wrongToken(self) -> None:
        """A token that is not taken is told, at the start and when it is revoked in the middle."""
        self.gateway.refuse("connect", "unauthenticated")
        self.failureResultOf(self.say(), CallFailed)
        gateway, self.gateway = self.gateway, FakeGateway()
        self.chat = Chat("main", self.gateway.terminal(), self.gateway.means())
        saying = self.say()
        self.gateway.answers["connect"] = gateway.answers["connect"]
        self.gateway.drop()
        self.assertEqual(self.successResultOf(saying), Kind.FAILED)
        self.assertIn("no answer: unauthenticated!", self.gateway.notes)

    def test_gap(self) -> None:
        """Where a record is missing, it is asked for; what comes then is taken in order."""
        saying = self.say()
        self.gateway.tell(final("hello", 9))
        self.assertEqual([one.after_seq for one in self.gateway.named("session.subscribe")], [4, 4])
        self.assertNoResult(saying)
        self.gateway.tell(said(5), final("hello", 6))
        self.assertEqual(self.successResultOf(saying), Kind.DONE)

    def test_resync(self) -> None:
        """A reader who was too slow asks for what was missed."""
        self.say()
        self.gateway.tell(said(), types.Resync(KEY, 5))
        self.assertEqual([one.after_seq for one in self.gateway.named("session.subscribe")], [4, 5])

    def test_abort(self) -> None:
        """Stopping asks the gateway; the end comes from there."""
        self.assertFalse(self.chat.abort())
        saying = self.say()
        self.assertTrue(self.chat.abort())
        self.assertEqual(self.gateway.named("chat.abort"), [types.AbortParams("main", "r")])
        self.gateway.tell(said(), types.ChatFailed(KEY, 6, AT, "m", "r", "cancelled", "stopped", text="so far"))
        self.assertEqual((self.successResultOf(saying), self.gateway.text), (Kind.STOPPED, "so far\n"))
        self.assertFalse(self.chat.abort())

    def test_abortWithoutConnection(self) -> None:
        """Where it cannot be stopped now, that is said."""
        self.say()
        self.gateway.dials = [LinkDown("away")]
        self.gateway.drop()
        self.assertTrue(self.chat.abort())
        self.assertIn("there is no connection", self.gateway.notes)

    def test_notTaken(self) -> None:
        """What the gateway does not take is told, and another message can be said."""
        self.gateway.refuse("chat.send_stream", "rate_limited")
        self.failureResultOf(self.say(), CallFailed)
        self.assertFalse(self.chat.abort())

    def test_deleted(self) -> None:
        """A session that is deleted by somebody ends the answer; the next message makes it anew."""
        saying = self.say()
        self.gateway.tell(types.SessionDeleted(KEY, 5, AT))
        self.assertEqual(self.successResultOf(saying), Kind.FAILED)
        self.say()
        self.assertEqual(len(self.gateway.named("session.create")), 2)

    def test_close(self) -> None:
        """Who leaves is not connected again."""
        self.say()
        self.chat.close()
        self.gateway.drop()
        self.assertEqual(
            (self.gateway.closed, len(self.gateway.links), self.gateway.clock.getDelayedCalls()), (1, 1, [])
        )
