"""
Long answers in pieces that a chat service takes. Pure.

Services count differently, so the measure is an argument. A piece ends where a
reader would pause: after a paragraph, a line, a sentence, a word, and only inside of
a word where there is no other way. An open code fence is closed at the end of a
piece and opened again in the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

Measure = Callable[[str], int]


def characters(text: str) -> int:
    """Count code points, as Discord does."""
    return len(text)


def utf16(text: str) -> int:
    """Count UTF-16 units, as Telegram does."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def octets(text: str) -> int:
    """Count bytes of UTF-8, as Feishu does."""
    return len(text.encode("utf-8", "surrogatepass"))


CHARACTERS: Final[Measure] = characters

_PAUSES: Final = tuple(
    re.compile(pattern) for pattern in (r"\n{2,}", r"\n", r"(?<=[.!?])\s|(?<=[\u3002\uff01\uff1f\uff1b])", r"\s")
)
"""Where to end a piece, the best first; the pause itself stays with the piece before it."""

_JOINED: Final = re.compile("[\u0300-\u036f\u200d\ufe00-\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
"""What belongs to the character before it: accents, joiners, variants and skin tones."""

_FENCE: Final = re.compile(r"^(`{3,}|~{3,})([^\n`]*)$", re.MULTILINE)

_FENCE_ROOM: Final = 64
"""Units kept free for closing a fence and opening it again."""


def pieces(text: str, most: int, measure: Measure = CHARACTERS) -> list[str]:
    """
    Cut a text.

    @param most: of each piece, in units of C{measure}; more than 128.
    @return: the pieces, none empty or of white space alone; a text that fits is one piece, unchanged.
    """
    assert most > 2 * _FENCE_ROOM, "pieces too short to be read"
    if measure(text) <= most:
        return [text] if text.strip() else []
    return [piece for piece in _fenced(_cut(text, most - _FENCE_ROOM, measure)) if piece.strip()]


def _cut(text: str, most: int, measure: Measure) -> Iterator[str]:
    """Cut without regard to fences."""
    rest = text
    while measure(rest) > most:
        end = _end(rest[: _fitting(rest, most, measure)], rest)
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _fitting(text: str, most: int, measure: Measure) -> int:
    """Find how many code points from the start fit: no measure gives a code point less than one unit."""
    low, high = 1, min(len(text), most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) <= most else (low, middle - 1)
    return low


def _end(window: str, text: str) -> int:
    """
    Find where the first piece of a text ends.

    @param window: the most that the piece can be.
    """
    for pause in _PAUSES:
        found = [match.end() for match in pause.finditer(window) if match.end() >= len(window) // 2]
        if found:
            return found[-1]
    end = len(window)
    while end > 1 and (_JOINED.match(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return end if end > 1 else len(window)


def _fenced(parts: Iterator[str]) -> Iterator[str]:
    """Close and open again what code fence is open where a part ends."""
    fence = info = ""
    for part in parts:
        opening = f"{fence}{info}\n" if fence else ""
        for match in _FENCE.finditer(part):
            if not fence:
                fence, info = match[1], match[2].strip()[:20]
            elif match[1][0] == fence[0] and len(match[1]) >= len(fence) and not match[2].strip():
                fence = info = ""
        if len(fence) > 8:  # nobody writes such a fence; it would not leave room for the text
            fence = info = ""
        closing = f"\n{fence}" if fence and not part.endswith("\n") else fence
        yield f"{opening}{part.rstrip() if not fence else part}{closing}"
