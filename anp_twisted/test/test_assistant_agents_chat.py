"""Tests of L{anp_twisted.assistant.agents.chat}: when it asks again."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from twisted.trial.unittest import TestCase

from anp_twisted.assistant.agents.chat import ChatAgent, ReplyHead
from anp_twisted.assistant.agents.chatwire import CUT, UNREACHABLE
from anp_twisted.assistant.agents.events import Failed, Final, TextDelta
from anp_twisted.errors import BackendFault
from anp_twisted.limits import Limits
from anp_twisted.test.agent_lab import Hearing, Stage, context, turn, turns, until
from anp_twisted.test.model_lab import delta, encode
from anp_twisted.test.receiver_rig import on_loop

Script = list[ReplyHead | bytes | BackendFault]

STREAM = ReplyHead(200, "text/event-stream")
ANSWER: Script = [STREAM, delta(content="a"), delta(finish="stop"), b"data: [DONE]\n\n"]


class Scripted:
    """
    Answers each request as it was told.

    @ivar asked: how many requests there were.
    """

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.asked = 0
        self.open = 0

    async def ask(self, body: bytes) -> AsyncGenerator[ReplyHead | bytes, None]:
        self.asked += 1
        self.open += 1
        try:
            for part in self.scripts.pop(0):
                if isinstance(part, BackendFault):
                    raise part
                yield part
        finally:
            self.open -= 1


class AttemptTests(TestCase):
    """Attempts."""

    def setUp(self) -> None:
        self.stage = Stage(Limits(agent_attempts=3, agent_retry_first=0.5, agent_retry_most=10.0))

    async def hear(self, upstream: Scripted, *pauses: float) -> Hearing:
        """
        @param pauses: seconds, each of which it waits for before it asks again.
        @return: what is heard.
        """
        agent = ChatAgent(upstream, self.stage.tasks, self.stage.limits)
        hearing = self.stage.begin(agent.run(turn("x"), context()))
        for number, pause in enumerate(pauses, 1):
            await turns()
            self.stage.clock.advance(pause - 0.01)
            await turns()
            self.assertEqual(upstream.asked, number)
            self.stage.clock.advance(0.01)
        await until(lambda: not self.stage.runs)
        self.assertEqual((upstream.open, self.stage.clock.getDelayedCalls()), (0, []))
        return hearing

    @on_loop
    async def test_again(self) -> None:
        """While nothing came of an answer, it asks again, later each time."""
        upstream = Scripted([BackendFault("no")], [ReplyHead(503)], [*ANSWER])
        hearing = await self.hear(upstream, 0.5, 1.0)
        self.assertEqual((hearing.events, upstream.asked), ([TextDelta("a"), Final("a")], 3))

    @on_loop
    async def test_giveUp(self) -> None:
        """Not for ever; the last reason is told."""
        upstream = Scripted([ReplyHead(503)], [STREAM], [BackendFault("no")])
        hearing = await self.hear(upstream, 0.5, 1.0)
        self.assertEqual((hearing.events, upstream.asked), ([UNREACHABLE], 3))

    @on_loop
    async def test_final(self) -> None:
        """What will not pass is not asked again."""
        upstream = Scripted([ReplyHead(401)])
        hearing = await self.hear(upstream)
        assert isinstance(hearing.end, Failed)
        self.assertEqual((hearing.end.retryable, upstream.asked), (False, 1))

    @on_loop
    async def test_retryAfter(self) -> None:
        """A pause that the server asks for is kept; one that is too long is told instead."""
        hearing = await self.hear(Scripted([ReplyHead(429, retry_after="3")], [*ANSWER]), 3.0)
        self.assertEqual(hearing.end, Final("a"))
        upstream = Scripted([ReplyHead(429, retry_after="11")])
        hearing = await self.hear(upstream)
        assert isinstance(hearing.end, Failed)
        self.assertEqual((hearing.end.retry_after_ms, upstream.asked), (11000, 1))

    @on_loop
    async def test_begun(self) -> None:
        """Once something was said, there is no second beginning, however the answer breaks off."""
        endings: list[Script] = [[], [BackendFault("no")]]
        for rest in endings:
            upstream = Scripted([STREAM, delta(content="a"), *rest])
            hearing = await self.hear(upstream)
            self.assertEqual((hearing.events, upstream.asked), ([TextDelta("a"), CUT], 1))

    @on_loop
    async def test_oneObject(self) -> None:
        """A server that does not stream is understood, too."""
        body = encode({"choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]})
        hearing = await self.hear(Scripted([ReplyHead(200, "application/json"), body]))
        self.assertEqual(hearing.events, [TextDelta("ab"), Final("ab")])
