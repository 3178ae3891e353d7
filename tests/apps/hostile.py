"""An ASGI application whose answers are no HTTP; the number in the path says which."""

from __future__ import annotations

from typing import Any

START, BODY = "http.response.start", "http.response.body"


def start(status: Any, *headers: Any) -> dict[str, Any]:
    """The first message."""
    return {"type": START, "status": status, "headers": list(headers)}


def body(data: Any = b"abc", more: bool = False) -> dict[str, Any]:
    """A later one."""
    return {"type": BODY, "body": data, "more_body": more}


LENGTH_3 = (b"content-length", b"3")

#: By name: what is sent, and what the caller may see: "5xx", "cut" or the status of a whole answer.
CASES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "CRLF in a value": ([start(200, (b"x", b"a\r\nSet-Cookie: b")), body()], "5xx"),
    "LF in a value": ([start(200, (b"x", b"a\nb")), body()], "5xx"),
    "NUL in a value": ([start(200, (b"x", b"a\x00b")), body()], "5xx"),
    "CRLF in a name": ([start(200, (b"x\r\ny", b"a")), body()], "5xx"),
    "space in a name": ([start(200, (b"x y", b"a")), body()], "5xx"),
    "empty name": ([start(200, (b"", b"a")), body()], "5xx"),
    "colon in a name": ([start(200, (b"x:", b"a")), body()], "5xx"),
    "text for bytes": ([start(200, ("x", "a")), body()], "5xx"),
    "status 99": ([start(99), body()], "5xx"),
    "status 1000": ([start(1000), body()], "5xx"),
    "status 0": ([start(0), body()], "5xx"),
    "status as text": ([start("200 x"), body()], "5xx"),
    "no status": ([{"type": START}, body()], "5xx"),
    "101 as an answer": ([start(101, (b"upgrade", b"websocket")), body()], "5xx"),
    "100 as an answer": ([start(100), body()], "5xx"),
    "two lengths": ([start(200, LENGTH_3, (b"content-length", b"4")), body()], "5xx"),
    "equal lengths": ([start(200, LENGTH_3, LENGTH_3), body()], "5xx"),
    "listed lengths": ([start(200, (b"content-length", b"3, 3")), body()], "5xx"),
    "signed length": ([start(200, (b"content-length", b"+3")), body()], "5xx"),
    "length and coding": ([start(200, LENGTH_3, (b"transfer-encoding", b"chunked")), body()], "5xx"),
    "body first": ([body()], "5xx"),
    "nothing": ([], "5xx"),
    "unknown message": ([{"type": "http.response.push"}], "5xx"),
    "too long": ([start(200, LENGTH_3), body(b"abcHTTP/1.1 200 OK\r\n\r\n")], "cut"),
    "too short": ([start(200, LENGTH_3), body(b"ab")], "cut"),
    "short, then silent": ([start(200, LENGTH_3), body(b"ab", True)], "cut"),
    "without end": ([start(200), body(b"ab", True)], "cut"),
    "two heads": ([start(200, LENGTH_3), start(200, LENGTH_3)], "cut"),
    "body of no bytes": ([start(200), body("text")], "cut"),
    "204 with a body": ([start(204), body()], "204"),
    "304 with a body": ([start(304), body()], "304"),
    "body after the end": ([start(200, LENGTH_3), body(), body(b"more")], "200"),
    "hop by hop": ([start(200, (b"connection", b"close, x-secret"), (b"x-secret", b"s"), LENGTH_3), body()], "200"),
    "coding alone": ([start(200, (b"transfer-encoding", b"gzip, chunked")), body()], "200"),
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Send the messages of a case; what is no case is answered well."""
    if scope["type"] != "http":
        return
    number = scope["path"].rpartition("/")[2]
    messages = [start(200, LENGTH_3), body()]
    if number.isdigit():
        messages = list(CASES.values())[int(number)][0]
    for message in messages:
        await send(message)
