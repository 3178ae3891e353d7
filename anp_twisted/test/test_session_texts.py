"""Rules of L{anp_twisted.session.texts}."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.session import texts
from anp_twisted.session.connection import Role
from anp_twisted.test.frames import PROPERTY

MOST = 1000


def answered(message: dict[str, Any], role: Role = Role.RECEIVER) -> dict[str, Any] | None:
    """What is answered, read again."""
    reply = texts.answer(json.dumps(message), role, ["/a"], MOST)
    found: dict[str, Any] | None = None if reply is None else json.loads(reply)
    return found


class TextTests(SynchronousTestCase):
    """Messages beside the frames."""

    def test_own(self) -> None:
        """What is sent without being asked."""
        self.assertEqual(
            json.loads(texts.ready(12.7, 5)), {"type": "connection_ready", "timestamp": 12, "connection_id": 5}
        )
        self.assertEqual(json.loads(texts.ping(12.75)), {"type": "ping", "timestamp": 12.75})

    def test_ping(self) -> None:
        """A ping comes back with its timestamp as it was, on both sides."""
        for role in Role:
            for stamp in (1.5, 17, "x", None):
                self.assertEqual(
                    answered({"type": "ping", "timestamp": stamp}, role), {"type": "pong", "timestamp": stamp}
                )
        self.assertEqual(answered({"type": "ping"}), {"type": "pong", "timestamp": None})

    def test_services(self) -> None:
        """A receiver answers each question, with the id of the question."""
        for kind, reply in (
            ("service_capability_request", "service_capability_response"),
            ("health_check_request", "health_check_response"),
            ("service_assignment", "service_assignment_ack"),
        ):
            found = answered({"type": kind, "request_id": "r-1", "timestamp": 3, "more": []})
            assert found is not None
            self.assertEqual((found["type"], found["request_id"], found["timestamp"]), (reply, "r-1", 3))
            self.assertIsNone(answered({"type": kind, "request_id": "r-1"}, Role.GATEWAY))
        self.assertEqual((answered({"type": "service_capability_request"}) or {})["services"], ["/a"])

    def test_ignored(self) -> None:
        """Everything else is no error, and a claimed identity is none."""
        for message in (
            {"type": "authentication", "did": "did:wba:example.org"},
            {"type": "pong"},
            {"kind": "ping"},
            {"type": 5},
        ):
            self.assertIsNone(answered(message))
        self.assertIsNone(texts.answer('{"type":"ping"}' + " " * MOST, Role.GATEWAY, [], MOST))
        self.assertIsNone(texts.answer("[" * 900, Role.GATEWAY, [], MOST))

    @given(st.text(max_size=50))
    @PROPERTY
    def test_any(self, text: str) -> None:
        """No text does harm."""
        texts.answer(text, Role.RECEIVER, [], MOST)
