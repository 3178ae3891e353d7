"""
One frame of every kind, and damage that may be done to it: for tests of both versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack
from zlib import crc32

from hypothesis import settings
from hypothesis import strategies as st

from anp_twisted.wire import v1, v2

#: How the properties are tried: no time limit for one example, since machines differ.
PROPERTY = settings(deadline=None, database=None, max_examples=150)

MOST = 1024 * 1024

V1_FRAMES = [
    v1.Frame(v1.Kind.REQUEST, "0123456789abcdef0123456789abcdef0123", b'{"method":"GET","path":"/"}'),
    v1.Frame(v1.Kind.RESPONSE, "r", b'{"status":200}', b"hello"),
    v1.Frame(v1.Kind.RESPONSE, "r", b'{"status":200}', b"he", v1.Chunk(0, 2)),
    v1.Frame(v1.Kind.RESPONSE, "r", None, b"llo", v1.Chunk(1, 2, True)),
    v1.Frame(v1.Kind.ERROR, "", None, b"no"),
]

V2_FRAMES = [
    v2.Frame(v2.Kind.REQUEST, 1, True, b'{"method":"GET","target":"/","headers":[]}'),
    v2.Frame(v2.Kind.RESPONSE, 1, False, b'{"status":200,"headers":[]}', b"hello"),
    v2.Frame(v2.Kind.DATA, 2**32 - 1, False, None, b"\x00\xff"),
    v2.Frame(v2.Kind.DATA, 3, True, b'{"headers":[["a","b"]]}', b"x"),
    v2.Frame(v2.Kind.DATA, 3, True),
    v2.Frame(v2.Kind.HELLO, 0, False, b'{"versions":[2]}'),
    v2.Frame(v2.Kind.WINDOW, 0, False, b"\x00\x00\x00\x01"),
    v2.Frame(v2.Kind.WINDOW, 7, False, b"\x7f\xff\xff\xff"),
    v2.Frame(v2.Kind.RESET, 7, False, b'{"code":6}'),
    v2.Frame(v2.Kind.GOAWAY, 0, False, b'{"last":7}'),
    v2.Frame(v2.Kind.PING, 0, False, b"12345678"),
    v2.Frame(v2.Kind.PONG, 0, False, b"12345678"),
    v2.Frame(v2.Kind.MESSAGE, 5, False, b"\x01", b"text"),
]

texts = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
sizes = st.integers(0, 2**32 - 1)


@st.composite
def v1_frames(draw: st.DrawFn) -> v1.Frame:
    """Any frame of version 1 that can be encoded."""
    kind = draw(st.sampled_from(v1.Kind))
    meta = None if kind is v1.Kind.ERROR else draw(st.none() | st.binary(max_size=100))
    name = draw(st.just("") | texts) if kind is v1.Kind.ERROR else draw(texts)
    chunk = draw(st.none() | st.builds(v1.Chunk, sizes, st.none() | sizes, st.booleans()))
    return v1.Frame(kind, name, meta, draw(st.binary(max_size=300)), chunk)


_FIXED = {v2.Kind.WINDOW: 4, v2.Kind.PING: 8, v2.Kind.PONG: 8, v2.Kind.MESSAGE: 1}
_CONNECTION = {v2.Kind.HELLO, v2.Kind.GOAWAY, v2.Kind.PING, v2.Kind.PONG}
_BODY = {v2.Kind.REQUEST, v2.Kind.RESPONSE, v2.Kind.DATA, v2.Kind.MESSAGE}


@st.composite
def v2_frames(draw: st.DrawFn) -> v2.Frame:
    """Any frame of version 2 that can be encoded."""
    kind = draw(st.sampled_from(v2.Kind))
    size = _FIXED.get(kind)
    meta = st.binary(max_size=100) if size is None else st.binary(min_size=size, max_size=size)
    least = 0 if kind in _CONNECTION | {v2.Kind.WINDOW} else 1
    stream = 0 if kind in _CONNECTION else draw(st.integers(least, 2**32 - 1))
    chosen = draw(st.none() | meta if kind is v2.Kind.DATA else meta)
    body = draw(st.binary(max_size=300)) if kind in _BODY else b""
    return v2.Frame(kind, stream, draw(st.booleans()) if kind in _BODY else False, chosen, body)


def flips(frame: bytes) -> Iterator[bytes]:
    """C{frame} with each of its bits turned over, one at a time."""
    for place in range(len(frame) * 8):
        damaged = bytearray(frame)
        damaged[place // 8] ^= 1 << place % 8
        yield bytes(damaged)


def sealed(version: int, kind: int, body: bytes, **fields: int) -> bytes:
    """
    A frame whose checksums are right whatever its fields say; made without the code under test.

    @param fields: C{flags}, C{reserved}, C{stream} and C{total}, where they are not 0, 0, 0 and right.
    """
    total = fields.get("total", 24 + len(body))
    stream = fields.get("stream", 0)
    front = pack("!4sBBBBI", b"ANPX", version, kind, fields.get("flags", 0), fields.get("reserved", 0), total)
    covered = front if version == 1 else front + pack("!I", stream)
    return front + pack("!III", crc32(covered), crc32(body), stream) + body


def field(tag: int, value: bytes, length: int | None = None) -> bytes:
    """One TLV field, whose length may lie."""
    return pack("!BI", tag, len(value) if length is None else length) + value
