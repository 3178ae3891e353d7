"""Tests of the parameters, results and events."""

from __future__ import annotations

from typing import get_args

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import types
from anp_twisted.assistant.methods import METHODS


class TypeTests(SynchronousTestCase):
    """What goes over the wire."""

    def test_instant(self) -> None:
        """Times are RFC 3339 in UTC."""
        self.assertEqual(types.instant(1_771_927_200.25), "2026-02-24T10:00:00.250Z")

    def test_strict(self) -> None:
        """What is not described is refused."""
        for wrong in ({}, {"text": "a"}, {"text": "", "session_key": "s"}, {"text": "a", "session_key": "s", "x": 1}):
            self.assertRaises(msgspec.ValidationError, msgspec.convert, wrong, types.SendParams)

    def test_ownersShapes(self) -> None:
        """The shapes that clients know: what C{chat.send} takes, and what a delta looks like."""
        asked = msgspec.convert({"text": "你好", "session_key": "telegram:user123:chat456"}, types.SendParams)
        self.assertEqual(asked.mode, "auto")
        delta = types.ChatDelta(session_key="s", message_id="m", run_id="r", index=0, offset=0, delta="你好")
        self.assertEqual(msgspec.to_builtins(delta)["type"], "chat.delta")

    def test_eventsByType(self) -> None:
        """Every event is found again by its type, and what has a place in the log is one of L{types.AnyRecorded}."""
        recorded = set(get_args(types.AnyRecorded))
        for event in get_args(types.AnyEvent):
            self.assertEqual(issubclass(event, types.Recorded), event in recorded)

    def test_schemas(self) -> None:
        """Every method has a schema for what it takes and gives."""
        for row in METHODS.values():
            self.assertEqual(msgspec.json.schema(row.params)["$ref"].rpartition("/")[2], row.params.__name__)
            msgspec.json.schema(row.result)
