"""
What one agent says in one turn, held to the rules: no I/O.

Whoever shows or keeps an answer should not have to mistrust it. What comes out of
a L{Transcript} has exactly one end, nothing behind it, only text that can be
encoded, and not too much of anything; the text of the end is what the events
before it add up to; and the cost is told once, before the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from typing import Final as Constant

import msgspec

from anp_twisted.assistant.agents.events import (
    AgentEvent,
    Failed,
    Final,
    Reasoning,
    Replace,
    TextDelta,
    ToolEnd,
    ToolStart,
    Usage,
)
from anp_twisted.limits import Limits

T = TypeVar("T")

Said = Sequence[AgentEvent]
"""What is passed on; a tuple costs less than a generator, and is mostly of one."""

_NOTHING: Constant[Said] = ()

BROKEN: Constant = "agent_error"
"""The L{Failed} code of an agent that failed, or broke the rules."""


def sound(text: str) -> str:
    """
    @return: the text, with U+FFFD where it holds halves of characters, which no encoding has.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Two halves that make a whole are one character to whoever wrote them, as in JSON of some programs.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def decode_loosely(data: bytes, kind: type[T]) -> T:
    """
    Decode JSON, and forgive halves of characters, which the grammar of JSON allows.

    @raise ValueError: it is no JSON, or not of this kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        # At a tenth of the speed; it takes what the other does not.
        return msgspec.convert(json.loads(data), kind)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise ValueError("not such an object") from None


def cut(text: str, most: int) -> str:
    """
    @return: the text, shortened where it is too long, with a mark at its end.
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


class Transcript:
    """
    The machine.

    @ivar ended: whether the end was said.
    @ivar events: how many things were said.
    """

    def __init__(self, limits: Limits, *, tools: bool = True) -> None:
        """
        @param tools: whether the agent may use tools.
        """
        self.ended = False
        self.events = 0
        self._limits = limits
        self._may_use_tools = tools
        self._pieces: list[str] = []
        self._half = ""  # the first half of a character whose second has still to come
        self._length = 0
        self._thought = 0
        self._tools = 0
        self._input = 0
        self._output = 0

    @property
    def text(self) -> str:
        """
        The answer so far.
        """
        return "".join(self._pieces)

    def feed(self, event: object) -> Said:
        """
        Take what an agent says.

        @param event: an L{AgentEvent}; anything else ends the turn.
        @return: what is to be passed on.
        """
        if self.ended:
            return _NOTHING
        self.events += 1
        if self.events > self._limits.agent_events:
            return self.fail("the agent says too much")
        rule = _RULES.get(type(event))
        if rule is None:
            return self.fail("the agent said something that has no meaning")
        return rule(self, event)

    def close(self) -> Said:
        """
        Note that the agent stopped; without an end of its own, what it said is the answer.
        """
        return _NOTHING if self.ended else self._final(Final(self.text))

    def fail(self, message: str, code: str = BROKEN, *, retryable: bool = False) -> Said:
        """
        End the turn without an answer.

        @param message: a fixed text, for strangers.
        """
        return _NOTHING if self.ended else self._failed(Failed(code, message, retryable))

    # --- the rules ----------------------------------------------------------

    def _joined(self, text: str) -> str:
        """
        Make pieces of whole characters: some servers cut them in the middle, in UTF-16.

        @return: the text that is whole by now.
        """
        text = self._half + text if self._half else text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return sound(text.removesuffix(self._half))

    def _delta(self, event: TextDelta) -> Said:
        text = self._joined(event.text)
        if not text:
            return _NOTHING
        self._length += len(text)
        if self._length > self._limits.agent_text:
            return self.fail("the answer is too long")
        self._pieces.append(text)
        return (event if text is event.text else TextDelta(text),)

    def _reasoning(self, event: Reasoning) -> Said:
        text = sound(event.text)
        self._thought += len(text)
        # Nobody keeps it, so that too much of it ends nothing.
        return (Reasoning(text),) if text and self._thought <= self._limits.agent_text else _NOTHING

    def _replace(self, event: Replace) -> Said:
        text = sound(event.text)
        if len(text) > self._limits.agent_text:
            return self.fail("the answer is too long")
        self._pieces, self._half = [text], ""
        self._length = len(text)
        return (Replace(text),)

    def _tool_start(self, event: ToolStart) -> Said:
        if not self._may_use_tools:
            return self.fail("the agent used a tool where it may not")
        self._tools += 1
        if self._tools > self._limits.agent_tools:
            return self.fail("the agent calls too many tools")
        most = self._limits.agent_tool_text
        return (ToolStart(cut(sound(event.id), 128), cut(sound(event.name), 128), cut(sound(event.arguments), most)),)

    def _tool_end(self, event: ToolEnd) -> Said:
        result = cut(sound(event.result), self._limits.agent_tool_text)
        return (ToolEnd(cut(sound(event.id), 128), result, event.failed),)

    def _usage(self, event: Usage) -> Said:
        # What an agent says of its cost is the sum so far; it may say it often.
        self._input, self._output = event.input_tokens, event.output_tokens
        return _NOTHING

    def _final(self, event: Final) -> Said:
        whole, text, self._half = self.text, sound(event.text), ""
        said: list[AgentEvent] = []
        if text.startswith(whole):
            said += self._delta(TextDelta(text[len(whole) :]))
        else:
            said += self._replace(Replace(text))
        if self.ended:
            return said
        said += self._cost()
        self.ended = True
        return [*said, Final(text, cut(sound(event.finish_reason), 64))]

    def _failed(self, event: Failed) -> Said:
        self.ended = True
        message = cut(sound(event.message), 500)
        return [
            *self._cost(),
            Failed(cut(sound(event.code), 64), message, event.retryable, event.retry_after_ms),
        ]

    def _cost(self) -> Said:
        return (Usage(self._input, self._output),) if self._input or self._output else _NOTHING


_RULES: Constant[dict[Any, Callable[[Transcript, Any], Said]]] = {
    TextDelta: Transcript._delta,
    Reasoning: Transcript._reasoning,
    Replace: Transcript._replace,
    ToolStart: Transcript._tool_start,
    ToolEnd: Transcript._tool_end,
    Usage: Transcript._usage,
    Final: Transcript._final,
    Failed: Transcript._failed,
}
"""By the type of an event. A table, since this runs for each piece of each answer."""
