"""
What an agent is told, and what it says.

Pure. The events are msgspec structs with a tag, so that an agent in another
process or behind HTTP says the same things as one in this one, as JSON objects
with a member C{type}.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec

from anp_twisted.assistant.messages import Media


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta"):
    """The answer goes on with C{text}."""

    text: str


class Reasoning(msgspec.Struct, frozen=True, tag="reasoning"):
    """A part of what the agent thinks aloud; it is no part of the answer."""

    text: str


class ToolStart(msgspec.Struct, frozen=True, tag="tool_start"):
    """
    The agent calls a tool.

    @ivar id: the same in the L{ToolEnd} that belongs to it.
    @ivar arguments: JSON, as the agent wrote it.
    """

    id: str
    name: str
    arguments: str = ""


class ToolEnd(msgspec.Struct, frozen=True, tag="tool_end"):
    """A tool has answered, or failed."""

    id: str
    result: str = ""
    failed: bool = False


class Replace(msgspec.Struct, frozen=True, tag="replace"):
    """The whole answer so far is C{text} instead."""

    text: str


class Usage(msgspec.Struct, frozen=True, tag="usage"):
    """What the turn has cost so far, in tokens of the model."""

    input_tokens: int = 0
    output_tokens: int = 0


class Final(msgspec.Struct, frozen=True, tag="final"):
    """
    The answer is complete; nothing follows.

    @ivar text: the whole answer.
    @ivar finish_reason: C{stop}, or C{length} where the model was cut.
    """

    text: str
    finish_reason: str = "stop"


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """
    There is no answer; nothing follows.

    @ivar code: one word: C{cancelled}, C{timeout}, C{agent_error}, C{rate_limited}, …
    @ivar message: a sentence that strangers may read.
    """

    code: str
    message: str
    retryable: bool = False
    retry_after_ms: int | None = None


AgentEvent = TextDelta | Reasoning | ToolStart | ToolEnd | Replace | Usage | Final | Failed
"""Everything an agent may say; the last is a L{Final} or a L{Failed}."""


class HistoryMessage(msgspec.Struct, frozen=True):
    """
    Something that was said before.

    @ivar role: C{user}, C{assistant}, or C{system} for the summary of what was compacted.
    """

    role: str
    text: str


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is asked now.

    @ivar message_id: the id that the answer will have.
    @ivar run_id: the id of this run of the agent.
    @ivar mode: C{auto}, C{fast}, C{single} or C{multi}.
    @ivar model: which model is wanted, empty for the agent's own.
    @ivar metadata: what the channel or client said besides.
    """

    message_id: str
    run_id: str
    text: str
    media: tuple[Media, ...] = ()
    mode: str = "auto"
    model: str = ""
    metadata: dict[str, Any] = {}


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where it is asked.

    @ivar session_key: the session, in its full text form.
    @ivar history: what was said before, oldest first; after a compaction it begins with the summary.
    @ivar deadline: seconds the agent has from its start, C{None} for no limit.
    @ivar instructions: what the agent is to be and do in this turn; most models call it the system prompt.
    @ivar tools: whether it may use tools.
    """

    session_key: str
    agent_id: str
    history: tuple[HistoryMessage, ...] = ()
    deadline: float | None = None
    instructions: str = ""
    tools: bool = True


class Agent(Protocol):
    """Something that answers."""

    def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """
        Answer one turn.

        @return: the events; closing the generator early ends the turn, and everything it holds has to be let go then.
        """
