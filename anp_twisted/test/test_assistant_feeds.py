"""Tests of subscriptions: replay, then live, and no hole between them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from anp_twisted.assistant.agents.events import Reasoning, TextDelta, ToolEnd, ToolStart
from anp_twisted.test.assistantlab import AssistantTests, Client


def seqs(events: list[Any]) -> list[int]:
    """The places of events that have one."""
    return [one["seq"] for one in events if "seq" in one]


class FeedTests(AssistantTests):
    """One viewer."""

    def fill(self, bob: Client, count: int) -> None:
        """Say things and have them answered."""
        for n in range(count):
            bob.call("chat.send_stream", text=f"q{n}", session_key="s")
            self.lab.agents.runs[-1].answer(f"a{n}")

    def test_fromTheStart(self) -> None:
        """Everything that was, in order, behind the answer of the call; then everything that is."""
        lab = self.with_limits(assistant_page=3)
        bob, viewer = lab.client(), lab.client()
        self.fill(bob, 4)
        result = viewer.call("session.subscribe", session_key="s", after_seq=0)
        self.assertEqual(result["last_seq"], 8)
        self.assertIn("result", viewer.socket.sent[0])
        self.assertEqual(seqs(viewer.events()), list(range(1, 9)))
        self.fill(bob, 1)
        self.assertEqual(seqs(viewer.events()), list(range(1, 11)))
        self.assertEqual(len(viewer.events("chat.delta")), 1)

    def test_fromSomewhere(self) -> None:
        """Only what comes behind the place; without one only what is new."""
        bob, viewer, other = self.lab.client(), self.lab.client(), self.lab.client()
        self.fill(bob, 2)
        viewer.call("session.subscribe", session_key="s", after_seq=3)
        other.call("session.subscribe", session_key="s")
        self.assertEqual((seqs(viewer.events()), other.events()), ([4], []))
        self.fill(bob, 1)
        self.assertEqual((seqs(viewer.events()), seqs(other.events())), ([4, 5, 6], [5, 6]))

    def test_gap(self) -> None:
        """A place that the session has not reached is an error, and so is a session that is not there."""
        bob = self.lab.client()
        self.fill(bob, 1)
        self.assertEqual(bob.code("session.subscribe", session_key="s", after_seq=3), -32010)
        self.assertEqual(bob.code("events.replay", session_key="s", after_seq=3), -32010)
        self.assertEqual(bob.code("session.subscribe", session_key="t"), -32004)

    def test_whileReading(self) -> None:
        """What happens while the log is read comes in its place, once."""
        bob, viewer = self.lab.client(), self.lab.client()
        self.fill(bob, 2)
        self.lab.disk.held = True
        viewer.ask("session.subscribe", session_key="s", after_seq=0)
        self.assertEqual(viewer.events(), [])
        bob.ask("chat.send_stream", text="q", session_key="s")
        for _ in range(6):
            self.lab.disk.release()
            self.lab.turns.end()
        self.assertEqual(seqs(viewer.events()), [1, 2, 3, 4, 5])

    def test_midway(self) -> None:
        """Who comes in the middle of an answer gets what was said so far as one delta from the start."""
        bob, viewer = self.lab.client(), self.lab.client()
        bob.call("chat.send_stream", text="q", session_key="s")
        run = self.lab.agents.runs[0]
        run.say(TextDelta("one "))
        run.say(TextDelta("two "))
        viewer.call("session.subscribe", session_key="s", after_seq=0)
        run.say(TextDelta("three"))
        self.assertEqual(
            [(one["offset"], one["delta"]) for one in viewer.events("chat.delta")], [(0, "one two "), (8, "three")]
        )

    def test_once(self) -> None:
        """Who has subscribed and sends on the same connection hears each event once."""
        bob = self.lab.client()
        bob.call("session.create", session_key="s")
        bob.call("session.subscribe", session_key="s")
        self.fill(bob, 2)
        self.assertEqual(seqs(bob.events()), [2, 3, 4, 5])
        self.assertEqual(len(bob.events("chat.delta")), 2)

    def test_onlyMine(self) -> None:
        """Who only sends hears of its own runs alone, and of nothing behind their ends."""
        bob, other = self.lab.client(), self.lab.client()
        self.fill(other, 1)
        self.fill(bob, 1)
        self.fill(other, 1)
        self.assertEqual([one["type"] for one in bob.events()], ["chat.delta", "chat.final"])

    def test_unsubscribe(self) -> None:
        """Nothing more; but the run that was asked for here goes on."""
        bob = self.lab.client()
        bob.call("session.create", session_key="s")
        bob.call("session.subscribe", session_key="s")
        bob.call("chat.send_stream", text="q", session_key="s")
        self.assertTrue(bob.call("session.unsubscribe", session_key="s")["unsubscribed"])
        self.assertFalse(bob.call("session.unsubscribe", session_key="s")["unsubscribed"])
        self.lab.agents.runs[0].answer("a")
        self.assertEqual(len(bob.events("chat.final")), 1)
        self.fill(self.lab.client(), 1)
        self.assertEqual(len(bob.events("chat.final")), 1)

    def test_tools(self) -> None:
        """What is done with tools has a place; what is thought has none."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="q", session_key="s")
        run = self.lab.agents.runs[0]
        run.say(Reasoning("hm"))
        run.say(ToolStart("1", "clock", "{}"))
        run.say(ToolEnd("1", "12:00"))
        run.answer("noon")
        self.assertEqual(
            [one["type"] for one in bob.events()], ["chat.reasoning"] + ["chat.tool"] * 2 + ["chat.delta", "chat.final"]
        )
        self.assertEqual(seqs(bob.events()), [2, 3, 4])
        replay = bob.call("events.replay", session_key="s", after_seq=1)
        self.assertEqual([one["type"] for one in replay["events"]], ["chat.tool", "chat.tool", "chat.final"])
        self.assertEqual(len(bob.call("chat.history", session_key="s")["messages"]), 2)

    def test_deleted(self) -> None:
        """Viewers hear that a session is gone, and a new one of that name is another."""
        bob, viewer = self.lab.client(), self.lab.client()
        self.fill(bob, 1)
        first = viewer.call("session.subscribe", session_key="s")
        self.assertTrue(bob.call("session.delete", session_key="s")["deleted"])
        self.assertEqual([one["type"] for one in viewer.events()], ["session.deleted"])
        self.fill(bob, 1)
        self.assertEqual(len(viewer.events()), 1)
        second = viewer.call("session.subscribe", session_key="s", after_seq=0)
        self.assertNotEqual(first["session_id"], second["session_id"])
        self.assertEqual(seqs(viewer.events())[-2:], [1, 2])

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.sampled_from(["send", "say", "end", "disk", "turn", "subscribe"]), max_size=40))
    def test_neverAHole(self, steps: list[str]) -> None:
        """Whatever comes in whatever order, every viewer has every place once, and text that adds up."""
        self.setUp()
        lab = self.with_limits(assistant_page=2, assistant_waiting_runs=100)
        bob = lab.client()
        bob.call("session.create", session_key="s")
        lab.disk.held = True
        viewers: list[Client] = []
        for step in [*steps, *["end", "disk", "turn"] * 30]:
            running = [run for run in lab.agents.runs if not run.aborted]
            if step == "send":
                bob.ask("chat.send_stream", text="q", session_key="s")
            elif step == "say" and running:
                running[-1].say(TextDelta("ab"))
            elif step == "end" and running:
                running[-1].aborted = True
                running[-1].answer()
            elif step == "disk":
                lab.disk.release()
            elif step == "turn":
                lab.turns.end()
            elif step == "subscribe":
                viewers.append(lab.client())
                viewers[-1].ask("session.subscribe", session_key="s", after_seq=0)
        last = lab.sessions._open["default:ws:@bob:direct:s:"].durable_seq
        for viewer in viewers:
            self.assertEqual(seqs(viewer.events()), list(range(1, last + 1)))
            told = ""
            for delta in viewer.events("chat.delta"):
                told = told if delta["offset"] else ""
                self.assertEqual(delta["offset"], len(told))
                told += delta["delta"]
