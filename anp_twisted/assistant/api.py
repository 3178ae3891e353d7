"""
The methods of chat and sessions, on top of L{Conversations}.

Everything here is small: who may see a session is decided by its key, and what
happens is decided where conversations are.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from anp_twisted import __version__
from anp_twisted.assistant import keys, openrpc, records, types
from anp_twisted.assistant.connection import Connection
from anp_twisted.assistant.connections import MethodCall
from anp_twisted.assistant.conversations import Asking, Conversations, Ticket
from anp_twisted.assistant.errors import Gap, InvalidParams, NotFound
from anp_twisted.assistant.keys import SessionKey
from anp_twisted.assistant.records import Answered, AnyRecord, Created, Damaged
from anp_twisted.assistant.session import Session
from anp_twisted.assistant.types import instant


class ChatApi:
    """
    The methods C{chat.*}, C{session.*}, C{events.*}, C{health} and C{rpc.discover}.
    """

    def __init__(self, conversations: Conversations, status: Callable[[], str]) -> None:
        """
        @param status: what C{health} says.
        """
        self._conversations = conversations
        self._sessions = conversations.sessions
        self._around = conversations.sessions.around
        self._status = status

    def methods(self) -> dict[str, MethodCall]:
        """
        @return: what implements each method, by its name.
        """
        return {
            "health": self.health,
            "rpc.discover": self.discover,
            "chat.send": self.send,
            "chat.send_stream": self.send_stream,
            "chat.history": self.history,
            "chat.abort": self.abort,
            "session.list": self.list,
            "session.get": self.get,
            "session.create": self.create,
            "session.delete": self.delete,
            "session.subscribe": self.subscribe,
            "session.unsubscribe": self.unsubscribe,
            "events.replay": self.replay,
        }

    def health(self, caller: Connection, params: types.NoParams) -> types.Health:
        """C{health}."""
        return types.Health(status=self._status(), version=__version__)

    def discover(self, caller: Connection, params: types.NoParams) -> object:
        """C{rpc.discover}."""
        return openrpc.document(__version__)

    def _key(self, caller: Connection, text: str) -> SessionKey:
        """
        Find out which session a caller means.

        @raise InvalidParams: none.
        @raise Forbidden: one of somebody else.
        """
        who = caller.who
        return keys.resolve(text, principal=who.name, admin=who.is_admin, agent=self._conversations.default_agent)

    # --- chat --------------------------------------------------------------------------

    def _send(self, caller: Connection, params: types.SendParams) -> Deferred[Ticket]:
        asking = Asking(
            principal=caller.who.name,
            text=params.text,
            media=params.media,
            mode=params.mode,
            key=params.idempotency_key,
        )
        return self._conversations.send(self._key(caller, params.session_key), asking)

    def send(self, caller: Connection, params: types.SendParams) -> Deferred[types.Answer]:
        """C{chat.send}."""
        return self._send(caller, params).addCallback(self._conversations.answer).addCallback(_answer)

    def send_stream(self, caller: Connection, params: types.SendParams) -> Deferred[types.Accepted]:
        """C{chat.send_stream}."""
        return self._send(caller, params).addCallback(self._accepted, caller)

    def _accepted(self, ticket: Ticket, caller: Connection) -> types.Accepted:
        """Let the answer be told on this connection, unless it is complete."""
        session, said = ticket.session, ticket.said
        if self._conversations.turn(session, ticket.run_id) is not None:
            caller.feed(session, said.seq).follow(ticket.run_id)
        return types.Accepted(
            message_id=said.answer_id,
            user_message_id=said.message_id,
            run_id=ticket.run_id,
            seq=said.seq,
            timestamp=instant(ticket.ts),
        )

    @inlineCallbacks
    def history(self, caller: Connection, params: types.HistoryParams) -> Generator[Deferred[Any], Any, types.History]:
        """C{chat.history}."""
        session = yield self._sessions.get(self._key(caller, params.session_key))
        end = session.durable_seq + 1
        if params.before is not None:
            end = yield self._place_of(session, params.before)
        found: list[types.Message] = []
        limits = self._around.limits
        # What is no message takes places, too: read on until the page is full.
        while end > 1 and len(found) < params.limit:
            first = session.last_place(end, max(params.limit - len(found), 1), limits.assistant_page_bytes)
            page = yield session.read(first, end - 1)
            said = [message for record in page if (message := records.message(record)) is not None]
            found = said + found
            end = first
            if sum(len(message.text) for message in found) > limits.assistant_page_bytes:
                break
        return types.History(messages=tuple(found), has_more=end > 1)

    @inlineCallbacks
    def _place_of(self, session: Session, message_id: str) -> Generator[Deferred[Any], Any, int]:
        """
        Find the place of a message; its id tells from where on to look.

        @return: fails with L{NotFound} if there is no such message.
        """
        try:
            first = int(message_id.split("-")[1], 16)
        except (IndexError, ValueError):
            raise InvalidParams("that is not the id of a message", path="$.before") from None
        while 0 < first <= session.durable_seq:
            page = yield session.read_page(first)
            for record in page:
                if record.id == message_id and records.message(record) is not None:
                    place: int = record.seq
                    return place
            first = page[-1].seq + 1
        raise NotFound("there is no such message in the session")

    @inlineCallbacks
    def abort(self, caller: Connection, params: types.AbortParams) -> Generator[Deferred[Any], Any, types.Aborted]:
        """C{chat.abort}."""
        session = yield self._sessions.get(self._key(caller, params.session_key))
        return types.Aborted(run_ids=self._conversations.abort(session, params.run_id))

    # --- sessions ------------------------------------------------------------------------

    def list(self, caller: Connection, params: types.SessionListParams) -> types.SessionList:
        """C{session.list}."""
        who = caller.who
        after = str(self._key(caller, params.after)) if params.after is not None else None
        account = None if who.is_admin else keys.namespace(who.name)
        page = self._sessions.page(account, after=after, limit=params.limit)
        return types.SessionList(sessions=page.sessions, next=page.sessions[-1].session_key if page.more else None)

    def get(self, caller: Connection, params: types.SessionParams) -> Deferred[types.SessionInfo]:
        """C{session.get}."""
        return self._sessions.get(self._key(caller, params.session_key)).addCallback(self._sessions.info)

    @inlineCallbacks
    def create(
        self, caller: Connection, params: types.SessionCreateParams
    ) -> Generator[Deferred[Any], Any, types.SessionInfo]:
        """C{session.create}."""
        key = self._key(caller, params.session_key)
        session = yield self._sessions.get_or_make(key, params.agent_id or "")
        if session.index.last_seq == 0:
            new_id = self._around.new_id()
            yield session.append(lambda seq, ts: Created(seq=seq, id=f"made-{new_id}", ts=ts))
        return self._sessions.info(session)

    @inlineCallbacks
    def delete(self, caller: Connection, params: types.SessionParams) -> Generator[Deferred[Any], Any, types.Deleted]:
        """C{session.delete}."""
        try:
            session = yield self._sessions.get(self._key(caller, params.session_key))
        except NotFound:
            return types.Deleted(deleted=False)
        self._conversations.abort(session)
        yield self._sessions.delete(session)
        return types.Deleted(deleted=True)

    # --- events --------------------------------------------------------------------------

    @inlineCallbacks
    def subscribe(
        self, caller: Connection, params: types.SubscribeParams
    ) -> Generator[Deferred[Any], Any, types.Subscribed]:
        """C{session.subscribe}."""
        session = yield self._sessions.get(self._key(caller, params.session_key))
        after = params.after_seq
        if after is not None and after > session.durable_seq:
            raise Gap
        feed = caller.feed(session, session.durable_seq)
        # Behind the answer of this call, which the client has to see first.
        self._around.soon(lambda: feed.subscribe(after))
        return types.Subscribed(
            session_key=str(session.key), session_id=session.index.header.session_id, last_seq=session.durable_seq
        )

    def unsubscribe(self, caller: Connection, params: types.SessionParams) -> types.Unsubscribed:
        """C{session.unsubscribe}."""
        feed = caller.feed_of(str(self._key(caller, params.session_key)))
        if feed is None or not feed.whole:
            return types.Unsubscribed(unsubscribed=False)
        feed.unsubscribe()
        return types.Unsubscribed(unsubscribed=True)

    @inlineCallbacks
    def replay(self, caller: Connection, params: types.ReplayParams) -> Generator[Deferred[Any], Any, types.Replay]:
        """C{events.replay}."""
        session = yield self._sessions.get(self._key(caller, params.session_key))
        last = session.durable_seq
        if params.after_seq > last:
            raise Gap
        page: list[AnyRecord | Damaged] = []
        if params.after_seq < last:
            page = yield session.read_page(params.after_seq + 1)
        key = str(session.key)
        return types.Replay(
            events=tuple(records.event(record, key) for record in page[: params.limit]),  # type: ignore[misc]
            last_seq=last,
        )


def _answer(answered: Answered) -> types.Answer:
    return types.Answer(
        message_id=answered.id,
        text=answered.text,
        timestamp=instant(answered.ts),
        run_id=answered.run_id,
        seq=answered.seq,
    )
