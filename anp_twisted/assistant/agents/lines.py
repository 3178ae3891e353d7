"""
What a program that is an agent reads and writes: one JSON object in each line. Pure.

It gets one line on standard input, C{{"turn": …, "context": …}}, and then the end
of it. On standard output it writes an event in each line: the objects of
L{anp_twisted.assistant.agents.events}, such as C{{"type": "text_delta", "text": "a"}}.
"""

from __future__ import annotations

from typing import Any, cast
from typing import Final as Constant

import msgspec

from anp_twisted.assistant.agents.events import AgentEvent, Context, Failed, Turn
from anp_twisted.assistant.agents.transcript import BROKEN, decode_loosely, sound

_SENSELESS: Constant = Failed(BROKEN, "the agent said something that has no meaning")
_TOO_LONG: Constant = Failed(BROKEN, "the agent said too much at once")

_encode = msgspec.json.Encoder().encode


class _Question(msgspec.Struct):
    turn: Turn
    context: Context


def question(turn: Turn, context: Context) -> bytes:
    """
    @return: the line that a program gets.
    """
    asked = msgspec.structs.replace(turn, text=sound(turn.text))
    return _encode(_Question(asked, context)) + b"\n"


class EventLines:
    """
    Reads what a program says.

    @ivar broken: whether it said something wrong; nothing is read behind that.
    """

    def __init__(self, most: int) -> None:
        """
        @param most: bytes of one line.
        """
        self.broken = False
        self._most = most
        self._held: list[bytes] = []
        self._length = 0

    def feed(self, data: bytes) -> list[AgentEvent]:
        """
        Take what came.

        @return: the events; the last is a L{Failed} if something was wrong.
        """
        *ends, rest = data.split(b"\n")
        said: list[AgentEvent] = []
        for end in ends:
            said += self._line(end)
        self._hold(rest)
        if self._length > self._most and not self.broken:
            said.append(self._wrong(_TOO_LONG))
        return said

    def close(self) -> list[AgentEvent]:
        """
        Take the end; a last line may lack its line end.
        """
        return self._line(b"")

    def _line(self, end: bytes) -> list[AgentEvent]:
        """Take one line, given its last piece."""
        self._hold(end)
        line, self._held, self._length = b"".join(self._held).strip(), [], 0
        if not line or self.broken:
            return []
        if len(line) > self._most:
            return [self._wrong(_TOO_LONG)]
        try:
            return [decode_loosely(line, cast(Any, AgentEvent))]
        except ValueError:
            return [self._wrong(_SENSELESS)]

    def _hold(self, data: bytes) -> None:
        if not self.broken and data:
            self._held.append(data)
            self._length += len(data)

    def _wrong(self, failed: Failed) -> Failed:
        self.broken = True
        self._held.clear()
        return failed
