"""Tests of one client: what it may send, and what becomes of one that takes nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from anp_twisted.assistant.agents.events import TextDelta
from anp_twisted.test.assistantlab import OWN_TOKEN, AssistantTests
from anp_twisted.wire import v2


class CallTests(AssistantTests):
    """Calls and answers."""

    def test_shapes(self) -> None:
        """A call, a notification, a batch, and what is none of them; the connection goes on after each."""
        bob = self.lab.client()
        bob.send({"jsonrpc": "2.0", "method": "health", "params": {}})
        self.assertEqual(bob.socket.sent, [])
        bob.send([{"jsonrpc": "2.0", "method": "health"}] * 2)
        self.assertEqual(bob.socket.sent, [])
        bob.send([{"jsonrpc": "2.0", "method": "health", "id": "a"}, {"jsonrpc": "2.0", "method": "x", "id": 1}, 5])
        (answer,) = bob.socket.sent
        self.assertEqual([one.get("error", {}).get("code") for one in answer], [None, -32601, -32600])
        for data in (b"{", b"[]", b"5", b'"x"', b"[" * 100_000):
            bob.send(data)
        self.assertEqual(
            [one["error"]["code"] for one in bob.socket.sent[1:]], [-32700, -32600, -32600, -32600, -32700]
        )
        self.assertEqual(bob.call("health")["status"], "ok")

    def test_batchWaits(self) -> None:
        """A batch is answered when the last of it is."""
        bob = self.lab.client()
        bob.send(
            [
                {"jsonrpc": "2.0", "id": 1, "method": "chat.send", "params": {"text": "x", "session_key": "s"}},
                {"jsonrpc": "2.0", "id": 2, "method": "health"},
            ]
        )
        self.assertEqual(bob.socket.sent, [])
        self.lab.agents.runs[0].answer("yes")
        self.assertEqual([one["id"] for one in bob.socket.sent[0]], [2, 1])

    def test_notificationWorks(self) -> None:
        """What has no id is done all the same."""
        self.lab.client().send({"jsonrpc": "2.0", "method": "chat.send", "params": {"text": "x", "session_key": "s"}})
        self.assertEqual(len(self.lab.agents.runs), 1)

    def test_failure(self) -> None:
        """A method that raises is an internal error, of which the log knows more than the client."""

        def broken(caller: object, params: object) -> object:
            raise ZeroDivisionError("canary")

        def broken_later(caller: object, params: object) -> object:
            failing: Deferred[Any] = Deferred()
            failing.errback(ZeroDivisionError("canary"))
            return failing

        bob = self.lab.client()
        for method in (broken, broken_later):
            self.lab.methods["health"] = method
            answer = bob.answered(bob.ask("health"))
            self.assertEqual(answer["error"]["code"], -32603)
            self.assertNotIn("canary", str(answer))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_binary(self) -> None:
        """Messages are text."""
        bob = self.lab.client()
        bob.connection.part_received(v2.BINARY, b"{}", True)
        self.assertEqual(bob.socket.closed, (1003, b"messages are text"))

    def test_parts(self) -> None:
        """A message may come in parts, and is too large as a whole."""
        lab = self.with_limits(assistant_message=100)
        bob = lab.client()
        for part, last in ((b'{"jsonrpc":"2.0",', False), (b'"method":"health",', False), (b'"id":1}', True)):
            bob.connection.part_received(v2.TEXT, part, last)
        self.assertEqual(bob.answered(1)["result"]["status"], "ok")
        bob.connection.part_received(v2.TEXT, b" " * 60, False)
        bob.connection.part_received(v2.TEXT, b" " * 60, False)
        self.assertEqual(bob.socket.closed, (1009, b"the message is too large"))

    def test_inFlight(self) -> None:
        """With too many calls unanswered nothing more is read, until there is room."""
        lab = self.with_limits(assistant_in_flight=2)
        bob = lab.client()
        for key in "st":
            bob.ask("chat.send", text="x", session_key=key)
        self.assertFalse(bob.socket.reading)
        lab.agents.runs[0].answer("yes")
        self.assertTrue(bob.socket.reading)


class StrangerTests(AssistantTests):
    """Clients without a token."""

    def test_methods(self) -> None:
        """They may say who they are, and ask whether anybody is there."""
        stranger = self.lab.client(None)
        self.assertEqual(stranger.call("health")["status"], "ok")
        self.assertFalse(stranger.call("connect")["authenticated"])
        for method in ("session.list", "rpc.discover", "token.list", "nonsense"):
            self.assertEqual(stranger.code(method), -32001)

    def test_connect(self) -> None:
        """With a token they are somebody, with a wrong one they are told."""
        stranger = self.lab.client(None)
        self.assertEqual(stranger.code("connect", token="wrong"), -32001)
        self.assertEqual(stranger.call("connect", token=OWN_TOKEN)["principal"], "admin")
        self.assertEqual(stranger.call("session.list")["sessions"], [])
        self.lab.advance(60)
        self.assertIsNone(stranger.socket.closed)

    def test_time(self) -> None:
        """They have ten seconds."""
        stranger = self.lab.client(None)
        self.lab.advance(9)
        self.assertIsNone(stranger.socket.closed)
        self.lab.advance(1)
        self.assertEqual(stranger.socket.closed, (1008, b"no token came"))

    def test_size(self) -> None:
        """They may send less."""
        stranger = self.lab.client(None)
        stranger.connection.part_received(v2.TEXT, b" " * (64 * 1024 + 1), True)
        self.assertEqual(stranger.socket.closed, (1009, b"the message is too large"))

    def test_onePrincipal(self) -> None:
        """A connection stays whose it is."""
        bob = self.lab.client()
        self.assertEqual(bob.code("connect", token=OWN_TOKEN), -32003)

    def test_access(self) -> None:
        """What is for administrators is for them alone, and so are sessions of others."""
        bob, admin = self.lab.client(), self.lab.client("root", "admin")
        self.assertEqual(bob.code("token.list"), -32003)
        admin.call("token.list")
        bob.call("session.create", session_key="s")
        key = "default:ws:@bob:direct:s:"
        self.assertEqual(self.lab.client("eve").code("session.get", session_key=key), -32003)
        self.assertEqual(self.lab.client("eve").call("session.list")["sessions"], [])
        self.assertEqual(admin.call("session.get", session_key=key)["session_key"], key)
        self.assertEqual(len(admin.call("session.list")["sessions"]), 1)


class RateTests(AssistantTests):
    """Too many messages."""

    def test_refused(self) -> None:
        """A hundred a minute; beyond, an error that says when to try again."""
        bob = self.lab.client()
        for _ in range(100):
            bob.call("health")
        error = bob.answered(bob.ask("health"))["error"]
        self.assertEqual((error["code"], error["data"]["retryable"]), (-32029, True))
        self.assertTrue(0 < error["data"]["retry_after_ms"] <= 600)
        self.lab.advance(0.7)
        bob.call("health")

    def test_shared(self) -> None:
        """All connections of a principal share it, and each call of a batch counts."""
        bob, again, eve = self.lab.client(), self.lab.client(), self.lab.client("eve")
        for _ in range(3):
            bob.send([{"jsonrpc": "2.0", "method": "health"}] * 40)
        self.assertEqual(again.code("health"), -32029)
        eve.call("health")

    def test_flood(self) -> None:
        """Who goes on and on is let go."""
        bob = self.lab.client()
        for _ in range(400):
            if bob.socket.closed is None:
                bob.ask("health")
        self.assertEqual(bob.socket.closed, (1008, b"too many messages"))


class SlowTests(AssistantTests):
    """Clients that take less than they are sent."""

    def test_joined(self) -> None:
        """What waits is joined, and comes when there is room, in order."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="q", session_key="s")
        bob.socket.takes = 1
        self.lab.agents.runs[0].answer(*"abcdef")
        self.assertEqual([one["delta"] for one in bob.events("chat.delta")], ["a"])
        number = bob.ask("health")
        self.assertIsNone(bob.answered(number))
        bob.socket.takes = None
        bob.connection.caller_resumed()
        self.assertEqual([one["delta"] for one in bob.events("chat.delta")], ["a", "bcdef"])
        self.assertEqual([one["type"] for one in bob.events()][-1], "chat.final")
        self.assertIsNotNone(bob.answered(number))

    def test_step(self) -> None:
        """It may stop taking at any message."""
        bob = self.lab.client()
        bob.call("session.create", session_key="s")
        bob.call("session.subscribe", session_key="s")
        bob.socket.takes = 1
        for _ in range(4):
            self.lab.client().call("chat.send_stream", text="q", session_key="s")
            self.lab.agents.runs[-1].answer("a")
        for _ in range(20):
            bob.socket.takes = 1
            bob.connection.caller_resumed()
        self.assertEqual([one["seq"] for one in bob.events() if "seq" in one], list(range(2, 10)))

    def test_cutOff(self) -> None:
        """With too much waiting its subscriptions end, it hears from where to begin again, and nobody else notices."""
        lab = self.with_limits(assistant_outbound=2000)
        bob, slow, good = lab.client(), lab.client(), lab.client()
        bob.call("session.create", session_key="s")
        for viewer in (slow, good):
            viewer.call("session.subscribe", session_key="s")
        bob.call("chat.send_stream", text="q", session_key="s")
        slow.socket.takes = 1
        for _ in range(50):
            lab.agents.runs[0].say(TextDelta("x" * 100))
        lab.agents.runs[0].answer()
        self.assertEqual(len(good.events("chat.delta")), 50)
        self.assertEqual(lab.connections.resyncs, 1)
        slow.socket.takes = None
        slow.connection.caller_resumed()
        self.assertEqual(
            slow.events("resync"), [{"type": "resync", "session_key": "default:ws:@bob:direct:s:", "after_seq": 2}]
        )
        self.assertEqual(slow.events("chat.final"), [])
        self.assertEqual(len(slow.events("chat.delta")), 1)
        slow.call("session.subscribe", session_key="s", after_seq=2)
        self.assertEqual(len(slow.events("chat.final")), 1)
        lab.advance(30)
        self.assertIsNone(slow.socket.closed)

    def test_tooLong(self) -> None:
        """Ten seconds later it has to go."""
        lab = self.with_limits(assistant_outbound=2000)
        slow = lab.client()
        slow.call("chat.send_stream", text="q", session_key="s")
        slow.socket.takes = 1
        for _ in range(50):
            lab.agents.runs[0].say(TextDelta("x" * 100))
        lab.advance(9)
        self.assertIsNone(slow.socket.closed)
        lab.advance(1)
        self.assertEqual(slow.socket.closed, (1013, b"too slow"))

    def test_answersHoldReading(self) -> None:
        """A client that asks and asks and takes no answers is not read any more."""
        lab = self.with_limits(assistant_in_flight=4)
        bob = lab.client()
        bob.socket.takes = 1
        for _ in range(5):
            bob.ask("health")
        self.assertFalse(bob.socket.reading)
        bob.socket.takes = None
        bob.connection.caller_resumed()
        self.assertTrue(bob.socket.reading)
        self.assertEqual(len(bob.socket.sent), 5)

    def test_catchingUp(self) -> None:
        """The log is read no faster than it is taken."""
        lab = self.with_limits(assistant_page=1)
        bob, viewer = lab.client(), lab.client()
        for _ in range(3):
            bob.call("chat.send_stream", text="q", session_key="s")
            lab.agents.runs[-1].answer("a")
        viewer.socket.takes = 2
        viewer.ask("session.subscribe", session_key="s", after_seq=0)
        self.assertEqual(len(viewer.events()), 1)
        viewer.socket.takes = None
        viewer.connection.caller_resumed()
        lab.turns.end()
        self.assertEqual([one["seq"] for one in viewer.events()], [1, 2, 3, 4, 5, 6])


class EndTests(AssistantTests):
    """The end of a connection."""

    def test_lost(self) -> None:
        """What a client asked for goes on without it; nothing of it is kept."""
        bob = self.lab.client()
        bob.call("chat.send_stream", text="q", session_key="s")
        bob.ask("chat.send", text="q", session_key="t")
        bob.connection.socket_closed(1006, b"")
        bob.connection.socket_gone()
        self.assertEqual(len(self.lab.connections), 0)
        for run in list(self.lab.agents.runs):
            run.answer("a")
        again = self.lab.client()
        self.assertEqual(again.call("chat.history", session_key="s")["messages"][1]["text"], "a")
        self.assertEqual(bob.events(), [])
        self.assertTrue(self.lab.sessions._open["default:ws:@bob:direct:s:"].idle)
