"""
An agent that is Python of this process: C{python:module:attribute}.

It may be an object with a method C{run(turn, context)}, or a callable with the
same two arguments. What is called may be an asynchronous generator, of events or
plainly of pieces of text, or a coroutine that returns the whole answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing
from inspect import signature
from typing import Any

from anp_twisted.assistant.agents.events import AgentEvent, Context, Final, TextDelta, Turn
from anp_twisted.errors import AppImportError, InvalidMessage
from anp_twisted.imports import binds, described, imported

Answering = Callable[[Turn, Context], Any]
"""What is called for each turn."""


class PythonAgent:
    """Calls it."""

    def __init__(self, answering: Answering) -> None:
        """
        @param answering: returns what can be iterated, or awaited.
        """
        self._answering = answering

    async def run(self, turn: Turn, context: Context) -> AsyncGenerator[AgentEvent, None]:
        """
        Say what it says.

        @raise InvalidMessage: if it is neither asynchronous generator nor coroutine.
        """
        said = self._answering(turn, context)
        if isinstance(said, AsyncGenerator):
            async with aclosing(said):
                async for event in said:
                    yield _event(event)
        elif isinstance(said, AsyncIterable):
            async for event in said:
                yield _event(event)
        elif isinstance(said, Awaitable):
            whole = await said
            if not isinstance(whole, str):
                raise InvalidMessage(f"an agent returned something {described(whole)} and no text")
            yield Final(whole)
        else:
            raise InvalidMessage(f"an agent is neither asynchronous generator nor coroutine, but {described(said)}")


def _event(said: Any) -> Any:
    """Take plain text for a piece of the answer; what has no meaning is for the transcript to find."""
    return TextDelta(said) if isinstance(said, str) else said


def load_python_agent(name: str, folder: str) -> PythonAgent:
    """
    Import an agent.

    @param name: C{module:attribute} or C{module:factory()}.
    @param folder: where modules are looked for first.
    @raise AppImportError: if that fails, or what is found is no agent.
    """
    answering: Answering = imported(name, folder, _checked)
    return PythonAgent(answering)


def _checked(called: str, found: Any) -> Answering:
    """Find what to call."""
    method = getattr(found, "run", None)
    answering: Answering = method if callable(method) else found
    if not callable(answering):
        raise AppImportError(f"{called} is {described(found)}, and neither can it be called nor has it a method run")
    try:
        parameters = signature(answering)
    except (TypeError, ValueError):
        return answering  # written in C: the first call will tell
    if not binds(parameters, (None, None)):
        advice = f"; if it makes the agent, say {called}()" if binds(parameters, ()) else ""
        raise AppImportError(f"{called} cannot be called with turn and context, so it is no agent{advice}")
    return answering
