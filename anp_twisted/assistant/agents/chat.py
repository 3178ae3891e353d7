"""
An agent behind the chat completions interface, whatever carries its requests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from twisted.logger import Logger

from anp_twisted.assistant.agents.chatwire import CUT, UNREACHABLE, ChatReply, refusal, request_body
from anp_twisted.assistant.agents.events import AgentEvent, Context, Failed, Final, Turn
from anp_twisted.errors import BackendFault
from anp_twisted.limits import Limits
from anp_twisted.tasks import Tasks

_log = Logger()


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """
    What is known of an answer before its body.

    @ivar status: the HTTP status.
    @ivar content_type: without its parameters, in lower case.
    @ivar retry_after: the field of that name, empty if there is none.
    """

    status: int
    content_type: str = ""
    retry_after: str = ""


class Upstream(Protocol):
    """What carries a request to a model's server and its answer back."""

    def ask(self, body: bytes) -> AsyncGenerator[ReplyHead | bytes, None]:
        """
        Ask.

        @param body: of the request.
        @return: first the head of the answer, then the pieces of its body as they come. Closing it ends the request.
        @raise BackendFault: out of the generator: there is no answer, or it broke off. The text is for the log.
        """


class ChatAgent:
    """
    Asks, and asks again while nothing has come of an answer and the reason may pass.
    """

    def __init__(self, upstream: Upstream, tasks: Tasks, limits: Limits, model: str = "default") -> None:
        """
        @param model: for turns that want no other.
        """
        self._upstream = upstream
        self._tasks = tasks
        self._limits = limits
        self._model = model

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """Answer."""
        body = request_body(turn, context, self._model)
        failed, said = CUT, False
        for attempt in range(self._limits.agent_attempts):
            if attempt and not await self._pause(failed, attempt):
                break
            async with aclosing(self._attempt(body)) as events:
                async for event in events:
                    if isinstance(event, Failed) and not said:
                        failed = event
                        break
                    said = True
                    yield event
                    if isinstance(event, (Final, Failed)):
                        return
        yield failed

    async def _pause(self, failed: Failed, attempt: int) -> bool:
        """
        Wait before another attempt.

        @return: whether there should be one.
        """
        seconds = self._limits.agent_retry_first * 2 ** (attempt - 1)
        if failed.retry_after_ms is not None:
            seconds = failed.retry_after_ms / 1000
        if not failed.retryable or seconds > self._limits.agent_retry_most:
            return False
        await self._tasks.sleep(seconds)
        return True

    async def _attempt(self, body: bytes) -> AsyncGenerator[AgentEvent, None]:
        """Ask once; the last event is an end."""
        begun = False
        try:
            async with aclosing(self._upstream.ask(body)) as parts:
                head = await anext(parts)
                assert isinstance(head, ReplyHead)
                begun = True
                if head.status != 200:
                    _log.warn("the model's server answered with status {status}", status=head.status)
                    yield refusal(head.status, head.retry_after)
                    return
                reply = ChatReply(self._limits, stream=head.content_type != "application/json")
                async for piece in parts:
                    assert isinstance(piece, bytes)
                    for event in reply.feed(piece):
                        yield event
                    if reply.ended:
                        return
                for event in reply.close():
                    yield event
        except BackendFault as error:
            _log.warn("the model's server: {error}", error=error)
            yield CUT if begun else UNREACHABLE
