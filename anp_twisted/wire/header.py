"""
The 24 bytes in front of every frame, in both versions.

C{docs/protocol/anpx.md}, "Header". Network byte order::

    0   magic "ANPX"      4
    4   version           1
    5   type              1
    6   flags             1
    7   reserved, zero    1
    8   total length      4   header and body
    12  header checksum   4
    16  body checksum     4
    20  version 1: zero padding; version 2: stream id

Both checksums are CRC-32. In version 1 the header checksum covers bytes 0 to 11
and nothing covers the padding, so it is compared with zero. In version 2 it
covers bytes 0 to 11 and 20 to 23, so that a damaged stream id is noticed.
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from anp_twisted.errors import FrameError, FrameTooLarge

MAGIC = b"ANPX"
SIZE = 24

_FRONT = Struct("!4sBBBBI")
_COVERED = Struct("!4sBBBBII")
_WHOLE = Struct("!4sBBBBIIII")

#: Below this a copy is cheaper than a view.
_SMALL = 2048


Header = tuple[int, int, int]
"""What a header says: frame type and flag bits, a byte each, and the stream id, always 0 in version 1."""


def encode(version: int, header: Header, size: int, body_checksum: int) -> bytes:
    """
    Make the header of one frame.

    @param size: bytes of the body that follows.
    @param body_checksum: CRC-32 of that body.
    @return: 24 bytes.
    """
    kind, flags, stream = header
    total = SIZE + size
    if version == 1:
        checksum = crc32(_FRONT.pack(MAGIC, version, kind, flags, 0, total))
    else:
        checksum = crc32(_COVERED.pack(MAGIC, version, kind, flags, 0, total, stream))
    return _WHOLE.pack(MAGIC, version, kind, flags, 0, total, checksum, body_checksum, stream)


def decode(version: int, message: bytes, most: int) -> Header:
    """
    Check the header and both checksums of one whole frame.

    @param version: the version that was agreed on; a frame of another is refused.
    @param message: the frame, exactly.
    @param most: the largest frame accepted, in bytes.
    @raise FrameTooLarge: for a frame over C{most}.
    @raise FrameError: for everything else that is wrong.
    """
    size = len(message)
    if size < SIZE:
        raise FrameError(f"a frame of {size} bytes is shorter than its header")
    if size > most:
        raise FrameTooLarge(f"a frame of {size} bytes is over the {most} agreed on")
    magic, found, kind, flags, reserved, total, head_sum, body_sum, stream = _WHOLE.unpack_from(message)
    if magic != MAGIC or found != version or reserved:
        raise FrameError("not an ANPX frame of the agreed version")
    if total != size:
        raise FrameError(f"the header says {total} bytes, the message has {size}")
    expected = crc32(message[:12]) if version == 1 else crc32(message[20:24], crc32(message[:12]))
    if head_sum != expected:
        raise FrameError("the header checksum is wrong")
    if body_sum != crc32(message[SIZE:] if size < _SMALL else memoryview(message)[SIZE:]):
        raise FrameError("the body checksum is wrong")
    if version == 1 and stream:
        raise FrameError("the padding is not zero")
    return kind, flags, stream
