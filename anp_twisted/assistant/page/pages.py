"""
Serves the chat page: a handful of files, read once.

What a browser may do with them is said with each: scripts, styles and connections of
this very address, and nothing else from anywhere. So what a message holds cannot run,
cannot load anything and cannot tell anybody that it was read.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from importlib import resources
from typing import Final

from anp_twisted.headers import Header, get_all
from anp_twisted.http.request import PublicRequest

FILES: Final = {
    b"/": ("index.html", b"text/html; charset=utf-8"),
    b"/chat.css": ("chat.css", b"text/css; charset=utf-8"),
    b"/chat.js": ("chat.js", b"text/javascript; charset=utf-8"),
    b"/rpc.js": ("rpc.js", b"text/javascript; charset=utf-8"),
    b"/session.js": ("session.js", b"text/javascript; charset=utf-8"),
    b"/view.js": ("view.js", b"text/javascript; charset=utf-8"),
    b"/markdown.js": ("markdown.js", b"text/javascript; charset=utf-8"),
    b"/icon.svg": ("icon.svg", b"image/svg+xml"),
}
"""Each path with its file and what that is."""

POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    b"trusted-types 'none'"
)
"""
The Content-Security-Policy. The page makes no text into markup, so Trusted Types can be
forbidden as a whole: a mistake would be an error in the browser, not a hole.
"""

GUARDS: Final[tuple[Header, ...]] = (
    (b"Content-Security-Policy", POLICY),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Permissions-Policy", b"camera=(), microphone=(), geolocation=()"),
)
"""Goes with every answer."""

Page = Callable[[PublicRequest], None]


class Asset:
    """One file, ready to be sent."""

    def __init__(self, body: bytes, kind: bytes) -> None:
        """
        @param kind: the media type.
        """
        self._body = body
        self._tag = b'"%s"' % sha256(body).hexdigest()[:20].encode()
        # "no-cache" asks each time, which costs an answer without body: after an update no old script meets a new page.
        self._fields: list[Header] = [(b"ETag", self._tag), (b"Cache-Control", b"no-cache"), *GUARDS]
        self._kind = kind

    def __call__(self, request: PublicRequest) -> None:
        """Answer a request for it."""
        if request.method not in (b"GET", b"HEAD"):
            request.respond(405, [(b"Allow", b"GET, HEAD"), (b"Content-Length", b"0"), *GUARDS])
        elif self._tag in b",".join(get_all(request.headers, b"if-none-match")):
            request.respond(304, self._fields)
        else:
            length = b"%d" % len(self._body)
            request.respond(
                200, [(b"Content-Type", self._kind), (b"Content-Length", length), *self._fields], body=self._body
            )


def pages() -> dict[bytes, Page]:
    """
    Read the files.

    @return: what answers a request, by path.
    """
    static = resources.files("anp_twisted.assistant.page") / "static"
    return {path: Asset((static / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}
