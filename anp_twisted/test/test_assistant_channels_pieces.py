"""Tests for L{anp_twisted.assistant.channels.pieces}."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.pieces import characters, octets, pieces, utf16

MEASURES = st.sampled_from([characters, utf16, octets])


class PiecesTests(SynchronousTestCase):
    """Where a long text is cut."""

    def test_fits(self) -> None:
        """A text that fits stays as it is; nothing but space is nothing."""
        self.assertEqual((pieces("a" * 200, 200), pieces(" \n", 200)), (["a" * 200], []))

    def test_paragraphs(self) -> None:
        """A piece ends after a paragraph where that is not too early, else after a line, a sentence, a word."""
        for pause in ("\n\n", "\n", ". ", " "):
            text = "x" * 80 + pause + "y" * 130
            self.assertEqual([part.strip() for part in pieces(text, 200)], ["x" * 80 + pause.strip(), "y" * 130])

    def test_measures(self) -> None:
        """Each service counts in its own units."""
        text = "\U0001f600" * 200
        self.assertEqual([len(pieces(text, 200, measure)) for measure in (characters, utf16, octets)], [1, 3, 6])

    def test_joined(self) -> None:
        """An accent stays with its letter, a family of emoji together."""
        family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
        for text in ("e\u0301" * 150, family * 60):
            for part in pieces(text, 200):
                self.assertNotIn(part[0], "\u0301\u200d")
                self.assertNotEqual(part[-1], "\u200d")

    def test_fences(self) -> None:
        """Code that goes on in the next piece is code there, too."""
        text = "```python\n" + "print(1)\n" * 40 + "```\nthe end"
        parts = pieces(text, 200)
        self.assertGreater(len(parts), 2)
        for part in parts[:-1]:
            self.assertTrue(part.startswith("```python\n") and part.endswith("\n```"), part)
        self.assertTrue(parts[-1].endswith("the end"))

    @settings(deadline=None, max_examples=200)
    @given(st.text(max_size=900), MEASURES)
    def test_whole(self, text: str, measure: object) -> None:
        """No piece is too long or empty, and together they hold every letter in its order."""
        assert callable(measure)
        parts = pieces(text, 200, measure)
        self.assertTrue(all(part.strip() and measure(part) <= 200 for part in parts))
        if "```" not in text and "~~~" not in text:
            self.assertEqual("".join("".join(parts).split()), "".join(text.split()))

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.sampled_from(["```", "```py", "~~~~", "````", "a " * 40, "b" * 70, ""]), max_size=30), MEASURES)
    def test_fencedLength(self, lines: list[str], measure: object) -> None:
        """However fences are put, no piece is too long."""
        assert callable(measure)
        self.assertTrue(all(measure(part) <= 200 for part in pieces("\n".join(lines), 200, measure)))
