"""
From an ASGI scope to the request that a HTTP server gets. No I/O.

The fields keep their order and their repetitions. Their names are in lower case,
since ASGI has them so; HTTP does not distinguish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import Header, content_length, get_all, strip_hop_by_hop, valid_fields, valid_name
from anp_twisted.targets import OutsideBase, Target

#: Requests that may be sent twice (RFC 9110, 9.2.2).
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

_NEVER: Final = frozenset({"CONNECT", "TRACE"})
"""A tunnel to somewhere else, and an echo of what others may not see (RFC 9110, 9.3.6 and 9.3.8)."""


_OURS: Final = frozenset({b"x-forwarded-for", b"anp-identity"})
"""Fields that are written here: a gateway of another make may let them through as a caller sent them."""


class Form(Enum):
    """How the end of a request body is known."""

    NONE = auto()
    COUNTED = auto()
    CHUNKED = auto()


class Upload:
    """
    The body of one request on its way.

    @ivar form: how its end is known.
    """

    __slots__ = ("_left", "form")

    def __init__(self, form: Form, length: int = 0) -> None:
        self.form = form
        self._left = length

    def piece(self, data: bytes, ended: bool) -> bytes:
        """
        Frame a piece.

        @param ended: whether it is the last.
        @raise InvalidMessage: if the body is longer or shorter than was said.
        """
        if self.form is Form.CHUNKED:
            piece = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return piece + b"0\r\n\r\n" if ended else piece
        self._left -= len(data)
        if self._left < 0 or (ended and self._left):
            raise InvalidMessage("the body of the request is not as long as it was said to be")
        return data


@dataclass(frozen=True, slots=True)
class Outline:
    """
    A request without its body.

    @ivar method: in upper case.
    @ivar head: its bytes, complete.
    @ivar form: how the end of its body is known.
    @ivar length: of the body, where that is known.
    @ivar asks_first: the caller sends the body only when it is wanted (C{Expect: 100-continue}).
    """

    method: str
    head: bytes
    form: Form
    length: int
    asks_first: bool

    def upload(self) -> Upload:
        """Begin to send the body."""
        return Upload(self.form, self.length)


def outline_of(scope: Mapping[str, Any], target: Target, *, keep_host: bool) -> Outline:
    """
    Describe a request.

    @param scope: of the ASGI type C{http}.
    @param keep_host: send the C{Host} that the caller sent, else the target's own.
    @raise OutsideBase: if nothing below the target may be asked for so.
    @raise InvalidMessage: if the scope holds what cannot be HTTP.
    """
    method = scope["method"]
    if method in _NEVER or not valid_name(method.encode("latin-1")):
        raise OutsideBase(f"{method} is not passed on")
    form, length, asks = _form_of(list(scope["headers"]))
    fields = fields_for(scope, target, keep_host=keep_host)
    if form is Form.CHUNKED:
        fields.append((b"transfer-encoding", b"chunked"))
    return Outline(method, head_of(method, target.join(raw_target(scope)), fields), form, length, asks)


def _form_of(given: list[Header]) -> tuple[Form, int, bool]:
    """
    Find out what there is of a body.

    @return: how its end is known, its length, and whether the caller asks first.
    """
    names = [name for name, _ in given]
    if b"content-length" in names:
        form, length = Form.COUNTED, content_length(given) or 0
    elif b"transfer-encoding" in names:
        form, length = Form.CHUNKED, 0
    else:
        return Form.NONE, 0, False
    return form, length, [value.lower() for value in get_all(given, b"expect")] == [b"100-continue"]


def raw_target(scope: Mapping[str, Any]) -> bytes:
    """
    Find the request target as the caller wrote it.

    The gateway's is in the extension; path and query apart do not tell whether
    there was a question mark without a query.
    """
    whole = scope.get("extensions", {}).get("anp", {}).get("target")
    if isinstance(whole, str):
        return whole.encode("latin-1")
    query: bytes = scope["query_string"]
    path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
    return path + b"?" + query if query else path


def head_of(method: str, target: bytes, fields: list[Header]) -> bytes:
    """
    Write the head of a request.

    @raise InvalidMessage: if a field cannot be one.
    """
    if not valid_fields(fields):
        raise InvalidMessage("a header field of the request has a forbidden character")
    block = b"".join([b"%b: %b\r\n" % field for field in fields])
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("ascii"), target, block)


def fields_for(scope: Mapping[str, Any], target: Target, *, keep_host: bool) -> list[Header]:
    """
    Make the fields of a request: the caller's, and where it came from.

    Whoever speaks for callers in a C{X-Forwarded-For} that arrives here has been
    judged by the gateway; this side adds the gateway's caller to it. C{ANP-Identity}
    names who the caller has proved to be, and comes from the gateway alone.
    """
    given = strip_hop_by_hop(list(scope["headers"]))
    names = [name for name, _ in given]
    host = given[names.index(b"host")][1] if b"host" in names else b""
    fields, via = list(given), [_caller(scope)]
    if b"x-forwarded-for" in names:
        via = [*get_all(given, b"x-forwarded-for"), *via]
    if not _OURS.isdisjoint(names):
        fields = [field for field in fields if field[0] not in _OURS]
    if not keep_host or not host:
        fields = [(b"host", target.authority), *(field for field in fields if keep_host or field[0] != b"host")]
    fields.append((b"x-forwarded-for", b", ".join(via)))
    identity = scope.get("extensions", {}).get("anp", {}).get("identity")
    if identity is not None:
        fields.append((b"anp-identity", identity["name"].encode("ascii")))
    if b"x-forwarded-proto" not in names:
        fields.append((b"x-forwarded-proto", _scheme(scope)))
    if b"x-forwarded-host" not in names and host:
        fields.append((b"x-forwarded-host", host))
    return fields


def _caller(scope: Mapping[str, Any]) -> bytes:
    """Name the address of the caller."""
    client = scope.get("client")
    return str(client[0]).encode("latin-1") if client else b"unknown"


def _scheme(scope: Mapping[str, Any]) -> bytes:
    """Name the scheme by which the caller came, that of HTTP for a WebSocket too."""
    return b"https" if scope.get("scheme") in ("https", "wss") else b"http"
