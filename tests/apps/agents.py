"""
The agent of the rules in each form in which a process can have it: in Python, as an ASGI application, as a program.

C{python -m agents} is the program: it reads the question and writes events.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import msgspec

from anp_twisted.assistant.agents.events import AgentEvent, Context, Final, TextDelta, Turn


async def answer(turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
    """Do what the text says: C{say x}, C{hang}, C{slow n}, C{recall}, C{fail x}; anything else comes back."""
    verb, _, rest = turn.text.partition(" ")
    if verb == "hang":
        note("begun")
        try:
            yield TextDelta("one")
            await asyncio.get_running_loop().create_future()
        finally:
            note("closed")
    elif verb == "slow":
        for number in range(int(rest)):
            yield TextDelta(f"{number} ")
            await asyncio.sleep(0.05)
    elif verb == "recall":
        yield Final("|".join(f"{said.role}={said.text}" for said in context.history) + f"|{context.instructions}")
    elif verb == "fail":
        yield TextDelta("one")
        raise ValueError(rest)
    else:
        text = rest if verb == "say" else turn.text
        for character in text:
            yield TextDelta(character)
        yield Final(text)


def note(word: str) -> None:
    """Leave a word where the test looks for it."""
    path = os.environ.get("AGENT_NOTES")
    if path:
        with open(path, "a") as notes:
            notes.write(word + "\n")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The rules' agent behind the chat completions interface."""
    from anp_twisted.test.model_lab import model_app

    await model_app(scope, receive, send)


async def rules(turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
    """The rules' agent."""
    async for event in _brain()(turn, context):
        yield event


@cache
def _brain() -> Any:
    """Load the brain without the package it is in, which would install a reactor."""
    found = spec_from_file_location("brain", Path(__file__).parents[2] / "anp_twisted" / "test" / "brain.py")
    assert found is not None
    module = module_from_spec(found)
    assert found.loader is not None
    found.loader.exec_module(module)
    return module.brain


def main() -> None:
    """Be a program."""

    class Question(msgspec.Struct):
        turn: Turn
        context: Context

    async def talk() -> None:
        asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=Question)
        async for event in rules(asked.turn, asked.context):
            sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
            sys.stdout.buffer.flush()

    asyncio.run(talk())


if __name__ == "__main__":
    main()
