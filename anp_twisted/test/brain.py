"""What is behind every agent that is tested, in whatever form; a program imports it, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from anp_twisted.assistant.agents.events import (
    AgentEvent,
    Context,
    Final,
    Reasoning,
    TextDelta,
    ToolEnd,
    ToolStart,
    Turn,
    Usage,
)


async def brain(asked: Turn, where: Context) -> AsyncGenerator[AgentEvent, None]:
    """
    Do what the text of the turn says; whatever kind of agent is tested, this is behind it.
    """
    verb, _, rest = asked.text.partition(" ")
    async for event in _DEEDS[verb](rest, where):
        yield event


async def _say(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    for character in rest:
        yield TextDelta(character)
    yield Final(rest)


async def _think(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    yield Reasoning("hm")
    yield TextDelta(rest)
    yield Usage(7, 3)
    yield Final(rest)


async def _tool(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    yield ToolStart("t1", "look", '{"at": "ü"}')
    yield ToolEnd("t1", "seen")
    yield Final(rest)


async def _recall(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    yield Final("|".join(f"{said.role}={said.text}" for said in where.history) + f"|{where.instructions}")


async def _hang(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    yield TextDelta("one")
    await asyncio.get_running_loop().create_future()


async def _fail(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    yield TextDelta("one")
    raise ValueError(f"the canary {rest}")


async def _flood(rest: str, where: Context) -> AsyncGenerator[AgentEvent, None]:
    while True:
        yield TextDelta("x" * 100)
        await asyncio.sleep(0)


_DEEDS = {
    "say": _say,
    "think": _think,
    "tool": _tool,
    "recall": _recall,
    "hang": _hang,
    "fail": _fail,
    "flood": _flood,
}
