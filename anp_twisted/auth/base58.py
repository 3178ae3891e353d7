"""
Base58 as Bitcoin and Multibase have it; pure, and for short texts only.
"""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

LONGEST: Final = 128
"""Characters: its cost grows with the square of the length, and no key of ours is longer."""

_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}


def decode(text: str) -> bytes:
    """
    @raise ValueError: for what is too long or no base58.
    """
    if not 0 < len(text) <= LONGEST or not _VALUES.keys() >= set(text):
        raise ValueError("not base58")
    number = 0
    for character in text:
        number = number * 58 + _VALUES[character]
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode(data: bytes) -> str:
    """
    @return: the text.
    """
    number, digits = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        digits = ALPHABET[rest] + digits
    return ALPHABET[0] * (len(data) - len(data.lstrip(b"\0"))) + digits
