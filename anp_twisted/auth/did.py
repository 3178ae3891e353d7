"""
Names of the C{did:wba} method, and where their documents are.

Pure. A DID names a host, so it is an address that a stranger chose. What is taken
here is far less than a URL could hold: a plain host name, maybe a port, and plain
path segments. What could be read in two ways is no DID.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST_DID: Final = 512
"""Characters: its URL still fits everywhere, and so does a line of the log."""

HTTPS: Final = 443

_PREFIX: Final = "did:wba:"
_DID = re.compile(r"did:wba:(?P<host>[A-Za-z0-9.-]{1,253})(?:%3[Aa](?P<port>[1-9][0-9]{0,4}))?(?P<path>(?::[^:]+)*)")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~-]{1,128}")
_FRAGMENT = re.compile(r"[A-Za-z0-9._~:-]{1,128}")


class InvalidDid(ValueError):
    """The text is no DID that we take; it completes "the DID …"."""


@dataclass(frozen=True, slots=True)
class Did:
    """
    A DID.

    @ivar text: as it was written; two spellings are two DIDs.
    @ivar host: in lower case.
    @ivar port: 443 if it names none.
    @ivar path: its segments.
    """

    text: str
    host: str
    port: int
    path: tuple[str, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def url(self) -> str:
        """Where its document is."""
        port = "" if self.port == HTTPS else f":{self.port}"
        where = "/".join(self.path) if self.path else ".well-known"
        return f"https://{self.host}{port}/{where}/did.json"

    @property
    def key_bound(self) -> bool:
        """Whether its last segment is the fingerprint of a key (the profiles e1 and k1)."""
        return bool(self.path) and self.path[-1][:3] in ("e1_", "k1_")


def parse_did(text: str) -> Did:
    """
    Read C{did:wba:host[%3Aport][:segment]*}.

    @raise InvalidDid: if it is none.
    """
    match = _DID.fullmatch(text) if len(text) <= MOST_DID else None
    if match is None:
        raise InvalidDid("must be did:wba:host, with %3A and a port, and with :segments behind it")
    host, port = match["host"].lower(), int(match["port"] or HTTPS)
    if not is_host(host):
        raise InvalidDid("must name a host such as agents.example.org, not an address")
    if port > 65535:
        raise InvalidDid("must have a port up to 65535")
    path = tuple(match["path"].split(":")[1:])
    if not all(_SEGMENT.fullmatch(segment) for segment in path):
        raise InvalidDid("must have segments of letters, digits, dot, tilde, - and _")
    return Did(text, host, port, path)


def is_host(host: str) -> bool:
    """
    @return: whether this is the name of a host and cannot be read as an address: C{127.1} and C{0x7f.1} are addresses.
    """
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 253:
        return False
    if len(labels) == 1:
        return host == "localhost"
    return not re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", labels[-1])


def make_did(host: str, port: int = HTTPS, path: tuple[str, ...] = ()) -> Did:
    """
    @return: the DID of a host and a path.
    @raise InvalidDid: if there is none for them.
    """
    name = _PREFIX + host + ("" if port == HTTPS else f"%3A{port}")
    return parse_did(":".join([name, *path]))


def split_key_id(key_id: str) -> tuple[Did, str]:
    """
    Read the name of a key, C{did#fragment}.

    @return: the DID and the fragment.
    @raise InvalidDid: if it is none.
    """
    did, mark, fragment = key_id.partition("#")
    if not mark or not is_fragment(fragment):
        raise InvalidDid("must have the name of a key behind #")
    return parse_did(did), fragment


def is_fragment(text: str) -> bool:
    """
    @return: whether it can name a key of a document.
    """
    return _FRAGMENT.fullmatch(text) is not None
