"""
The JSON values that version 2 carries: heads, settings, reasons.

C{docs/protocol/anpx.md}, "Values". Header fields are pairs of latin-1 strings in
the order they came, with their case and their repetitions. Unknown keys are
ignored, so that a later version can add one.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from anp_twisted.errors import FrameTooLarge, HeadError

Pairs = list[tuple[str, str]]

#: What a request method looks like (RFC 9110, 5.6.2), and no longer than any that is in use.
METHOD = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}\Z"

#: The protocol of a request for a WebSocket, and the feature of a receiver that takes such requests.
WEBSOCKET = "websocket"

#: The feature of a receiver that links to each process of a gateway.
WORKERS = "workers"

#: Characters of a public text.
MOST_TEXT = 1024

_LINE = re.compile(
    METHOD.removeprefix("^").removesuffix("\\Z") + r" [!-~\x80-\xff]+ https? [0-9](?:\.[0-9])? (?:websocket)? [!-~]*"
)
_Target = Annotated[str, Meta(max_length=65536)]
_Id = Annotated[str, Meta(max_length=128, pattern=r"^[!-~]*\Z")]
_Name = Annotated[str, Meta(max_length=1024, pattern=r"^[!-~]+\Z")]
_Identity = tuple[_Id, _Name]
_KeyName = Annotated[str, Meta(max_length=1024, pattern=r"^[!-~]*\Z")]
_Signature = Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9_-]*\Z")]
_Path = Annotated[str, Meta(max_length=1024, pattern=r"^/[!-~]*\Z")]
_Size = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class RequestHead(Struct, omit_defaults=True, gc=False):
    """
    The head of a REQUEST.

    @ivar method: as the caller wrote it.
    @ivar target: the raw request target, byte for byte, as latin-1.
    @ivar headers: fields in their order.
    @ivar scheme: C{http} or C{https}, as the caller reached the gateway.
    @ivar version: the caller's HTTP version, C{1.1} or C{1.0}.
    @ivar client: the caller's address and port.
    @ivar id: the request id, as logs on both sides show it.
    @ivar deadline: seconds left for the whole request when it was sent; 0 is no limit.
    @ivar identity: who the caller has proved to be to the gateway: how (C{did}), and the name.
    @ivar protocol: C{websocket} where the caller asks for one, else nothing.
    """

    method: str
    target: _Target
    headers: Pairs
    scheme: str = "http"
    version: str = "1.1"
    client: tuple[Annotated[str, Meta(max_length=64)], Annotated[int, Meta(ge=0, le=65535)]] | None = None
    id: Annotated[str, Meta(max_length=128)] = ""
    deadline: Annotated[float, Meta(ge=0)] = 0.0
    protocol: str = ""
    identity: _Identity | None = None


class ResponseHead(Struct, omit_defaults=True, gc=False):
    """
    The head of a RESPONSE; one with a status below 200 comes before the final one.

    @ivar status: 100 to 999.
    @ivar headers: fields in their order.
    """

    status: Annotated[int, Meta(ge=100, le=999)]
    headers: Pairs


class Trailers(Struct, gc=False):
    """
    Fields behind a body, on its last DATA frame.

    @ivar headers: fields in their order.
    """

    headers: Pairs


class GatewayProof(Struct, frozen=True):
    """
    A gateway's answer to a challenge.

    @ivar key: the name of the key, C{did#fragment}; nothing for a shared secret.
    @ivar signature: base64url without padding.
    """

    key: _KeyName
    signature: _Signature


class Hello(Struct, omit_defaults=True):
    """
    The first frame of each side.

    @ivar versions: the ANPX versions this side speaks.
    @ivar software: name and version of the program, for people.
    @ivar features: names of optional behaviour this side has.
    @ivar max_frame: the largest frame it accepts, in bytes.
    @ivar window: the credit it gives each stream at its start, in bytes.
    @ivar connection_window: the credit it gives the connection at its start, in bytes.
    @ivar max_streams: how many streams it accepts at once.
    @ivar capacity: how many requests it wants at once; a receiver says it.
    @ivar instance: names the process behind the connection.
    @ivar link: numbers the connections of that process; a new one of the same number replaces the old one.
    @ivar paths: the path prefixes a receiver serves.
    @ivar public_url: where callers reach the gateway that says it.
    @ivar worker: which process of the gateway it is, from 1; 0 where there is one only.
    @ivar workers: how many processes the gateway has.
    @ivar resume: reserved for streams that survive a broken link.
    @ivar challenge: 32 random hexadecimal digits of a receiver that wants the gateway to prove itself.
    @ivar proof: the gateway's answer to it.
    """

    versions: list[int]
    window: _Size
    connection_window: _Size
    max_streams: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    max_frame: Annotated[int, Meta(ge=256 * 1024, le=2**31 - 1)] = 1024 * 1024
    capacity: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1
    software: Annotated[str, Meta(max_length=128)] = ""
    features: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=64)] = []
    instance: _Id = ""
    link: Annotated[int, Meta(ge=0, le=65535)] = 0
    paths: Annotated[list[_Path], Meta(max_length=256)] = []
    public_url: Annotated[str, Meta(max_length=1024)] = ""
    worker: Annotated[int, Meta(ge=0, le=1024)] = 0
    workers: Annotated[int, Meta(ge=0, le=1024)] = 0
    resume: _Id = ""
    challenge: _Id = ""
    proof: GatewayProof | None = None


class Reset(Struct, omit_defaults=True, gc=False):
    """
    Why a stream ended before its time.

    @ivar code: a L{Code<anp_twisted.errors.Code>}, or a number a later version knows.
    @ivar source: whose doing it is: gateway, tunnel, receiver or app.
    @ivar text: a short public text.
    @ivar dispatched: C{False} promises that no application saw the request.
    """

    code: Annotated[int, Meta(ge=0, le=65535)]
    source: Annotated[str, Meta(max_length=16)] = "tunnel"
    text: Annotated[str, Meta(max_length=MOST_TEXT)] = ""
    dispatched: bool = True


class Goaway(Struct, omit_defaults=True):
    """
    This side takes no new stream and finishes those it has.

    @ivar last: the highest stream it accepted; later ones were not dispatched.
    @ivar code: a L{Code<anp_twisted.errors.Code>}.
    @ivar retry_after: milliseconds after which a new connection makes sense.
    @ivar text: a short public text.
    """

    last: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    code: Annotated[int, Meta(ge=0, le=65535)] = 0
    retry_after: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    text: Annotated[str, Meta(max_length=MOST_TEXT)] = ""


_T = TypeVar("_T")
_Head = TypeVar("_Head", RequestHead, ResponseHead, Trailers)
_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    shape: msgspec.json.Decoder(shape) for shape in (RequestHead, ResponseHead, Trailers, Hello, Reset, Goaway)
}

encode = msgspec.json.Encoder().encode


def decode(shape: type[_T], data: bytes, most: int) -> _T:
    """
    Read one value.

    @param shape: one of the classes of this module.
    @param most: the largest text accepted, in bytes.
    @raise FrameTooLarge: for a text over C{most}.
    @raise HeadError: for a text that is not JSON, or of another shape.
    """
    if len(data) > most:
        raise FrameTooLarge(f"{shape.__name__} of {len(data)} bytes is over the {most} allowed")
    try:
        value: _T = _DECODERS[shape].decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HeadError(f"{shape.__name__} is malformed") from error
    if shape is RequestHead and not _is_line(value):
        raise HeadError(f"{shape.__name__} is malformed")
    return value


def _is_line(head: Any) -> bool:
    """
    Tell whether the texts of a request head are what they claim to be.

    None of them may have a space, so that one look at all is enough; a pattern for
    each in L{RequestHead} takes five times as long, and as long as all the rest.
    """
    line = f"{head.method} {head.target} {head.scheme} {head.version} {head.protocol} {head.id}"
    return _LINE.fullmatch(line) is not None


def decode_head(shape: type[_Head], data: bytes, most: int, fields: int) -> _Head:
    """
    Read a value that has header fields.

    @param most: the largest text accepted, in bytes.
    @param fields: the most header fields accepted.
    @raise FrameTooLarge: for a text over C{most}, or more than C{fields}.
    @raise HeadError: for a text that is not JSON, of another shape, or with a
        character in a field that is none of latin-1.
    """
    head = decode(shape, data, most)
    if len(head.headers) > fields:
        raise FrameTooLarge(f"{len(head.headers)} header fields are over the {fields} allowed")
    # Text that is ASCII and escapes nothing cannot hold such a character: nearly every head.
    if (not data.isascii() or b"\\u" in data) and not _is_latin(head.headers):
        raise HeadError(f"{shape.__name__} has a field that is not latin-1")
    return head


def _is_latin(headers: Pairs) -> bool:
    """Tell whether each character of all fields stands for one byte."""
    return all(character <= "\xff" for pair in headers for part in pair for character in part)
