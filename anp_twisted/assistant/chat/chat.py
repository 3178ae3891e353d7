"""
A conversation that outlives its connections.

While there is no connection, another one is made, with growing pauses. What was said
and not confirmed is said again under its own key, so that it is said once; what
happened meanwhile is told again by the gateway, from the last record that came.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from anp_twisted.assistant import types
from anp_twisted.assistant.chat.link import CallFailed, Link, LinkDown, Listener
from anp_twisted.assistant.chat.transcript import Kind, Piece, Transcript
from anp_twisted.limits import Limits

T = TypeVar("T")

_HOPELESS = frozenset({"unauthenticated", "forbidden", "invalid_params"})
"""What no second attempt makes better."""


class Screen(Protocol):
    """Who reads."""

    def show(self, piece: Piece) -> None:
        """Print a piece."""

    def note(self, text: str) -> None:
        """Print something about the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """
    What a conversation works with.

    @ivar dial: makes a connection for a listener.
    @ivar token: reads the token; it may have changed since the last time.
    @ivar new_key: makes a key that nobody else has.
    @ivar draw: a number from 0 up to 1.
    """

    dial: Callable[[Listener], Deferred[Link]]
    token: Callable[[], str]
    clock: IReactorTime
    new_key: Callable[[], str]
    draw: Callable[[], float]
    limits: Limits


class Chat:
    """
    One session of one reader.

    @ivar session_key: its name, as the reader gave it.
    @ivar run_id: the answer that is under way, empty if there is none.
    """

    log = Logger()

    def __init__(self, session_key: str, screen: Screen, means: Means) -> None:
        self.session_key = session_key
        self.run_id = ""
        self._screen = screen
        self._means = means
        self._link: Link | None = None
        self._connecting: Deferred[Link] | None = None
        self._waiting: list[Deferred[Link]] = []
        self._transcript: Transcript | None = None
        self._full_key = ""
        self._ended: Deferred[Kind] | None = None
        self._closed = False

    # --- for the reader ------------------------------------------------------------

    async def call(self, method: str, params: types.Params, result: type[T]) -> T:
        """
        Call a method that may be called twice.

        @raise CallFailed: the gateway does not want to.
        @raise LinkDown: the gateway cannot be reached, and never could be since the start.
        """
        while True:
            link = await self._connected()
            try:
                return await link.call(method, params, result)
            except LinkDown:
                continue  # there is another one, or an error that ends this

    async def say(self, text: str, mode: str = "auto") -> Kind:
        """
        Say something, and show the answer as it comes.

        @return: how it ended.
        @raise CallFailed: it was not taken.
        @raise LinkDown: as L{call}.
        """
        params = types.SendParams(
            text=text, session_key=self.session_key, idempotency_key=self._means.new_key(), mode=mode
        )
        await self._subscribed()
        self._ended = ended = Deferred[Kind]()
        try:
            accepted = await self.call("chat.send_stream", params, types.Accepted)
        except CallFailed:
            self._ended = None
            raise
        self.run_id = accepted.run_id
        assert self._transcript is not None, "said without a subscription"
        self._show(self._transcript.follow(accepted.run_id))
        return await ended

    def abort(self) -> bool:
        """
        Ask for the end of the answer that is under way.

        @return: whether there is one.
        """
        if self._ended is None:
            return False
        if self._link is None:
            self._screen.note("there is no connection; it goes on until there is one")
        elif self.run_id:
            params = types.AbortParams(session_key=self.session_key, run_id=self.run_id)
            self._link.call("chat.abort", params, types.Aborted).addErrback(
                lambda failure: self._screen.note("it could not be stopped; try again")
            )
        return True

    def close(self) -> None:
        """Leave."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._link is not None:
            self._link.close()

    # --- from the link ----------------------------------------------------------------

    def event(self, event: types.AnyEvent) -> None:
        """Something happened."""
        transcript = self._transcript
        if transcript is None or event.session_key != self._full_key:
            return
        if isinstance(event, types.SessionDeleted):
            self._transcript = None
            if self._ended is not None:
                self._finish(Piece(Kind.FAILED, "the session was deleted"))
            return
        if isinstance(event, types.Resync):
            self._run(self._subscribe_again())
            return
        if isinstance(event, types.Recorded) and event.seq > transcript.seq + 1:
            self._run(self._subscribe_again())
            return
        self._show(transcript.take(event))

    def down(self, reason: LinkDown) -> None:
        """The connection is gone."""
        before, self._link = self._link, None
        if before is not None and not self._closed:
            self._screen.note(f"{reason}; connecting again")
            self._connect()

    # --- connections --------------------------------------------------------------------

    def _connected(self) -> Deferred[Link]:
        """
        @return: fires with a connection on which the session is followed again.
        """
        waiting: Deferred[Link] = Deferred()
        if self._link is not None:
            waiting.callback(self._link)
            return waiting
        self._waiting.append(waiting)
        self._connect()
        return waiting

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = Deferred.fromCoroutine(self._dial())
            self._connecting.addCallbacks(self._open, self._given_up)

    async def _dial(self) -> Link:
        """Try until there is a connection, or a reason to give up."""
        pause = self._means.limits.reconnect_first
        known = self._transcript is not None
        while True:
            try:
                return await self._greeted(await self._means.dial(self))
            except LinkDown as down:
                if not known:
                    raise
                self.log.debug("no connection: {reason}", reason=down)
            except CallFailed as failure:
                if failure.word in _HOPELESS or not known:
                    raise
            await deferLater(self._means.clock, pause * self._means.draw(), lambda: None)
            pause = min(self._means.limits.reconnect_most, 2 * pause)

    async def _greeted(self, link: Link) -> Link:
        """Say who is there, and follow the session again."""
        greeting = types.ConnectParams(token=self._means.token(), client="anp-chat")
        await link.call("connect", greeting, types.Connected)
        if self._transcript is not None:
            await self._subscribe(link, self._transcript.seq)
        return link

    def _open(self, link: Link) -> None:
        self._connecting, self._link = None, link
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(link)

    def _given_up(self, failure: Any) -> None:
        """Whoever waits hears why."""
        self._connecting = None
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.errback(failure)
        if self._ended is not None:
            self._finish(Piece(Kind.FAILED, str(failure.value)))

    # --- the session ---------------------------------------------------------------------

    async def _subscribed(self) -> None:
        """Follow the session from its present end on."""
        if self._transcript is not None:
            return
        made = await self.call(
            "session.create", types.SessionCreateParams(session_key=self.session_key), types.SessionInfo
        )
        self._transcript, self._full_key = Transcript(made.last_seq), made.session_key
        await self._subscribe_again()

    async def _subscribe_again(self) -> None:
        assert self._transcript is not None, "followed before it was made"
        try:
            await self._subscribe(await self._connected(), self._transcript.seq)
        except LinkDown:
            return  # each new connection begins with the same

    async def _subscribe(self, link: Link, after: int) -> None:
        params = types.SubscribeParams(session_key=self.session_key, after_seq=after)
        await link.call("session.subscribe", params, types.Subscribed)

    def _show(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.kind in (Kind.DONE, Kind.STOPPED, Kind.FAILED):
                self._finish(piece)
            else:
                self._screen.show(piece)

    def _finish(self, piece: Piece) -> None:
        """The answer has ended."""
        ended, self._ended, self.run_id = self._ended, None, ""
        self._screen.show(piece)
        if ended is not None:
            ended.callback(piece.kind)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        # boundary: the reader is told, and may go on.
        Deferred.fromCoroutine(work).addErrback(lambda failure: self._screen.note(str(failure.value)))
