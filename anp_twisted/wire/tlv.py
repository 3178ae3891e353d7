"""
The fields behind the header: tag (1), length (4), value.

C{docs/protocol/anpx.md}, "Fields". A field with an unknown tag is skipped by its
length, so that a later version can add one.
"""

from __future__ import annotations

from struct import Struct

from anp_twisted.errors import FrameError, FrameTooLarge

_FIELD = Struct("!BI")

#: Bytes that a field costs besides its value.
OVERHEAD = _FIELD.size

#: What a value may be: anything that can be joined and summed without a copy.
Value = bytes | memoryview


def field_head(tag: int, size: int) -> bytes:
    """
    Make what stands in front of a value.

    @param size: bytes of the value.
    @return: 5 bytes.
    """
    return _FIELD.pack(tag, size)


def decode(message: bytes, start: int, known: frozenset[int], most: int) -> dict[int, bytes]:
    """
    Read the fields of one frame.

    @param message: the whole frame.
    @param start: where its first field begins.
    @param known: the tags this frame may carry, each at most once; others are skipped.
    @param most: fields allowed, known or not.
    @raise FrameError: for a cut field or a known tag that comes twice.
    @raise FrameTooLarge: for more fields than C{most}.
    """
    found: dict[int, bytes] = {}
    size, count = len(message), 0
    while start < size:
        count += 1
        if count > most:
            raise FrameTooLarge(f"more than {most} fields in one frame")
        if start + OVERHEAD > size:
            raise FrameError("a field is cut")
        tag, length = _FIELD.unpack_from(message, start)
        start += OVERHEAD
        end = start + length
        if end > size:
            raise FrameError("a field is longer than its frame")
        if tag in known:
            if tag in found:
                raise FrameError(f"field {tag:#04x} comes twice")
            found[tag] = message[start:end]
        start = end
    return found
