"""An agent that writes down each run before it answers, so that a test can see whether any ran twice."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

from anp_twisted.assistant.agents.events import AgentEvent, Context, Final, TextDelta, Turn


async def agent(turn: Turn, context: Context) -> AsyncIterator[AgentEvent]:
    """Answer with the question, in some pieces and some milliseconds."""
    with open(os.environ["RUNS_FILE"], "a", encoding="ascii") as file:
        file.write(f"{turn.run_id}\n")
    words = [f"{turn.text}." for _ in range(4)]
    for word in words:
        yield TextDelta(word)
        await asyncio.sleep(0.003)
    yield Final("".join(words))


async def ticking(turn: Turn, context: Context) -> AsyncIterator[AgentEvent]:
    """Say the time, as often and with as many bytes as the question wants: C{count:pause:size}."""
    count, pause, size = turn.text.split(":")
    begun = time.monotonic()
    said = []
    for number in range(int(count)):
        due = begun + number * float(pause)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        said.append(f"{time.monotonic():.6f}".ljust(int(size), "."))
        yield TextDelta(said[-1])
    yield Final("".join(said))
