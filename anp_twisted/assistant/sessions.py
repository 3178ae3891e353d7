"""
All sessions of a gateway: which there are, and which are open.

A session is read when somebody wants it, once for all who want it at that time,
and let go when too many are open and nobody uses it. Runs that have no end in its
file were cut by the end of an earlier process; that is written down before anybody
sees the session.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from anp_twisted.assistant import records, store
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.errors import InternalError, NotFound, Overloaded
from anp_twisted.assistant.index import Index, OpenRun
from anp_twisted.assistant.journal import Journal
from anp_twisted.assistant.keys import SessionKey, parse
from anp_twisted.assistant.records import AnyRecord, Codec, Header
from anp_twisted.assistant.session import Condition, Desk, Session
from anp_twisted.assistant.store import Brief, Loaded
from anp_twisted.assistant.types import SessionInfo, instant
from anp_twisted.errors import CredentialError

FOLDER = "sessions"
"""Its name in the state folder."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    A part of a list of sessions.

    @ivar more: whether there are others behind them.
    """

    sessions: tuple[SessionInfo, ...]
    more: bool


class Sessions:
    """The table."""

    log = Logger()

    def __init__(self, around: Around, folder: str, journal: Journal, codec: Codec) -> None:
        """
        @param folder: where the files are; made if there is none.
        """
        self.around = around
        self.journal = journal
        self._folder = folder
        self._desk = Desk(around, journal, codec, self._forget)
        self._known: dict[str, Brief] = {}
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._loading: dict[str, list[Deferred[Session | None]]] = {}
        self._leaving: dict[str, list[Deferred[None]]] = {}

    @property
    def opened(self) -> int:
        """How many are in memory."""
        return len(self._open)

    def __len__(self) -> int:
        return len(self._known)

    def load(self) -> None:
        """
        Find out which sessions there are; this blocks, and belongs before anything listens.

        @raise CredentialError: the folder cannot be used.
        """
        try:
            self._known = store.catalogue(self._folder, self._desk.codec)
        except OSError as error:
            raise CredentialError(f"cannot use {self._folder}: {error.strerror}") from None

    # --- opening ---------------------------------------------------------------------

    def get(self, key: SessionKey) -> Deferred[Session]:
        """
        Open a session.

        @return: fails with L{NotFound} if there is none.
        """
        return self._find(key).addCallback(_existing)

    def get_or_make(self, key: SessionKey, agent_id: str = "") -> Deferred[Session]:
        """
        Open a session, or make one that begins with its first record.

        @param agent_id: who answers in a new one; the agent of the key, if it is empty.
        @return: fails with L{Overloaded} if there are too many.
        """
        return self._find(key).addCallback(lambda found: found or self._make(key, agent_id or key.agent))

    def _find(self, key: SessionKey) -> Deferred[Session | None]:
        """Find a session, waiting for one that is being deleted or read."""
        text = str(key)
        if text in self._leaving:
            gone: Deferred[None] = Deferred()
            self._leaving[text].append(gone)
            return gone.addCallback(lambda ignored: self._find(key))
        session = self._open.get(text)
        if session is not None:
            self._open.move_to_end(text)
            return succeed(session)
        if text not in self._known:
            return succeed(None)
        waiting: Deferred[Session | None] = Deferred()
        if text in self._loading:
            self._loading[text].append(waiting)
        else:
            self._loading[text] = [waiting]
            self._load(key)
        return waiting

    def _load(self, key: SessionKey) -> None:
        """Read a session's file, and tell those who wait for it."""
        path, codec, limits = self._path(key), self._desk.codec, self.around.limits
        reading = self.around.off(lambda: store.load(path, codec, limits))
        reading.addCallback(self._loaded, key)
        reading.addCallbacks(self._tell_loaded, self._tell_unreadable, callbackArgs=(key,), errbackArgs=(key,))
        # boundary: what those who waited could not bear is theirs.
        reading.addErrback(lambda failure: self.log.failure("a session was opened for somebody who failed", failure))

    def _loaded(self, loaded: Loaded | None, key: SessionKey) -> Deferred[Session | None]:
        """Keep what was read, and write down which runs were cut."""
        text = str(key)
        if loaded is None:
            self._known.pop(text, None)
            return succeed(None)
        if loaded.cut or loaded.damaged:
            self.log.warn(
                "session {key}: {cut} bytes of a record that was never complete were cut off, damaged: {damaged}",
                key=text,
                cut=loaded.cut,
                damaged=list(loaded.damaged),
            )
        session = self._keep(Session(key, loaded.index, path=self._path(key), desk=self._desk))
        cut = [session.append(_interruption(run_id, run)) for run_id, run in list(loaded.index.runs.items())]
        return DeferredList(cut, fireOnOneErrback=True).addCallback(lambda ignored: session)

    def _tell_loaded(self, session: Session | None, key: SessionKey) -> None:
        for waiting in self._loading.pop(str(key), []):
            waiting.callback(session)

    def _tell_unreadable(self, failure: Failure, key: SessionKey) -> None:
        self.log.failure("session {key} cannot be read", failure, key=str(key))
        for waiting in self._loading.pop(str(key), []):
            waiting.errback(Failure(InternalError("the session cannot be read now")))

    def _make(self, key: SessionKey, agent_id: str) -> Session:
        """
        Begin a session; there is no file yet.

        @raise Overloaded: there are too many.
        """
        text = str(key)
        if text in self._open:  # made while this one waited
            return self._open[text]
        if len(self._known) >= self.around.limits.assistant_sessions:
            raise Overloaded("there are too many sessions")
        header = Header(
            session_key=text, session_id=self.around.new_id(), agent_id=agent_id, created_at=self.around.wall()
        )
        limits = self.around.limits
        size = len(self._desk.codec.header(header))
        index = Index(header, size, limits.assistant_key_memory, limits.assistant_keys)
        self._known[text] = Brief(header, header.created_at, 0)
        return self._keep(Session(key, index, path=self._path(key), desk=self._desk))

    def _keep(self, session: Session) -> Session:
        """Put a session into the table, and let others go if there are too many."""
        self._open[str(session.key)] = session
        surplus = len(self._open) - self.around.limits.assistant_open_sessions
        if surplus > 0:
            for text in [text for text, one in self._open.items() if one.idle and one is not session][:surplus]:
                self._let_go(text)
        return session

    def _let_go(self, text: str) -> None:
        """Keep of a session only what a list tells."""
        one = self._open.pop(text)
        # Whoever still has it must not write: there may soon be another one of the same file.
        one.condition = Condition.LET_GO
        self._known[text] = Brief(one.index.header, one.index.updated_at, one.index.last_seq)
        if not one.index.last_seq:
            del self._known[text]

    def _forget(self, session: Session) -> None:
        """Let go of a session whose file could not be written."""
        text = str(session.key)
        if self._open.get(text) is session:
            del self._open[text]
            if session.durable_seq == 0:
                self._known.pop(text, None)

    def _path(self, key: SessionKey) -> str:
        return os.path.join(self._folder, key.file_name)

    # --- deleting ----------------------------------------------------------------------

    def delete(self, session: Session) -> Deferred[None]:
        """
        Remove a session with all that is in it.

        @return: fires when nothing is left on the disk.
        """
        text = str(session.key)
        if session.condition is not Condition.OPEN:
            return fail(NotFound("the session was deleted"))
        self._leaving[text] = []
        deleting = session.delete()
        deleting.addCallback(lambda ignored: self._known.pop(text, None))
        deleting.addBoth(self._left, session)
        return deleting

    def _left(self, result: object, session: Session) -> object:
        text = str(session.key)
        if self._open.get(text) is session:
            del self._open[text]
        for waiting in self._leaving.pop(text):
            waiting.callback(None)
        return result if isinstance(result, Failure) else None

    # --- listing -----------------------------------------------------------------------

    def info(self, session: Session) -> SessionInfo:
        """Describe an open session."""
        return _info(str(session.key), session.index.header, session.index.updated_at, session)

    def page(self, account: str | None, *, after: str | None, limit: int) -> Page:
        """
        List sessions, those that changed last before the others.

        @param account: of which they are; C{None} for everybody's.
        @param after: the key of the last one on the page before.
        """
        listed: list[tuple[float, str]] = []
        for text, brief in self._known.items():
            session = self._open.get(text)
            if session is not None and not session.durable_seq:
                continue
            if account is None or text.split(":", 3)[2] == account:
                listed.append((brief.updated_at if session is None else session.index.updated_at, text))
        listed.sort(reverse=True)
        start = next((place + 1 for place, (_, text) in enumerate(listed) if text == after), 0) if after else 0
        chosen = [text for _, text in listed[start : start + limit]]
        return Page(tuple(self._described(text) for text in chosen), len(listed) > start + limit)

    def _described(self, text: str) -> SessionInfo:
        session, brief = self._open.get(text), self._known[text]
        if session is not None:
            return self.info(session)
        info = _info(text, brief.header, brief.updated_at, None)
        info.last_seq = brief.last_seq or 0
        return info

    def stop(self) -> Deferred[None]:
        """
        @return: fires when everything is on disk.
        """
        return self.journal.drained()


def _existing(session: Session | None) -> Session:
    if session is None or session.index.last_seq == 0:
        raise NotFound("there is no such session")
    return session


def _interruption(run_id: str, run: OpenRun) -> Callable[[int, float], AnyRecord]:
    def make(seq: int, ts: float) -> AnyRecord:
        return records.Interrupted(seq=seq, id=run.answer_id, ts=ts, run_id=run_id)

    return make


def _info(text: str, header: Header, updated_at: float, session: Session | None) -> SessionInfo:
    key = parse(text)
    running: Iterable[str] = session.index.runs if session is not None else ()
    return SessionInfo(
        session_key=text,
        agent_id=header.agent_id,
        channel=key.channel,
        peer_id=key.peer,
        created_at=instant(header.created_at),
        updated_at=instant(updated_at),
        last_seq=session.durable_seq if session is not None else 0,
        running=tuple(running),
    )
