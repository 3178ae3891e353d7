"""
The chat completions interface that most servers of models speak, as bytes: no I/O.

Requests are made here, and answers read: a stream of events, a single JSON object
from a server that does not stream, or a refusal. Whatever is malformed, cut off or
too large becomes a L{Failed}, never an exception.

Server-sent events are those of the WHATWG's HTML standard, section 9.2, of which
only C{data} means anything here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from typing import Final as Constant

import msgspec

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
from anp_twisted.assistant.agents.transcript import BROKEN, decode_loosely, sound
from anp_twisted.limits import Limits

CUT: Constant = Failed(BROKEN, "the answer of the model's server was cut off", True)
"""What a stream without an end is."""

UNREACHABLE: Constant = Failed(BROKEN, "the model's server cannot be reached", True)

_SENSELESS: Constant = Failed(BROKEN, "the model's server sent something that has no meaning", True)
_TOO_LONG: Constant = Failed(BROKEN, "the model's server sent too much")
_BROKE: Constant = Failed(BROKEN, "the model's server failed in the middle of its answer", True)

_encode = msgspec.json.Encoder().encode
_LINE_END: Constant = re.compile(rb"\r\n|\n|\r")
_PASSING: Constant = ("rate", "overload", "server", "timeout", "unavailable", "capacity")
"""Words in the kind of an error that will not be there for ever."""


# --- requests ------------------------------------------------------------------------


def request_body(turn: Turn, context: Context, model: str) -> bytes:
    """
    Make the body of a request.

    @param model: for a turn that wants no other.
    """
    messages: list[dict[str, Any]] = []
    if context.instructions:
        messages.append({"role": "system", "content": sound(context.instructions)})
    messages += [{"role": said.role, "content": sound(said.text)} for said in context.history]
    messages.append({"role": "user", "content": _content(turn)})
    return _encode(
        {
            "model": turn.model or model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    """Put what is attached beside the text: pictures for the model to see, everything else by name."""
    others = [f"[{one.kind}: {one.name or one.url}]" for one in turn.media if one.kind != "image"]
    text = sound("\n".join([turn.text, *others]))
    pictures = [{"type": "image_url", "image_url": {"url": one.url}} for one in turn.media if one.kind == "image"]
    return [{"type": "text", "text": text}, *pictures] if pictures else text


# --- what comes back -----------------------------------------------------------------


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Said(msgspec.Struct):
    """A piece of the answer, or all of it; servers differ in how they call the reasoning."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Cost(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Cost | None = None
    error: Any = None


class EventStream:
    """Cuts server-sent events out of bytes, however they come in pieces."""

    def __init__(self, most: int) -> None:
        """
        @param most: bytes of one event.
        """
        self._most = most
        self._held: list[bytes] = []
        self._length = 0
        self._data: list[bytes] = []
        self._data_length = 0
        self._begun = False

    def feed(self, data: bytes) -> list[bytes]:
        """
        Take what came.

        @return: the C{data} of each event that is complete.
        @raise ValueError: if one is too large.
        """
        self._length += len(data)
        if self._length > self._most:
            raise ValueError("an event is too large")
        self._held.append(data)
        if b"\n" not in data and b"\r" not in data:
            return []  # joined only when there is something to cut, so that tiny pieces cost no more than large ones
        held = b"".join(self._held)
        # Behind a CR there may come the LF that belongs to it.
        end = len(held) - held.endswith(b"\r")
        *lines, rest = _LINE_END.split(held[:end])
        self._held = [rest + held[end:]]
        events = [event for line in lines if (event := self._line(line)) is not None]
        self._length = len(self._held[0]) + self._data_length
        return events

    def close(self) -> list[bytes]:
        """
        Note that nothing more comes; some servers leave out the empty line behind the last event.
        """
        held, self._held = b"".join(self._held), []
        lines = [*_LINE_END.split(held), b""]
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        """Take one line; an empty one completes an event."""
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            self._data_length += len(line)
        elif not line and self._data:
            event, self._data, self._data_length = b"\n".join(self._data), [], 0
            return event
        return None


class ChatReply:
    """
    The answer to one request.

    @ivar ended: whether its end was said.
    """

    def __init__(self, limits: Limits, *, stream: bool = True) -> None:
        """
        @param stream: whether it is a stream of events; else it is one JSON object.
        """
        self.ended = False
        self._events = EventStream(limits.agent_line)
        self._stream = stream
        self._whole: list[bytes] = []
        self._left = limits.agent_answer
        self._text: list[str] = []
        self._calls: dict[int, _ToolCall] = {}
        self._reason = ""

    def feed(self, data: bytes) -> list[AgentEvent]:
        """
        Take what came.

        @return: what it says.
        """
        self._left -= len(data)
        if self._left < 0:
            return self._fail(_TOO_LONG)
        if not self._stream:
            self._whole.append(data)
            return []
        try:
            events = self._events.feed(data)
        except ValueError:
            return self._fail(_TOO_LONG)
        return self._take(events)

    def close(self) -> list[AgentEvent]:
        """
        Note that nothing more comes.

        @return: what is still to be said; the last of all is an end.
        """
        said = self._take(self._events.close() if self._stream else [b"".join(self._whole)])
        if self.ended:
            return said
        # Some servers do not say [DONE]; that the model had ended is enough.
        return said + (self._end() if self._reason else self._fail(CUT))

    def _take(self, events: Sequence[bytes]) -> list[AgentEvent]:
        said: list[AgentEvent] = []
        for event in events:
            if not self.ended:
                said += self._one(event)
        return said

    def _one(self, data: bytes) -> list[AgentEvent]:
        if data.strip() == b"[DONE]":
            return self._end()
        try:
            chunk = decode_loosely(data, _Chunk)
        except ValueError:
            return self._fail(_SENSELESS)
        if chunk.error:
            return self._fail(_failure(chunk.error))
        said: list[AgentEvent] = []
        for choice in chunk.choices or ():
            if choice.index == 0:
                said += self._choice(choice)
        if chunk.usage is not None:
            said.append(Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0))
        return said

    def _choice(self, choice: _Choice) -> list[AgentEvent]:
        piece = choice.delta or choice.message or _Said()
        said: list[AgentEvent] = []
        thought = piece.reasoning_content or piece.reasoning
        if thought:
            said.append(Reasoning(thought))
        for text in (piece.content, piece.refusal):
            if text:
                self._text.append(text)
                said.append(TextDelta(text))
        for call in piece.tool_calls or ():
            self._call(call)
        if choice.finish_reason:
            self._reason = choice.finish_reason
            said += self._called()
        return said

    def _call(self, piece: _ToolCall) -> None:
        """Put the pieces of a call together; only the first of them has the name."""
        whole = self._calls.setdefault(piece.index, _ToolCall(piece.index, "", _Function("", "")))
        whole.id = whole.id or piece.id
        if piece.function is not None and whole.function is not None:
            whole.function.name = whole.function.name or piece.function.name
            whole.function.arguments = (whole.function.arguments or "") + (piece.function.arguments or "")

    def _called(self) -> list[AgentEvent]:
        """Tell the calls of tools, which are complete now."""
        calls, self._calls = self._calls, {}
        return [
            ToolStart(call.id or f"call-{index}", call.function.name or "", call.function.arguments or "")
            for index, call in sorted(calls.items())
            if call.function is not None
        ]

    def _end(self) -> list[AgentEvent]:
        self.ended = True
        return [*self._called(), Final("".join(self._text), self._reason or "stop")]

    def _fail(self, failed: Failed) -> list[AgentEvent]:
        self.ended = True
        return [failed]


def _failure(error: Any) -> Failed:
    """Tell whether an error in the middle of an answer will pass; its own words are not for strangers."""
    kind = error if isinstance(error, dict) else {}
    words = f"{kind.get('type')} {kind.get('code')}".lower()
    code = kind.get("code")
    passing = isinstance(code, int) and (code == 429 or code >= 500)
    known = any(kind.get(name) for name in ("type", "code"))
    return msgspec.structs.replace(_BROKE, retryable=passing or not known or any(word in words for word in _PASSING))


_REFUSALS: Constant = {
    401: "the model's server does not accept the key of this gateway",
    403: "the model's server does not permit this",
    404: "the model's server has no such model, or nothing at that address",
    413: "the conversation is too long for the model's server",
    429: "the model's server is asked too often",
}


def refusal(status: int, retry_after: str) -> Failed:
    """
    Make sense of an answer that is none.

    @param status: the HTTP status, which is not 200.
    @param retry_after: the field of that name, empty if there is none; only seconds are understood.
    """
    message = _REFUSALS.get(status)
    if message is None:
        message = "the model's server failed" if status >= 500 else "the model's server refused the request"
    passing = status in (408, 409, 425, 429) or status >= 500
    seconds = int(retry_after) if passing and re.fullmatch(r"[0-9]{1,6}", retry_after) else None
    code = "rate_limited" if status == 429 else BROKEN
    return Failed(code, message, passing, None if seconds is None else seconds * 1000)
