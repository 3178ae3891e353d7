"""
The extension permessage-deflate (RFC 7692) of a caller's WebSocket.

Autobahn reads the offers and inflates; what it may inflate is bounded by the cap
of a message. The windows are small, so that a socket costs 30 KiB and not 300.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket.compress_deflate import PerMessageDeflate, PerMessageDeflateOffer, PerMessageDeflateOfferAccept

NAME = "permessage-deflate"
_WINDOW_BITS = 12
_MEMORY = 5
_MOST_OFFERS = 8


def _offers(text: str) -> list[dict[str, list[Any]]]:
    """
    Read C{Sec-WebSocket-Extensions}.

    @return: the parameters of each offer of this extension, in order; a parameter
        without a value has the value C{True}.
    """
    found: list[dict[str, list[Any]]] = []
    for offer in text.split(",")[:_MOST_OFFERS]:
        name, *parameters = [part.strip() for part in offer.split(";")]
        if name.lower() != NAME:
            continue
        read: dict[str, list[Any]] = {}
        for parameter in parameters:
            key, equals, value = parameter.partition("=")
            read.setdefault(key.strip().lower(), []).append(value.strip().strip('"') if equals else True)
        found.append(read)
    return found


class Deflate(PerMessageDeflate):
    """
    The extension as it was agreed on.

    @ivar answer: the value of C{Sec-WebSocket-Extensions} that says so.
    """

    answer: bytes

    @classmethod
    def agree(cls, extensions: bytes) -> Deflate | None:
        """
        Take the first offer that can be taken.

        @param extensions: the value of C{Sec-WebSocket-Extensions}.
        @return: C{None} if there is none: then nothing is compressed.
        """
        for parameters in _offers(extensions.decode("latin-1")):
            try:
                offer = PerMessageDeflateOffer.parse(parameters)
            except Exception:  # noqa: BLE001
                # boundary: Autobahn raises nothing more special; an offer that is malformed is declined.
                continue
            bits = _WINDOW_BITS if offer.accept_max_window_bits else 0
            accept = PerMessageDeflateOfferAccept(
                offer,
                request_max_window_bits=bits,
                window_bits=min(offer.request_max_window_bits or _WINDOW_BITS, _WINDOW_BITS),
                mem_level=_MEMORY,
            )
            agreed: Deflate = cls.create_from_offer_accept(True, accept)  # type: ignore[no-untyped-call]
            agreed.answer = accept.get_extension_string().encode("ascii")
            return agreed
        return None

    def compress(self, data: bytes, *, begins: bool, ends: bool) -> bytes:
        """
        Compress a part of a message.

        @param begins: it is the first one.
        @param ends: it is the last one.
        """
        if begins:
            self.start_compress_message()  # type: ignore[no-untyped-call]
        compressed: bytes = self.compress_message_data(data)  # type: ignore[no-untyped-call]
        if ends:
            compressed += self.end_compress_message()  # type: ignore[no-untyped-call]
        return compressed
