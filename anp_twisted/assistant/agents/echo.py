"""An agent that says what it is told: to try things with, and the one a new gateway has."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from anp_twisted.assistant.agents.events import AgentEvent, Context, Final, TextDelta, Turn

_WORD = re.compile(r"\s*\S+|\s+")

_MOST = 1000
"""Pieces of one answer; words of longer ones are said together."""


class EchoAgent:
    """Gives the text back, word by word."""

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """Say it."""
        words = _WORD.findall(turn.text)
        together = -(-len(words) // _MOST)
        for first in range(0, len(words), together or 1):
            yield TextDelta("".join(words[first : first + together]))
        yield Final(turn.text)
