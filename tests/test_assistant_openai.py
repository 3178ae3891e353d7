"""The C{openai} package, as people use it, against a real gateway."""

from __future__ import annotations

import os
from typing import Any
from unittest import SkipTest

import httpx

from tests.assistant import Assistant, AssistantCase
from tests.harness import APPS, ROOT, wait_until

try:
    import openai
except ImportError:
    openai = None  # type: ignore[assignment]

PATHS = os.pathsep.join([str(APPS), str(ROOT)])
FAIL: Any = [{"role": "user", "content": "fail canary"}]
HELLO: Any = [{"role": "user", "content": "say Grüße 你好"}]


class OpenAITests(AssistantCase):
    """Models, answers, streams, sessions, errors."""

    def setUp(self) -> None:
        if openai is None:
            raise SkipTest("openai is not installed")
        super().setUp()
        self.notes = self.folder / "notes"
        environment = {"PYTHONPATH": PATHS, "AGENT_NOTES": str(self.notes)}
        self.gateway: Assistant = self.start_assistant(
            "--agent=python:agents:answer", "--message-rate=30/60s", environment=environment
        )

    def api(self, key: str | None = None) -> Any:
        """
        @return: a client.
        """
        client = openai.OpenAI(base_url=f"{self.gateway.url}/v1", api_key=key or self.gateway.token, max_retries=0)
        self.addCleanup(client.close)
        return client

    def test_answers(self) -> None:
        """Models, an answer in one piece and one in many, with its cost, and what was said before."""
        client = self.api()
        self.assertEqual(next(model.id for model in client.models.list()), "assistant")
        self.assertEqual(client.models.retrieve("assistant-fast").id, "assistant-fast")
        answer = client.chat.completions.create(model="assistant", messages=HELLO)
        self.assertEqual(answer.choices[0].message.content, "Grüße 你好")
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.total_tokens), ("stop", 0))
        chunks = list(
            client.chat.completions.create(
                model="assistant", messages=HELLO, stream=True, stream_options={"include_usage": True}, temperature=0.5
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual((text, len(chunks) > 5, chunks[-1].usage.total_tokens), ("Grüße 你好", True, 0))
        messages: Any = [
            {"role": "system", "content": "be"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "recall"},
        ]
        answer = client.chat.completions.create(model="assistant-single", messages=messages)
        self.assertEqual(answer.choices[0].message.content, "user=a|assistant=b|be")
        self._session()

    def test_errors(self) -> None:
        """Each mistake is the exception that this package has for it."""
        client = self.api()
        create = client.chat.completions.create
        for kind, wanted in (
            (openai.NotFoundError, {"model": "gpt", "messages": HELLO}),
            (openai.BadRequestError, {"model": "assistant", "messages": HELLO, "n": 2}),
            (openai.BadRequestError, {"model": "assistant", "messages": []}),
            (
                openai.InternalServerError,
                {"model": "assistant", "messages": FAIL},
            ),
        ):
            with self.assertRaises(kind) as caught:
                create(**wanted)
            self.assertNotIn("canary", str(caught.exception))
        with self.assertRaises(openai.AuthenticationError):
            self.api("anp_wrong").models.list()
        self._other_page()
        with self.assertRaises(openai.APIError):
            list(create(model="assistant-single", messages=FAIL, stream=True))

    def test_leave(self) -> None:
        """Who stops to read a stream ends the turn: the agent is closed within two seconds. Too many are refused."""
        stream = self.api().chat.completions.create(
            model="assistant-single", messages=[{"role": "user", "content": "hang"}], stream=True
        )
        for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        self.assertEqual(self.notes.read_text().split(), ["begun"])
        stream.close()
        wait_until(lambda: self.notes.read_text().split() == ["begun", "closed"], "the agent is closed", 2)
        self._too_many()

    def _other_page(self) -> None:
        """A page of another origin gets nothing, whatever token it has."""
        answer = httpx.post(
            f"{self.gateway.url}/v1/chat/completions",
            headers={**self.gateway.headers, "Origin": "https://evil.example"},
            json={"model": "assistant", "messages": HELLO},
            trust_env=False,
        )
        self.assertEqual(answer.status_code, 403)

    def _too_many(self) -> None:
        """The rate is that of the token, whatever way messages come."""
        viewer = self.rpc(self.gateway)
        for number in range(5):
            viewer.call("chat.send", session_key="a", text=str(number))
        with self.assertRaises(openai.RateLimitError) as caught:
            for _ in range(30):
                self.api().chat.completions.create(model="assistant", messages=HELLO)
        self.assertGreater(int(caught.exception.response.headers["retry-after"]), 0)

    def _session(self) -> None:
        """A request that names a session is a part of it, and seen by the clients of the WebSocket."""
        client, viewer = self.api(), self.rpc(self.gateway)
        viewer.call("session.create", session_key="shared")
        viewer.call("session.subscribe", session_key="shared")
        for way in ({"extra_headers": {"X-Session-Key": "shared"}}, {"metadata": {"session_key": "shared"}}):
            answer = client.chat.completions.create(model="assistant", messages=HELLO, **way)
            self.assertEqual(answer.choices[0].message.content, "Grüße 你好")
            self.assertEqual(viewer.until("chat.final")["text"], "Grüße 你好")
            viewer.events.clear()
        history = viewer.call("chat.history", session_key="shared")
        self.assertEqual(len(history["messages"]), 4)
