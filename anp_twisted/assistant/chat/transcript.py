"""
What of a session a reader has seen. Pure.

Events come more than once, after a connection was lost, and deltas may be missing. A
L{Transcript} turns them into the text that is new to the reader, so that what is
printed is the answer, each letter once.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from anp_twisted.assistant import types

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """
    Make a text safe for a terminal: what moves the cursor, rings or turns the direction of writing is left out.

    @return: the same text without control characters other than tab and line feed.
    """
    return _UNSAFE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class Kind(Enum):
    """What a piece of output is."""

    ANSWER = "answer"
    """Goes on with the answer."""
    DONE = "done"
    """The answer is complete; there is no text."""
    STOPPED = "stopped"
    """It ends here on request; there is no text."""
    FAILED = "failed"
    """There is no answer, or no more of it; the text says why."""
    NOTE = "note"
    """About the answer, no part of it."""


class Piece(NamedTuple):
    """Something to print."""

    kind: Kind
    text: str = ""


class _Answer:
    """
    One answer.

    @ivar text: as far as it is known; C{None} while a part in the middle is missing.
    @ivar shown: what the reader has seen.
    """

    __slots__ = ("ended", "shown", "text")

    def __init__(self) -> None:
        self.text: str | None = ""
        self.shown = ""
        self.ended: Piece | None = None


class Transcript:
    """
    The session as one reader follows it.

    Only runs that are followed are shown; of others nothing but how far the session reaches is kept.

    @ivar seq: the last record that was taken.
    """

    def __init__(self, seq: int = 0) -> None:
        """
        @param seq: the last record before.
        """
        self.seq = seq
        self._followed: set[str] = set()
        self._answers: dict[str, _Answer] = {}

    def follow(self, run_id: str) -> list[Piece]:
        """
        Show a run from now on.

        @return: what of it came already.
        """
        self._followed.add(run_id)
        answer = self._answers.get(run_id)
        return self._news(run_id, answer) if answer is not None else []

    def leave(self, run_id: str) -> None:
        """Forget a run."""
        self._followed.discard(run_id)
        self._answers.pop(run_id, None)

    def take(self, event: types.AnyEvent) -> list[Piece]:
        """
        Take an event.

        @return: what is new to the reader.
        """
        if isinstance(event, types.Recorded):
            if event.seq <= self.seq:
                return []
            self.seq = event.seq
        if isinstance(event, types.ChatTool):
            return self._tool(event)
        run_id: str = getattr(event, "run_id", "")
        if not run_id or isinstance(event, types.ChatMessage | types.ChatReasoning):
            return []
        answer = self._answers.setdefault(run_id, _Answer())
        self._change(answer, event)
        return self._news(run_id, answer)

    def _tool(self, event: types.ChatTool) -> list[Piece]:
        if event.run_id not in self._followed or event.state == "done":
            return []
        return [Piece(Kind.NOTE, safe(f"{event.name or 'a tool'}: {event.state}").replace("\n", " "))]

    def _change(self, answer: _Answer, event: types.AnyEvent) -> None:
        match event:
            case types.ChatDelta():
                if event.offset == 0:
                    answer.text = event.delta
                elif answer.text is not None:
                    fits = event.offset == len(answer.text)
                    answer.text = answer.text + event.delta if fits else None
            case types.ChatReplace():
                answer.text = event.text
            case types.ChatFinal():
                answer.text, answer.ended = event.text, Piece(Kind.DONE)
            case types.ChatFailed():
                answer.text = event.text or answer.text
                stopped = event.code == "cancelled"
                answer.ended = Piece(Kind.STOPPED) if stopped else Piece(Kind.FAILED, safe(event.message))
            case types.ChatInterrupted():
                answer.ended = Piece(Kind.FAILED, "the assistant was restarted while it answered")

    def _news(self, run_id: str, answer: _Answer) -> list[Piece]:
        """Find out what the reader does not know yet."""
        if run_id not in self._followed:
            if answer.ended is not None and len(self._answers) > 100:
                del self._answers[run_id]  # of somebody else, most likely
            return []
        pieces: list[Piece] = []
        if answer.text is not None and answer.text != answer.shown:
            if not answer.text.startswith(answer.shown):
                pieces.append(Piece(Kind.NOTE, "the answer begins anew"))
                answer.shown = ""
            pieces.append(Piece(Kind.ANSWER, safe(answer.text[len(answer.shown) :])))
            answer.shown = answer.text
        if answer.ended is not None:
            pieces.append(answer.ended)
            self.leave(run_id)
        return pieces
