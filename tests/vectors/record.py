"""
Writes the recorded frames: C{python tests/vectors/record.py}.

Each vector is a pair of files: C{NAME.bin}, the exact bytes of one frame, and
C{NAME.json}, what they mean. The frames are made here from the normative text
with C{struct} and C{zlib} alone, so that they are a second opinion on the
package and not an echo of it.

Keys of a description::

    version      1 or 2
    note         what the vector is for
    valid        whether a reader must take it
    canonical    whether a writer makes exactly these bytes of the value
    error        (not valid) frame, too-large or head: what is wrong
    type         number of the frame type
    end          (version 2) whether the END flag is set
    stream       (version 2) the stream id
    request_id   (version 1) text
    chunk        (version 1) null, or index, total and final
    meta         text of the field that depends on the type, or null
    meta_hex     the same where it is no text
    body_hex     the body bytes in hexadecimal
"""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

FOLDER = Path(__file__).parent
ID = "0b8f1d5e-6a0c-4b62-9d53-2f6d0a7e4c11"
META_TAGS = {
    1: {0x01: 0x02, 0x02: 0x04},
    2: {1: 2, 2: 4, 3: 5, 0x10: 0x10, 0x11: 0x11, 0x12: 0x12, 0x13: 0x13, 0x14: 0x14, 0x15: 0x14, 0x20: 0x20},
}

GET = (
    '{"method":"GET","target":"/a%2Fb?x=1&x=2","headers":[["Host","example.org"],["Accept","*/*"]],'
    '"client":["192.0.2.7",50123],"id":"r1"}'
)
OK = '{"status":200,"headers":[["Content-Type","text/plain"],["Set-Cookie","a=1"],["Set-Cookie","b=2"]]}'
HELLO = (
    '{"versions":[2],"window":163840,"connection_window":16547840,"max_streams":100,"capacity":100,'
    '"software":"example/1","instance":"i1","paths":["/"]}'
)


def field(tag: int, value: bytes, length: int | None = None) -> bytes:
    """One TLV field, whose length may lie."""
    return pack("!BI", tag, len(value) if length is None else length) + value


def frame(version: int, kind: int, body: bytes, *, flags: int = 0, stream: int = 0, total: int | None = None) -> bytes:
    """One frame with right checksums."""
    front = pack("!4sBBBBI", b"ANPX", version, kind, flags, 0, 24 + len(body) if total is None else total)
    covered = front if version == 1 else front + pack("!I", stream)
    return front + pack("!III", crc32(covered), crc32(body), stream) + body


def value_bytes(shown: dict[str, Any]) -> bytes | None:
    """The field that depends on the type."""
    if "meta_hex" in shown:
        return bytes.fromhex(shown["meta_hex"])
    return None if shown.get("meta") is None else str(shown["meta"]).encode()


def render(shown: dict[str, Any], *, extra: bytes = b"") -> bytes:
    """The canonical bytes of a description, with C{extra} fields in front."""
    version, kind = shown["version"], shown["type"]
    parts = [extra]
    if version == 1 and shown["request_id"]:
        parts.append(field(0x01, shown["request_id"].encode()))
    meta = value_bytes(shown)
    if meta is not None:
        parts.append(field(META_TAGS[version][kind], meta))
    if shown["body_hex"]:
        parts.append(field(0x03, bytes.fromhex(shown["body_hex"])))
    chunk = shown.get("chunk")
    if chunk is not None:
        parts.append(field(0x0A, pack("!I", chunk["index"])))
        if chunk["total"] is not None:
            parts.append(field(0x0B, pack("!I", chunk["total"])))
        if chunk["final"]:
            parts.append(field(0x0C, b"\x01"))
    flags = (chunk is not None) if version == 1 else 2 * shown["end"]
    return frame(version, kind, b"".join(parts), flags=int(flags), stream=shown.get("stream", 0))


def v1(note: str, kind: int, *, name: str = ID, body: bytes = b"", **more: Any) -> dict[str, Any]:
    """Describe a frame of version 1."""
    shown = {"version": 1, "note": note, "valid": True, "canonical": True, "type": kind, "request_id": name}
    return {**shown, "chunk": None, "meta": None, "body_hex": body.hex(), **more}


def v2(note: str, kind: int, stream: int, *, end: bool = False, body: bytes = b"", **more: Any) -> dict[str, Any]:
    """Describe a frame of version 2."""
    shown = {"version": 2, "note": note, "valid": True, "canonical": True, "type": kind, "stream": stream, "end": end}
    return {**shown, "meta": None, "body_hex": body.hex(), **more}


def chunk(index: int, total: int | None, final: bool) -> dict[str, Any]:
    """The place of a chunk."""
    return {"index": index, "total": total, "final": final}


VALID: dict[str, dict[str, Any]] = {
    "v1-request": v1(
        "a request without body", 1, meta='{"method":"GET","path":"/a","headers":{"host":"h"},"query":{"q":"1"}}'
    ),
    "v1-request-body": v1(
        "a request with a binary body", 1, meta='{"method":"POST","path":"/"}', body=bytes(range(256))
    ),
    "v1-response": v1("a whole response", 2, meta='{"status":200,"reason":"OK","headers":{}}', body=b"hello"),
    "v1-chunk-first": v1(
        "the head rides in the first chunk", 2, meta='{"status":200}', body=b"he", chunk=chunk(0, 2, False)
    ),
    "v1-chunk-last": v1("the last chunk", 2, body=b"llo", chunk=chunk(1, 2, True)),
    "v1-chunk-untold": v1("a chunk whose sender does not know the total", 2, body=b"x", chunk=chunk(7, None, False)),
    "v1-error": v1("an error with its request", 0xFF, body=b"no such service"),
    "v1-error-unknown": v1("an error without a request id", 0xFF, name="", body=b"undecodable"),
    "v2-hello": v2("the first frame of a receiver", 0x10, 0, meta=HELLO),
    "v2-request": v2("a small request is one frame", 1, 1, end=True, meta=GET),
    "v2-request-open": v2("a request whose body follows", 1, 3, meta='{"method":"POST","target":"/","headers":[]}'),
    "v2-request-body": v2(
        "head and body together",
        1,
        2**32 - 1,
        end=True,
        meta='{"method":"PUT","target":"/","headers":[]}',
        body=b"\x00\xff",
    ),
    "v2-request-latin": v2(
        "a byte above 127 is one character",
        1,
        5,
        end=True,
        meta='{"method":"GET","target":"/\xe9","headers":[["X","\xff"]]}',
    ),
    "v2-response": v2("a small response is one frame", 2, 1, end=True, meta=OK, body=b"hello"),
    "v2-informational": v2("a head below 200", 2, 1, meta='{"status":103,"headers":[["Link","</a.css>"]]}'),
    "v2-data": v2("a piece of a body", 3, 3, body=b"piece"),
    "v2-data-end": v2("an end alone is a bare header", 3, 3, end=True),
    "v2-data-trailers": v2(
        "an end with the last bytes and trailers", 3, 3, end=True, meta='{"headers":[["Digest","x"]]}', body=b"z"
    ),
    "v2-window-connection": v2("credit of the connection", 0x11, 0, meta_hex="00010000"),
    "v2-window-stream": v2("the most credit there is", 0x11, 3, meta_hex="7fffffff"),
    "v2-reset": v2("the caller left", 0x12, 3, meta='{"code":6,"source":"gateway","text":"the caller left"}'),
    "v2-reset-refused": v2(
        "no application saw the request",
        0x12,
        5,
        meta='{"code":5,"source":"receiver","text":"busy","dispatched":false}',
    ),
    "v2-goaway": v2("draining, come back in a second", 0x13, 0, meta='{"last":5,"code":10,"retry_after":1000}'),
    "v2-ping": v2("eight opaque bytes", 0x14, 0, meta_hex="0001020304050607"),
    "v2-pong": v2("the same eight", 0x15, 0, meta_hex="0001020304050607"),
    "v2-message": v2("a part of a WebSocket message", 0x20, 3, meta_hex="01", body=b"text"),
    "v2-message-last": v2("the last part may be empty", 0x20, 3, meta_hex="81"),
    "v2-message-binary": v2("a whole binary message", 0x20, 5, meta_hex="82", body=bytes(range(256))),
    "v2-message-close": v2("a close ends its direction", 0x20, 5, end=True, meta_hex="88", body=b"\x03\xe8bye"),
    "v2-message-close-bare": v2("a close without a code", 0x20, 7, end=True, meta_hex="88"),
    "v2-request-websocket": v2(
        "a caller asks for a WebSocket",
        1,
        9,
        meta='{"method":"GET","target":"/chat","headers":[["Sec-WebSocket-Protocol","a, b"]],"protocol":"websocket"}',
    ),
    "v2-accept": v2(
        "the application accepts it", 2, 9, meta='{"status":101,"headers":[["Sec-WebSocket-Protocol","b"]]}'
    ),
}

STRANGE: dict[str, tuple[dict[str, Any], bytes]] = {
    "v1-final-word": (
        v1("some peers mark the last chunk with four bytes", 2, body=b"llo", chunk=chunk(1, None, True)),
        frame(
            1,
            2,
            field(1, ID.encode()) + field(3, b"llo") + field(10, pack("!I", 1)) + field(12, pack("!I", 1)),
            flags=1,
        ),
    ),
    "v1-extension": (
        v1("a field of a user extension is skipped", 0xFF, body=b"no"),
        frame(1, 0xFF, field(0xF7, b"whatever") + field(1, ID.encode()) + field(3, b"no")),
    ),
    "v2-extension": (
        v2("an unknown field is skipped, even twice", 3, 3, body=b"piece"),
        frame(2, 3, field(0x7F, b"a") + field(3, b"piece") + field(0x7F, b"b"), stream=3),
    ),
    "v2-order": (
        v2("the body may stand before the head", 2, 1, meta='{"status":200,"headers":[]}', body=b"hello"),
        frame(2, 2, field(3, b"hello") + field(4, b'{"status":200,"headers":[]}'), stream=1),
    ),
}

_NAME = field(1, ID.encode())
_PIECE = field(3, b"piece")


def _damaged(place: int) -> bytes:
    """A sound frame with one byte changed."""
    whole = bytearray(frame(2, 3, _PIECE, stream=3))
    whole[place] ^= 0x40
    return bytes(whole)


INVALID: dict[str, tuple[int, str, str, bytes]] = {
    "bad-empty": (2, "frame", "no bytes", b""),
    "bad-short": (2, "frame", "less than a header", frame(2, 3, b"", stream=3)[:23]),
    "bad-magic": (2, "frame", "another magic", _damaged(0)),
    "bad-version": (2, "frame", "a frame of version 1 where 2 was agreed on", frame(1, 2, _NAME)),
    "bad-reserved": (2, "frame", "the reserved byte is not zero", _damaged(7)),
    "bad-header-checksum": (2, "frame", "a damaged header checksum", _damaged(12)),
    "bad-body-checksum": (2, "frame", "a damaged body", _damaged(30)),
    "bad-stream": (2, "frame", "a damaged stream id", _damaged(23)),
    "bad-padding": (1, "frame", "version 1: the padding is not zero", frame(1, 2, _NAME, stream=1)),
    "bad-total-more": (2, "frame", "one byte is missing", frame(2, 3, _PIECE, stream=3, total=25 + len(_PIECE))),
    "bad-total-less": (2, "frame", "one byte too many", frame(2, 3, _PIECE, stream=3, total=23 + len(_PIECE))),
    "bad-total-huge": (2, "frame", "the largest total there is", frame(2, 3, _PIECE, stream=3, total=2**32 - 1)),
    "bad-type": (2, "frame", "an unknown type", frame(2, 0x7F, _PIECE, stream=3)),
    "bad-flags": (2, "frame", "an unknown flag", frame(2, 3, _PIECE, stream=3, flags=1)),
    "bad-place": (2, "frame", "a request on stream 0", frame(2, 1, field(2, b"{}"))),
    "bad-place-ping": (2, "frame", "a PING on a stream", frame(2, 0x14, field(0x14, bytes(8)), stream=1)),
    "bad-end": (2, "frame", "END on a WINDOW", frame(2, 0x11, field(0x11, bytes(4)), flags=2)),
    "bad-field-cut": (2, "frame", "a field head is cut", frame(2, 3, _PIECE + b"\x05\x00", stream=3)),
    "bad-field-long": (
        2,
        "frame",
        "a field is longer than its frame",
        frame(2, 3, field(3, b"x", 2**32 - 1), stream=3),
    ),
    "bad-field-twice": (2, "frame", "two bodies", frame(2, 3, _PIECE * 2, stream=3)),
    "bad-field-missing": (2, "frame", "a PING without its bytes", frame(2, 0x14, b"")),
    "bad-fields-many": (2, "too-large", "seventeen fields", frame(2, 3, field(0x7F, b"") * 17, stream=3)),
    "bad-v1-id": (1, "frame", "version 1: no request id", frame(1, 1, field(2, b"{}"))),
    "bad-v1-id-long": (1, "too-large", "version 1: an id of 65 bytes", frame(1, 1, field(1, b"x" * 65))),
    "bad-v1-chunk-flag": (
        1,
        "frame",
        "version 1: chunk fields without the flag",
        frame(1, 2, _NAME + field(10, bytes(4))),
    ),
    "bad-v1-chunk-index": (1, "frame", "version 1: the flag without an index", frame(1, 2, _NAME, flags=1)),
}


def vectors() -> dict[str, tuple[dict[str, Any], bytes]]:
    """All vectors by name: description and bytes."""
    found = {name: (shown, render(shown)) for name, shown in VALID.items()}
    for name, (shown, raw) in STRANGE.items():
        found[name] = ({**shown, "canonical": False}, raw)
    for name, (version, error, note, raw) in INVALID.items():
        found[name] = ({"version": version, "note": note, "valid": False, "error": error}, raw)
    return found


def main() -> None:
    """Write them beside this file."""
    for name, (shown, raw) in vectors().items():
        (FOLDER / f"{name}.bin").write_bytes(raw)
        (FOLDER / f"{name}.json").write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
