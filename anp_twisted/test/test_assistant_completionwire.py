"""Tests of L{anp_twisted.assistant.completionwire}."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.agents.chatwire import ChatReply
from anp_twisted.assistant.agents.events import Final, HistoryMessage, TextDelta, Usage
from anp_twisted.assistant.completionwire import (
    COMMENT,
    MODELS,
    Answer,
    Wanted,
    error_body,
    error_event,
    finish_of,
    model_body,
    models_body,
    parse,
)
from anp_twisted.assistant.errors import InvalidParams, NotFound, ParseError, RpcError
from anp_twisted.assistant.messages import Media
from anp_twisted.limits import Limits

HELLO = [{"role": "user", "content": "hello"}]


def wanted(session: str = "", **members: Any) -> Wanted:
    """
    @return: what a request wants.
    """
    return parse(json.dumps({"model": "assistant", "messages": HELLO, **members}).encode(), session)


class RequestTests(SynchronousTestCase):
    """What a request wants."""

    def test_plain(self) -> None:
        """The least there can be."""
        self.assertEqual(
            wanted(),
            Wanted(
                model="assistant",
                mode="auto",
                text="hello",
                media=(),
                history=(),
                instructions="",
                session="",
                stream=False,
                tell_usage=False,
            ),
        )

    def test_models(self) -> None:
        """Each model is a mode; there are no others."""
        self.assertEqual({name: wanted(model=name).mode for name in MODELS}, MODELS)
        self.assertRaises(NotFound, wanted, model="gpt")

    def test_stream(self) -> None:
        """A stream, and its cost, are told when they are wanted."""
        self.assertEqual((wanted(stream=True).stream, wanted(stream=True).tell_usage), (True, False))
        self.assertTrue(wanted(stream=True, stream_options={"include_usage": True}).tell_usage)
        self.assertFalse(wanted(stream=None, stream_options=None).stream)

    def test_messages(self) -> None:
        """What comes first is what to be, then what was said, in the roles there are; what is empty is left out."""
        messages = [
            {"role": "system", "content": "be"},
            {"role": "developer", "content": [{"type": "text", "text": "kind"}]},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": None},
            {"role": "tool", "content": "b"},
            {"role": "assistant", "content": "c"},
            {"role": "user", "content": [{"type": "text", "text": "d"}, {"type": "text", "text": "e"}]},
        ]
        got = wanted(messages=messages)
        self.assertEqual((got.instructions, got.text), ("be\n\nkind", "d\ne"))
        said = (HistoryMessage("user", "a"), HistoryMessage("system", "b"), HistoryMessage("assistant", "c"))
        self.assertEqual(got.history, said)

    def test_pictures(self) -> None:
        """Pictures are passed on by their address; what is no address is refused."""

        def with_picture(url: str) -> Wanted:
            return wanted(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])

        self.assertEqual(with_picture("https://a/b.png").media, (Media(kind="image", url="https://a/b.png"),))
        for url in ("data:image/png;base64,AA", "file:///etc/passwd", "https://" + "a" * 5000):
            self.assertRaises(InvalidParams, with_picture, url)

    def test_session(self) -> None:
        """A session is named in a field or in the metadata; the field counts."""
        self.assertEqual(wanted(metadata={"session_key": "a"}).session, "a")
        self.assertEqual(wanted("b", metadata={"session_key": "a"}).session, "b")

    def test_ignored(self) -> None:
        """Hints to a model, and members nobody knows, change nothing."""
        self.assertEqual(wanted(temperature=1, max_tokens=5, user="x", tools=[], n=1, store=False), wanted())

    def test_refused(self) -> None:
        """Another form of answer is refused, and so is what nobody says; where the mistake is is told."""
        for members, path in (
            ({"n": 2}, "$.n"),
            ({"tools": [{}]}, "$.tools"),
            ({"functions": [{}]}, "$.functions"),
            ({"logprobs": True}, "$.logprobs"),
            ({"response_format": {"type": "json_object"}}, "$.response_format"),
            ({"modalities": ["audio"]}, "$.modalities"),
            ({"messages": []}, "$.messages"),
            ({"messages": [{"role": "assistant", "content": "a"}]}, "$.messages"),
            ({"messages": [{"role": "user", "content": ""}]}, "$.messages"),
            ({"messages": [{"role": "robot", "content": "a"}]}, "$.messages"),
            ({"messages": "hello"}, "$.messages"),
            ({"stream": "yes"}, "$.stream"),
        ):
            error = self.assertRaises(InvalidParams, wanted, **members)
            self.assertEqual((members, error.path.partition("[")[0]), (members, path))

    @given(st.binary(max_size=60))
    def test_any(self, body: bytes) -> None:
        """No body is too odd."""
        self.assertRaises(RpcError, parse, body)
        self.assertRaises(ParseError, parse, b"")


class AnswerTests(SynchronousTestCase):
    """What is sent."""

    def setUp(self) -> None:
        self.answer = Answer("1", 1_800_000_000.7, "assistant")

    def test_stream(self) -> None:
        """Our own reader of such streams understands it, whatever is in the text."""
        reply = ChatReply(Limits())
        text = 'a\n\u2028"ü\U0001f600'
        said = []
        for data in (self.answer.first(), COMMENT, self.answer.delta(text), self.answer.last("length", Usage(1, 2))):
            said += reply.feed(data)
        self.assertEqual(said, [TextDelta(text), Usage(1, 2), Final(text, "length")])

    def test_chunks(self) -> None:
        """Each chunk says of what it is a part; the cost comes only when it is wanted."""
        first = json.loads(self.answer.first().removeprefix(b"data: "))
        self.assertEqual(
            (first["id"], first["object"], first["created"], first["model"]),
            ("chatcmpl-1", "chat.completion.chunk", 1_800_000_000, "assistant"),
        )
        self.assertEqual(first["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertNotIn(b"usage", self.answer.last("stop", None))
        self.assertTrue(self.answer.last("stop", None).endswith(b"data: [DONE]\n\n"))

    def test_whole(self) -> None:
        """An answer in one piece."""
        body = json.loads(self.answer.whole("a", "stop", Usage(1, 2)))
        self.assertEqual(body["object"], "chat.completion")
        self.assertEqual(body["choices"][0]["message"]["content"], "a")
        self.assertEqual(body["usage"], {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})

    def test_reasons(self) -> None:
        """An agent's own words for why it ended are none that clients know."""
        self.assertEqual([finish_of(reason) for reason in ("stop", "length", "odd")], ["stop", "length", "stop"])

    def test_errors(self) -> None:
        """An error says whose mistake it is and where; in a stream it is one event."""
        body = json.loads(error_body(InvalidParams("no", path="$.n")))["error"]
        self.assertEqual(
            body, {"message": "no", "type": "invalid_request_error", "param": "n", "code": "invalid_params"}
        )
        error = NotFound("no", path="$.model")
        self.assertEqual(json.loads(error_body(error))["error"]["code"], "model_not_found")
        self.assertEqual(error_event(error), b"data: " + error_body(error) + b"\n\n")

    def test_list(self) -> None:
        """The models."""
        body = json.loads(models_body(7.9))
        self.assertEqual([model["id"] for model in body["data"]], list(MODELS))
        self.assertEqual(json.loads(model_body("assistant", 7.9)), body["data"][0])
