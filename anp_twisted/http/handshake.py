"""
The opening handshake of a caller's WebSocket: what is asked, and the answer. Pure.

RFC 6455, section 4.2. Who may connect, from where and with which subprotocol is
for the application to say; here is only what makes the request a WebSocket's.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha1
from typing import NamedTuple

from anp_twisted.errors import InvalidMessage, RequestRefused
from anp_twisted.headers import HOP_BY_HOP, Header, get_all, tokens_in_order, valid_name
from anp_twisted.http.answer import fields
from anp_twisted.http.request import PublicRequest

VERSION = b"13"
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
_NOT_PASSED_ON = HOP_BY_HOP | {
    b"content-length",
    b"sec-websocket-accept",
    b"sec-websocket-extensions",
    b"sec-websocket-key",
    b"sec-websocket-version",
}


class Handshake(NamedTuple):
    """
    What a caller asks for.

    @ivar key: the value of C{Sec-WebSocket-Key}.
    @ivar subprotocols: those the caller offers, in its order.
    @ivar extensions: the values of C{Sec-WebSocket-Extensions}, joined.
    """

    key: bytes
    subprotocols: list[bytes]
    extensions: bytes


def asked(request: PublicRequest) -> bool:
    """Tell whether a caller asks for a WebSocket; HTTP/1.0 knows no upgrades (RFC 9110, 7.8)."""
    return request.upgrade == b"websocket" and request.version == b"1.1"


def read(request: PublicRequest) -> Handshake:
    """
    Check a request for a WebSocket.

    @raise RequestRefused: 405 for another method than GET, 426 for another
        version, 400 for a body or a key that is none.
    """
    if request.method != b"GET":
        raise RequestRefused(405)
    if get_all(request.headers, b"sec-websocket-version") != [VERSION]:
        raise RequestRefused(426)
    keys = get_all(request.headers, b"sec-websocket-key")
    if request.has_body or len(keys) != 1 or not _is_key(keys[0]):
        raise RequestRefused(400)
    return Handshake(
        keys[0],
        tokens_in_order(get_all(request.headers, b"sec-websocket-protocol")),
        b",".join(get_all(request.headers, b"sec-websocket-extensions")),
    )


def _is_key(key: bytes) -> bool:
    """Tell whether a key is 16 bytes in base64."""
    try:
        return len(b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def answer(handshake: Handshake, headers: list[Header], extension: bytes = b"") -> bytes:
    """
    Make the head that opens a WebSocket.

    @param headers: what the application adds, the subprotocol it chose among them.
    @param extension: what of the offered extensions is used.
    @raise InvalidMessage: if the application's fields are malformed, or it chose
        what was not offered.
    """
    kept = [field for field in headers if field[0].lower() not in _NOT_PASSED_ON]
    if not all(valid_name(name) for name, _ in kept):
        raise InvalidMessage("not a header field name")
    chosen = get_all(kept, b"sec-websocket-protocol")
    if len(chosen) > 1 or not set(chosen) <= set(handshake.subprotocols):
        raise InvalidMessage("the subprotocol is none that was offered, or there are two")
    own = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", b64encode(sha1(handshake.key + _MAGIC).digest())),
    ]
    if extension:
        own.append((b"Sec-WebSocket-Extensions", extension))
    return b"HTTP/1.1 101 Switching Protocols\r\n" + fields(own + kept) + b"\r\n"
