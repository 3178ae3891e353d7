"""
Where the answers are read: a terminal, a file, another program.

Answers go to the standard output and nothing else does, so that they can be piped. What
is said about them goes to standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.transcript import Kind, Piece, safe

Write = Callable[[str], object]

PROMPT = "> "


class Terminal:
    """A L{Screen<anp_twisted.assistant.chat.chat.Screen>}."""

    def __init__(self, out: Write, aside: Write, *, colours: bool, shared: bool) -> None:
        """
        @param out: writes what is asked for, and is flushed by itself.
        @param aside: writes what is said about it.
        @param colours: whether a person looks at what is written aside.
        @param shared: whether both are seen in one place.
        """
        self._out = out
        self._aside = aside
        self._colours = colours
        self._shared = shared
        self._open = False

    def show(self, piece: Piece) -> None:
        """Print a piece of an answer."""
        match piece.kind:
            case Kind.ANSWER:
                if piece.text:
                    self._out(piece.text)
                    self._open = not piece.text.endswith("\n")
            case Kind.DONE:
                self._end_line()
            case Kind.STOPPED:
                self._end_line()
                self.note("stopped")
            case Kind.FAILED:
                self._end_line()
                self.note(f"no answer: {piece.text}")
            case Kind.NOTE:
                self.note(piece.text)

    def note(self, text: str) -> None:
        """Print something about the conversation, on a line of its own; an answer in a file is not cut."""
        line = safe(text)
        if self._open and self._shared:
            self._aside("\n")
        self._aside(f"\x1b[2m{line}\x1b[0m\n" if self._colours else f"{line}\n")

    def line(self, text: str) -> None:
        """Print a line that was asked for."""
        self._end_line()
        self._out(f"{safe(text)}\n")

    def prompt(self) -> None:
        """Say that somebody may write."""
        self._end_line()
        self._aside(PROMPT)

    def history(self, messages: Iterable[types.Message]) -> None:
        """Print what was said."""
        for message in messages:
            who = "you" if message.role == "user" else message.role
            state = "" if message.state == "complete" else f", {message.state}"
            self.line(f"[{message.timestamp}] {who}{state}:")
            self.line("\n".join(f"  {line}" for line in message.text.splitlines()))

    def sessions(self, sessions: Iterable[types.SessionInfo], current: str = "") -> None:
        """Print a list of sessions, the latest first."""
        for one in sorted(sessions, key=lambda info: info.updated_at, reverse=True):
            mark = "*" if one.session_key == current else " "
            self.line(f"{mark} {one.updated_at}  {name_of(one.session_key)}{'  (answering)' if one.running else ''}")

    def _end_line(self) -> None:
        if self._open:
            self._open = False
            self._out("\n")


def name_of(key: str) -> str:
    """
    Say the key of a session as its owner would write it.

    @param key: in its full form.
    @return: the name alone for a session that a client of the WebSocket made without more, else the full form.
    """
    parts = key.split(":")
    plain = len(parts) == 6 and parts[1] == "ws" and parts[3] == "direct" and not parts[5]
    return parts[4] if plain else key
