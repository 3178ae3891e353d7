"""
The body of every error this package itself answers to a caller (RFC 9457).

It tells which part failed and under which id the operator finds it, in fixed
words: never HTML, never the text of an exception.

The C{type} is C{urn:anp:problem:<source>:<status>}. C{about:blank} is not used,
since RFC 9457, 4.2.1 would then make C{title} the reason phrase of the status.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from anp_twisted.headers import Header

Source = Literal["gateway", "route", "tunnel", "receiver", "app"]
"""Which part of the way failed, seen from the caller."""


class Problem(msgspec.Struct, frozen=True):
    """
    One problem as a caller reads it.

    @ivar type: a URN made of L{source} and L{status}.
    @ivar title: a short fixed text.
    @ivar request_id: what the operator can look for in the logs.
    """

    type: str
    title: str
    status: int
    source: str
    request_id: str


_encode = msgspec.json.Encoder().encode


def problem(
    status: int, source: Source, title: str, request_id: str, retry_after: float | None = None
) -> tuple[list[Header], bytes]:
    """
    Make the header fields and the body of an error answer.

    @param title: a fixed text for the caller, never one that holds the text of an exception.
    @param retry_after: seconds after which another attempt makes sense; rounded up.
    @return: the fields (among them C{Content-Length}) and the JSON body.
    """
    kind = f"urn:anp:problem:{source}:{status}"
    body = _encode(Problem(kind, title, status, source, request_id))
    headers = [
        (b"Content-Type", b"application/problem+json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Cache-Control", b"no-store"),
    ]
    if retry_after is not None:
        headers.append((b"Retry-After", b"%d" % max(0, math.ceil(retry_after))))
    return headers, body
