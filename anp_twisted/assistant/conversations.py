"""
What happens between a message and its answer.

A message is on disk before anybody works on it, and its answer before anybody is
told that it is complete. In one session one run answers at a time, in the order of
the messages. Nothing here knows how the message came, nor who is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant import keys, records
from anp_twisted.assistant.agents import events
from anp_twisted.assistant.agents.events import AgentEvent, Context, HistoryMessage, Turn
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.compaction import Compactor
from anp_twisted.assistant.errors import (
    AgentFailed,
    Cancelled,
    Conflict,
    InternalError,
    Overloaded,
    RpcError,
    TimedOut,
)
from anp_twisted.assistant.index import Kept, OpenRun
from anp_twisted.assistant.keys import SessionKey
from anp_twisted.assistant.messages import InboundMessage, Media
from anp_twisted.assistant.records import Answered, AnyRecord, Damaged, Idempotency, Said
from anp_twisted.assistant.session import Condition, Session
from anp_twisted.assistant.sessions import Sessions
from anp_twisted.assistant.types import ChatDelta, ChatReasoning, ChatReplace

Sink = Callable[[AgentEvent], None]


class Ongoing(Protocol):
    """A run of an agent."""

    def abort(self) -> None:
        """End it; the sink hears so at once."""


class Answering(Protocol):
    """What runs agents."""

    def run(self, turn: Turn, context: Context, sink: Sink) -> Ongoing:
        """
        Begin to answer.

        @param sink: hears what the agent says, never before this returned; the last thing is C{Final} or C{Failed}.
        @raise Overloaded: there are too many runs.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """
    Something that somebody says to the assistant.

    @ivar principal: who.
    @ivar key: the idempotency key, if there is one.
    @ivar agent_id: who answers, if the session is new; empty for the agent of the session's key.
    """

    principal: str
    text: str
    media: tuple[Media, ...] = ()
    mode: str = "auto"
    model: str = ""
    key: str | None = None
    agent_id: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal for equal parameters."""
        return sha256(msgspec.json.encode([self.text, self.media, self.mode, self.model])).hexdigest()[:32]


class Phase(Enum):
    """How far a turn is."""

    WAITING = auto()
    """Another one is before it."""
    PREPARING = auto()
    """What was said before is being read."""
    RUNNING = auto()
    ENDING = auto()
    """Its end is on the way to the disk."""
    ENDED = auto()


class Answerer:
    """
    One turn: from the message on disk to the end of its run on disk.

    @ivar run_id: of the run.
    @ivar phase: how far it is.
    """

    log = Logger()

    def __init__(self, table: Conversations, session: Session, said: Said) -> None:
        self.run_id = said.run_id
        self.said = said
        self.session = session
        self.phase = Phase.WAITING
        self._table = table
        self._ongoing: Ongoing | None = None
        self._text: list[str] = []
        self._offset = 0
        self._index = 0
        self._usage = events.Usage()
        self._waiting: list[Deferred[AnyRecord]] = []

    # --- the way through ---------------------------------------------------------

    def begin(self) -> None:
        """Read what was said before, then let the agent answer."""
        if self.session.condition is not Condition.OPEN:
            self._unwritten(Failure(InternalError()))
            return
        self.phase = Phase.PREPARING
        reading = self._table.context(self.session, self.said)
        reading.addCallback(self._start)
        # boundary: what one turn cannot bear ends this one turn.
        reading.addErrback(self._failed)

    def _start(self, context: Context) -> None:
        if self.phase is not Phase.PREPARING:
            return
        self.phase = Phase.RUNNING
        said = self.said
        turn = Turn(
            message_id=said.answer_id,
            run_id=said.run_id,
            text=said.text,
            media=said.media,
            mode=said.mode,
            model=said.model,
        )
        try:
            self._ongoing = self._table.agents.run(turn, context, self.hear)
        except RpcError as error:
            self.hear(events.Failed(error.word, str(error.args[0]), error.retryable))

    def _failed(self, failure: Failure) -> None:
        self.log.failure("run {run} failed", failure, run=self.run_id)
        self.hear(events.Failed("internal_error", "internal error"))

    def abort(self) -> None:
        """End it; nothing the agent says later counts."""
        if self.phase is Phase.RUNNING and self._ongoing is not None:
            self._ongoing.abort()
        if self.phase in (Phase.WAITING, Phase.PREPARING, Phase.RUNNING):
            self.hear(events.Failed("cancelled", "the run was aborted"))

    def hear(self, event: AgentEvent) -> None:
        """Take what the agent says."""
        if self.phase is Phase.ENDING or self.phase is Phase.ENDED:
            return
        match event:
            case events.TextDelta(text=text):
                self._go_on(text)
            case events.Reasoning(text=text):
                shared = self._place()
                self.session.tell(self.run_id, ChatReasoning(delta=text, **shared))
            case events.Replace(text=text):
                self._replace(text)
            case events.Usage():
                self._usage = event
            case events.ToolStart() | events.ToolEnd():
                self._tool(event)
            case events.Final() | events.Failed():
                self._end(event)

    def _place(self) -> dict[str, str]:
        return {"session_key": str(self.session.key), "message_id": self.said.answer_id, "run_id": self.run_id}

    def _go_on(self, text: str) -> None:
        delta = ChatDelta(index=self._index, offset=self._offset, delta=text, **self._place())
        self._text.append(text)
        self._offset += len(text)
        self._index += 1
        self.session.tell_delta(delta)

    def _replace(self, text: str) -> None:
        self._text = [text]
        self._offset = len(text)
        self.session.tell(self.run_id, ChatReplace(index=self._index, text=text, **self._place()))
        self._index += 1

    def _tool(self, event: events.ToolStart | events.ToolEnd) -> None:
        """Keep what was done with tools; whether that reaches the disk shows with the end of the run."""
        if isinstance(event, events.ToolStart):
            what = {"state": "started", "name": event.name, "detail": event.arguments}
        else:
            what = {"state": "failed" if event.failed else "done", "detail": event.result}
        said, call_id = self.said, event.id
        self._append(
            lambda seq, ts: records.Tool(seq=seq, id=said.answer_id, ts=ts, run_id=said.run_id, call_id=call_id, **what)
        ).addErrback(lambda failure: failure.trap(RpcError))

    def so_far(self) -> ChatDelta | None:
        """
        @return: all that was said as one delta, C{None} if nothing was.
        """
        if self.phase is not Phase.RUNNING or not self._offset:
            return None
        self._text = ["".join(self._text)]
        return ChatDelta(index=0, offset=0, delta=self._text[0], **self._place())

    # --- the end -------------------------------------------------------------------

    def _end(self, event: events.Final | events.Failed) -> None:
        """Write the end down; what is told of it comes behind that."""
        self.phase = Phase.ENDING
        said, text, usage = self.said, "".join(self._text), self._usage

        def make(seq: int, ts: float) -> AnyRecord:
            if isinstance(event, events.Final):
                return Answered(
                    seq=seq,
                    id=said.answer_id,
                    ts=ts,
                    run_id=said.run_id,
                    text=event.text,
                    finish_reason=event.finish_reason,
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                )
            return records.Failed(
                seq=seq,
                id=said.answer_id,
                ts=ts,
                run_id=said.run_id,
                code=event.code,
                message=event.message,
                retryable=event.retryable,
                text=text,
            )

        self._append(make).addCallbacks(self._ended, self._unwritten)

    def _append(self, make: Callable[[int, float], AnyRecord]) -> Deferred[AnyRecord]:
        """Append a record; what cannot even be tried fails as what failed does."""
        try:
            return self.session.append(make)
        except RpcError:
            failed: Deferred[AnyRecord] = Deferred()
            failed.errback(Failure())
            return failed

    def _ended(self, record: AnyRecord) -> None:
        self.phase = Phase.ENDED
        self._table.turn_ended(self)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(record)

    def _unwritten(self, failure: Failure) -> None:
        self.phase = Phase.ENDED
        self._table.turn_ended(self)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.errback(Failure(InternalError("the answer could not be kept")))

    def outcome(self) -> Deferred[AnyRecord]:
        """
        @return: fires with the record that ends the run.
        """
        waiting: Deferred[AnyRecord] = Deferred(lambda cancelled: self._waiting.remove(cancelled))
        self._waiting.append(waiting)
        return waiting


@dataclass(frozen=True, slots=True)
class Ticket:
    """
    A message that is on disk.

    @ivar said: where, and the ids of message and answer.
    @ivar ts: when it was said first.
    """

    session: Session
    run_id: str
    said: OpenRun
    ts: float


class Conversations:
    """
    All turns.

    @ivar agents: what runs the agents.
    """

    log = Logger()

    def __init__(
        self, around: Around, sessions: Sessions, agents: Answering, *, default_agent: str, compact_after: int = 0
    ) -> None:
        """
        @param default_agent: who answers where a key does not say.
        @param compact_after: records of a session that are worth a summary; 0 for none.
        """
        self.sessions = sessions
        self.agents = agents
        self.default_agent = default_agent
        self._around = around
        self._turns: dict[str, deque[Answerer]] = {}
        self._stopping = False
        self._compactor = Compactor(around, agents, compact_after)

    @property
    def running(self) -> int:
        """How many turns have no end yet."""
        return sum(len(turns) for turns in self._turns.values())

    # --- asking --------------------------------------------------------------------

    @inlineCallbacks
    def send(self, key: SessionKey, asking: Asking) -> Generator[Deferred[Any], Any, Ticket]:
        """
        Take a message.

        @return: fires with a L{Ticket} when the message is on disk; fails with L{Conflict} if its idempotency key was
            used for something else, with L{Overloaded} if too many wait, and as L{Sessions.get_or_make} does.
        """
        if self._stopping:
            raise Overloaded("the server stops", retry_after=1.0)
        session: Session = yield self.sessions.get_or_make(key, asking.agent_id)
        if asking.key is not None:
            kept = session.index.kept(asking.principal, asking.key, self._around.wall())
            if kept is not None:
                again: Ticket = yield self._again(session, kept, asking)
                return again
        turns = self._turns.get(str(key), ())
        if len(turns) >= self._around.limits.assistant_waiting_runs:
            raise Overloaded("too many messages of this session wait for their answer", retry_after=1.0)
        said = yield self._append(session, asking)
        return Ticket(session, said.run_id, OpenRun(said.seq, said.id, said.answer_id), said.ts)

    def _append(self, session: Session, asking: Asking) -> Deferred[AnyRecord]:
        """Write a message down, and queue its turn behind that."""
        ids = [self._around.new_id() for _ in range(3)]
        idempotency = Idempotency(asking.principal, asking.key, asking.fingerprint) if asking.key else None

        def make(seq: int, ts: float) -> Said:
            return Said(
                seq=seq,
                id=f"msg-{seq:x}-{ids[0]}",
                ts=ts,
                run_id=f"run-{ids[1]}",
                answer_id=f"msg-{seq:x}-{ids[2]}",
                text=asking.text,
                principal=asking.principal,
                mode=asking.mode,
                model=asking.model,
                media=asking.media,
                idempotency=idempotency,
            )

        made: list[Answerer] = []

        def make_turn(seq: int, ts: float) -> Said:
            said = make(seq, ts)
            made.append(Answerer(self, session, said))
            return said

        written = session.append(make_turn)
        turn = made[0]
        session.running = lambda: self._so_far(session)
        turns = self._turns.setdefault(str(session.key), deque())
        turns.append(turn)
        written.addCallbacks(self._on_disk, self._not_on_disk, callbackArgs=(turn,), errbackArgs=(turn,))
        return written

    def _on_disk(self, said: AnyRecord, turn: Answerer) -> AnyRecord:
        """Begin the turn, if it is its turn, behind what is told of the message."""
        self._around.soon(lambda: self._next(turn.session))
        return said

    def _not_on_disk(self, failure: Failure, turn: Answerer) -> Failure:
        turn.phase = Phase.ENDED
        self._remove(turn)
        return failure

    @inlineCallbacks
    def _again(self, session: Session, kept: Kept, asking: Asking) -> Generator[Deferred[Any], Any, Ticket]:
        """Return the ticket of the first of several equal messages."""
        if kept.fingerprint != asking.fingerprint:
            raise Conflict
        yield session.durable(kept.said.seq)
        return Ticket(session, kept.run_id, kept.said, kept.ts)

    @inlineCallbacks
    def answer(self, ticket: Ticket) -> Generator[Deferred[Any], Any, Answered]:
        """
        Wait for an answer.

        @return: fires with L{Answered}; fails with an L{RpcError} if there is none.
        """
        turn = self.turn(ticket.session, ticket.run_id)
        if turn is not None:
            record = yield turn.outcome()
        else:
            seq = ticket.session.index.ends.get(ticket.run_id, 0)
            if not seq:
                raise InternalError("what became of it is not known any more")
            yield ticket.session.durable(seq)
            page = yield ticket.session.read(seq, seq)
            record = page[0]
        if isinstance(record, Answered):
            return record
        raise error_of(record)

    def submit(self, message: InboundMessage) -> Deferred[str]:
        """
        Take a message that came by a channel.

        @return: fires with the text of the answer; fails as L{send} and L{answer} do.
        """
        key = keys.of_message(message, self.default_agent)
        repeated = message.metadata.get("message_id")
        asking = Asking(
            principal=f"{message.channel}:{message.sender_id}",
            text=message.content,
            media=message.media,
            key=str(repeated) if repeated else None,
        )
        answering: Deferred[Answered] = self.send(key, asking).addCallback(self.answer)
        return answering.addCallback(lambda answered: answered.text)

    # --- turns -----------------------------------------------------------------------

    def turn(self, session: Session, run_id: str) -> Answerer | None:
        """
        @return: a turn that has no end yet.
        """
        return next((turn for turn in self._turns.get(str(session.key), ()) if turn.run_id == run_id), None)

    def abort(self, session: Session, run_id: str | None = None) -> tuple[str, ...]:
        """
        End turns before they are complete.

        @param run_id: which; C{None} for all of the session.
        @return: those that were ended.
        """
        turns = [turn for turn in self._turns.get(str(session.key), ()) if run_id in (None, turn.run_id)]
        ended = tuple(turn.run_id for turn in turns if turn.phase in (Phase.WAITING, Phase.PREPARING, Phase.RUNNING))
        # The last first: otherwise each end would begin the next.
        for turn in reversed(turns):
            turn.abort()
        return ended

    def turn_ended(self, turn: Answerer) -> None:
        """Begin the next turn of a session; turns tell this themselves."""
        self._remove(turn)
        self._next(turn.session)
        if self._compactor.due(turn.session) and not self._stopping:
            preparing = self.context(turn.session, None)
            preparing.addCallback(lambda context: self._compactor.compact(turn.session, context))
            # boundary: a session without a summary is as good as ever.
            preparing.addErrback(lambda failure: self.log.failure("no summary could be made", failure))

    def _next(self, session: Session) -> None:
        turns = self._turns.get(str(session.key))
        if turns and turns[0].phase is Phase.WAITING and turns[0].said.seq <= session.durable_seq:
            turns[0].begin()

    def _remove(self, turn: Answerer) -> None:
        text = str(turn.session.key)
        turns = self._turns.get(text)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._turns[text]

    def _so_far(self, session: Session) -> list[ChatDelta]:
        turns = self._turns.get(str(session.key), ())
        return [delta for turn in turns if (delta := turn.so_far()) is not None]

    @inlineCallbacks
    def context(self, session: Session, said: Said | None) -> Generator[Deferred[Any], Any, Context]:
        """
        Read what an agent is told of what was said before.

        @param said: what is asked now; it and what was said later is left out. C{None} for nothing.
        """
        limits = self._around.limits
        last = session.durable_seq
        # Each message may come with records that are none, such as those of tools.
        first = session.last_place(last + 1, limits.assistant_history * 2, limits.assistant_history_bytes)
        first = max(first, session.index.upto + 1)
        summary = yield session.read(session.index.compacted, session.index.compacted or -1)
        page = yield session.read(first, last)
        history = _summary(summary) + _history(page, said, limits.assistant_history)
        agent_id = session.index.header.agent_id
        return Context(session_key=str(session.key), agent_id=agent_id, history=tuple(history))

    # --- the end ---------------------------------------------------------------------

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True

    def abort_all(self) -> None:
        """End every turn."""
        for turns in list(self._turns.values()):
            for turn in reversed(list(turns)):
                turn.abort()


def _history(page: list[AnyRecord | Damaged], said: Said | None, most: int) -> list[HistoryMessage]:
    """Choose what was said and answered."""
    found: list[HistoryMessage] = []
    for record in page:
        if isinstance(record, Said) and (said is None or record.seq < said.seq):
            found.append(HistoryMessage("user", record.text))
        elif isinstance(record, Answered):
            found.append(HistoryMessage("assistant", record.text))
    return found[-most:]


def _summary(page: list[AnyRecord | Damaged]) -> list[HistoryMessage]:
    return [HistoryMessage("system", record.summary) for record in page if isinstance(record, records.Compacted)]


def error_of(record: object) -> RpcError:
    """
    @return: the error that tells of a run that ended without an answer.
    """
    if isinstance(record, records.Failed):
        made = _ERRORS.get(record.code, AgentFailed)(record.message)
        made.retryable = record.retryable
        return made
    if isinstance(record, records.Interrupted):
        return AgentFailed("the run was cut by the end of the process")
    return InternalError("the record of the end is damaged")


_ERRORS: dict[str, type[RpcError]] = {
    "cancelled": Cancelled,
    "timeout": TimedOut,
    "overloaded": Overloaded,
    "internal_error": InternalError,
}
