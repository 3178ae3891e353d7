"""Tests of summaries."""

from __future__ import annotations

from anp_twisted.assistant.agents.events import Failed, HistoryMessage
from anp_twisted.assistant.compaction import KEPT, PROMPT, Compactor
from anp_twisted.test.assistantlab import AssistantTests


class CompactionTests(AssistantTests):
    """Long sessions."""

    def setUp(self) -> None:
        """Summaries after ten records."""
        super().setUp()
        self.on(self.lab.conversations._compactor)

    def on(self, compactor: Compactor) -> None:
        """Let it write summaries."""
        compactor._after = 10

    def talk(self, turns: int) -> None:
        """Say things and have them answered, but for what the gateway itself asks."""
        bob = self.lab.client(role="admin")
        for n in range(turns):
            bob.call("chat.send_stream", text=f"q{n}", session_key="s")
            run = next(run for run in reversed(self.lab.agents.runs) if run.turn.text != PROMPT)
            run.answer(f"a{n}")

    def test_summary(self) -> None:
        """It is asked of the agent, kept in the log, and handed over in place of what it covers."""
        self.talk((10 + KEPT) // 2)
        (asked,) = [run for run in self.lab.agents.runs if run.turn.text == PROMPT]
        self.assertFalse(asked.context.tools)
        self.assertEqual(asked.context.history[0], HistoryMessage("user", "q0"))
        self.assertEqual(len(asked.context.history), 10 + KEPT)
        asked.answer("what was said")
        self.talk(1)
        history = self.lab.agents.runs[-1].context.history
        self.assertEqual(history[0], HistoryMessage("system", "what was said"))
        self.assertEqual([one.text for one in history[1:3]], ["q5", "a5"])
        self.assertEqual(len(history), 1 + KEPT)

    def test_seen(self) -> None:
        """Viewers are told; the history of people stays whole, and so does the summary after a restart."""
        self.talk(15)
        viewer = self.lab.client("bob", "admin")
        viewer.call("session.subscribe", session_key="s")
        self.lab.agents.runs[-1].answer("short")
        (told,) = viewer.events("session.compacted")
        self.assertEqual((told["summary"], told["upto"], told["seq"]), ("short", 10, 31))
        bob = self.again().client()
        self.assertEqual(len(bob.call("chat.history", session_key="s", limit=100)["messages"]), 30)
        bob.call("chat.send_stream", text="q", session_key="s")
        self.assertEqual(self.lab.agents.runs[0].context.history[0], HistoryMessage("system", "short"))

    def test_notHeldUp(self) -> None:
        """While the agent summarises, the session goes on, and there is no second summary."""
        self.talk(17)
        asked = [run for run in self.lab.agents.runs if run.turn.text == PROMPT]
        self.assertEqual(len(asked), 1)
        asked[0].answer("late")
        self.talk(1)
        self.assertEqual(len([run for run in self.lab.agents.runs if run.turn.text == PROMPT]), 1)

    def test_failed(self) -> None:
        """An agent that cannot, or takes no more, leaves the session as it is; it is asked again later."""
        self.talk(15)
        self.lab.agents.runs[-1].say(Failed("agent_error", "no"))
        self.talk(1)
        self.assertEqual(len([run for run in self.lab.agents.runs if run.turn.text == PROMPT]), 2)

    def test_off(self) -> None:
        """Nobody asks for any unless the operator does."""
        self.again()
        self.talk(20)
        self.assertEqual([run for run in self.lab.agents.runs if run.turn.text == PROMPT], [])
