"""Tests of L{anp_twisted.assistant.completions}: requests over a connection in memory to a gateway in memory."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from anp_twisted.assistant.agents.events import Failed, Final, Reasoning, Replace, TextDelta, Usage
from anp_twisted.assistant.completions import Completions
from anp_twisted.assistant.front import Refused
from anp_twisted.assistant.tokens import Principal
from anp_twisted.http.channel import PublicFactory
from anp_twisted.http.connection import PublicConnection
from anp_twisted.http.request import PublicRequest
from anp_twisted.limits import Limits
from anp_twisted.paths import path_of
from anp_twisted.test.assistantlab import AssistantTests, RunOfTest
from anp_twisted.test.callers import CallerTransport

ANN = Principal("ann", "user", "t1")


class Client:
    """
    A client's connection.

    @ivar transport: what it got.
    """

    def __init__(self, factory: PublicFactory) -> None:
        connection = factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 4711))
        assert isinstance(connection, PublicConnection)
        self.connection = connection
        self.transport = CallerTransport()
        self.transport.protocol = connection
        connection.makeConnection(self.transport)

    def send(self, method: str, path: str, body: bytes = b"", *fields: str) -> None:
        """Send a request."""
        lines = [f"{method} {path} HTTP/1.1", "Host: a", *fields]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        self.connection.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)

    def ask(self, *fields: str, **members: Any) -> None:
        """Ask for a completion."""
        request = {"model": "assistant", "messages": [{"role": "user", "content": "hello"}], **members}
        self.send("POST", "/v1/chat/completions", json.dumps(request).encode(), *fields)

    def answer(self) -> tuple[int, Any]:
        """
        @return: status and JSON of an answer in one piece.
        """
        head, _, body = self.transport.take().partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    def events(self) -> list[Any]:
        """
        @return: what came of a stream since the last time, without the framing of HTTP.
        """
        data = self.transport.take().decode()
        events = [line.removeprefix("data: ") for line in data.split("\n") if line.startswith("data: ")]
        return [event if event == "[DONE]" else json.loads(event) for event in events]

    def text(self) -> str:
        """
        @return: the text that came since the last time.
        """
        pieces = [event["choices"][0]["delta"] for event in self.events() if event != "[DONE]" and event["choices"]]
        return "".join(piece.get("content", "") for piece in pieces)

    def leave(self) -> None:
        """Close the connection."""
        self.connection.connectionLost(Failure(ConnectionDone()))


class CompletionTests(AssistantTests):
    """Completions."""

    limits = Limits(assistant_message=2000, assistant_in_flight=2)

    def setUp(self) -> None:
        """Put the pages on a port."""
        super().setUp()
        self.who: Principal | Refused = ANN
        self.completions = Completions(self.lab.around, self.require, self.lab.conversations, self.lab.agents)
        pages = self.completions.pages()
        self.factory = PublicFactory(
            self.lab.clock, self.limits, lambda request: pages[path_of(request.target)](request)
        )
        self.client = Client(self.factory)

    def require(self, request: PublicRequest) -> Principal:
        """Let in whom the test says."""
        if isinstance(self.who, Refused):
            raise self.who
        return self.who

    def run_of(self) -> RunOfTest:
        """
        @return: the run that began last.
        """
        self.lab.turns.end()
        return self.lab.agents.runs[-1]

    # --- without a session ---------------------------------------------------------

    def test_whole(self) -> None:
        """An answer in one piece, with its cost; the next request on the connection works."""
        self.client.ask(messages=[{"role": "system", "content": "be"}, *[{"role": "user", "content": "a"}] * 2])
        run = self.run_of()
        self.assertEqual((run.turn.text, run.turn.mode, run.context.instructions), ("a", "auto", "be"))
        self.assertEqual(len(run.context.history), 1)
        run.say(Reasoning("hm"))
        run.say(TextDelta("hi"))
        run.say(Usage(3, 4))
        self.assertEqual(self.client.transport.take(), b"")
        run.say(Final("hi"))
        status, body = self.client.answer()
        self.assertEqual(
            (status, body["choices"][0]["message"]["content"], body["usage"]["total_tokens"]), (200, "hi", 7)
        )
        self.client.send("GET", "/v1/models")
        self.assertEqual(self.client.answer()[0], 200)

    def test_stream(self) -> None:
        """Pieces come as they are said."""
        self.client.ask(stream=True)
        run = self.run_of()
        run.say(TextDelta("h"))
        first, second = self.client.events()
        self.assertEqual(first["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(second["choices"][0]["delta"]["content"], "h")
        run.say(TextDelta("i"))
        run.say(Final("hi"))
        piece, end, done = self.client.events()
        self.assertEqual((piece["choices"][0]["delta"], end["choices"][0]["finish_reason"]), ({"content": "i"}, "stop"))
        self.assertEqual(done, "[DONE]")
        self.assertEqual(self.lab.clock.getDelayedCalls()[1:], [])

    def test_replaced(self) -> None:
        """What an agent takes back cannot be taken back here; what counts comes behind it."""
        self.client.ask(stream=True)
        run = self.run_of()
        run.say(TextDelta("a"))
        run.say(Replace("b"))
        run.say(Final("b"))
        self.assertEqual(self.client.text(), "a\n\nb")

    def test_slow(self) -> None:
        """For a client that takes nothing the pieces are joined, and sent when it takes them."""
        self.client.ask(stream=True)
        run = self.run_of()
        run.say(TextDelta("a"))
        self.client.events()
        self.client.connection.pauseProducing()
        for _ in range(100):
            run.say(TextDelta("b"))
        run.say(Final("a" + "b" * 100))
        self.assertEqual(self.client.transport.take(), b"")
        self.client.connection.resumeProducing()
        piece, _, done = self.client.events()
        self.assertEqual((piece["choices"][0]["delta"]["content"], done), ("b" * 100, "[DONE]"))

    def test_silence(self) -> None:
        """While the agent thinks, something comes now and then that means nothing."""
        self.client.ask(stream=True)
        run = self.run_of()
        self.lab.clock.advance(self.limits.completion_comment)
        self.assertIn(b":\n\n", self.client.transport.take())
        self.lab.clock.advance(self.limits.completion_comment)
        self.assertIn(b":\n\n", self.client.transport.take())
        run.say(Final("a"))
        self.assertEqual(self.client.text(), "a")

    def test_failure(self) -> None:
        """Before the first piece a failure has a status of its own; behind it, the stream has no end."""
        for stream in (False, True):
            self.client.ask(stream=stream)
            self.run_of().say(Failed("timeout", "the agent took too long", True))
            status, body = self.client.answer()
            self.assertEqual((status, body["error"]["message"]), (504, "the agent took too long"))
        self.client.ask(stream=True)
        run = self.run_of()
        run.say(TextDelta("a"))
        self.client.events()
        run.say(Failed("agent_error", "the agent failed"))
        (event,) = self.client.events()
        self.assertEqual(event["error"]["code"], "agent_error")

    def test_retryAfter(self) -> None:
        """How long a model's server wants to be left alone is passed on."""
        self.client.ask()
        self.run_of().say(Failed("rate_limited", "no", True, 7000))
        self.assertIn(b"Retry-After: 7\r\n", self.client.transport.take())

    def test_leave(self) -> None:
        """When the client leaves, its turn ends."""
        for stream in (False, True):
            client = Client(self.factory)
            client.ask(stream=stream)
            run = self.run_of()
            client.leave()
            self.assertTrue(run.aborted)
        self.assertEqual(self.completions._running, {})

    # --- with a session ------------------------------------------------------------

    def test_session(self) -> None:
        """A session that is named gets message and answer; the history is its own."""
        for number, stream in enumerate((True, False)):
            self.client.ask("X-Session-Key: work", stream=stream, messages=[{"role": "user", "content": f"q{number}"}])
            run = self.run_of()
            self.assertEqual(len(run.context.history), 2 * number)
            run.answer("h", "i")
            self.lab.turns.end()
            if stream:
                self.assertEqual(self.client.text(), "hi")
            else:
                self.assertEqual(self.client.answer()[1]["choices"][0]["message"]["content"], "hi")
        history = self.lab.client("ann").call("chat.history", session_key="work")
        self.assertEqual([one["text"] for one in history["messages"]], ["q0", "hi", "q1", "hi"])

    def test_sessionLeave(self) -> None:
        """A client that leaves changes nothing of what is in the session."""
        self.client.ask("X-Session-Key: work", stream=True)
        run = self.run_of()
        run.say(TextDelta("h"))
        self.client.leave()
        self.assertFalse(run.aborted)
        run.say(Final("hi"))
        self.lab.turns.end()
        history = self.lab.client("ann").call("chat.history", session_key="work")
        self.assertEqual([one["text"] for one in history["messages"]], ["hello", "hi"])

    def test_sessionFailure(self) -> None:
        """A run without an answer is an error, as anywhere else."""
        self.client.ask("X-Session-Key: work")
        self.run_of().say(Failed("timeout", "the agent took too long", True))
        self.lab.turns.end()
        self.assertEqual(self.client.answer()[0], 504)

    def test_sessionTwice(self) -> None:
        """The same key for the same message is one message, whose answer comes again."""
        for _ in range(2):
            self.client.ask("X-Session-Key: work", "Idempotency-Key: k")
            if not self.client.transport.value():
                self.run_of().answer("hi")
            self.lab.turns.end()
            self.assertEqual(self.client.answer()[1]["choices"][0]["message"]["content"], "hi")
        self.assertEqual(len(self.lab.agents.runs), 1)

    def test_othersSession(self) -> None:
        """Sessions of others are not reached."""
        self.client.ask("X-Session-Key: default:ws:@bob:direct:a:")
        self.assertEqual(self.client.answer()[0], 403)
        self.client.ask("X-Session-Key: :::")
        self.assertEqual(self.client.answer()[0], 400)
        self.client.ask("X-Session-Key: a", "X-Session-Key: b")
        self.assertEqual(self.client.answer()[0], 400)

    # --- refusals --------------------------------------------------------------------

    def test_refused(self) -> None:
        """Who may not is told so in the words of this interface; nobody is asked anything."""
        for refusal, status, code in (
            (Refused(401, "no"), 401, "unauthenticated"),
            (Refused(429, "no", 3), 429, "rate_limited"),
            (Refused(403, "no"), 403, "forbidden"),
        ):
            self.who = refusal
            self.client.ask()
            got, body = self.client.answer()
            self.assertEqual((got, body["error"]["code"]), (status, code))
            self.client.send("GET", "/v1/models")
            self.assertEqual(self.client.answer()[0], status)
        self.assertEqual(self.lab.agents.runs, [])

    def test_malformed(self) -> None:
        """What is no request is refused before anybody is asked."""
        for body, status in (
            (b"", 400),
            (b"{", 400),
            (b"[]", 400),
            (b'{"model":"x","messages":[{"role":"user"}]}', 404),
        ):
            self.client.send("POST", "/v1/chat/completions", body)
            self.assertEqual(self.client.answer()[0], status)
        self.assertEqual((self.lab.agents.runs, self.completions._running), ([], {}))

    def test_tooLarge(self) -> None:
        """A body over the cap is refused, whether its length is told or not."""
        self.client.send("POST", "/v1/chat/completions", b"x" * 2001)
        self.assertEqual(self.client.answer()[0], 413)
        client = Client(self.factory)
        client.connection.dataReceived(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"7d0\r\n%b\r\n" % (b"x" * 2000)
            + b"1\r\nx\r\n"
        )
        self.assertEqual(client.answer()[0], 413)
        self.assertEqual(self.completions._running, {})

    def test_methods(self) -> None:
        """Other methods are refused; a single model can be asked for."""
        for method, path, allowed in (
            ("GET", "/v1/chat/completions", b"POST"),
            ("DELETE", "/v1/models", b"GET, HEAD"),
        ):
            self.client.send(method, path)
            answer = self.client.transport.take()
            self.assertTrue(answer.startswith(b"HTTP/1.1 405 "))
            self.assertIn(b"Allow: " + allowed, answer)
        self.client.send("GET", "/v1/models/assistant-fast")
        self.assertEqual(self.client.answer()[1]["id"], "assistant-fast")

    def test_busy(self) -> None:
        """Too many at once of one principal, or of all, are refused; later there is room."""
        clients = [Client(self.factory) for _ in range(3)]
        for client in clients:
            client.ask()
        self.assertEqual(clients[2].answer()[0], 429)
        self.run_of().say(Final("a"))
        clients[2].ask()
        self.lab.turns.end()
        self.assertEqual(len(self.lab.agents.runs), 3)
        self.lab.agents.full = True
        self.who = Principal("bob", "user", "t2")
        self.client.ask()
        self.assertEqual(self.client.answer()[0], 503)
