"""
Where a HTTP server is that requests are passed to, and which of its targets they may name. Pure.

A target is named by a base: C{http://127.0.0.1:3000/api}. What a caller asks for
is put behind the base byte for byte, so that nothing a caller writes chooses the
server; and what would climb out of the path of the base is refused, in whichever
way the server may read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from anp_twisted.errors import RemoteError
from anp_twisted.paths import InvalidPrefix, path_of, prefix_key

_FORM = "must be http://host:port, https://host:port or unix:/path/of/socket; a path may follow a port"
_PORTS = {"http": 80, "https": 443}
_TARGET = re.compile(rb"/[!-~\x80-\xff]*")
_CLIMBS = re.compile(rb"[%\\]|/\.")


class OutsideBase(RemoteError):
    """A request target that is none below the base."""

    status = 400


@dataclass(frozen=True, slots=True)
class Target:
    """
    A server and the part of it that may be reached.

    @ivar secure: TLS is spoken.
    @ivar host: a name or an address, without the brackets of IPv6; C{localhost} for a socket file.
    @ivar port: 0 for a socket file.
    @ivar socket: the path of a socket file, or nothing.
    @ivar base: the path that all requests get in front, without a slash at its end.
    """

    secure: bool
    host: str
    port: int
    socket: str = ""
    base: bytes = b""

    @property
    def authority(self) -> bytes:
        """What C{Host} is for the server's own name."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.socket or self.port == _PORTS["https" if self.secure else "http"]
        return (host if usual else f"{host}:{self.port}").encode("ascii")

    @property
    def url(self) -> str:
        """The server, for logs."""
        if self.socket:
            return f"unix:{self.socket}"
        return f"{'https' if self.secure else 'http'}://{self.authority.decode('ascii')}{self.base.decode('ascii')}"

    def join(self, target: bytes) -> bytes:
        """
        Put a request target behind the base.

        @param target: as the caller wrote it: path and query.
        @return: the target to send, in origin form, so that it names no other server.
        @raise OutsideBase: if it is not of that form, or could leave the base.
        """
        if target == b"*" and not self.base:
            return target
        if _TARGET.fullmatch(target) is None:
            raise OutsideBase("the target is not a path")
        if self.base and _climbs(path_of(target)):
            raise OutsideBase("the target leads out of the base")
        return self.base + target


def _climbs(path: bytes) -> bool:
    """
    Tell whether some reading of a path leads above where it begins.

    Escapes are decoded until none is left: a server that decodes twice, or one
    behind the other, exists.
    """
    if _CLIMBS.search(path) is None:
        return False
    while (decoded := unquote_to_bytes(path)) != path:
        path = decoded
    depth = 0
    for segment in path.replace(b"\\", b"/").split(b"/"):
        name = segment.partition(b";")[0]
        if name == b"..":
            depth -= 1
        elif name and name != b".":
            depth += 1
        if depth < 0:
            return True
    return False


def parse_target(text: str) -> Target:
    """
    Read what C{--target} says.

    @raise ValueError: with a sentence that completes "the setting …".
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or re.search(r"[^!-~]", path) or len(path) > 100:
            raise ValueError(_FORM)
        return Target(False, "localhost", 0, socket=path)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_FORM) from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or re.search(r"[^!-~]", text):
        raise ValueError(_FORM)
    if parts.username is not None or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError("must not contain a user, a query or a fragment")
    try:
        base = prefix_key(parts.path or "/")
    except InvalidPrefix:
        raise ValueError("must have a path without empty, dot or escaped segments") from None
    return Target(parts.scheme == "https", parts.hostname, port or _PORTS[parts.scheme], base=base)
