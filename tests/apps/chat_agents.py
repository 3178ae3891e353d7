"""Agents for the tests of clients: what they say depends on the first word they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from anp_twisted.assistant.agents.events import (
    AgentEvent,
    Context,
    Failed,
    Final,
    Reasoning,
    Replace,
    TextDelta,
    ToolEnd,
    ToolStart,
    Turn,
)

MARKDOWN = """\
## Three ways to Lyon

The **TGV** is the fastest; a *night bus* costs least. See [the timetable](https://example.com/lyon).

| by | hours | from |
|---|---|---|
| TGV | 2 | 35 € |
| car | 4½ | 60 € |
| bus | 6 | 15 € |

1. Book early: prices rise.
2. Take seats by the window
    - on the left in the morning
    - on the right in the evening

```python
def hours(kilometres: float, speed: float = 250.0) -> float:
    return kilometres / speed
```

> Trains leave from *Gare de Lyon*, which is in Paris.
"""


class Scripted:
    """An agent."""

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """Say what the text asks for."""
        word, _, rest = turn.text.partition(" ")
        if word == "count":
            async for event in self._count(int(rest)):
                yield event
        elif word == "fail":
            yield TextDelta("I was about to ")
            yield Failed("agent_error", "the model is out of order")
        elif word == "think":
            yield Reasoning("The user wants me to think.")
            yield ToolStart("1", "search", '{"query": "thoughts"}')
            yield ToolEnd("1", "three thoughts")
            yield Final("I have thought.")
        elif word == "replace":
            yield TextDelta("first words")
            yield Replace("other words")
            yield Final("other words")
        else:
            answer = rest if word == "say" else MARKDOWN
            for piece in answer.splitlines(keepends=True):
                yield TextDelta(piece)
                await asyncio.sleep(0.01)
            yield Final(answer)

    async def _count(self, most: int) -> AsyncGenerator[AgentEvent, None]:
        """Count, twenty a second."""
        words = [f"{number} " for number in range(1, most + 1)]
        for word in words:
            yield TextDelta(word)
            await asyncio.sleep(0.05)
        yield Final("".join(words))


agent = Scripted()
