"""Tests for L{anp_twisted.assistant.chat.link}."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.link import PATIENCE, SILENCE, CallFailed, Link, LinkDown, dial
from anp_twisted.limits import Limits


class Socket:
    """A WebSocket that keeps what is sent; it is its own transport."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.transport = self

    def sendMessage(self, data: bytes) -> None:
        """Keep it."""
        self.sent.append(msgspec.json.decode(data))

    def sendClose(self, code: int) -> None:
        """Note it."""
        self.ended.append(f"close {code}")

    def loseConnection(self) -> None:
        """Note it."""
        self.ended.append("lose")

    def abortConnection(self) -> None:
        """Note it."""
        self.ended.append("abort")


class LinkTests(SynchronousTestCase):
    """Calls and events on one connection."""

    def setUp(self) -> None:
        """An open connection."""
        self.clock = Clock()
        self.events: list[types.AnyEvent] = []
        self.downs: list[str] = []
        self.socket = Socket()
        self.link = Link(self, self.clock)
        self.link.socket_open(self.socket)  # type: ignore[arg-type]
        self.assertIs(self.successResultOf(self.link.opened), self.link)

    def event(self, event: types.AnyEvent) -> None:
        """Note it."""
        self.events.append(event)

    def down(self, reason: LinkDown) -> None:
        """Note it."""
        self.downs.append(str(reason))

    def call(self) -> Deferred[types.Deleted]:
        """Call something."""
        return self.link.call("session.delete", types.SessionParams("s"), types.Deleted)

    def answer(self, **message: Any) -> None:
        """Let the gateway say something."""
        self.link.received(msgspec.json.encode({"jsonrpc": "2.0", **message}))

    def test_call(self) -> None:
        """Answers belong to their calls, in whatever order they come."""
        first, second = self.call(), self.call()
        self.assertEqual(
            self.socket.sent[0],
            {"jsonrpc": "2.0", "id": 1, "method": "session.delete", "params": {"session_key": "s"}},
        )
        self.answer(id=2, result={"deleted": False})
        self.assertNoResult(first)
        self.answer(id=1, result={"deleted": True})
        self.assertEqual([self.successResultOf(one).deleted for one in (first, second)], [True, False])

    def test_error(self) -> None:
        """An error has its sentence and its word."""
        calling = self.call()
        self.answer(id=1, error={"code": -32004, "message": "no", "data": {"code": "not_found", "retryable": True}})
        error = self.failureResultOf(calling, CallFailed).value
        self.assertEqual((str(error), error.word, error.retryable), ("no", "not_found", True))

    def test_strangeAnswers(self) -> None:
        """What cannot be read fails its call, or is nothing; the connection goes on."""
        calling = self.call()
        for data in (
            b"",
            b"[]",
            b"\xff",
            b'{"id":7,"result":1}',
            b'{"id":"x"}',
            b'{"method":"event","params":{"type":"new"}}',
        ):
            self.link.received(data)
        self.assertNoResult(calling)
        self.answer(id=1, result={"other": 1})
        self.assertEqual(self.failureResultOf(calling, CallFailed).value.word, "unreadable")
        self.assertEqual((self.events, self.downs), ([], []))

    def test_event(self) -> None:
        """Events are told in order."""
        delta = {"type": "chat.delta", "session_key": "s", "message_id": "m", "run_id": "r", "index": 0, "offset": 0}
        for text in ("a", "b"):
            self.answer(method="event", params={**delta, "delta": text})
        self.assertEqual(self.events, [types.ChatDelta("s", "m", "r", 0, 0, text) for text in ("a", "b")])

    def test_lost(self) -> None:
        """What waits when the connection is lost fails; the listener hears it once; nothing is left behind."""
        calling = self.call()
        self.link.lost("reset")
        self.link.lost("again")
        self.failureResultOf(calling, LinkDown)
        self.failureResultOf(self.call(), LinkDown)
        self.answer(id=1, result={"deleted": True})
        self.assertEqual((self.downs, self.clock.getDelayedCalls()), (["reset"], []))

    def test_close(self) -> None:
        """Closing says goodbye."""
        calling = self.call()
        self.link.close()
        self.failureResultOf(calling, LinkDown)
        self.assertEqual(self.socket.ended, ["close 1000", "lose"])

    def test_silence(self) -> None:
        """A gateway that says nothing is asked, and given up if it does not answer."""
        self.clock.advance(SILENCE - 1)
        self.answer(method="other")
        self.clock.advance(SILENCE - 1)
        self.assertEqual(self.socket.sent, [])
        self.clock.advance(1)
        self.assertEqual(self.socket.sent[0]["method"], "health")
        self.answer(id=1, result={"status": "ok", "version": "1"})
        self.clock.advance(PATIENCE)
        self.assertEqual(self.downs, [])
        self.clock.pump([SILENCE, PATIENCE])
        self.assertEqual((self.downs, self.socket.ended), (["the gateway is silent"], ["abort"]))


class Endpoint:
    """An endpoint whose attempts the test decides."""

    def __init__(self, result: Deferred[Any]) -> None:
        self.result = result

    def connect(self, factory: object) -> Deferred[Any]:
        """As decided."""
        return self.result


class DialTests(SynchronousTestCase):
    """Making a connection."""

    def dial(self, result: Deferred[Any], clock: Clock) -> Deferred[Link]:
        """Dial a gateway."""
        listener = LinkTests("test_call")
        endpoint: Any = Endpoint(result)
        return dial(endpoint, "ws://127.0.0.1:1/ws", listener, clock=clock, limits=Limits(handshake=5.0))

    def test_refused(self) -> None:
        """Nobody is there: the reason is one line."""
        failure = self.failureResultOf(self.dial(fail(ConnectionRefusedError()), Clock()), LinkDown)
        self.assertNotIn("\n", str(failure.value))

    def test_late(self) -> None:
        """Somebody is there and says nothing."""
        clock = Clock()
        cancelled: list[object] = []
        dialling = self.dial(Deferred(cancelled.append), clock)
        clock.advance(5.0)
        self.assertEqual(str(self.failureResultOf(dialling, LinkDown).value), "no connection within 5 s")
        self.assertEqual(len(cancelled), 1)
