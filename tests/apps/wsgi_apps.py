"""The same small applications on Flask and on Django's WSGI handler."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator

import flask
from django.core.wsgi import get_wsgi_application
from frameworks import described, jango  # noqa: F401  # it configures Django

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]

#: When a stream ended, by its name.
ENDED: dict[str, float] = {}

flasky = flask.Flask(__name__)
djangy = get_wsgi_application()


@flasky.get("/stream")
def stream() -> flask.Response:
    """Stream."""
    return flask.Response((f"{number}\n" for number in range(5)), mimetype="text/plain")


@flasky.get("/events")
def events() -> flask.Response:
    """Send three events, a tenth of a second apart, each with the time it was sent."""

    def lines() -> Iterator[str]:
        for _ in range(3):
            yield f"data: {time.time()!r}\n\n"
            time.sleep(0.1)

    return flask.Response(lines(), mimetype="text/event-stream")


@flasky.get("/endless")
def endless() -> flask.Response:
    """Send for ever, and note when that ended."""
    name = flask.request.args["name"]

    def lines() -> Iterator[str]:
        try:
            while True:
                yield "more\n"
                time.sleep(0.01)
        finally:
            ENDED[name] = time.time()

    return flask.Response(lines(), mimetype="text/plain")


@flasky.get("/ended")
def ended() -> dict[str, object]:
    """Show the notes, and how many threads there are."""
    return {"ended": ENDED, "threads": sum(thread.name.startswith("wsgi") for thread in threading.enumerate())}


@flasky.post("/up")
def up() -> dict[str, object]:
    """Read a body piece by piece."""
    digest, size = hashlib.sha256(), 0
    while piece := flask.request.stream.read(65536):
        digest.update(piece)
        size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


@flasky.get("/down")
def down() -> flask.Response:
    """Send a body of that many bytes."""
    block = bytes(range(256)) * 256
    size = int(flask.request.args["bytes"])

    def pieces() -> Iterator[bytes]:
        left = size
        while left:
            yield block[:left]
            left -= len(block[:left])

    return flask.Response(pieces(), headers={"Content-Length": str(size)})


@flasky.get("/crash")
def crash() -> str:
    """Fail."""
    raise RuntimeError("a secret of the application")


@flasky.route("/", defaults={"path": ""}, methods=METHODS)
@flasky.route("/<path:path>", methods=METHODS)
def show(path: str) -> flask.Response:
    """Show the request."""
    request = flask.request
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    query = request.query_string.decode("latin-1")
    response = flask.jsonify(described(request.method, request.path, query, headers, request.get_data()))
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response
