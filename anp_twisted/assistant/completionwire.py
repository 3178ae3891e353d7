"""
The chat completions interface as this gateway offers it: requests to turns, answers to bytes. Pure.

Models are ways to work on a turn. What would change the form of an answer is refused;
hints to a model, such as a temperature, concern the agent's own model and are ignored.

U{https://platform.openai.com/docs/api-reference/chat}
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from anp_twisted.assistant.agents.events import HistoryMessage, Usage
from anp_twisted.assistant.errors import InvalidParams, NotFound, ParseError, RpcError
from anp_twisted.assistant.messages import Media

MODELS: Final = {
    "assistant": "auto",
    "assistant-fast": "fast",
    "assistant-single": "single",
    "assistant-multi": "multi",
}
"""The mode of each model."""

DONE: Final = b"data: [DONE]\n\n"
COMMENT: Final = b":\n\n"
"""A line that means nothing, to keep what is between us and a client from closing."""

_OWNER: Final = "anp-twisted"


# --- requests ------------------------------------------------------------------------


class _Picture(msgspec.Struct):
    url: str


class _Piece(msgspec.Struct):
    """A part of a message that has several."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: _Picture | None = None


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Piece] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Format(msgspec.Struct):
    type: str = "text"


class _Request(msgspec.Struct):
    model: str
    messages: Annotated[list[_Message], Meta(min_length=1, max_length=1000)]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    metadata: dict[str, str] | None = None
    n: int | None = 1
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    logprobs: bool | None = False
    response_format: _Format | None = None
    modalities: list[str] | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a request wants.

    @ivar model: as the client calls it.
    @ivar session: the key of a session in the client's words, empty for none.
    @ivar stream: whether the answer comes in pieces.
    @ivar tell_usage: whether the cost comes behind them.
    """

    model: str
    mode: str
    text: str
    media: tuple[Media, ...]
    history: tuple[HistoryMessage, ...]
    instructions: str
    session: str
    stream: bool
    tell_usage: bool


_decode = msgspec.json.Decoder(_Request).decode


def parse(body: bytes, session: str = "") -> Wanted:
    """
    Read a request.

    @param session: what the field C{X-Session-Key} says, empty if there is none.
    @raise RpcError: it cannot be served; as for any other interface.
    """
    try:
        request = _decode(body)
    except msgspec.ValidationError as error:
        path = str(error).rpartition(" - at `")[2].rstrip("`") if " - at `" in str(error) else ""
        raise InvalidParams("the request is not one for a chat completion", path=path[:200]) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ParseError("the body is not valid JSON") from None
    mode = MODELS.get(request.model)
    if mode is None:
        raise NotFound("there is no such model", path="$.model")
    _refuse_forms(request)
    instructions, history, last = _messages(request.messages)
    text, media = _content(last)
    if not text and not media:
        raise InvalidParams("the last message is empty", path="$.messages")
    return Wanted(
        model=request.model,
        mode=mode,
        text=text,
        media=media,
        history=history,
        instructions=instructions,
        session=session or (request.metadata or {}).get("session_key", ""),
        stream=bool(request.stream),
        tell_usage=request.stream_options is not None and request.stream_options.include_usage,
    )


def _refuse_forms(request: _Request) -> None:
    """
    @raise InvalidParams: an answer of another form is wanted.
    """
    forms = {
        "n": request.n not in (None, 1),
        "tools": bool(request.tools),
        "functions": bool(request.functions),
        "logprobs": bool(request.logprobs),
        "response_format": request.response_format is not None and request.response_format.type != "text",
        "modalities": request.modalities not in (None, ["text"]),
    }
    for name, wanted in forms.items():
        if wanted:
            raise InvalidParams(f"{name} is not supported here", path=f"$.{name}")


def _messages(messages: list[_Message]) -> tuple[str, tuple[HistoryMessage, ...], _Message]:
    """
    @return: what the agent is to be, what was said before, and what is said now.
    @raise InvalidParams: nobody says anything now.
    """
    *before, last = messages
    if last.role != "user":
        raise InvalidParams("the last message is not one of the user", path="$.messages")
    instructions = []
    while before and before[0].role in ("system", "developer"):
        instructions.append(_content(before.pop(0))[0])
    said = [HistoryMessage(_ROLES[message.role], _content(message)[0]) for message in before]
    return "\n\n".join(instructions), tuple(message for message in said if message.text), last


_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    # What tools of the client said: there are none here, but another agent may have had some.
    "tool": "system",
    "function": "system",
}


def _content(message: _Message) -> tuple[str, tuple[Media, ...]]:
    """
    @raise InvalidParams: a picture has no address that can be passed on.
    """
    if message.content is None or isinstance(message.content, str):
        return message.content or "", ()
    text = "\n".join(piece.text for piece in message.content if piece.text)
    pictures = [piece.image_url.url for piece in message.content if piece.image_url is not None]
    for url in pictures:
        if not url.startswith(("https://", "http://")) or len(url) > 4096:
            raise InvalidParams("a picture is given by its http(s) address", path="$.messages")
    return text, tuple(Media(kind="image", url=url) for url in pictures[:16])


# --- answers -------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


class Answer:
    """
    Encodes what is sent for one request.
    """

    def __init__(self, number: str, created: float, model: str) -> None:
        """
        @param number: tells this answer from all others.
        @param created: seconds since the epoch.
        """
        self._number = f"chatcmpl-{number}"
        self._created = int(created)
        self._model = model

    def first(self) -> bytes:
        """The first piece of a stream, which has only the role."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def delta(self, text: str) -> bytes:
        """A piece of the text."""
        return self._chunk({"content": text}, None)

    def last(self, reason: str, usage: Usage | None) -> bytes:
        """
        The end of a stream.

        @param usage: C{None} if nobody wants to know.
        """
        end = self._chunk({}, finish_of(reason))
        return end + (b"" if usage is None else self._event([], usage)) + DONE

    def whole(self, text: str, reason: str, usage: Usage) -> bytes:
        """The body of an answer that does not stream."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish_of(reason), "logprobs": None}
        return _encode(
            {
                "id": self._number,
                "object": "chat.completion",
                "created": self._created,
                "model": self._model,
                "choices": [choice],
                "usage": _usage(usage),
            }
        )

    def _chunk(self, delta: dict[str, str], reason: str | None) -> bytes:
        return self._event([{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}], None)

    def _event(self, choices: list[dict[str, Any]], usage: Usage | None) -> bytes:
        chunk: dict[str, Any] = {
            "id": self._number,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if usage is not None:
            chunk["usage"] = _usage(usage)
        return b"data: " + _encode(chunk) + b"\n\n"


def finish_of(reason: str) -> str:
    """
    @return: one of the reasons that clients know.
    """
    return reason if reason in ("stop", "length", "content_filter") else "stop"


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.input_tokens + usage.output_tokens
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total}


def error_body(error: RpcError) -> bytes:
    """
    @return: an error in the form that clients of this interface know.
    """
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    code = "model_not_found" if error.path == "$.model" and isinstance(error, NotFound) else error.word
    param = error.path.removeprefix("$.") or None
    return _encode({"error": {"message": str(error.args[0]), "type": kind, "param": param, "code": code}})


def error_event(error: RpcError) -> bytes:
    """
    @return: an error in the middle of a stream, behind which nothing comes.
    """
    return b"data: " + error_body(error) + b"\n\n"


def models_body(created: float) -> bytes:
    """
    @return: the list of models.
    """
    return _encode({"object": "list", "data": [_model(name, created) for name in MODELS]})


def model_body(name: str, created: float) -> bytes:
    """
    @return: one model.
    """
    return _encode(_model(name, created))


def _model(name: str, created: float) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created), "owned_by": _OWNER}
