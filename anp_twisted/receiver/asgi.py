"""
One HTTP exchange as an ASGI application sees it: no I/O, no coroutine.

The request goes in as pieces and comes out as C{http.request} messages; the
answer goes in as messages and comes out as a head and pieces, checked before
they leave. What a message does is a matter of the two states, L{Incoming} and
L{Outgoing}.

The scope is the one uvicorn makes of the same request, with C{extensions}
besides. C{spec_version} is 2.3 and not 2.4: under 2.3 a C{send()} after the
caller left does nothing, and frameworks listen for C{http.disconnect} while they
stream, so that they stop when the caller does.

ASGI, "HTTP & WebSocket", 2.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import HOP_BY_HOP, Header, from_text, parse_length, strip_hop_by_hop, valid_name, valid_value
from anp_twisted.wire.heads import Pairs, RequestHead, ResponseHead

Message = MutableMapping[str, Any]
"""An ASGI message or scope."""

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[object]]
"""An ASGI 3 application."""

SPEC_VERSION: Final = "2.3"
"""The version of the ASGI HTTP specification that scopes announce."""

_PORTS: Final = {"http": 80, "https": 443}
_WITHOUT_BODY: Final = frozenset({204, 304})


class Incoming(Enum):
    """
    How far the request is.

    C{OPEN}: more may come. C{ENDED}: all of it came. C{DELIVERED}: the
    application has all of it. C{GONE}: nobody waits for the answer any more.
    """

    OPEN = auto()
    ENDED = auto()
    DELIVERED = auto()
    GONE = auto()


class Outgoing(Enum):
    """What the application may send next."""

    HEAD = auto()
    BODY = auto()
    TRAILERS = auto()
    DONE = auto()


_EXPECTED: Final = {
    "http.response.start": (Outgoing.HEAD, Outgoing.BODY),
    "http.response.body": (Outgoing.BODY, Outgoing.BODY),
    "http.response.trailers": (Outgoing.TRAILERS, Outgoing.TRAILERS),
}
"""
By message type: the state in which an application may send it, and the state
after it; C{more_body} and C{more_trailers} decide about the end. (The hash of an
enumeration is Python code, so that it is no key here.)
"""


# --- the scope -----------------------------------------------------------------


@lru_cache(maxsize=256)
def server_of(host: bytes, scheme: str) -> tuple[str, int] | None:
    """
    Tell where the caller reached the application.

    @param host: the value of C{Host}.
    @return: name or address, and the port, that of the scheme where none is
        given; C{None} without a usable C{Host}.
    """
    name, colon, port = host.decode("latin-1").rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host.decode("latin-1"), ""
    if not name or (port and not (port.isascii() and port.isdigit() and len(port) <= 5)):
        return None
    return name.removeprefix("[").removesuffix("]"), int(port) if port else _PORTS.get(scheme, 80)


def _first(headers: Iterable[Header], lower_name: bytes) -> bytes:
    """Find the first value of a field."""
    for name, value in headers:
        if name == lower_name:
            return value
    return b""


def http_scope(
    head: RequestHead, state: dict[str, Any], root_path: str = "", *, with_body: bool = False
) -> dict[str, Any]:
    """
    Make the scope of one request.

    @param state: what the lifespan left; the scope gets a shallow copy.
    @param with_body: the request has a body. C{Transfer-Encoding} does not go
        through the tunnel, but applications look for it to tell that a body of
        unknown length follows, so it is put back.
    @param root_path: where the application is mounted; it is put before the path.
    @raise UnicodeEncodeError: if the head holds what cannot have come from HTTP.
    """
    headers = [(name.encode("latin-1").lower(), value.encode("latin-1")) for name, value in head.headers]
    if with_body and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"transfer-encoding", b"chunked"))
    target = head.target.partition("#")[0] if "#" in head.target else head.target
    path, _, query = target.partition("?")
    raw_path = path.encode("latin-1")
    if "%" in path or not path.isascii():
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
        "http_version": head.version,
        "server": server_of(_first(headers, b"host"), head.scheme),
        "client": head.client,
        "scheme": head.scheme,
        "method": head.method.upper(),
        "root_path": root_path,
        "path": root_path + path,
        "raw_path": root_path.encode("latin-1") + raw_path,
        "query_string": query.encode("latin-1"),
        "headers": headers,
        "state": state.copy(),
        "extensions": {
            "http.response.early_hint": {},
            "http.response.trailers": {},
            "anp": {
                "request_id": head.id,
                "deadline": head.deadline,
                "identity": identity_of(head),
                "target": head.target,
            },
        },
    }


def identity_of(head: RequestHead) -> dict[str, str] | None:
    """
    @return: who the caller has proved to be to the gateway, for the application.
    """
    return None if head.identity is None else {"kind": head.identity[0], "name": head.identity[1]}


# --- the exchange --------------------------------------------------------------


class HttpExchange:
    """
    The machine.

    @ivar scope: what the application is called with.
    @ivar incoming: how far the request is.
    @ivar outgoing: how far the answer is.
    @ivar trailers: the fields behind the body, as far as the application has sent them.
    """

    __slots__ = (
        "_after_body",
        "_left",
        "_most_pieces",
        "_pieces",
        "_silent",
        "_told",
        "incoming",
        "outgoing",
        "scope",
        "trailers",
    )

    def __init__(self, scope: dict[str, Any], most_pieces: int) -> None:
        """
        @param most_pieces: pieces of the body kept apart; what comes beyond
            them is joined, so that tiny pieces cost no more than large ones.
        """
        self.scope = scope
        self.incoming = Incoming.OPEN
        self.outgoing = Outgoing.HEAD
        self._most_pieces = most_pieces
        self._pieces: deque[bytes | bytearray] = deque()
        self._silent = scope["method"] == "HEAD"
        self._after_body = Outgoing.DONE
        self.trailers: Pairs = []
        self._told = False  # the caller knows that its body is wanted, or has sent it
        self._left: int | None = None  # body bytes that the declared length still asks for

    # --- the request ----------------------------------------------------

    def feed(self, body: bytes, ended: bool) -> None:
        """
        Take what came of the body.

        @param ended: whether it is all.
        """
        if self.incoming is not Incoming.OPEN:
            return
        if body:
            self._told = True
            self._keep(body)
        if ended:
            self.incoming = Incoming.ENDED

    def _keep(self, body: bytes) -> None:
        """Hold a piece until the application asks for it."""
        if len(self._pieces) < self._most_pieces:
            self._pieces.append(body)
            return
        last = self._pieces[-1]
        if not isinstance(last, bytearray):
            # A bytearray grows in place; bytes would be copied for each piece.
            last = self._pieces[-1] = bytearray(last)
        last += body

    def must_ask(self) -> bool:
        """
        Whether the caller sends its body only when it is told to (C{Expect: 100-continue}).

        @return: C{True} once at most, and not when it is too late for that.
        """
        if self._told or self.incoming is not Incoming.OPEN or self.outgoing is not Outgoing.HEAD:
            return False
        self._told = True
        return _first(self.scope["headers"], b"expect").lower() == b"100-continue"

    def disconnect(self) -> None:
        """Note that nobody waits for the answer any more; what was not taken is dropped."""
        self.incoming = Incoming.GONE
        self._pieces.clear()

    def next_message(self) -> Message | None:
        """
        Answer C{receive()}.

        @return: C{None} while there is nothing to tell. A body in the message
            has been taken by the application with that.
        """
        if self.incoming is Incoming.GONE or self.outgoing is Outgoing.DONE:
            return {"type": "http.disconnect"}
        if not self._pieces:
            if self.incoming is not Incoming.ENDED:
                return None
            self.incoming = Incoming.DELIVERED
            return {"type": "http.request", "body": b"", "more_body": False}
        body = bytes(self._pieces.popleft())
        more = bool(self._pieces) or self.incoming is Incoming.OPEN
        if not more:
            self.incoming = Incoming.DELIVERED
        return {"type": "http.request", "body": body, "more_body": more}

    # --- the answer -----------------------------------------------------

    def start(self, message: Message) -> ResponseHead:
        """
        Take C{http.response.start}.

        @return: the head to send.
        @raise InvalidMessage: if it is out of order or breaks HTTP; the state is as before.
        """
        following = self._following(message)
        status = message.get("status")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise InvalidMessage("the status of an answer must be a number from 200 to 999")
        pairs, length = checked_fields(message.get("headers", ()))
        if message.get("trailers"):
            self._after_body = Outgoing.TRAILERS
        self._left = 0 if status in _WITHOUT_BODY else length
        self.outgoing = following
        return ResponseHead(int(status), pairs)

    def body(self, message: Message) -> bytes:
        """
        Take C{http.response.body}.

        @return: the bytes to send; none for a HEAD request, whatever it holds.
            L{outgoing} tells whether they are the last.
        @raise InvalidMessage: if it is out of order, too long or too short; the state is as before.
        """
        following = self._following(message)
        data = message.get("body", b"")
        if type(data) is not bytes:
            data = _copied(data)
        if not message.get("more_body", False):
            following = self._after_body
        if self._silent:
            data = b""
        elif self._left is not None:
            self._left = self._after(data, self._left, following)
        self.outgoing = following
        return data

    def take_trailers(self, message: Message) -> None:
        """
        Take C{http.response.trailers}.

        @raise InvalidMessage: if it is out of order or breaks HTTP; the state is as before.
        """
        following = self._following(message)
        pairs, length = checked_fields(message.get("headers", ()))
        if length is not None:
            raise InvalidMessage("a trailer cannot declare a length")
        self.trailers += pairs
        self.outgoing = following if message.get("more_trailers", False) else Outgoing.DONE

    def early_hint(self, message: Message) -> ResponseHead | None:
        """
        Take C{http.response.early_hint}.

        @return: the head to send; C{None} once the answer has begun: it is ignored then.
        @raise InvalidMessage: if a link has a forbidden character.
        """
        if self.outgoing is not Outgoing.HEAD:
            return None
        pairs, _ = checked_fields([(b"link", link) for link in message.get("links", ())])
        return ResponseHead(103, pairs) if pairs else None

    def _after(self, data: bytes, left: int, following: Outgoing) -> int:
        """Count what the declared length still asks for."""
        if len(data) > left:
            raise InvalidMessage("the body of the answer is longer than its Content-Length, or it may have none")
        if following is not Outgoing.BODY and len(data) < left:
            raise InvalidMessage("the body of the answer is shorter than its Content-Length")
        return left - len(data)

    def _following(self, message: Message) -> Outgoing:
        """Find what comes after a message that is allowed now."""
        kind = str(message.get("type"))
        step = _EXPECTED.get(kind)
        if step is None or step[0] is not self.outgoing:
            raise InvalidMessage(f"{kind!r} cannot be sent while {self.outgoing.name} is expected")
        return step[1]


def _copied(data: object) -> bytes:
    """Take a body that is not C{bytes}; the application may change it later."""
    if not isinstance(data, bytearray | memoryview | bytes):
        raise InvalidMessage("the body of an answer must be bytes")
    return bytes(data)


def checked_fields(headers: Any) -> tuple[Pairs, int | None]:
    """
    Check the fields of an answer.

    @return: them as text, without those that concern one connection only, and
        the declared length.
    """
    lengths: list[int] = []
    pairs: Pairs = []
    connection_only = False
    try:
        for name, value in headers:
            if not valid_name(name) or not valid_value(value):
                raise InvalidMessage("a header field of the answer has a forbidden character")
            lower = name.lower()
            if lower == b"content-length":
                lengths.append(parse_length(value))
            elif lower in HOP_BY_HOP:
                connection_only = True
            pairs.append((name.decode("latin-1"), value.decode("latin-1")))
    except (TypeError, ValueError, AttributeError) as error:
        # Looked for afterwards: a check of each type would cost every answer that is right.
        raise InvalidMessage("the header fields of an answer must be pairs of bytes") from error
    if len(lengths) > 1:
        raise InvalidMessage("the answer declares its length twice")
    if connection_only:
        pairs = _without_hop_by_hop(pairs, bool(lengths))
    return pairs, lengths[0] if lengths else None


def _without_hop_by_hop(pairs: Pairs, with_length: bool) -> Pairs:
    """Leave out the fields that are the gateway's business; a body with two framings is refused."""
    if with_length and any(name.lower() == "transfer-encoding" for name, _ in pairs):
        raise InvalidMessage("the answer has both Content-Length and Transfer-Encoding")
    kept = strip_hop_by_hop(from_text(pairs))
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]
