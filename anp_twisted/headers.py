"""
Header fields as ordered pairs of bytes, and what may be done to them on the way.

A header block is a list of C{(name, value)} pairs, in the order and the case in
which it was received, duplicates included. Nothing here sorts, joins or folds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from anp_twisted.errors import InvalidMessage

Header = tuple[bytes, bytes]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Names, in lower case, that concern one connection only (RFC 9110, 7.6.1)."""

PROTECTED = frozenset({b"authorization", b"host", b"forwarded", b"cookie", b"content-length"})
"""Names a C{Connection} field cannot remove, with everything that starts with C{x-forwarded-}."""

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FORBIDDEN_IN_VALUE = bytes(code for code in range(32) if code != 9) + b"\x7f"
_LONGEST_LENGTH = 19


def valid_name(name: bytes) -> bool:
    """
    Whether C{name} is a field name (RFC 9110, 5.1: a token).
    """
    return _NAME.fullmatch(name) is not None


def valid_value(value: bytes) -> bool:
    """
    Whether C{value} holds no control character but the tab (RFC 9110, 5.5).

    Bytes from 0x80 up are allowed: they are opaque, and applications send them.
    """
    return len(value.translate(None, _FORBIDDEN_IN_VALUE)) == len(value)


def valid_fields(headers: Sequence[Header]) -> bool:
    """
    Whether every name is one and every value may be one, as L{valid_name} and
    L{valid_value} have it, in one look at all of them.
    """
    names = [name for name, _ in headers]
    if b"" in names or not (valid_name(b"".join(names)) or not names):
        return False
    return valid_value(b"".join([value for _, value in headers]))


def get_all(headers: Iterable[Header], lower_name: bytes) -> list[bytes]:
    """
    The values of one field, in order.

    @param lower_name: the name in lower case.
    """
    return [value for name, value in headers if name.lower() == lower_name]


def tokens(values: Iterable[bytes]) -> list[bytes]:
    """
    The members of a comma-separated list that may be spread over several fields.

    @return: lower case, without white space, empty members left out.
    """
    return [member.lower() for member in tokens_in_order(values)]


def tokens_in_order(values: Iterable[bytes]) -> list[bytes]:
    """
    The members of a list as L{tokens} finds them, in the case in which they were written.
    """
    members = (member.strip(b" \t") for value in values for member in value.split(b","))
    return [member for member in members if member]


def parse_length(value: bytes) -> int:
    """
    Read the value of one C{Content-Length} field (RFC 9110, 8.6).

    @raise InvalidMessage: if it is anything but digits, or has more of them than
        any body could need. A list of equal values is refused as well: who sends
        it is confused about where the body ends.
    """
    if value.isdigit() and len(value) <= _LONGEST_LENGTH:
        return int(value)
    significant = value.lstrip(b"0")
    if not value.isdigit() or len(significant) > _LONGEST_LENGTH:
        raise InvalidMessage("Content-Length is not a number of bytes")
    return int(significant or b"0")


def content_length(headers: Iterable[Header]) -> int | None:
    """
    The declared length of the body, in bytes.

    @return: C{None} if none is declared.
    @raise InvalidMessage: if it is malformed or declared more than once.
    """
    declared = get_all(headers, b"content-length")
    if not declared:
        return None
    if len(declared) > 1:
        raise InvalidMessage("Content-Length is given more than once")
    return parse_length(declared[0])


def strip_hop_by_hop(headers: list[Header]) -> list[Header]:
    """
    Remove what concerns one connection only: L{HOP_BY_HOP} and the names that
    C{Connection} lists, save the L{PROTECTED} ones.

    @return: the list itself when there was nothing to remove, else a new one in
        the same order.
    """
    names = [name.lower() for name, _ in headers]
    if HOP_BY_HOP.isdisjoint(names):
        return headers
    dropped: frozenset[bytes] | set[bytes] = HOP_BY_HOP
    if b"connection" in names:
        dropped = HOP_BY_HOP.union(nominated_by(headers))
    return [header for header, name in zip(headers, names, strict=True) if name not in dropped]


def nominated_by(headers: Iterable[Header]) -> list[bytes]:
    """
    The names that C{Connection} lists and may remove.
    """
    listed = tokens(get_all(headers, b"connection"))
    return [name for name in listed if name not in PROTECTED and not name.startswith(b"x-forwarded-")]


def to_text(headers: Iterable[Header]) -> list[list[str]]:
    """
    The pairs as latin-1 text, in which every byte is one character.
    """
    return [[str(name, "latin-1"), str(value, "latin-1")] for name, value in headers]


def from_text(pairs: Iterable[Sequence[str]]) -> list[Header]:
    """
    The opposite of L{to_text}.

    @raise UnicodeEncodeError: if a character is none of latin-1.
    """
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
