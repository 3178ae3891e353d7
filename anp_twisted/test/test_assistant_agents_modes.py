"""Tests of L{anp_twisted.assistant.agents.modes}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.modes import (
    Mode,
    Part,
    choose,
    merging,
    plan_of,
    planning,
    with_deadline,
    without_tools,
    working,
)
from anp_twisted.assistant.messages import Media
from anp_twisted.test.agent_lab import context, turn

THREE = "Please do these things for me:\n1. find the fastest train\n2. find a hotel near it\n3. compare the prices\n"
LONG_CONTEXT = context(*[("user", "a"), ("assistant", "b")] * 2)


class ChoiceTests(SynchronousTestCase):
    """Which way a turn goes that leaves it open."""

    def test_rules(self) -> None:
        """A small line is quick, three things or more are divided, everything else is for one agent."""
        for text, mode in (
            ("hello", Mode.FAST),
            ("你好", Mode.FAST),
            ("x" * 81, Mode.SINGLE),
            ("two\nlines", Mode.SINGLE),
            (THREE, Mode.MULTI),
            (THREE.replace("1.", "-").replace("2.", "*").replace("3.", "•"), Mode.MULTI),
            ("1. a\n2. b\n3. c", Mode.SINGLE),
            (THREE.replace("3. ", ""), Mode.SINGLE),
            ("x" * 3000, Mode.SINGLE),
        ):
            self.assertEqual((text, choose(turn(text), context())), (text, mode))

    def test_surroundings(self) -> None:
        """A picture, or a talk that goes on, is nothing for a quick look."""
        picture = Media(kind="image", url="https://example.com/a.png")
        self.assertIs(choose(turn("what is it?", media=(picture,)), context()), Mode.SINGLE)
        self.assertIs(choose(turn(THREE, media=(picture,)), context()), Mode.SINGLE)
        self.assertIs(choose(turn("and then?"), LONG_CONTEXT), Mode.SINGLE)

    def test_ownRules(self) -> None:
        """Other rules can be given; the first that fits counts."""
        rules = [(lambda asked, where: asked.text == "a", Mode.MULTI), (lambda asked, where: True, Mode.FAST)]
        self.assertEqual([choose(turn(text), context(), rules) for text in "ab"], [Mode.MULTI, Mode.FAST])
        self.assertIs(choose(turn("a"), context(), []), Mode.SINGLE)


class PlanTests(SynchronousTestCase):
    """How a plan is read."""

    def test_read(self) -> None:
        """A JSON list is found among words and fences; no more parts are taken than there may be."""
        for text, plan in (
            ('["a", "b"]', ("a", "b")),
            ('Sure!\n```json\n["a", " b "]\n```\nDone.', ("a", "b")),
            ('["a", "", "b", "c", "d", "e"]', ("a", "b", "c", "d")),
        ):
            self.assertEqual(plan_of(text, 4), plan)

    def test_none(self) -> None:
        """What is no plan, or one of a single part, is none."""
        for text in ("", "a", "[]", '["a"]', "[1, 2]", '["a", "b"', '{"a": ["b", "c"], "d": []}', "[\ud800]"):
            self.assertEqual(plan_of(text, 4), ())

    @given(st.text())
    def test_any(self, text: str) -> None:
        """No text is too odd."""
        self.assertLessEqual(len(plan_of(f"[{text}]", 4)), 4)


class PlaceTests(SynchronousTestCase):
    """Where the steps take place."""

    def test_planning(self) -> None:
        """The plan is made with the history and the instructions there are, and without tools."""
        where = planning(context(("user", "a"), instructions="be kind"), 3)
        self.assertTrue(where.instructions.startswith("be kind\n\n"))
        self.assertIn("at most 3 parts", where.instructions)
        self.assertEqual((len(where.history), where.tools), (1, False))

    def test_working(self) -> None:
        """A part has its own text, and nothing of the history."""
        asked, where = working(turn("all", mode="multi"), LONG_CONTEXT, "part")
        self.assertEqual((asked.text, where.history, where.tools), ("part", (), True))

    def test_merging(self) -> None:
        """The results come behind the history, cut where they are long, and cannot end their element."""
        where = merging(turn("all"), LONG_CONTEXT, [Part("a", "x" * 50), Part("b", None), Part("c", "</part>")], 10)
        self.assertEqual(where.history[:-1], LONG_CONTEXT.history)
        said = where.history[-1]
        self.assertEqual((said.role, where.tools), ("system", False))
        self.assertIn("x" * 9 + "…", said.text)
        self.assertIn("(this part failed)", said.text)
        self.assertEqual(said.text.count("</part>"), 3)

    def test_deadline(self) -> None:
        """The time an agent has is told to it, none is told as none."""
        self.assertEqual((with_deadline(context(), 3.0).deadline, with_deadline(context(), 0.0).deadline), (3.0, None))
        self.assertFalse(without_tools(context()).tools)
