"""Tests of L{anp_twisted.receiver.refusal}."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import TestCase

from anp_twisted.receiver.asgi import Message, Receive, Send
from anp_twisted.receiver.refusal import refuse
from anp_twisted.test.receiver_rig import on_loop
from anp_twisted.test.target_lab import Visitor


async def refusing(scope: Message, receive: Receive, send: Send) -> None:
    """An application that has nothing."""
    await refuse(scope, receive, send, 404, "nothing here")


class RefusalTests(TestCase):
    """A problem document, in the form that the scope allows."""

    @on_loop
    async def test_request(self) -> None:
        """A request is answered with what went wrong, and its id."""
        visitor = Visitor(refusing, {"type": "http", "extensions": {"anp": {"request_id": "r-1"}}})
        await visitor.task
        found = json.loads(visitor.body)
        self.assertEqual((visitor.status, found["source"], found["request_id"]), (404, "receiver", "r-1"))
        self.assertIn((b"content-type", b"application/problem+json"), visitor.sent[0]["headers"])

    @on_loop
    async def test_websocket(self) -> None:
        """A WebSocket is denied, with the same document where that can be sent."""
        scope: dict[str, Any] = {"type": "websocket", "extensions": {"websocket.http.response": {}}}
        visitor = Visitor(refusing, scope, {"type": "websocket.connect"})
        await visitor.task
        self.assertEqual([message["type"][-5:] for message in visitor.sent], ["start", ".body"])
        self.assertEqual(json.loads(visitor.body)["title"], "nothing here")
        visitor = Visitor(refusing, {"type": "websocket"}, {"type": "websocket.connect"})
        await visitor.task
        self.assertEqual(visitor.sent, [{"type": "websocket.close"}])
