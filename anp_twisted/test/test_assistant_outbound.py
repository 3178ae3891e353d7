"""Tests of the queue of a connection."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import jsonrpc
from anp_twisted.assistant.outbound import Outbound
from anp_twisted.assistant.types import ChatDelta


def delta(text: str, offset: int, message: str = "m") -> tuple[ChatDelta, bytes]:
    """Make a delta."""
    made = ChatDelta(session_key="s", message_id=message, run_id="r", index=offset, offset=offset, delta=text)
    return made, jsonrpc.event(made)


class OutboundTests(SynchronousTestCase):
    """Order, joining and bounds."""

    def setUp(self) -> None:
        """Make one that holds 2,000 bytes; owners are names."""
        self.queue: Outbound[str] = Outbound(2000)

    def texts(self) -> list[str]:
        """Take everything; deltas as their text, the rest as it is."""
        found = []
        while (item := self.queue.take()) is not None:
            value = json.loads(item.data)
            found.append(value["params"]["delta"] if "params" in value else value)
        return found

    def test_joins(self) -> None:
        """Deltas of one message in a row are one; anything of the same owner between them keeps them apart."""
        for n, text in enumerate("abc", 1):
            self.queue.delta("x", *delta(text, n))
        self.queue.delta("y", *delta("other", 1))
        self.queue.delta("x", *delta("d", 4))
        self.queue.event("x", b'"event"', 1)
        self.queue.delta("x", *delta("e", 5))
        self.queue.delta("x", *delta("f", 1, "another"))
        self.queue.delta("x", *delta("anew", 0, "another"))
        self.assertEqual(self.texts(), ["abcd", "other", "event", "e", "f", "anew"])

    def test_joinedPlace(self) -> None:
        """A joined delta begins where its first began."""
        self.queue.delta("x", *delta("ab", 7))
        self.queue.delta("x", *delta("cd", 9))
        item = self.queue.take()
        assert item is not None
        self.assertEqual(
            json.loads(item.data)["params"],
            {"type": "chat.delta", "session_key": "s"}
            | {"message_id": "m", "run_id": "r", "index": 7, "offset": 7, "delta": "abcd"},
        )

    def test_nothingJoinsWhatWasTaken(self) -> None:
        """A delta that is on its way stays as it is."""
        self.queue.delta("x", *delta("a", 1))
        self.assertEqual(self.texts(), ["a"])
        self.queue.delta("x", *delta("b", 2))
        self.assertEqual(self.texts(), ["b"])

    def test_overfull(self) -> None:
        """When it is too much the events go, and answers stay."""
        self.queue.answer(b'"answer"')
        self.queue.event("x", b'"%s"' % (b"e" * 1500), 1)
        self.assertFalse(self.queue.overfull)
        self.queue.delta("x", *delta("d" * 900, 1))
        self.assertTrue(self.queue.overfull)
        self.queue.drop_events()
        self.assertFalse(self.queue.overfull)
        self.assertEqual(self.texts(), ["answer"])

    @given(st.lists(st.tuples(st.sampled_from("xy"), st.text(min_size=1, max_size=5)), max_size=30))
    def test_nothingIsLost(self, said: list[tuple[str, str]]) -> None:
        """Whatever is joined, each owner's text is whole and the room is free again."""
        queue: Outbound[str] = Outbound(1_000_000)
        offsets = {"x": 1, "y": 1}
        for owner, text in said:
            queue.delta(owner, *delta(text, offsets[owner]))
            offsets[owner] += len(text)
        told = {"x": "", "y": ""}
        while (item := queue.take()) is not None:
            params = json.loads(item.data)["params"]
            assert item.owner is not None
            self.assertEqual(params["offset"], 1 + len(told[item.owner]))
            told[item.owner] += params["delta"]
        for owner in told:
            self.assertEqual(told[owner], "".join(text for one, text in said if one == owner))
        self.assertEqual(queue.size, 0)
