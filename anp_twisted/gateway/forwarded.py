"""
What a proxy says about the caller, read strictly: C{Forwarded} (RFC 7239) and
the C{X-Forwarded-For} of everybody else.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from anp_twisted.errors import RemoteError
from anp_twisted.networks import canonical

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR = re.compile(rb'(%b)=(?:(%b)|"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)")[ \t]*' % (_TOKEN, _TOKEN))
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_BLANK = re.compile(rb"[ \t]*")
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%[!-~]+)?)\]|([^:\[\]]+))(?::([0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_HIDDEN = re.compile(r"unknown|_[A-Za-z0-9._-]+", re.IGNORECASE)


class MalformedClaim(RemoteError):
    """A trusted proxy said something about the caller that cannot be read."""

    status = 400


class Node(NamedTuple):
    """
    One hop.

    @ivar address: canonical; C{None} if the hop is not told.
    @ivar port: 0 if it is not told.
    """

    address: str | None
    port: int


class Element(NamedTuple):
    """
    What one proxy said about the hop before it.

    @ivar seen: that hop.
    @ivar scheme: C{proto}, or C{None}.
    @ivar host: C{host}, or C{None}.
    """

    seen: Node
    scheme: bytes | None
    host: bytes | None


def parse_node(text: str) -> Node:
    """
    Read one hop: an address with or without a port, C{unknown} or C{_hidden}.

    @raise MalformedClaim: if it is none of them.
    """
    bare = canonical(text)
    if bare is not None:
        return Node(bare, 0)
    match = _NODE.fullmatch(text)
    if match is None:
        raise MalformedClaim("not a hop")
    name, port = match[1] or match[2], match[3] or ""
    number = int(port) if port.isdigit() else 0
    if match[2] and _HIDDEN.fullmatch(name):
        return Node(None, 0)
    address = canonical(name)
    if address is None or number > 65535 or (":" in name) != bool(match[1]):
        raise MalformedClaim("not a hop")
    return Node(address, number)


def split_list(values: list[bytes]) -> list[bytes]:
    """Take the members of C{X-Forwarded-*} fields, in order; empty ones stay."""
    return [member.strip(b" \t") for value in values for member in value.split(b",")]


def parse_forwarded(values: list[bytes]) -> list[Element]:
    """
    Read C{Forwarded} fields (RFC 7239, 4).

    Each field line is read to its end before any of it counts: a caller who
    leaves a quotation open spoils the line for all of it, never a part of it.

    @param values: the field lines in order.
    @raise MalformedClaim: if one of them is not as the RFC has it.
    """
    return [element for value in values for element in _parse_line(value)]


def _parse_line(line: bytes) -> list[Element]:
    elements: list[Element] = []
    pairs: dict[bytes, bytes] = {}
    position = 0
    while True:
        position = _blank_end(line, position)
        if line[position : position + 1] not in (b";", b",", b""):
            position = _take_pair(line, position, pairs)
        end = line[position : position + 1]
        if end != b";":
            if pairs:
                elements.append(_element(pairs))
            pairs = {}
        if not end:
            return elements
        if end not in (b";", b","):
            raise MalformedClaim("not a Forwarded field")
        position += 1


def _blank_end(line: bytes, position: int) -> int:
    match = _BLANK.match(line, position)
    assert match is not None
    return match.end()


def _take_pair(line: bytes, position: int, pairs: dict[bytes, bytes]) -> int:
    """
    Read one parameter.

    @return: where it ends.
    """
    match = _PAIR.match(line, position)
    name = match[1].lower() if match is not None else b""
    if match is None or name in pairs:
        raise MalformedClaim("not a Forwarded field")
    pairs[name] = match[2] if match[2] is not None else _ESCAPED.sub(rb"\1", match[3])
    return match.end()


def _element(pairs: dict[bytes, bytes]) -> Element:
    seen = parse_node(str(pairs[b"for"], "latin-1")) if b"for" in pairs else Node(None, 0)
    return Element(seen, pairs.get(b"proto"), pairs.get(b"host"))
