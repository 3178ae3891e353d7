"""Tests of the methods of chat and sessions."""

from __future__ import annotations

import os

from anp_twisted import __version__
from anp_twisted.assistant.agents.events import ToolStart
from anp_twisted.test.assistantlab import AssistantTests, Client


class ApiTests(AssistantTests):
    """Each method."""

    def fill(self, bob: Client, count: int, key: str = "s") -> None:
        """Say things and have them answered."""
        for n in range(count):
            bob.call("chat.send_stream", text=f"q{n}", session_key=key)
            self.lab.agents.runs[-1].answer(f"a{n}")

    def test_all(self) -> None:
        """Every method that is described here is implemented here, but for those of channels."""
        described = {one["name"] for one in self.lab.client().call("rpc.discover")["methods"]}
        self.assertEqual(
            {name for name in described - set(self.lab.methods) if name[:7] not in ("channel", "pairing")}, set()
        )

    def test_health(self) -> None:
        """It says how it is."""
        self.lab.status = "stopping"
        self.assertEqual(self.lab.client(None).call("health"), {"status": "stopping", "version": __version__})

    def test_paging(self) -> None:
        """From the end to the start by message ids, each message once."""
        bob = self.lab.client()
        self.fill(bob, 5)
        texts: list[str] = []
        page = bob.call("chat.history", session_key="s", limit=3)
        while True:
            texts = [one["text"] for one in page["messages"]] + texts
            if not page["has_more"]:
                break
            page = bob.call("chat.history", session_key="s", limit=3, before=page["messages"][0]["message_id"])
        self.assertEqual(texts, [f"{kind}{n}" for n in range(5) for kind in "qa"])

    def test_pagingPastTools(self) -> None:
        """A page is full of messages, whatever else is between them."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="q", session_key="s")
        for n in range(10):
            self.lab.agents.runs[0].say(ToolStart(str(n), "t"))
        self.lab.agents.runs[0].answer("a")
        page = bob.call("chat.history", session_key="s", limit=2)
        self.assertEqual(([one["text"] for one in page["messages"]], page["has_more"]), (["q", "a"], False))

    def test_badPlace(self) -> None:
        """An id that is none, or of no message."""
        bob = self.lab.client()
        self.fill(bob, 1)
        self.assertEqual(bob.code("chat.history", session_key="s", before="x"), -32602)
        for place in ("msg-1-unknown", "msg-9-x", "msg-0-x", "msg--5-x"):
            self.assertIn(bob.code("chat.history", session_key="s", before=place), (-32004, -32602))
        self.assertEqual(bob.code("chat.history", session_key="nowhere"), -32004)

    def test_list(self) -> None:
        """What changed last comes first, page by page."""
        bob = self.lab.client()
        for key in "abc":
            self.fill(bob, 1, key)
            self.lab.advance(1)
        self.fill(bob, 1, "a")
        first = bob.call("session.list", limit=2)
        self.assertEqual([one["peer_id"] for one in first["sessions"]], ["a", "c"])
        second = bob.call("session.list", limit=2, after=first["next"])
        self.assertEqual(([one["peer_id"] for one in second["sessions"]], second["next"]), (["b"], None))
        self.assertEqual(first["sessions"][0]["last_seq"], 4)

    def test_listAfterTheProcess(self) -> None:
        """Sessions that nobody has opened yet are listed, with their last place."""
        self.fill(self.lab.client(), 2)
        listed = self.again().client().call("session.list")["sessions"]
        self.assertEqual([(one["peer_id"], one["last_seq"]) for one in listed], [("s", 4)])
        self.assertEqual(self.lab.sessions.opened, 0)

    def test_create(self) -> None:
        """A session may be made before anything is said; the second time it is there."""
        bob = self.lab.client()
        made = bob.call("session.create", session_key="s", agent_id="helper")
        self.assertEqual((made["agent_id"], made["last_seq"], made["running"]), ("helper", 1, []))
        self.assertEqual(bob.call("session.create", session_key="s"), made)
        self.assertEqual(bob.call("session.get", session_key="s"), made)
        bob.call("chat.send_stream", text="q", session_key="s")
        self.assertEqual(self.lab.agents.runs[0].context.agent_id, "helper")

    def test_delete(self) -> None:
        """Runs end, the file goes, and the second time there is nothing."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="q", session_key="s")
        self.assertTrue(bob.call("session.delete", session_key="s")["deleted"])
        self.assertTrue(self.lab.agents.runs[0].aborted)
        self.assertEqual(self.files(), [])
        self.assertFalse(bob.call("session.delete", session_key="s")["deleted"])
        self.assertEqual(bob.call("session.list")["sessions"], [])

    def test_deleteAndSend(self) -> None:
        """What is sent while a session is being deleted begins a new one, and is not lost."""
        bob = self.lab.client()
        self.fill(bob, 1)
        self.lab.disk.held = True
        deleting = bob.ask("session.delete", session_key="s")
        sending = bob.ask("chat.send_stream", text="new", session_key="s")
        for _ in range(6):
            self.lab.disk.release()
            self.lab.turns.end()
        self.assertTrue(bob.answered(deleting)["result"]["deleted"])
        self.assertEqual(bob.answered(sending)["result"]["seq"], 1)
        self.lab.disk.held = False
        texts = [one["text"] for one in bob.call("chat.history", session_key="s")["messages"]]
        self.assertEqual(texts, ["new"])
        self.assertEqual(len(os.listdir(os.path.join(self.folder, "sessions"))), 1)

    def test_replay(self) -> None:
        """A page of events, from anywhere."""
        bob = self.lab.client()
        self.fill(bob, 3)
        page = bob.call("events.replay", session_key="s", after_seq=2, limit=3)
        self.assertEqual(([one["seq"] for one in page["events"]], page["last_seq"]), ([3, 4, 5], 6))
        self.assertEqual(bob.call("events.replay", session_key="s", after_seq=6)["events"], [])
