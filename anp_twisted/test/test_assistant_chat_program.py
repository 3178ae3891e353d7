"""Tests for L{anp_twisted.assistant.chat.program}."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.link import LinkDown
from anp_twisted.assistant.chat.program import DONE, FAILED, STOPPED, Conversation, Errand, Wish
from anp_twisted.errors import CredentialError
from anp_twisted.test.chatlab import AT, KEY, FakeGateway, delta, final, said


class ErrandTests(SynchronousTestCase):
    """One thing, and the status."""

    def setUp(self) -> None:
        """A gateway."""
        self.gateway = FakeGateway()

    def run_(self, **wish: Any) -> Deferred[int]:
        """Do something."""
        self.errand = Errand(Wish(session="main", **wish), self.gateway.terminal(), self.gateway.means())
        return Deferred.fromCoroutine(self.errand.run())

    def test_say(self) -> None:
        """The answer is on the standard output, and nothing else."""
        running = self.run_(text="hello", mode="fast")
        self.gateway.tell(said(), delta("hel"), final("hello"))
        self.assertEqual((self.successResultOf(running), self.gateway.text, self.gateway.notes), (DONE, "hello\n", ""))
        self.assertEqual((self.gateway.named("chat.send_stream")[0].mode, self.gateway.closed), ("fast", 1))

    def test_ends(self) -> None:
        """Without an answer the status says so."""
        for code, status in (("agent_error", FAILED), ("cancelled", STOPPED)):
            running = self.run_(text="hello")
            self.assertTrue(self.errand.interrupt())
            self.gateway.tell(said(), types.ChatFailed(KEY, 6, AT, "m", "r", code, "why"))
            self.assertEqual(self.successResultOf(running), status)

    def test_errors(self) -> None:
        """What goes wrong is one line."""
        self.gateway.dials = [LinkDown("connection refused")]
        self.assertEqual(self.successResultOf(self.run_(text="hello")), FAILED)
        self.assertEqual(self.gateway.notes, "anp-chat: connection refused\n")
        self.gateway.answers["connect"] = lambda params: fail(CredentialError("no token"))
        self.assertEqual(self.successResultOf(self.run_(text="hello")), FAILED)
        self.assertIn("no token", self.gateway.notes)

    def test_looks(self) -> None:
        """Sessions, history and links are printed."""
        for look in ("sessions", "history", "link", "delete"):
            self.assertEqual(self.successResultOf(self.run_(look=look, page="http://a/")), DONE)
        lines = self.gateway.text.splitlines()
        self.assertEqual(lines, [f"  {AT}  main", f"[{AT}] you:", "  hi", "http://a/#link=secret"])
        self.assertEqual(self.gateway.named("session.delete"), [types.SessionParams("main")])

    def test_operator(self) -> None:
        """An operator sees channels and pairings, and decides."""
        for look in ("channels", "pairings", "approve", "reject"):
            self.assertEqual(self.successResultOf(self.run_(look=look, code="AB")), DONE)
        listed = [
            "home  waiting  3 to send  reset",
            f"AB  home  7  waits until {AT}",
            f"approved  home  8  {AT}",
            "approved  home  7",
            "rejected  home  7",
        ]
        self.assertEqual(self.gateway.text.splitlines(), listed)
        self.assertEqual(self.gateway.named("pairing.approve"), [types.PairingParams("AB")])

    def test_nothingToDelete(self) -> None:
        """Deleting what is not there is no success."""
        self.gateway.answers["session.delete"] = lambda params: succeed(types.Deleted(False))
        self.assertEqual(self.successResultOf(self.run_(look="delete")), FAILED)

    def test_pages(self) -> None:
        """A long list is asked for page by page."""
        info = types.SessionInfo(KEY, "default", "ws", "main", AT, AT, 4)
        pages = [types.SessionList((info,) * 200, "next"), types.SessionList((info,), None)]
        self.gateway.answers["session.list"] = lambda params: succeed(pages.pop(0))
        self.assertEqual(self.successResultOf(self.run_(look="sessions")), DONE)
        self.assertEqual([one.after for one in self.gateway.named("session.list")], [None, "next"])
        self.assertEqual(len(self.gateway.text.splitlines()), 201)


class ConversationTests(SynchronousTestCase):
    """Somebody types."""

    def setUp(self) -> None:
        """Somebody sits there."""
        self.gateway = FakeGateway()
        self.talk = Conversation(Wish(session="main"), self.gateway.terminal(), self.gateway.means())
        self.talk.connectionMade()

    def type(self, *lines: str) -> None:
        """Type lines."""
        for line in lines:
            self.talk.lineReceived(line.encode())

    def texts(self) -> list[str]:
        """What was said."""
        return [one.text for one in self.gateway.named("chat.send_stream")]

    def answer(self, seq: int) -> None:
        """Answer what was said last."""
        self.gateway.tell(said(seq), final("ok", seq + 1))

    def test_turns(self) -> None:
        """What is typed while an answer comes has its turn behind it."""
        self.type("one", "two")
        self.assertEqual(self.texts(), ["one"])
        self.answer(5)
        self.assertEqual((self.texts(), self.gateway.text), (["one", "two"], "ok\n"))

    def test_prompt(self) -> None:
        """There is a prompt whenever somebody is asked to type."""
        self.assertTrue(self.gateway.notes.endswith("> "))
        self.type("one")
        self.assertEqual(self.gateway.notes.count("> "), 1)
        self.answer(5)
        self.assertEqual(self.gateway.notes.count("> "), 2)

    def test_commands(self) -> None:
        """Commands do what they say, mistakes are told, and the conversation goes on."""
        self.type("/sessions", "/history 3", "/help", "/nothing", "/delete other", "/delete main")
        self.assertEqual(self.gateway.named("chat.history")[0].limit, 3)
        self.assertIn("  hi\n", self.gateway.text)
        self.assertIn("/quit", self.gateway.text)
        for note in ("there is no command /nothing", "there is no session other", "deleted"):
            self.assertIn(note, self.gateway.notes)
        self.type("one")
        self.assertEqual(self.texts(), ["one"])

    def test_session(self) -> None:
        """Another session is another conversation; the old connection is closed."""
        self.type("one")
        self.answer(5)
        self.type("/session work", "two")
        self.assertEqual([one.session_key for one in self.gateway.named("chat.send_stream")], ["main", "work"])
        self.assertEqual(self.gateway.closed, 1)

    def test_interrupt(self) -> None:
        """Ctrl-C and /abort stop the answer and what waits behind it; without an answer Ctrl-C is not for us."""
        self.assertFalse(self.talk.interrupt())
        self.type("one", "two", "/abort")
        self.assertEqual(len(self.gateway.named("chat.abort")), 1)
        self.gateway.tell(said(5), types.ChatFailed(KEY, 6, AT, "m", "r", "cancelled", ""))
        self.assertEqual((self.texts(), self.talk.interrupt()), (["one"], False))

    def test_quit(self) -> None:
        """Who quits is gone; nothing typed behind it is done."""
        self.type("/quit", "one")
        self.assertEqual((self.successResultOf(self.talk.ended), self.texts()), (DONE, []))

    def test_endOfInput(self) -> None:
        """At the end of the input what was typed is still done."""
        self.type("one", "two")
        self.talk.connectionLost()
        self.assertNoResult(self.talk.ended)
        self.answer(5)
        self.answer(7)
        self.assertEqual((self.successResultOf(self.talk.ended), self.texts()), (DONE, ["one", "two"]))

    def test_errors(self) -> None:
        """What fails is told, and the next line has its turn."""
        self.gateway.refuse("chat.history", "not_found")
        self.type("/history", "/sessions")
        self.assertIn("not_found!", self.gateway.notes)
        self.gateway.answers["chat.history"] = lambda params: fail(ZeroDivisionError())
        self.type("/history", "/sessions")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.gateway.text.count("main"), 2)

    def test_tooMuch(self) -> None:
        """Of lines only so many wait."""
        self.type("one", *["x"] * 150)
        self.assertEqual(self.gateway.notes.count("too many lines"), 50)
        self.talk.lineLengthExceeded(b"")
        self.assertEqual(self.successResultOf(self.talk.ended), FAILED)
