"""
The kinds of WebSocket frame that nearly every message is: whole, unfragmented, and on links binary.

Autobahn spends more time on such a frame than the session on what is in it, and
cuts the rest of its input anew for each. So whole frames are written and read
here, and whatever else comes (control frames, fragments, breaches of RFC 6455)
is left to Autobahn, byte for byte.
"""

from __future__ import annotations

from typing import Final

from autobahn.websocket.xormasker import create_xor_masker  # type: ignore[attr-defined]

_WHOLE_BINARY: Final = 0x82
_WHOLE_TEXT: Final = 0x81
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_NATIVE: Final = create_xor_masker.__module__.startswith("autobahn.nvx")
_SMALL: Final = 1024


def xor(mask: bytes, data: bytes) -> bytes:
    """
    Mask or unmask.

    Autobahn's native masker takes 6 µs to set up, so that one large integer is
    faster up to about a kilobyte. Its Python one, where the native one was not
    built, takes 10 ms for 64 KiB; the integer takes 0.2 ms.

    @param mask: four bytes.
    """
    size = len(data)
    if _NATIVE and size > _SMALL:
        masked: bytes = create_xor_masker(mask, size).process(data)
        return masked
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data, "little") ^ key).to_bytes(size, "little")


def front(size: int, mask: bytes, first: int = _WHOLE_BINARY) -> bytes:
    """
    Make what stands in front of the payload of a frame.

    @param size: bytes of the payload.
    @param mask: four bytes for a client, none for a server.
    @param first: the first byte: FIN, RSV and opcode.
    """
    flag = _MASKED if mask else 0
    if size < 126:
        return bytes((first, flag | size)) + mask
    if size < 65536:
        return bytes((first, flag | 126)) + size.to_bytes(2, "big") + mask
    return bytes((first, flag | 127)) + size.to_bytes(8, "big") + mask


class FrameCutter:
    """
    Cuts whole binary frames out of a stream of bytes.

    @ivar foreign: the bytes from where something else begins; the next call starts behind them.
    """

    def __init__(self, masked: bool, most: int) -> None:
        """
        @param masked: whether the frames that come are masked, as those of a client are.
        @param most: the largest payload taken; a larger one is foreign.
        """
        self.foreign = b""
        self._flag = _MASKED if masked else 0
        self._mask_size = 4 if masked else 0
        self._most = most
        self._firsts = bytes((_WHOLE_BINARY,))
        self._partial = bytearray()
        self._missing = 0  # bytes without which it is no use to look again

    def feed(self, data: bytes) -> list[bytes]:
        """
        Take bytes.

        @return: the payloads of the frames that are complete, in order. After
            them, look at L{foreign}.
        """
        if self._missing:
            # A bytearray, not a list: a peer that sends byte by byte would cost 50 for each.
            self._partial += data
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = bytes(self._partial)
            self._partial.clear()
            self._missing = 0
        return self._cut(data)

    def _cut(self, data: bytes) -> list[bytes]:
        """Cut frame by frame; what is incomplete waits."""
        found: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            begin, size = self._payload(data, at)
            if size < 0:
                self.foreign = data[at:]
                break
            stop = begin + size
            if stop > end:
                self._partial += data[at:]
                self._missing = stop - end
                break
            payload = data[begin:stop]
            found.append(xor(data[begin - 4 : begin], payload) if self._flag else payload)
            at = stop
        return found

    def _payload(self, data: bytes, at: int) -> tuple[int, int]:
        """
        Find the payload of the frame that begins at C{at}.

        @return: where it begins and its size: -1 for something foreign. A header
            that is not complete is taken for a frame that ends with it.
        """
        if data[at] not in self._firsts:
            return at, -1
        begin = at + 2 + self._mask_size
        if at + 1 >= len(data):
            return begin, 0
        size = data[at + 1]
        if size & _MASKED != self._flag:
            return at, -1
        size &= _LENGTH
        if size < 126:
            return begin, size
        wide = 2 if size == 126 else 8
        begin += wide
        if begin > len(data):
            return begin, 0
        size = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
        least = 126 if wide == 2 else 65536
        return begin, size if least <= size <= self._most else -1


class MessageCutter(FrameCutter):
    """Cuts whole text and binary frames out of the bytes of a client."""

    def __init__(self, most: int) -> None:
        """
        @param most: the largest payload taken; a larger one is foreign.
        """
        super().__init__(True, most)
        self._firsts = bytes((_WHOLE_TEXT, _WHOLE_BINARY))
        self._kinds: list[int] = []

    def feed_messages(self, data: bytes) -> list[tuple[int, bytes]]:
        """
        Take bytes.

        @return: the opcodes and payloads of the frames that are complete, as L{feed} does.
        """
        payloads = self.feed(data)
        kinds, self._kinds = self._kinds, []
        return list(zip(kinds, payloads, strict=True))

    def _payload(self, data: bytes, at: int) -> tuple[int, int]:
        """Note of what kind a frame is that is complete."""
        begin, size = super()._payload(data, at)
        if size >= 0 and begin + size <= len(data):
            self._kinds.append(data[at] & _OPCODE)
        return begin, size
