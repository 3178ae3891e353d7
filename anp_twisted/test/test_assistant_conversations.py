"""Tests of what happens between a message and its answer."""

from __future__ import annotations

import os

from anp_twisted.assistant.agents.events import Failed, Final, HistoryMessage, Replace, TextDelta, Usage
from anp_twisted.assistant.errors import AgentFailed, Cancelled, Conflict, Overloaded
from anp_twisted.assistant.messages import InboundMessage
from anp_twisted.test.assistantlab import AssistantTests


class TurnTests(AssistantTests):
    """One message."""

    def test_diskFirst(self) -> None:
        """Nobody hears of a message before it is on disk: not the sender, not the agent."""
        bob = self.lab.client()
        self.lab.disk.held = True
        number = bob.ask("chat.send_stream", text="hi", session_key="s")
        self.assertIsNone(bob.answered(number))
        self.assertEqual(self.lab.agents.runs, [])
        self.lab.disk.release()
        self.lab.turns.end()
        self.assertEqual(bob.answered(number)["result"]["seq"], 1)
        self.lab.disk.release()
        self.assertEqual(len(self.lab.agents.runs), 1)

    def test_answerOnDiskFirst(self) -> None:
        """Nobody hears that an answer is complete before it is on disk."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="hi", session_key="s")
        self.lab.disk.held = True
        self.lab.agents.runs[0].answer("yes")
        self.assertEqual(len(bob.events("chat.delta")), 1)
        self.assertEqual(bob.events("chat.final"), [])
        self.lab.disk.release()
        self.assertEqual(bob.events("chat.final")[0]["text"], "yes")

    def test_stream(self) -> None:
        """Deltas add up to the end, and each says where it belongs."""
        bob = self.lab.client()
        accepted = bob.call("chat.send_stream", text="hi", session_key="s")
        run = self.lab.agents.runs[0]
        for part in ("你", "好 ", "🎉", "!"):
            run.say(TextDelta(part))
        run.say(Usage(3, 4))
        run.say(Final("你好 🎉!"))
        deltas = bob.events("chat.delta")
        self.assertEqual([(one["index"], one["offset"]) for one in deltas], [(0, 0), (1, 1), (2, 3), (3, 4)])
        (final,) = bob.events("chat.final")
        self.assertEqual(final["text"], "".join(one["delta"] for one in deltas))
        self.assertEqual({one["message_id"] for one in [*deltas, final]}, {accepted["message_id"]})
        self.assertEqual((final["input_tokens"], final["output_tokens"], final["seq"]), (3, 4, 2))

    def test_replace(self) -> None:
        """What goes on behind a replacement counts from its length."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="hi", session_key="s")
        run = self.lab.agents.runs[0]
        run.say(TextDelta("wrong"))
        run.say(Replace("right"))
        run.say(TextDelta("!"))
        self.assertEqual([one.get("text", one.get("delta")) for one in bob.events()], ["wrong", "right", "!"])
        self.assertEqual(bob.events("chat.delta")[-1]["offset"], 5)

    def test_nothingBehindTheEnd(self) -> None:
        """What an agent says after its end counts for nothing."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="hi", session_key="s")
        run = self.lab.agents.runs[0]
        self.lab.disk.held = True
        run.answer("yes")
        for _ in range(2):  # while the end is on its way to the disk, and behind that
            run.say(TextDelta("more"))
            run.say(Final("again"))
            run.say(Failed("late", "late"))
            self.lab.disk.held = False
            self.lab.disk.release()
        self.assertEqual([one["type"] for one in bob.events()], ["chat.delta", "chat.final"])
        self.assertEqual(len(bob.call("chat.history", session_key="s")["messages"]), 2)

    def test_wait(self) -> None:
        """C{chat.send} returns the whole answer, in the shape that clients know."""
        bob = self.lab.client()
        number = bob.ask("chat.send", text="你好", session_key="telegram:user123:chat456")
        self.assertIsNone(bob.answered(number))
        self.lab.agents.runs[0].answer("你", "好")
        result = bob.answered(number)["result"]
        self.assertEqual(result["text"], "你好")
        self.assertTrue({"message_id", "text", "timestamp"} <= set(result))
        self.assertEqual(bob.events(), [])

    def test_failures(self) -> None:
        """A run without an answer is an error, of the kind that its end tells."""
        bob = self.lab.client()
        for code, expected in (
            ("timeout", -32008),
            ("agent_error", -32060),
            ("anything", -32060),
            ("cancelled", -32040),
        ):
            number = bob.ask("chat.send", text="x", session_key="s")
            self.lab.agents.runs[-1].say(Failed(code, "a sentence", True))
            error = bob.answered(number)["error"]
            self.assertEqual(
                (error["code"], error["message"], error["data"]["retryable"]), (expected, "a sentence", True)
            )
        self.assertEqual(
            [one["state"] for one in bob.call("chat.history", session_key="s")["messages"]][1::2],
            ["failed", "failed", "failed", "cancelled"],
        )

    def test_full(self) -> None:
        """An agent that takes no more is said so, and that is the end of that run."""
        bob = self.lab.client()
        self.lab.agents.full = True
        self.assertEqual(bob.code("chat.send", text="x", session_key="s"), -32030)


class OrderTests(AssistantTests):
    """Several messages of one session."""

    def test_oneAtATime(self) -> None:
        """The second begins when the first has ended, and knows its answer."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="one", session_key="s")
        bob.call("chat.send_stream", text="two", session_key="s")
        bob.call("chat.send_stream", text="other", session_key="t")
        runs = self.lab.agents.runs
        self.assertEqual([run.turn.text for run in runs], ["one", "other"])
        runs[0].answer("1")
        self.assertEqual([run.turn.text for run in runs], ["one", "other", "two"])
        self.assertEqual(runs[2].context.history, (HistoryMessage("user", "one"), HistoryMessage("assistant", "1")))

    def test_capped(self) -> None:
        """So many may wait; more are refused and leave no trace."""
        lab = self.with_limits(assistant_waiting_runs=2)
        bob = lab.client()
        for _ in range(2):
            bob.call("chat.send_stream", text="x", session_key="s")
        self.assertEqual(bob.code("chat.send_stream", text="x", session_key="s"), -32030)
        self.assertEqual(len(bob.call("chat.history", session_key="s")["messages"]), 2)

    def test_historyIsBounded(self) -> None:
        """An agent gets the latest messages, however long a session is."""
        lab = self.with_limits(assistant_history=4)
        bob = lab.client(role="admin")
        for n in range(6):
            bob.call("chat.send_stream", text=f"q{n}", session_key="s")
            lab.agents.runs[-1].answer(f"a{n}")
        self.assertEqual([one.text for one in lab.agents.runs[-1].context.history], ["q3", "a3", "q4", "a4"])


class AbortTests(AssistantTests):
    """Ends before the end."""

    def test_running(self) -> None:
        """The agent is told, what there was is kept, and the next one begins."""
        bob = self.lab.client()
        first = bob.call("chat.send_stream", text="one", session_key="s")
        bob.call("chat.send_stream", text="two", session_key="s")
        self.lab.agents.runs[0].say(TextDelta("half"))
        aborted = bob.call("chat.abort", session_key="s", run_id=first["run_id"])
        self.assertEqual(aborted["run_ids"], [first["run_id"]])
        self.assertTrue(self.lab.agents.runs[0].aborted)
        (failed,) = bob.events("chat.failed")
        self.assertEqual((failed["code"], failed["text"]), ("cancelled", "half"))
        self.assertEqual(self.lab.agents.runs[1].turn.text, "two")

    def test_all(self) -> None:
        """Without an id all of the session end, those that wait without having begun."""
        bob = self.lab.client()
        for text in ("one", "two"):
            bob.call("chat.send_stream", text=text, session_key="s")
        self.assertEqual(len(bob.call("chat.abort", session_key="s")["run_ids"]), 2)
        self.assertEqual(len(self.lab.agents.runs), 1)
        self.assertEqual(len(bob.events("chat.failed")), 2)
        self.assertEqual(bob.call("chat.abort", session_key="s")["run_ids"], [])


class IdempotencyTests(AssistantTests):
    """The same message twice."""

    def test_stream(self) -> None:
        """The same key and parameters are the same message, at once and later."""
        bob = self.lab.client()
        self.lab.disk.held = True
        numbers = [bob.ask("chat.send_stream", text="x", session_key="s", idempotency_key="k") for _ in range(2)]
        self.lab.disk.held = False
        self.lab.disk.release()
        self.lab.turns.end()
        first, second = [bob.answered(number)["result"] for number in numbers]
        self.assertEqual(first, second)
        self.lab.agents.runs[0].answer("yes")
        self.assertEqual(bob.call("chat.send_stream", text="x", session_key="s", idempotency_key="k"), first)
        self.assertEqual(len(self.lab.agents.runs), 1)

    def test_wait(self) -> None:
        """Whoever waits twice gets the one answer twice, after its end as well."""
        bob = self.lab.client()
        numbers = [bob.ask("chat.send", text="x", session_key="s", idempotency_key="k") for _ in range(2)]
        self.lab.agents.runs[0].answer("yes")
        first, second = [bob.answered(number)["result"] for number in numbers]
        self.assertEqual(first, second)
        self.assertEqual(bob.call("chat.send", text="x", session_key="s", idempotency_key="k"), first)

    def test_conflict(self) -> None:
        """The same key with something else is a mistake; another principal's key is another key."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="x", session_key="s", idempotency_key="k")
        self.assertEqual(bob.code("chat.send_stream", text="y", session_key="s", idempotency_key="k"), -32009)
        self.lab.client("eve").call("chat.send_stream", text="y", session_key="s", idempotency_key="k")

    def test_forgotten(self) -> None:
        """After a day a key is as good as new."""
        bob = self.lab.client()
        first = bob.call("chat.send_stream", text="x", session_key="s", idempotency_key="k")
        self.lab.advance(1.0)
        self.lab.clock.advance(86_400)
        second = bob.call("chat.send_stream", text="x", session_key="s", idempotency_key="k")
        self.assertNotEqual(first["run_id"], second["run_id"])

    def test_afterTheProcess(self) -> None:
        """A key outlives the process, and a run that was cut is told as cut, never run again."""
        bob = self.lab.client()
        asked = {"text": "x", "session_key": "s"}
        first = bob.call("chat.send_stream", idempotency_key="cut", **asked)
        bob.call("chat.send_stream", idempotency_key="waits", **asked)
        bob = self.again().client()
        self.assertEqual(bob.call("chat.send_stream", idempotency_key="cut", **asked), first)
        error = bob.answered(bob.ask("chat.send", idempotency_key="waits", **asked))["error"]
        self.assertEqual(error["code"], -32060)
        self.assertEqual(self.lab.agents.runs, [])
        states = [one["state"] for one in bob.call("chat.history", session_key="s")["messages"]]
        self.assertEqual(states, ["complete", "complete", "interrupted", "interrupted"])


class ChannelTests(AssistantTests):
    """Messages of channels."""

    def message(self, text: str, number: str = "") -> InboundMessage:
        """Make a message of a channel."""
        metadata = {"message_id": number} if number else {}
        return InboundMessage(
            channel="telegram", sender_id="u", chat_id="c", content=text, timestamp=0, metadata=metadata
        )

    def test_submit(self) -> None:
        """A message goes in and the text of the answer comes out; delivered again it is the same."""
        first = self.lab.conversations.submit(self.message("hi", "17"))
        second = self.lab.conversations.submit(self.message("hi", "17"))
        self.lab.turns.end()
        self.lab.agents.runs[0].answer("yes")
        self.assertEqual(self.successResultOf(first), "yes")
        self.assertEqual(self.successResultOf(second), "yes")
        self.assertEqual(self.lab.agents.runs[0].context.session_key, "default:telegram:default:direct:u:c")

    def test_errors(self) -> None:
        """What goes wrong is an error of this module's vocabulary."""
        failing = self.lab.conversations.submit(self.message("hi", "17"))
        self.lab.turns.end()
        self.lab.agents.runs[0].say(Failed("agent_error", "no"))
        self.failureResultOf(failing, AgentFailed)
        self.failureResultOf(self.lab.conversations.submit(self.message("other", "17")), Conflict)
        aborted = self.lab.conversations.submit(self.message("hi", "18"))
        self.lab.turns.end()
        self.lab.conversations.abort_all()
        self.failureResultOf(aborted, Cancelled)
        self.lab.conversations.stop()
        self.failureResultOf(self.lab.conversations.submit(self.message("hi", "19")), Overloaded)


class DiskTests(AssistantTests):
    """A disk that fails."""

    def break_disk(self) -> None:
        """Let nothing be written any more."""
        for path in self.files():
            os.chmod(path, 0o400)
            os.rename(path, f"{path}.moved")
            os.mkdir(path)

    def mend_disk(self) -> None:
        """Let it be written again."""
        for path in self.files():
            if path.endswith(".moved"):
                continue
            os.rmdir(path)
            os.rename(f"{path}.moved", path)
            os.chmod(path, 0o600)

    def test_notAcknowledged(self) -> None:
        """What could not be written was not sent; when the disk is back the session goes on without a gap."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="one", session_key="s")
        self.lab.agents.runs[0].answer("1")
        self.break_disk()
        self.assertEqual(bob.code("chat.send_stream", text="two", session_key="s"), -32030)
        self.mend_disk()
        third = bob.call("chat.send_stream", text="three", session_key="s")
        self.assertEqual(third["seq"], 3)
        self.assertEqual([run.turn.text for run in self.lab.agents.runs], ["one", "three"])

    def test_waiting(self) -> None:
        """What waits for its turn in a session that broke does not begin there."""
        bob = self.lab.client()
        for text in ("one", "two"):
            bob.call("chat.send_stream", text=text, session_key="s")
        self.break_disk()
        self.lab.agents.runs[0].answer("1")
        self.assertEqual(len(self.lab.agents.runs), 1)
        self.assertEqual(self.lab.conversations.running, 0)
        self.mend_disk()
        told = bob.call("chat.history", session_key="s")["messages"]
        self.assertEqual([one["state"] for one in told], ["complete", "complete", "interrupted", "interrupted"])

    def test_lostAnswer(self) -> None:
        """An answer that could not be kept was none; viewers are told where to begin again."""
        bob = self.lab.client()
        number = bob.ask("chat.send", text="one", session_key="s")
        viewer = self.lab.client()
        viewer.call("session.subscribe", session_key="s", after_seq=0)
        self.break_disk()
        self.lab.agents.runs[0].answer("1")
        self.assertEqual(bob.answered(number)["error"]["code"], -32603)
        self.assertEqual(viewer.events("resync")[0]["after_seq"], 1)
        self.mend_disk()
        states = [one["state"] for one in bob.call("chat.history", session_key="s")["messages"]]
        self.assertEqual(states, ["complete", "interrupted"])
