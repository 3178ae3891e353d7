"""
One WebSocket as an ASGI application sees it: no I/O, no coroutine.

Parts of messages go in and come out as whole C{websocket.receive} messages; what
the application sends is checked before it leaves. Credit for what came is given
back when the application took it. A message that is larger than the window could
never come together that way, so what has come of it is given back while the
application waits for it: an application that does not ask stops the caller.

ASGI, "HTTP & WebSocket", 2.4, and the extension "Websocket Denial Response".
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import Any, Final

from anp_twisted.errors import InvalidMessage
from anp_twisted.headers import tokens_in_order
from anp_twisted.receiver.asgi import HttpExchange, Message, Outgoing, checked_fields, http_scope
from anp_twisted.wire import v2
from anp_twisted.wire.heads import RequestHead, ResponseHead

SPEC_VERSION: Final = "2.4"
"""The version of the ASGI specification that scopes of WebSockets announce."""

NORMAL: Final = 1000
TOO_BIG: Final = 1009
NO_CODE: Final = 1005
ABNORMAL: Final = 1006
INTERNAL: Final = 1011
RESTART: Final = 1012

_MOST_REASON: Final = 123
_OWN_FIELDS: Final = frozenset(
    {"sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-version"}
)
_NOT_SENT: Final = frozenset({1004, NO_CODE, ABNORMAL, 1015})


class Stage(Enum):
    """
    How far a WebSocket is.

    C{ASKED}: the application has not decided. C{OPEN}: messages go both ways.
    C{DENYING}: it is answered as an ordinary request. C{CLOSED}: the application
    ended it. C{GONE}: the caller did, or was lost.
    """

    ASKED = auto()
    OPEN = auto()
    DENYING = auto()
    CLOSED = auto()
    GONE = auto()


_ACCEPT: Final = "websocket.accept"
_SEND: Final = "websocket.send"
_CLOSE: Final = "websocket.close"
_DENY: Final = "websocket.http.response.start"
_DENY_BODY: Final = "websocket.http.response.body"

_ALLOWED: Final = {
    _ACCEPT: (Stage.ASKED,),
    _DENY: (Stage.ASKED,),
    _DENY_BODY: (Stage.DENYING,),
    _SEND: (Stage.OPEN,),
    _CLOSE: (Stage.ASKED, Stage.OPEN),
}
"""By message type: the stages in which an application may send it."""


def websocket_scope(head: RequestHead, state: dict[str, Any], root_path: str = "") -> dict[str, Any]:
    """
    Make the scope of one WebSocket.

    The fields of the upgrade do not go through the tunnel, but some applications
    look for them, so they are put back.

    @param state: what the lifespan left; the scope gets a shallow copy.
    @param root_path: as for L{http_scope}.
    @raise UnicodeEncodeError: if the head holds what cannot have come from HTTP.
    """
    scope = http_scope(head, state, root_path)
    del scope["method"]
    headers = scope["headers"]
    headers += (b"connection", b"Upgrade"), (b"upgrade", b"websocket")
    offered = [value for name, value in headers if name == b"sec-websocket-protocol"]
    scope.update(
        type="websocket",
        asgi={"version": "3.0", "spec_version": SPEC_VERSION},
        scheme="wss" if head.scheme == "https" else "ws",
        subprotocols=[token.decode("latin-1") for token in tokens_in_order(offered)],
        extensions={"websocket.http.response": {}, "anp": scope["extensions"]["anp"]},
    )
    return scope


class CallerGone(OSError):
    """
    The application sends on a WebSocket that is over.

    The specification asks for a subclass of C{OSError}; frameworks look for it.
    """


class Assembly:
    """
    The messages that came, whole or in part, and the credit they hold.

    @ivar due: credit that can be given back now.
    """

    __slots__ = ("_held", "_kind", "_most", "_parts", "_whole", "due")

    def __init__(self, most: int) -> None:
        """
        @param most: bytes of the largest message taken.
        """
        self._most = most
        self._whole: deque[tuple[int, bytes, int]] = deque()  # kind, content, credit held
        self._kind = 0
        self._parts = bytearray()
        self._held = 0  # credit held by the parts of the message that is not whole
        self.due = 0

    def add(self, event_kind: int, body: bytes, last: bool, cost: int) -> bool:
        """
        Take a part.

        @return: C{False} if the message is over the cap; nothing may be added any more.
        """
        if len(self._parts) + len(body) > self._most:
            return False
        if last and not self._held and not self._parts:
            self._whole.append((event_kind, body, cost))
            return True
        self._parts += body
        self._held += cost
        if last:
            self._whole.append((event_kind, bytes(self._parts), self._held))
            self._parts.clear()
            self._held = 0
        return True

    def take(self) -> tuple[int, bytes] | None:
        """
        Take the next message; C{None} if none is whole, and then what holds it up is given back.
        """
        if self._whole:
            kind, content, held = self._whole.popleft()
            self.due += held
            return kind, content
        self.due += self._held
        self._held = 0
        return None

    def clear(self) -> None:
        """Drop everything."""
        self._whole.clear()
        self._parts.clear()
        self._held = self.due = 0


class WebSocketExchange:
    """
    The machine.

    @ivar scope: what the application is called with.
    @ivar stage: how far it is.
    @ivar denial: the answer of an application that denied with one of its own.
    """

    __slots__ = ("_assembly", "_connected", "_disconnect", "denial", "scope", "stage")

    def __init__(self, scope: dict[str, Any], most: int) -> None:
        """
        @param most: bytes of the largest message taken.
        """
        self.scope = scope
        self.stage = Stage.ASKED
        self.denial: HttpExchange | None = None
        self._assembly = Assembly(most)
        self._connected = False  # the application has heard websocket.connect
        self._disconnect: Message = {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}

    # --- the caller -----------------------------------------------------

    def feed(self, kind: int, body: bytes, last: bool, cost: int) -> bool:
        """
        Take a part of a message.

        @return: C{False} if the message is over the cap.
        """
        return self.stage is not Stage.OPEN or self._assembly.add(kind, body, last, cost)

    def disconnect(self, code: int = ABNORMAL, reason: str = "") -> None:
        """
        Note that the caller closed, or is gone.

        Messages that came before are still delivered, unless there was no good end.
        """
        if self.stage is Stage.GONE:
            return
        if self.stage is not Stage.CLOSED:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
        if code == ABNORMAL:
            self._assembly.clear()
        self.stage = Stage.GONE

    def next_message(self) -> Message | None:
        """
        Answer C{receive()}; look at L{take_credit} afterwards.

        @return: C{None} while there is nothing to tell.
        """
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self.stage in (Stage.OPEN, Stage.GONE):
            taken = self._assembly.take()
            if taken is not None:
                kind, content = taken
                if kind == v2.TEXT:
                    return {"type": "websocket.receive", "text": content.decode("utf-8", "replace")}
                return {"type": "websocket.receive", "bytes": content}
        if self.stage in (Stage.CLOSED, Stage.GONE):
            return dict(self._disconnect)
        return None

    def take_credit(self) -> int:
        """Take the credit that can be given back to the caller."""
        due, self._assembly.due = self._assembly.due, 0
        return due

    # --- the application ------------------------------------------------

    def check(self, message: Message) -> str:
        """
        Say what a message of the application is.

        @raise CallerGone: if nobody can hear it.
        @raise InvalidMessage: if it is out of order; the stage is as before.
        """
        kind = str(message.get("type"))
        if self.stage is Stage.GONE:
            raise CallerGone("the WebSocket is closed")
        if self.stage not in _ALLOWED.get(kind, ()):
            raise InvalidMessage(f"{kind!r} cannot be sent while the WebSocket is {self.stage.name}")
        return kind

    def accept(self, message: Message) -> ResponseHead:
        """
        Take C{websocket.accept}.

        @raise InvalidMessage: if it chooses what was not offered, or breaks HTTP.
        """
        pairs, _ = checked_fields(message.get("headers") or ())
        pairs = [(name, value) for name, value in pairs if name.lower() not in _OWN_FIELDS]
        chosen = [value for name, value in pairs if name.lower() == "sec-websocket-protocol"]
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            pairs.append(("Sec-WebSocket-Protocol", subprotocol))
            chosen.append(subprotocol)
        if len(chosen) > 1 or not set(chosen) <= set(self.scope["subprotocols"]):
            raise InvalidMessage("the subprotocol is none that the caller offered, or there are two")
        if any(name.lower() == "content-length" for name, _ in pairs):
            raise InvalidMessage("a WebSocket has no Content-Length")
        self.stage = Stage.OPEN
        return ResponseHead(101, pairs)

    def deny(self, message: Message) -> ResponseHead:
        """
        Take C{websocket.http.response.start}, or C{websocket.close} before the WebSocket was accepted.

        @raise InvalidMessage: if it breaks HTTP.
        """
        answer = HttpExchange({**self.scope, "method": "GET"}, 1)
        if message["type"] == _CLOSE:
            head = answer.start({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]})
            answer.body({"type": "http.response.body"})
            self.stage = Stage.CLOSED
        else:
            head = answer.start({**message, "type": "http.response.start", "trailers": False})
            self.stage = Stage.DENYING
        self.denial = answer
        return head

    def deny_body(self, message: Message) -> bytes:
        """
        Take C{websocket.http.response.body}; the L{stage} tells whether it was the last one.

        @raise InvalidMessage: if the body is too long or too short.
        """
        assert self.denial is not None, "a body of no answer"
        data = self.denial.body({**message, "type": "http.response.body"})
        if self.denial.outgoing is Outgoing.DONE:
            self.stage = Stage.CLOSED
        return data

    def send(self, message: Message) -> tuple[int, bytes]:
        """
        Take C{websocket.send}.

        @return: the kind of the message and its content.
        @raise InvalidMessage: if it is neither text nor bytes, or both.
        """
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise InvalidMessage("a message has either text or bytes")
        if isinstance(text, str):
            try:
                return v2.TEXT, text.encode("utf-8")
            except UnicodeEncodeError:
                raise InvalidMessage("a text message has a lone surrogate") from None
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidMessage("the text of a message must be str, its bytes must be bytes")
        return v2.BINARY, bytes(data)

    def close(self, message: Message) -> bytes:
        """
        Take C{websocket.close}.

        @return: the body of the close frame.
        @raise InvalidMessage: if the code is none that may be sent.
        """
        code, reason = message.get("code", NORMAL), message.get("reason") or ""
        body = close_body(NORMAL if code is None else code, reason)
        self._disconnect = {"type": "websocket.disconnect", "code": code or NORMAL, "reason": reason}
        self._assembly.clear()
        self.stage = Stage.CLOSED
        return body


def close_body(code: object, reason: object) -> bytes:
    """
    Make the body of a close frame.

    @raise InvalidMessage: if the code is none that may be sent (RFC 6455, 7.4), or
        the reason is no text, or over 123 bytes.
    """
    if not isinstance(code, int) or not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in _NOT_SENT:
        raise InvalidMessage("a WebSocket cannot be closed with that code")
    if not isinstance(reason, str):
        raise InvalidMessage("the reason of a close must be text")
    try:
        raw = reason.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidMessage("the reason of a close has a lone surrogate") from None
    if len(raw) > _MOST_REASON:
        raise InvalidMessage(f"the reason of a close is over {_MOST_REASON} bytes")
    return code.to_bytes(2, "big") + raw


def close_of(body: bytes) -> tuple[int, str]:
    """
    Read the body of a close frame.

    @return: the code, 1005 where there is none, and the reason.
    """
    if len(body) < 2:
        return NO_CODE, ""
    return int.from_bytes(body[:2], "big"), body[2:].decode("utf-8", "replace")
