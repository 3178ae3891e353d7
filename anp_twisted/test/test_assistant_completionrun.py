"""Tests of L{anp_twisted.assistant.completionrun}; how a session is followed is tested with the completions."""

from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.events import Failed, Final, Reasoning, TextDelta, ToolStart, Usage
from anp_twisted.assistant.completionrun import Following, Listening, TextSoFar
from anp_twisted.assistant.errors import InternalError, RpcError, TimedOut


class Ear:
    """
    A hearer.

    @ivar heard: what it heard.
    """

    def __init__(self) -> None:
        self.heard: list[object] = []

    def go_on(self, text: str) -> None:
        self.heard.append(text)

    def complete(self, text: str, reason: str, usage: Usage) -> None:
        self.heard.append((text, reason, usage))

    def fail(self, error: RpcError) -> None:
        self.heard.append(error)


class ListeningTests(SynchronousTestCase):
    """What is heard of an agent."""

    def test_answer(self) -> None:
        """The text and the end, with the cost; not what it thinks or does."""
        ear = Ear()
        listening = Listening(ear)
        for event in (Reasoning("hm"), ToolStart("1", "a"), TextDelta("a"), Usage(1, 2), Final("ab", "length")):
            listening.hear(event)
        self.assertEqual(ear.heard, ["a", "b", ("ab", "length", Usage(1, 2))])

    def test_failure(self) -> None:
        """A failure is the error that the same failure is anywhere else."""
        ear = Ear()
        Listening(ear).hear(Failed("timeout", "late", True, 1500))
        (error,) = ear.heard
        assert isinstance(error, TimedOut)
        self.assertEqual((error.args[0], error.retryable, error.retry_after), ("late", True, 1.5))

    def test_text(self) -> None:
        """The end brings what is missing, or all of it as a paragraph of its own."""
        for said, whole, rest in (("", "", []), ("a", "a", []), ("a", "ab", ["b"]), ("a", "b", ["\n\nb"])):
            ear = Ear()
            text = TextSoFar(ear)
            if said:
                text.add(said)
            text.end(whole)
            self.assertEqual(ear.heard, [*([said] if said else []), *rest])

    def test_broken(self) -> None:
        """What nobody expected is logged, and told in fixed words."""
        ear = Ear()
        following = Following(ear, None)  # type: ignore[arg-type]
        following.failed(Failure(ValueError("canary")))
        (error,) = ear.heard
        assert isinstance(error, InternalError)
        self.assertNotIn("canary", str(error))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
