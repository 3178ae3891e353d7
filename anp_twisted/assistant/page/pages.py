"""
Serves the chat page: a handful of files, read once, by Klein.

What a browser may do with them is said with each: scripts, styles and connections of
this very address, and nothing else from anywhere. So what a message holds cannot run,
cannot load anything and cannot tell anybody that it was read.

Importing this module imports Klein, and with it a reactor: only a composition root does
that, after it has chosen one.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from importlib import resources
from typing import Final, NamedTuple

from klein import Klein
from twisted.internet.task import Cooperator
from twisted.web.iweb import IRequest
from twisted.web.server import Site

from anp_twisted.headers import Header
from anp_twisted.http.request import PublicRequest
from anp_twisted.http.site import PageSite

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


class Asset(NamedTuple):
    """
    One file, ready to be sent.

    @ivar kind: the media type.
    @ivar tag: what its C{ETag} says.
    """

    body: bytes
    kind: bytes
    tag: bytes


class ChatPages:
    """The files, by Klein."""

    app = Klein()

    def __init__(self) -> None:
        static = resources.files("anp_twisted.assistant.page") / "static"
        self._assets: dict[str, Asset] = {}
        for path, (name, kind) in FILES.items():
            body = (static / name).read_bytes()
            tag = b'"%s"' % sha256(body).hexdigest()[:20].encode()
            self._assets[path.decode("ascii").removeprefix("/")] = Asset(body, kind, tag)

    def site(self) -> Site:
        """Make what takes requests of C{twisted.web}."""
        return Site(self.app.resource())

    @app.route("/", defaults={"name": ""})
    @app.route("/<name>")
    def file(self, request: IRequest, name: str) -> bytes:
        """Answer with a file, or say that the browser has it."""
        for field, value in GUARDS:
            request.setHeader(field, value)
        asset = self._assets.get(name)
        if asset is None:
            return self._nothing(request, 404)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return self._nothing(request, 405)
        # "no-cache" asks each time, which costs an answer without body: after an update no old script meets a new page.
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"ETag", asset.tag)
        if asset.tag in b",".join(request.requestHeaders.getRawHeaders(b"If-None-Match", [])):
            request.setResponseCode(304)
            return b""
        request.setHeader(b"Content-Type", asset.kind)
        request.setHeader(b"Content-Length", b"%d" % len(asset.body))
        return asset.body

    @staticmethod
    def _nothing(request: IRequest, status: int) -> bytes:
        request.setResponseCode(status)
        request.setHeader(b"Content-Length", b"0")
        return b""


def pages(cooperator: Cooperator) -> dict[bytes, Page]:
    """
    Read the files.

    @param cooperator: see L{PageSite}.
    @return: what answers a request, by path.
    """
    return dict.fromkeys(FILES, PageSite(ChatPages().site(), cooperator))
