"""
The errors of the JSON-RPC interface: what dies is one call.

Pure. Every class has its code, the word for it and whether trying again may help
as class attributes. The sentence of the error is read by strangers, so it never
quotes an exception or what they sent.
"""

from __future__ import annotations

from typing import Any

from anp_twisted.errors import ANPError


class RpcError(ANPError):
    """
    A call fails.

    @cvar rpc_code: the number that JSON-RPC wants.
    @cvar word: the same as one word, in C{data.code}.
    @cvar sentence: what is said when there is nothing better to say.
    @cvar retryable: whether the same call may succeed later.
    @cvar status: the HTTP status where it is answered over HTTP.
    @ivar retry_after: seconds until trying again may help, C{None} if nobody knows.
    @ivar path: where in the parameters the mistake is, such as C{$.text}.
    """

    rpc_code = -32603
    word = "internal_error"
    sentence = "internal error"
    retryable = False
    status = 500

    def __init__(self, sentence: str = "", *, retry_after: float | None = None, path: str = "") -> None:
        super().__init__(sentence or self.sentence)
        self.retry_after = retry_after
        self.path = path

    def as_object(self) -> dict[str, Any]:
        """
        @return: the error object of JSON-RPC 2.0, section 5.1.
        """
        data: dict[str, Any] = {"code": self.word, "retryable": self.retryable}
        if self.retry_after is not None:
            data["retry_after_ms"] = max(1, int(self.retry_after * 1000))
        if self.path:
            data["path"] = self.path
        return {"code": self.rpc_code, "message": str(self.args[0]), "data": data}


class ParseError(RpcError):
    """What came is no JSON."""

    rpc_code = -32700
    word = "parse_error"
    sentence = "the message is not valid JSON"
    status = 400


class InvalidRequest(RpcError):
    """What came is JSON, but no request."""

    rpc_code = -32600
    word = "invalid_request"
    sentence = "the message is not a JSON-RPC 2.0 request"
    status = 400


class MethodNotFound(RpcError):
    """There is no such method."""

    rpc_code = -32601
    word = "method_not_found"
    sentence = "there is no such method"
    status = 404


class InvalidParams(RpcError):
    """The parameters are not those of the method."""

    rpc_code = -32602
    word = "invalid_params"
    sentence = "the parameters are not those of the method"
    status = 400


class InternalError(RpcError):
    """Something failed here; the log says what."""


class Unauthenticated(RpcError):
    """The caller has not said who it is."""

    rpc_code = -32001
    word = "unauthenticated"
    sentence = "a valid token is needed"
    status = 401


class Forbidden(RpcError):
    """The caller may not do that."""

    rpc_code = -32003
    word = "forbidden"
    sentence = "this token does not permit that"
    status = 403


class NotFound(RpcError):
    """What was named does not exist."""

    rpc_code = -32004
    word = "not_found"
    sentence = "there is nothing of that name"
    status = 404


class TimedOut(RpcError):
    """It took too long."""

    rpc_code = -32008
    word = "timeout"
    sentence = "it took too long"
    retryable = True
    status = 504


class Conflict(RpcError):
    """It contradicts what is there, such as another call under the same idempotency key."""

    rpc_code = -32009
    word = "conflict"
    sentence = "the same key was used for something else"
    status = 409


class Gap(RpcError):
    """What is asked for is no part of the session, so that there would be a hole."""

    rpc_code = -32010
    word = "gap"
    sentence = "the session does not reach that far: read it again from its start"
    status = 409


class TooLarge(RpcError):
    """It is over a cap."""

    rpc_code = -32013
    word = "too_large"
    sentence = "that is too large"
    status = 413


class RateLimited(RpcError):
    """There were too many messages."""

    rpc_code = -32029
    word = "rate_limited"
    sentence = "there are too many messages"
    retryable = True
    status = 429


class Overloaded(RpcError):
    """There is no room now."""

    rpc_code = -32030
    word = "overloaded"
    sentence = "there is no room for it now"
    retryable = True
    status = 503


class Cancelled(RpcError):
    """It was ended on request, or by a stop of the process."""

    rpc_code = -32040
    word = "cancelled"
    sentence = "it was cancelled"
    status = 499


class AgentFailed(RpcError):
    """The agent has no answer."""

    rpc_code = -32060
    word = "agent_error"
    sentence = "the agent failed"
    status = 502


ERRORS: tuple[type[RpcError], ...] = (
    ParseError,
    InvalidRequest,
    MethodNotFound,
    InvalidParams,
    InternalError,
    Unauthenticated,
    Forbidden,
    NotFound,
    TimedOut,
    Conflict,
    Gap,
    TooLarge,
    RateLimited,
    Overloaded,
    Cancelled,
    AgentFailed,
)
"""All of them, in the order in which the reference lists them."""
