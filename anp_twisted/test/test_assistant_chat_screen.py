"""Tests for L{anp_twisted.assistant.chat.screen}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.screen import Terminal, name_of
from anp_twisted.assistant.chat.transcript import Kind, Piece


class TerminalTests(SynchronousTestCase):
    """What is written where."""

    def setUp(self) -> None:
        """Both streams, and both as a terminal mixes them."""
        self.out: list[str] = []
        self.aside: list[str] = []
        self.mixed: list[str] = []
        self.terminal = self.make()

    def make(self, *, colours: bool = False, shared: bool = False) -> Terminal:
        """A screen."""

        def out(text: str) -> None:
            self.out.append(text)
            self.mixed.append(text)

        def aside(text: str) -> None:
            self.aside.append(text)
            self.mixed.append(text)

        return Terminal(out, aside, colours=colours, shared=shared)

    def show(self, *pieces: Piece) -> None:
        """Show pieces."""
        for piece in pieces:
            self.terminal.show(piece)

    def test_answer(self) -> None:
        """The answer alone is on the standard output, with one line end."""
        self.show(Piece(Kind.ANSWER, "he"), Piece(Kind.ANSWER, "llo"), Piece(Kind.DONE))
        self.show(Piece(Kind.ANSWER, "line\n"), Piece(Kind.DONE))
        self.assertEqual(("".join(self.out), self.aside), ("hello\nline\n", []))

    def test_notes(self) -> None:
        """What is said about it is on standard error; where one sees both, on lines of its own."""
        pieces = [Piece(Kind.ANSWER, "he"), Piece(Kind.NOTE, "find: started"), Piece(Kind.ANSWER, "llo")]
        self.terminal = self.make(shared=True)
        self.show(*pieces, Piece(Kind.FAILED, "it is broken"))
        self.assertEqual("".join(self.mixed), "he\nfind: started\nllo\nno answer: it is broken\n")
        self.setUp()
        self.show(*pieces, Piece(Kind.FAILED, "it is broken"))
        self.assertEqual("".join(self.out), "hello\n")
        self.assertEqual("".join(self.aside), "find: started\nno answer: it is broken\n")

    def test_stopped(self) -> None:
        """That it was stopped is said."""
        self.show(Piece(Kind.STOPPED))
        self.assertEqual(self.aside, ["stopped\n"])

    def test_colours(self) -> None:
        """A person sees notes dimmed; what they hold cannot do the same."""
        self.terminal = self.make(colours=True)
        self.terminal.note("a\x1b[31mb")
        self.assertEqual(self.aside, ["\x1b[2ma[31mb\x1b[0m\n"])

    def test_history(self) -> None:
        """Who said what when, and what became of it; a text cannot pass for another message."""
        at = "2026-01-01T00:00:00.000Z"
        said = [
            types.Message("1", "user", "hi\n[x] assistant:", at, 1),
            types.Message("2", "assistant", "ho", at, 2, state="cancelled"),
        ]
        self.terminal.history(said)
        lines = "".join(self.out).splitlines()
        self.assertEqual(lines, [f"[{at}] you:", "  hi", "  [x] assistant:", f"[{at}] assistant, cancelled:", "  ho"])

    def test_sessions(self) -> None:
        """The latest is the first; the current one is marked."""
        infos = [
            types.SessionInfo(f"default:ws:@ann:direct:{name}:", "default", "ws", name, "", at, 1, running)
            for name, at, running in (("old", "2025", ()), ("new", "2026", ("r",)))
        ]
        self.terminal.sessions(infos, infos[0].session_key)
        self.assertEqual("".join(self.out), "  2026  new  (answering)\n* 2025  old\n")

    def test_names(self) -> None:
        """A name is short where it can be typed so, else it is the key."""
        keys = ["default:ws:@ann:direct:main:", "default:telegram:bot:direct:7:", "default:ws:@ann:direct:a:b", "main"]
        self.assertEqual([name_of(key) for key in keys], ["main", *keys[1:]])
