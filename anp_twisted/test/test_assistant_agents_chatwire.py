"""Tests of L{anp_twisted.assistant.agents.chatwire}."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.chatwire import CUT, ChatReply, EventStream, refusal, request_body
from anp_twisted.assistant.agents.events import (
    AgentEvent,
    Context,
    Failed,
    Final,
    Reasoning,
    TextDelta,
    ToolStart,
    Turn,
    Usage,
)
from anp_twisted.assistant.agents.transcript import Transcript
from anp_twisted.assistant.messages import Media
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import context, turn
from anp_twisted.test.model_lab import chunk, delta

LIMITS = Limits(agent_line=1000, agent_answer=5000)
DONE = b"data: [DONE]\n\n"


def reply(*pieces: bytes, stream: bool = True) -> list[AgentEvent]:
    """
    @return: what an answer says.
    """
    machine = ChatReply(LIMITS, stream=stream)
    said = [event for piece in pieces for event in machine.feed(piece)]
    return said if machine.ended else [*said, *machine.close()]


class RequestTests(SynchronousTestCase):
    """What is asked."""

    def body(self, asked: Turn, where: Context) -> dict[str, Any]:
        """
        @return: a request, decoded.
        """
        decoded: dict[str, Any] = msgspec.json.decode(request_body(asked, where, "default"))
        return decoded

    def test_messages(self) -> None:
        """Instructions, history and question, in that order; a stream with its cost is wanted."""
        body = self.body(turn("c"), context(("user", "a"), ("assistant", "b"), instructions="be"))
        self.assertEqual(
            body,
            {
                "model": "default",
                "messages": [
                    {"role": "system", "content": "be"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                    {"role": "user", "content": "c"},
                ],
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        )
        self.assertEqual(self.body(turn("c", model="big"), context())["model"], "big")

    def test_media(self) -> None:
        """Pictures are shown, other things named."""
        picture = Media(kind="image", url="https://example.com/a.png")
        file = Media(kind="file", url="https://example.com/b", name="b.pdf")
        content = self.body(turn("c", media=(picture, file)), context())["messages"][0]["content"]
        self.assertEqual(
            content,
            [
                {"type": "text", "text": "c\n[file: b.pdf]"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        )
        self.assertEqual(self.body(turn("c", media=(file,)), context())["messages"][0]["content"], "c\n[file: b.pdf]")

    def test_halves(self) -> None:
        """Text that has no encoding does not fail."""
        self.assertEqual(self.body(turn("a\ud800"), context())["messages"][0]["content"], "a\ufffd")


class EventStreamTests(SynchronousTestCase):
    """Events out of bytes."""

    TEXT = "\ufeffdata: a\r\n\r\n: comment\nevent: x\ndata:b\r\ndata: c ü\n\n\rid: 1\rdata:  d\r\rdata: e".encode()
    EVENTS = [b"a", "b\nc ü".encode(), b" d", b"e"]

    @given(st.lists(st.integers(0, len(TEXT)), max_size=20))
    @settings(max_examples=300)
    def test_pieces(self, cuts: list[int]) -> None:
        """Wherever the bytes are cut, the events are the same."""
        places = [0, *sorted(cuts), len(self.TEXT)]
        stream = EventStream(1000)
        events = [event for first, last in pairwise(places) for event in stream.feed(self.TEXT[first:last])]
        self.assertEqual([*events, *stream.close()], self.EVENTS)

    def test_tooLarge(self) -> None:
        """An event has a cap, in whatever lines and pieces it comes; a long stream of small ones has none."""
        for pieces in ([b"data: " + b"x" * 100], [b"data: x\n"] * 20, [b"x"] * 101):
            stream = EventStream(100)
            with self.assertRaises(ValueError):
                for piece in pieces:
                    stream.feed(piece)
        stream = EventStream(100)
        for _ in range(100):
            self.assertEqual(stream.feed(b"data: x\n\n"), [b"x"])

    def test_tiny(self) -> None:
        """A large event in tiny pieces costs no more than its length."""
        stream = EventStream(1_000_000)
        for _ in range(300_000):
            stream.feed(b"x")
        self.assertEqual(stream.feed(b"\n\n"), [])


class ReplyTests(SynchronousTestCase):
    """What an answer says."""

    def test_stream(self) -> None:
        """Pieces, reasoning under both of its names, the cost, and one end with all of the text."""
        said = reply(
            delta(role="assistant", content=""),
            delta(reasoning_content="hm"),
            delta(reasoning="so"),
            delta(content="a"),
            delta(content="b"),
            delta(finish="length"),
            chunk(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 2}),
            DONE,
            delta(content="late"),
        )
        self.assertEqual(
            said,
            [Reasoning("hm"), Reasoning("so"), TextDelta("a"), TextDelta("b"), Usage(5, 2), Final("ab", "length")],
        )

    def test_tools(self) -> None:
        """A call in pieces is told once it is whole; several keep apart."""
        said = reply(
            delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": "a", "arguments": ""}}]),
            delta(tool_calls=[{"index": 1, "id": "2", "function": {"name": "b", "arguments": '{"x"'}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
            delta(tool_calls=[{"index": 1, "function": {"arguments": ":1}"}}]),
            delta(finish="tool_calls"),
            DONE,
        )
        self.assertEqual(said, [ToolStart("1", "a", "{}"), ToolStart("2", "b", '{"x":1}'), Final("", "tool_calls")])

    def test_ends(self) -> None:
        """An answer without its last line is whole if the model had ended, and cut off if not."""
        self.assertEqual(reply(delta(content="a"), delta(finish="stop")), [TextDelta("a"), Final("a")])
        self.assertEqual(reply(delta(content="a"), DONE.strip()), [TextDelta("a"), Final("a")])
        self.assertEqual(reply(delta(content="a")), [TextDelta("a"), CUT])
        self.assertEqual(reply(), [CUT])

    def test_cutEverywhere(self) -> None:
        """Wherever an answer breaks off, it is never taken for a whole one."""
        whole = delta(content="ab") + delta(content="cü") + delta(finish="stop") + DONE
        ended = len(whole) - len(DONE) - 2
        for length in range(ended):
            self.assertIsInstance(reply(whole[:length])[-1], Failed)
        self.assertEqual(reply(whole[:ended])[-1], Final("abcü"))

    def test_oneObject(self) -> None:
        """A server that does not stream answers with one object."""
        body = msgspec.json.encode(
            {
                "choices": [{"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2},
            }
        )
        self.assertEqual(reply(body[:9], body[9:], stream=False), [TextDelta("ab"), Usage(1, 2), Final("ab")])
        self.assertIsInstance(reply(body[:9], stream=False)[-1], Failed)

    def test_otherChoices(self) -> None:
        """Of several answers the first counts."""
        said = reply(chunk(choices=[{"index": 1, "delta": {"content": "x"}}, {"delta": {"content": "a"}}]), DONE)
        self.assertEqual(said, [TextDelta("a"), Final("a")])

    def test_errors(self) -> None:
        """An error in the middle ends the answer in our words; whether it may pass is read from its kind."""
        for error, retryable in (
            ({"message": "canary", "type": "server_error"}, True),
            ({"message": "canary", "code": 429}, True),
            ({"message": "canary", "code": "rate_limit_exceeded"}, True),
            ({"message": "canary", "code": 400}, False),
            ({"message": "canary", "type": "invalid_request_error"}, False),
            ("canary", True),
        ):
            *_, end = reply(delta(content="a"), chunk(error=error), delta(content="b"))
            assert isinstance(end, Failed)
            self.assertEqual((error, end.retryable), (error, retryable))
            self.assertNotIn("canary", end.message)

    def test_halves(self) -> None:
        """A server that cuts characters in the middle, as JSON can say it, is understood."""
        pieces = [b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n']
        pieces.append(b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n')
        transcript = Transcript(LIMITS)
        said = [one for event in reply(*pieces, DONE) for one in transcript.feed(event)]
        self.assertEqual(said, [TextDelta("\U0001f600"), Final("\U0001f600")])

    def test_nonsense(self) -> None:
        """What is no JSON, no UTF-8 or of another shape ends the answer."""
        for data in (b"{", b'{"choices": 3}', b'"a"', b'{"choices":[{"delta":{"content":"\xff"}}]}', b"\x00"):
            *_, end = reply(delta(content="a"), b"data: " + data + b"\n\n")
            assert isinstance(end, Failed)
            self.assertTrue(end.retryable)

    def test_tooLong(self) -> None:
        """An event, and an answer as a whole, have caps."""
        for pieces in ([b"data: " + b"x" * 2000], [delta(content="a")] * 100):
            self.assertEqual(reply(*pieces)[-1], Failed("agent_error", "the model's server sent too much"))
        self.assertIsInstance(reply(b"x" * 6000, stream=False)[-1], Failed)

    @given(st.lists(st.binary(max_size=40), max_size=10), st.booleans())
    def test_any(self, pieces: list[bytes], stream: bool) -> None:
        """No bytes are too odd; there is one end."""
        said = reply(*[b"data: " + piece + b"\n\n" for piece in pieces], stream=stream)
        self.assertEqual([event for event in said if isinstance(event, (Final, Failed))], said[-1:])


class RefusalTests(SynchronousTestCase):
    """Answers that are none."""

    def test_statuses(self) -> None:
        """Whether trying again may help, and when."""
        for status, after, retryable, milliseconds in (
            (429, "7", True, 7000),
            (503, "", True, None),
            (500, "Fri, 20 Nov 2026 00:00:00 GMT", True, None),
            (400, "7", False, None),
            (401, "", False, None),
            (302, "", False, None),
        ):
            failed = refusal(status, after)
            self.assertEqual((status, failed.retryable, failed.retry_after_ms), (status, retryable, milliseconds))
        self.assertEqual(refusal(429, "").code, "rate_limited")
