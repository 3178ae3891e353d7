"""
JSON-RPC 2.0: bytes of a message to calls, and answers to bytes.

Pure. Ids are never interpreted: an id goes back byte for byte as it came, so that
C{1.0}, C{1e400} or an escaped string is the same to whoever waits for it.

U{https://www.jsonrpc.org/specification}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from anp_twisted.assistant.errors import InvalidParams, InvalidRequest, ParseError, RpcError
from anp_twisted.assistant.types import Params

P = TypeVar("P", bound=Params)

NULL: Final = b"null"
_LONGEST_ID: Final = 256
_BLANK: Final = b" \t\r\n"
_PATH = re.compile(r" - at `(\$[^`]{0,200})`$")
_EMPTY = msgspec.Raw(b"")
_EVENT: Final = b'{"jsonrpc":"2.0","method":"event","params":'
_RESULT: Final = b'{"jsonrpc":"2.0","result":'
_ERROR: Final = b'{"jsonrpc":"2.0","error":'


class _Envelope(msgspec.Struct):
    jsonrpc: msgspec.Raw = _EMPTY
    method: msgspec.Raw = _EMPTY
    id: msgspec.Raw = _EMPTY
    params: msgspec.Raw = _EMPTY


class Call(NamedTuple):
    """
    A call that was asked for.

    @ivar id: as it came; C{None} for a notification, which gets no answer at all.
    @ivar params: as they came, empty if there are none.
    """

    id: bytes | None
    method: str
    params: bytes


class Malformed(NamedTuple):
    """
    Something in the place of a call.

    @ivar id: as it came, L{NULL} if there is no usable one.
    """

    id: bytes
    error: RpcError


class Incoming(NamedTuple):
    """
    What was in one message.

    @ivar batch: the answers go back as one array.
    """

    items: Sequence[Call | Malformed]
    batch: bool


_encoder = msgspec.json.Encoder()
_any: msgspec.json.Decoder[msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw)
_list: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_envelope = msgspec.json.Decoder(_Envelope)
_text = msgspec.json.Decoder(str)
_decoders: dict[type[Params], msgspec.json.Decoder[Any]] = {}


def parse(data: bytes, most: int) -> Incoming:
    """
    Read one message.

    @param most: calls in one batch.
    @raise ParseError: it is no JSON, no UTF-8, or nested too deeply.
    @raise InvalidRequest: an empty batch, or one with too many calls.
    """
    try:
        if not data.isascii():
            data.decode("utf-8")
        whole = _any.decode(data)
        if data.lstrip(_BLANK)[:1] != b"[":
            return Incoming((_read(whole),), False)
        items = _list.decode(data)
        if not items or len(items) > most:
            raise InvalidRequest("a batch has at least one call" if not items else f"a batch has at most {most} calls")
        return Incoming([_read(item) for item in items], True)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ParseError from None


def _read(raw: msgspec.Raw) -> Call | Malformed:
    """
    Read one call.

    @raise msgspec.DecodeError: it is no JSON; that is seen here first, where a string is malformed.
    """
    try:
        envelope = _envelope.decode(raw)
    except msgspec.ValidationError:
        return Malformed(NULL, InvalidRequest())
    given = bytes(envelope.id)
    usable = not given or (len(given) <= _LONGEST_ID and (given[0] in b'"-0123456789' or given == NULL))
    if not usable:
        return Malformed(NULL, InvalidRequest("an id is a string, a number or null"))
    method, params = bytes(envelope.method), bytes(envelope.params)
    if bytes(envelope.jsonrpc) != b'"2.0"' or method[:1] != b'"':
        return Malformed(given or NULL, InvalidRequest())
    if params and params[0] not in b"[{":
        return Malformed(given or NULL, InvalidRequest("params are an object or an array"))
    return Call(given or None, _text.decode(method), params)


def arguments(expected: type[P], params: bytes) -> P:
    """
    Read the parameters of a call.

    @param expected: what the method takes.
    @param params: an object, an array in the order of the fields, or nothing.
    @raise InvalidParams: they are others.
    """
    decoder = _decoders.get(expected)
    if decoder is None:
        decoder = _decoders[expected] = msgspec.json.Decoder(expected)
    try:
        if params[:1] == b"[":
            params = _named(expected.__struct_fields__, _list.decode(params))
        found: P = decoder.decode(params or b"{}")
    except msgspec.ValidationError as error:
        # The sentence of msgspec may quote names of members, so only the place is passed on.
        place = _PATH.search(str(error))
        raise InvalidParams(path=place[1] if place else "$") from None
    except (msgspec.DecodeError, RecursionError):
        raise InvalidParams from None
    return found


def _named(names: tuple[str, ...], values: list[msgspec.Raw]) -> bytes:
    """
    Give the members of an array their names.

    @raise InvalidParams: there are more than names.
    """
    if len(values) > len(names):
        raise InvalidParams(f"there are at most {len(names)} parameters")
    members = (b'"%s":%s' % (name.encode(), value) for name, value in zip(names, values, strict=False))
    return b"{" + b",".join(members) + b"}"


def result(id: bytes, value: object) -> bytes:
    """
    @return: the response of a call that went well.
    """
    return _RESULT + _encoder.encode(value) + b',"id":' + id + b"}"


def failure(id: bytes, error: RpcError) -> bytes:
    """
    @return: the response of a call that failed.
    """
    return _ERROR + _encoder.encode(error.as_object()) + b',"id":' + id + b"}"


def event(params: object) -> bytes:
    """
    @return: a notification of something that happened.
    """
    return _EVENT + _encoder.encode(params) + b"}"


def batch(responses: Sequence[bytes]) -> bytes:
    """
    @param responses: at least one.
    @return: all of them as one message.
    """
    return b"[" + b",".join(responses) + b"]"
