"""
Which pages of other origins may read answers (the CORS protocol of the Fetch
standard), decided by the gateway in place of the application.
"""

from __future__ import annotations

import re
from typing import Final

from anp_twisted.config.routes import CorsSettings
from anp_twisted.headers import Header, get_all

_STAR: Final = b"*"
_VARY_PREFLIGHT: Final = (
    b"Vary",
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
)
_VARY: Final = (b"Vary", b"Origin")
_LABELS: Final = rb"(?:[a-z0-9-]+\.)+"


def _joined(words: tuple[str, ...]) -> bytes:
    return ", ".join(words).encode("ascii")


class Cors:
    """
    The rules of one route.

    A wrong origin is not refused: CORS protects readers of answers, not
    applications. It just gets no permission to read.
    """

    def __init__(self, settings: CorsSettings) -> None:
        self._any = "*" in settings.origins
        self._credentials = settings.credentials
        self._exact = {origin.encode("ascii") for origin in settings.origins if "*" not in origin}
        wild = [origin for origin in settings.origins if "*" in origin and origin != "*"]
        self._wild = re.compile(b"|".join(_pattern(origin) for origin in wild)) if wild else None
        self._echo = settings.headers == ("*",)
        self._fixed: list[Header] = [(b"Access-Control-Allow-Methods", _joined(settings.methods))]
        if settings.headers and not self._echo:
            self._fixed.append((b"Access-Control-Allow-Headers", _joined(settings.headers)))
        self._fixed.append((b"Access-Control-Max-Age", b"%d" % int(settings.max_age)))
        self._expose: list[Header] = []
        if settings.expose:
            self._expose.append((b"Access-Control-Expose-Headers", _joined(settings.expose)))

    def allows(self, origin: bytes) -> bool:
        """Whether pages of an origin may read answers."""
        if self._any or origin in self._exact:
            return True
        return self._wild is not None and self._wild.fullmatch(origin) is not None

    def preflight(self, headers: list[Header]) -> list[Header] | None:
        """
        Answer the question that a browser asks before a request.

        @param headers: of an OPTIONS request.
        @return: the fields of the answer; C{None} if this is no such question.
        """
        origin = one(headers, b"origin")
        if origin is None or one(headers, b"access-control-request-method") is None:
            return None
        fields = [_VARY_PREFLIGHT]
        if not self.allows(origin):
            return fields
        fields += self._permission(origin)
        fields += self._fixed
        asked = one(headers, b"access-control-request-headers") if self._echo else None
        if asked:
            fields.append((b"Access-Control-Allow-Headers", asked))
        return fields

    def fields(self, origin: bytes | None) -> list[Header]:
        """
        What is put on an answer.

        @param origin: of the page that asks, if one does.
        """
        fields = [] if self._any and not self._credentials else [_VARY]
        if origin is not None and self.allows(origin):
            fields += self._permission(origin)
            fields += self._expose
        return fields

    def _permission(self, origin: bytes) -> list[Header]:
        if self._any and not self._credentials:
            return [(b"Access-Control-Allow-Origin", _STAR)]
        fields = [(b"Access-Control-Allow-Origin", origin)]
        if self._credentials:
            fields.append((b"Access-Control-Allow-Credentials", b"true"))
        return fields


def _pattern(origin: str) -> bytes:
    """C{https://*.example} is every name below C{example}, not C{example} itself."""
    before, _, after = origin.partition("*.")
    return re.escape(before.encode("ascii")) + _LABELS + re.escape(after.encode("ascii"))


def one(headers: list[Header], lower_name: bytes) -> bytes | None:
    """The value of a field that is there exactly once."""
    values = get_all(headers, lower_name)
    return values[0] if len(values) == 1 else None
