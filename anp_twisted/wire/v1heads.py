"""
The JSON of version 1, made from the heads of version 2 and read into them.

C{docs/protocol/anpx.md}, "Version 1". The mappings of version 1 have one value
for each name, so repeated fields and query keys do not fit. What cannot be said is
counted, and the whole head of version 2 rides along under a key that other peers
ignore: a receiver or gateway of this project that was reached by version 1 loses
nothing but trailers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from anp_twisted.errors import FrameTooLarge, HeadError
from anp_twisted.wire import heads, v1
from anp_twisted.wire.heads import Pairs, RequestHead, ResponseHead

EXACT: Final = "anpx.2"
"""The key of the metadata under which the head of version 2 stands."""

_SINGLE: Final = frozenset(
    {
        "age", "authorization", "content-length", "content-location", "content-range", "content-type", "date",
        "etag", "expires", "from", "host", "if-modified-since", "if-range", "if-unmodified-since", "last-modified",
        "location", "max-forwards", "proxy-authorization", "referer", "retry-after", "server", "set-cookie",
        "user-agent",
    }
)  # fmt: skip
"""Fields that are no lists (RFC 9110, 5.3): joining two values makes a third one."""

_DROPPED: Final = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
"""Fields about the connection of somebody else; sloppy peers send them, though the body has no coding any more."""

_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE: Final = _PATH_SAFE + '?[]{}|\\^`"<>'
_encode = msgspec.json.Encoder().encode
_Head = TypeVar("_Head", RequestHead, ResponseHead)


class _Extra(msgspec.Struct):
    """What else may be in the metadata."""

    exact: msgspec.Raw = msgspec.field(name=EXACT, default_factory=msgspec.Raw)


_EXTRA = msgspec.json.Decoder(_Extra)


def joined(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, str], int]:
    """
    Put header fields into a mapping.

    @return: the mapping, each field under its first spelling, and how many values
        got lost: those of repeated fields that must not be joined, save the last.
    """
    found: dict[str, str] = {}
    spelled: dict[str, str] = {}
    lost = 0
    for name, value in pairs:
        lowered = name.lower()
        key = spelled.setdefault(lowered, name)
        if key not in found:
            found[key] = value
        elif lowered in _SINGLE:
            lost += 1
            found[key] = value
        else:
            found[key] += ("; " if lowered == "cookie" else ", ") + value
    return found, lost


def _query(text: str) -> tuple[dict[str, str], int]:
    """Read a raw query into a mapping; of a repeated key the last value stays."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding="utf-8", errors="surrogateescape")
    except ValueError:
        return {}, 1
    found = {_sendable(key): _sendable(value) for key, value in pairs}
    return found, len(pairs) - len(found)


def _sendable(text: str) -> str:
    """Let bytes that are no UTF-8 stand for themselves, as latin-1: JSON has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text


def encode_request(head: RequestHead) -> tuple[bytes, int]:
    """
    Make the metadata of a request.

    @return: the JSON, and how many values it could not say.
    """
    target, _, query = head.target.partition("?")
    if "://" in target and not target.startswith("/"):
        # An absolute-form target: these mappings have no place for the authority, which is in Host as well.
        target = "/" + target.partition("://")[2].partition("/")[2]
    fields, lost = joined(head.headers)
    keys, lost_keys = _query(query)
    meta: dict[str, Any] = {"method": head.method, "path": target, "headers": fields, "query": keys, EXACT: head}
    return _encode(meta), lost + lost_keys


def encode_response(head: ResponseHead, reason: str) -> tuple[bytes, int]:
    """
    Make the metadata of a response.

    @param reason: the phrase that goes with the status.
    @return: the JSON, and how many values it could not say.
    """
    fields, lost = joined(head.headers)
    return _encode({"status": head.status, "reason": reason, "headers": fields, EXACT: head}), lost


def decode_request(data: bytes, most: int, fields: int) -> RequestHead:
    """
    Read the metadata of a request.

    @param most: the largest text accepted, in bytes.
    @param fields: the most header fields accepted.
    @raise HeadError: it is malformed.
    @raise FrameTooLarge: it is over a cap.
    """
    meta = v1.decode_request(data, most)
    exact = _exact(RequestHead, data, most, fields)
    if exact is not None:
        exact.protocol = ""
        return exact
    return _checked(RequestHead(meta.method, _target(meta.path, meta.query), _pairs(meta.headers)), fields)


def decode_response(data: bytes, most: int, fields: int) -> ResponseHead:
    """
    Read the metadata of a response.

    @param most: the largest text accepted, in bytes.
    @param fields: the most header fields accepted.
    @raise HeadError: it is malformed, or not the final one.
    @raise FrameTooLarge: it is over a cap.
    """
    meta = v1.decode_response(data, most)
    head = _exact(ResponseHead, data, most, fields)
    head = _checked(ResponseHead(meta.status, _pairs(meta.headers)), fields) if head is None else head
    if head.status < 200:
        raise HeadError("a whole answer with a status below 200")
    return head


def _exact(shape: type[_Head], data: bytes, most: int, fields: int) -> _Head | None:
    """Find the head of version 2; another peer may use the key for something else."""
    raw = bytes(_EXTRA.decode(data).exact)
    if not raw:
        return None
    try:
        return heads.decode_head(shape, raw, most, fields)
    except HeadError:
        return None


def _checked(head: _Head, fields: int) -> _Head:
    """
    @raise FrameTooLarge: for too many fields.
    """
    if len(head.headers) > fields:
        raise FrameTooLarge(f"{len(head.headers)} header fields are over the {fields} allowed")
    return head


def _pairs(fields: dict[str, str]) -> Pairs:
    """List the fields of a mapping; each character of them stands for one byte."""
    return [(_latin(name), _latin(value)) for name, value in fields.items() if name.lower() not in _DROPPED]


def _latin(text: str) -> str:
    """Bring text into latin-1: what does not fit becomes the bytes of UTF-8."""
    return text if text <= "\x7f" or max(text) <= "\xff" else text.encode("utf-8", "replace").decode("latin-1")


def _target(path: str, query: dict[str, str]) -> str:
    """Make the request target; some peers have the query in the path as well, where it is exact."""
    path, mark, raw = path.partition("?")
    text = quote(path, safe=_PATH_SAFE, errors="replace")
    if text != "*" and not text.startswith("/"):
        text = "/" + text
    if mark:
        return f"{text}?{quote(raw, safe=_QUERY_SAFE, errors='replace')}"
    return f"{text}?{urlencode(query, errors='replace')}" if query else text
