"""
The frames of ANPX version 1, written a second time, so that a mistake in the package is not mirrored by its tests.

Everything is as in the published text and as peers were seen to do it: 24 bytes of
header of which the last four are zero, then fields of tag, length and value.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

REQUEST, RESPONSE, ERROR = 1, 2, 255
ID, HTTP_META, BODY, RESP_META, INDEX, TOTAL, FINAL = 1, 2, 3, 4, 10, 11, 12


def pack(kind: int, fields: list[tuple[int, bytes]], chunked: bool = False) -> bytes:
    """Make a frame."""
    body = b"".join(struct.pack("!BI", tag, len(value)) + value for tag, value in fields)
    front = struct.pack("!4sBBBBI", b"ANPX", 1, kind, 1 if chunked else 0, 0, 24 + len(body))
    return front + struct.pack("!II4x", zlib.crc32(front), zlib.crc32(body)) + body


def unpack(message: bytes) -> tuple[int, bool, dict[int, bytes]]:
    """Take a frame apart, as strictly as the strictest known peer."""
    magic, version, kind, flags, zero, total, head_sum, body_sum, padding = struct.unpack("!4sBBBBIIII", message[:24])
    assert (magic, version, zero, padding) == (b"ANPX", 1, 0, 0), "not a frame of version 1"
    assert total == len(message), "the length is wrong"
    assert head_sum == zlib.crc32(message[:12]) and body_sum == zlib.crc32(message[24:]), "a checksum is wrong"
    fields: dict[int, bytes] = {}
    at = 24
    while at < total:
        tag, size = struct.unpack_from("!BI", message, at)
        assert tag in (ID, HTTP_META, BODY, RESP_META, INDEX, TOTAL, FINAL), "an unknown tag kills this peer"
        assert tag not in fields and at + 5 + size <= total, "a field is wrong"
        fields[tag] = message[at + 5 : at + 5 + size]
        at += 5 + size
    return kind, bool(flags & 1), fields


def response(request_id: bytes, status: int, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Make a whole answer."""
    meta = json.dumps({"status": status, "reason": "OK", "headers": headers}).encode()
    fields = [(ID, request_id), (RESP_META, meta)]
    return pack(RESPONSE, fields + ([(BODY, body)] if body else []))


def chunks(request_id: bytes, meta: dict[str, Any], body: bytes, size: int, meta_in: int = 0) -> Iterator[bytes]:
    """
    Make an answer in chunks.

    @param meta_in: which chunk has the metadata.
    """
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    for index, part in enumerate(parts):
        fields = [(ID, request_id)]
        if index == meta_in:
            fields.append((RESP_META, json.dumps(meta).encode()))
        fields += [(BODY, part), (INDEX, struct.pack("!I", index)), (TOTAL, struct.pack("!I", len(parts)))]
        if index == len(parts) - 1:
            # Four bytes, where the text says one: some peers do so.
            fields.append((FINAL, struct.pack("!I", 1)))
        yield pack(RESPONSE, fields, chunked=True)


def request(request_id: bytes, method: str, path: str, headers: dict[str, str], query: dict[str, str]) -> bytes:
    """Make the metadata of a request."""
    return json.dumps({"method": method, "path": path, "headers": headers, "query": query}).encode()
