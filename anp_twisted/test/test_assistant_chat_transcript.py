"""Tests for L{anp_twisted.assistant.chat.transcript}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.transcript import Kind, Piece, Transcript, safe

AT = "2026-01-01T00:00:00.000Z"


def delta(text: str, offset: int, run: str = "r") -> types.ChatDelta:
    """A part of an answer."""
    return types.ChatDelta("s", "m", run, 0, offset, text)


def final(text: str, seq: int = 2, run: str = "r") -> types.ChatFinal:
    """The end of an answer."""
    return types.ChatFinal("s", seq, AT, "m", run, text)


def failed(code: str, text: str = "", seq: int = 2) -> types.ChatFailed:
    """The end without an answer."""
    return types.ChatFailed("s", seq, AT, "m", "r", code, "it is broken", text=text)


class TranscriptTests(SynchronousTestCase):
    """What is shown of what comes."""

    def setUp(self) -> None:
        """A reader who follows one run."""
        self.transcript = Transcript(1)
        self.assertEqual(self.transcript.follow("r"), [])

    def shown(self, *events: types.AnyEvent) -> list[Piece]:
        """All that is shown of some events."""
        return [piece for event in events for piece in self.transcript.take(event)]

    def text(self, *events: types.AnyEvent) -> str:
        """The same as one text."""
        return "".join(piece.text for piece in self.shown(*events) if piece.kind is Kind.ANSWER)

    def test_stream(self) -> None:
        """Deltas are shown as they come; the end adds nothing that is known."""
        pieces = self.shown(delta("he", 0), delta("llo", 2), final("hello"))
        self.assertEqual(pieces, [Piece(Kind.ANSWER, "he"), Piece(Kind.ANSWER, "llo"), Piece(Kind.DONE)])

    def test_again(self) -> None:
        """After a lost connection the answer is told from its start; only what is new is shown."""
        self.assertEqual(self.text(delta("hel", 0), delta("hello wor", 0), delta("ld", 9)), "hello world")

    def test_missing(self) -> None:
        """Where a part is missing, nothing false is shown: the end brings the rest."""
        self.assertEqual(self.text(delta("he", 0), delta("wor", 6)), "he")
        self.assertEqual(self.text(delta("ld", 9), final("hello world")), "llo world")

    def test_other(self) -> None:
        """An answer that is not what was shown is told as a new one."""
        pieces = self.shown(delta("one", 0), types.ChatReplace("s", "m", "r", 1, "two"), delta("!", 3))
        self.assertEqual([piece.kind for piece in pieces], [Kind.ANSWER, Kind.NOTE, Kind.ANSWER, Kind.ANSWER])
        self.assertEqual([piece.text for piece in pieces[2:]], ["two", "!"])

    def test_ends(self) -> None:
        """Each way in which an answer can end is told, with what there was of it; nothing follows."""
        interrupted = types.ChatInterrupted("s", 2, AT, "m", "r")
        for event, kind in (
            (failed("cancelled"), Kind.STOPPED),
            (failed("timeout"), Kind.FAILED),
            (interrupted, Kind.FAILED),
        ):
            self.setUp()
            pieces = self.shown(delta("x", 0), event, delta("late", 1))
            self.assertEqual([piece.kind for piece in pieces], [Kind.ANSWER, kind])
        self.setUp()
        self.assertEqual(self.text(failed("cancelled", "so far")), "so far")

    def test_twice(self) -> None:
        """A record that comes again changes nothing."""
        self.assertEqual(len(self.shown(final("x"), final("x"))), 2)
        self.assertEqual(self.transcript.seq, 2)

    def test_others(self) -> None:
        """Runs of others are not shown, but the session has gone on; one that is followed late is shown whole."""
        self.assertEqual(self.shown(delta("he", 0, "q"), final("hello", 2, "q")), [])
        self.assertEqual(self.transcript.seq, 2)
        self.assertEqual(self.transcript.follow("q"), [Piece(Kind.ANSWER, "hello"), Piece(Kind.DONE)])

    def test_othersAreForgotten(self) -> None:
        """What is kept of others is bounded."""
        for number in range(1000):
            self.shown(final("x" * 100, number + 2, f"q{number}"))
        self.assertLessEqual(len(self.transcript._answers), 101)

    def test_tools(self) -> None:
        """A tool is mentioned when it begins and when it fails."""
        events = [
            types.ChatTool("s", 2 + n, AT, "m", "r", "1", state, "find\x1b")
            for n, state in enumerate(("started", "done", "failed"))
        ]
        self.assertEqual(self.shown(*events), [Piece(Kind.NOTE, "find: started"), Piece(Kind.NOTE, "find: failed")])

    def test_toldTwice(self) -> None:
        """What is told again after a lost connection is not mentioned again, and the session does not go back."""
        started = types.ChatTool("s", 2, AT, "m", "r", "1", "started", "find")
        self.assertEqual(len(self.shown(started, delta("x", 0), started)), 2)
        self.shown(types.SessionCreated("s", 1, AT))
        self.assertEqual(self.transcript.seq, 2)

    def test_safe(self) -> None:
        """Nothing that an answer holds acts on the terminal, whichever way it comes."""
        bad = "\x1b[2Ja\x07\x9b31m\u202e\x08\tb\r\nc"
        self.assertEqual(safe(bad), "[2Ja31m\tb\nc")
        self.assertEqual(self.text(delta(bad, 0), final(bad + "\x1b")), safe(bad))

    @given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=8))
    def test_anyOrder(self, text: str, places: list[int]) -> None:
        """However an answer is cut, repeated or lost on the way, what is shown in the end is the answer."""
        transcript = Transcript()
        transcript.follow("r")
        cuts = sorted({place for place in places if place < len(text)})
        events: list[types.AnyEvent] = [delta(text[:place], 0) for place in places]
        ends = [*cuts[1:], len(text)]
        events += [delta(text[start:end], start) for start, end in zip(cuts, ends, strict=False)]
        pieces = [piece for event in [*events, final(text, 1)] for piece in transcript.take(event)]
        last = max((place for place, piece in enumerate(pieces) if piece.kind is Kind.NOTE), default=-1)
        shown = "".join(piece.text for piece in pieces[last + 1 :])
        self.assertEqual(shown, safe(text) if last < 0 else shown)
        self.assertEqual(pieces[-1], Piece(Kind.DONE))
