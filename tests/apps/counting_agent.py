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


async def flood(turn: Turn, context: Context) -> AsyncIterator[AgentEvent]:
    """Say a word as often as the question wants, as fast as it is taken."""
    said = 0
    for _ in range(int(turn.text)):
        yield TextDelta("word ")
        said += 1
    yield Final("word " * said)


async def agents(turn: Turn, context: Context) -> AsyncIterator[AgentEvent]:
    """Choose by the question: a number floods, anything else ticks."""
    async for event in (flood if turn.text.isdecimal() else ticking)(turn, context):
        yield event
