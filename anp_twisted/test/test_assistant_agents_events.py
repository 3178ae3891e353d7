"""Tests of what agents say."""

from __future__ import annotations

from typing import get_args

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.events import AgentEvent, Failed, Final, TextDelta, ToolEnd, ToolStart, Usage


class EventTests(SynchronousTestCase):
    """Events as JSON."""

    def test_roundTrip(self) -> None:
        """Each comes out of JSON as what it was."""
        said = [
            TextDelta("你"),
            ToolStart("1", "clock", "{}"),
            ToolEnd("1", failed=True),
            Usage(3, 4),
            Final("all"),
            Failed("timeout", "too slow", True, 500),
        ]
        for event in said:
            self.assertEqual(msgspec.json.decode(msgspec.json.encode(event), type=AgentEvent), event)

    def test_tags(self) -> None:
        """The tags are what other processes write."""
        self.assertEqual(
            [event.__struct_config__.tag for event in get_args(AgentEvent)],
            ["text_delta", "reasoning", "tool_start", "tool_end", "replace", "usage", "final", "failed"],
        )
