"""
Summaries of long sessions, so that an agent is told what was said long ago in a few words.

The agent itself writes them, in a run that nobody sees. Meanwhile the session goes
on as ever: a summary covers what was there when it was begun, and counts from the
moment it is in the log.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger

from anp_twisted.assistant import records
from anp_twisted.assistant.agents.events import AgentEvent, Context, Failed, Turn
from anp_twisted.assistant.agents.events import Final as FinalEvent
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.errors import RpcError
from anp_twisted.assistant.session import Session

PROMPT: Final = (
    "Summarise the conversation so far for yourself, so that you can go on with it without reading it again: "
    "who is who, what was asked, decided and promised, names, numbers and dates. Write nothing else."
)
KEPT: Final = 20
"""Records at the end of a session that a summary leaves out, since they are handed over word for word."""


class Compactor:
    """
    Writes summaries.

    @ivar running: the keys of sessions that are being summarised.
    """

    log = Logger()

    def __init__(self, around: Around, agents: Any, after: int) -> None:
        """
        @param agents: what runs agents, as L{anp_twisted.assistant.conversations.Answering} says.
        @param after: records behind the latest summary that are worth another one; 0 for none ever.
        """
        self.running: set[str] = set()
        self._around = around
        self._agents = agents
        self._after = after

    def due(self, session: Session) -> bool:
        """Whether a session is long enough."""
        new = session.durable_seq - session.index.upto
        return bool(self._after) and new >= self._after + KEPT and str(session.key) not in self.running

    @inlineCallbacks
    def compact(self, session: Session, context: Context) -> Generator[Deferred[Any], Any, bool]:
        """
        Write a summary.

        @param context: what was said since the last one, that one first.
        @return: fires with whether there is one; it never fails.
        """
        text, upto = str(session.key), session.durable_seq - KEPT
        self.running.add(text)
        try:
            summary: str | None = yield self._summary(context)
            if summary:
                made = self._around.new_id()
                yield session.append(
                    lambda seq, ts: records.Compacted(seq=seq, id=f"sum-{made}", ts=ts, upto=upto, summary=summary)
                )
            return bool(summary)
        except RpcError:
            return False
        finally:
            self.running.discard(text)

    def _summary(self, context: Context) -> Deferred[str | None]:
        """
        Ask the agent.

        @return: fires with C{None} if it has no answer.
        @raise Overloaded: it takes no more.
        """
        done: Deferred[str | None] = Deferred()

        def hear(event: AgentEvent) -> None:
            if isinstance(event, FinalEvent):
                done.callback(event.text)
            elif isinstance(event, Failed):
                self.log.info("no summary: {code}", code=event.code)
                done.callback(None)

        made = self._around.new_id()
        turn = Turn(message_id=f"sum-{made}", run_id=f"sum-{made}", text=PROMPT, mode="single")
        self._agents.run(turn, msgspec.structs.replace(context, tools=False), hear)
        return done
