"""
What somebody typed: a message, or a command that begins with a slash. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

HELP: Final = """\
/sessions         list the sessions
/session NAME     go to a session, or begin one
/history [COUNT]  show the last messages
/delete NAME      delete a session
/abort            stop the answer, as Ctrl-C does
/help             show this
/quit             leave, as Ctrl-D does
//text            say something that begins with a slash"""

NAMES: Final = {
    "sessions": 0,
    "session": 1,
    "history": 0,
    "delete": 1,
    "abort": 0,
    "help": 0,
    "quit": 0,
}
"""The commands, and how many words each needs."""


class Line(NamedTuple):
    """
    A line as it is meant.

    @ivar command: its name, C{say} for a message, empty for nothing, C{unknown} for what is none.
    @ivar words: what it is about; for C{say} the message, for C{unknown} what is wrong.
    """

    command: str
    words: tuple[str, ...] = ()


def read(text: str) -> Line:
    """
    Read a line.

    @param text: without its end.
    """
    stripped = text.strip()
    if not stripped:
        return Line("")
    if stripped.startswith("//"):
        return Line("say", (stripped[1:],))
    if not stripped.startswith("/"):
        return Line("say", (stripped,))
    name, *words = stripped[1:].split() or [""]
    if name not in NAMES:
        return Line("unknown", (f"there is no command /{name}; /help lists them",))
    if len(words) < NAMES[name]:
        return Line("unknown", (f"/{name} needs a name",))
    return Line(name, tuple(words))


def count(line: Line, otherwise: int) -> int:
    """
    @param otherwise: what is meant where nothing is said.
    @return: the number in a line, from 1 to 200.
    """
    if not line.words or not line.words[0].isascii() or not line.words[0].isdigit():
        return otherwise
    return max(1, min(200, int(line.words[0][:4])))
