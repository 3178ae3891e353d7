"""
What C{anp-chat} does: one question, one look, or a conversation.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from anp_twisted.assistant import types
from anp_twisted.assistant.chat import commands
from anp_twisted.assistant.chat.chat import Chat, Means
from anp_twisted.assistant.chat.commands import Line
from anp_twisted.assistant.chat.link import CallFailed, LinkDown
from anp_twisted.assistant.chat.screen import Terminal
from anp_twisted.assistant.chat.transcript import Kind
from anp_twisted.errors import CredentialError

DONE, FAILED, STOPPED = 0, 1, 130
"""What the process ends with; the last is what a shell gives a program that Ctrl-C ended."""

_STATUS = {Kind.DONE: DONE, Kind.STOPPED: STOPPED}

_PAGE = 20
_MOST_LISTED = 1000
_WAITING_LINES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What is wanted.

    @ivar text: to be said; C{None} where a conversation is wanted.
    @ivar look: what else is wanted: C{sessions}, C{history}, C{delete}, C{link}, C{channels}, C{pairings},
        C{approve} or C{reject}.
    @ivar code: of a pairing.
    @ivar count: messages of a history.
    @ivar page: the address of the chat page, for a link to it.
    """

    session: str
    text: str | None = None
    look: str = ""
    code: str = ""
    count: int = _PAGE
    mode: str = "auto"
    page: str = ""


async def sessions(chat: Chat) -> list[types.SessionInfo]:
    """List the sessions; of very many the first ones."""
    found: list[types.SessionInfo] = []
    after: str | None = None
    while len(found) < _MOST_LISTED:
        page = await chat.call("session.list", types.SessionListParams(limit=200, after=after), types.SessionList)
        found.extend(page.sessions)
        after = page.next
        if after is None:
            break
    return found


class Errand:
    """Something that is done and over."""

    def __init__(self, wish: Wish, screen: Terminal, means: Means) -> None:
        self._wish = wish
        self._screen = screen
        self._chat = Chat(wish.session, screen, means)

    def interrupt(self) -> bool:
        """
        Somebody pressed Ctrl-C.

        @return: whether that has been taken care of.
        """
        return self._chat.abort()

    async def run(self) -> int:
        """
        Do it.

        @return: the status of the process.
        """
        try:
            return await self._do()
        except (CallFailed, LinkDown, CredentialError) as error:
            self._screen.note(f"anp-chat: {error}")
            return FAILED
        finally:
            self._chat.close()

    async def _do(self) -> int:
        wish, screen, chat = self._wish, self._screen, self._chat
        match wish.look:
            case "channels" | "pairings" | "approve" | "reject":
                await self._operate()
            case "sessions":
                screen.sessions(await sessions(chat))
            case "history":
                params = types.HistoryParams(session_key=wish.session, limit=wish.count)
                screen.history((await chat.call("chat.history", params, types.History)).messages)
            case "delete":
                gone = await chat.call("session.delete", types.SessionParams(session_key=wish.session), types.Deleted)
                if not gone.deleted:
                    screen.note(f"anp-chat: there is no session {wish.session}")
                    return FAILED
            case "link":
                link = await chat.call("token.link", types.NoParams(), types.TokenLink)
                screen.line(f"{wish.page}#link={link.link}")
            case _:
                return _STATUS.get(await chat.say(wish.text or "", wish.mode), FAILED)
        return DONE

    async def _operate(self) -> None:
        """Look after channels and those who write to them."""
        wish, screen, chat = self._wish, self._screen, self._chat
        if wish.look == "channels":
            listed = await chat.call("channel.list", types.NoParams(), types.ChannelList)
            for channel in listed.channels:
                reason = f"  {channel.reason}" if channel.reason else ""
                screen.line(f"{channel.name}  {channel.state}  {channel.queued} to send{reason}")
        elif wish.look == "pairings":
            pairings = await chat.call("pairing.list", types.NoParams(), types.PairingList)
            for request in pairings.requests:
                screen.line(f"{request.code}  {request.channel}  {request.sender_id}  waits until {request.expires_at}")
            for paired in pairings.approved:
                screen.line(f"approved  {paired.channel}  {paired.sender_id}  {paired.approved_at}")
        else:
            params = types.PairingParams(code=wish.code)
            decision = await chat.call(f"pairing.{wish.look}", params, types.PairingDecision)
            screen.line(f"{decision.state}  {decision.channel}  {decision.sender_id}")


class Conversation(LineOnlyReceiver):
    """
    What somebody types, line by line. A line that is typed while an answer comes has its turn afterwards.

    @ivar ended: fires with the status of the process.
    """

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, wish: Wish, screen: Terminal, means: Means) -> None:
        self.ended: Deferred[int] = Deferred()
        self._wish = wish
        self._screen = screen
        self._means = means
        self._chat = Chat(wish.session, screen, means)
        self._lines: deque[Line] = deque()
        self._busy = False
        self._eof = False

    # --- from the terminal -------------------------------------------------------

    def connectionMade(self) -> None:
        """Begin."""
        self._screen.note(f"session {self._wish.session}; /help lists what else can be done")
        self._screen.prompt()

    def lineReceived(self, line: bytes) -> None:
        """Somebody typed a line."""
        found = commands.read(line.decode("utf-8", "replace"))
        if found.command == "abort":
            self.interrupt()
        elif len(self._lines) >= _WAITING_LINES:
            self._screen.note("too many lines wait; this one is dropped")
        else:
            self._lines.append(found)
            self._next()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Nobody types such a line."""
        self._screen.note("the line is too long")
        self._end(FAILED)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more will be typed; what was is done before the end."""
        self._eof = True
        self._next()

    def interrupt(self) -> bool:
        """
        Somebody pressed Ctrl-C.

        @return: whether that has been taken care of: an answer is stopped.
        """
        self._lines.clear()
        return self._chat.abort()

    # --- lines in turn --------------------------------------------------------------

    def _next(self) -> None:
        """Do what comes next; while something is done, nothing else is."""
        if self._busy or self.ended.called:
            return
        if not self._lines:
            if self._eof:
                self._end(DONE)
            return
        self._busy = True
        Deferred.fromCoroutine(self._do(self._lines.popleft())).addBoth(self._done)

    def _done(self, result: Any) -> None:
        self._busy = False
        if isinstance(result, Failure):
            # boundary: one line; whoever typed it reads what was wrong and types another.
            self._screen.note(str(result.value) if result.check(CallFailed, LinkDown, CredentialError) else "it failed")
            if not result.check(CallFailed, LinkDown, CredentialError):
                self._chat.log.failure("a line failed", result)
        if not self._lines and not self._eof and not self.ended.called:
            self._screen.prompt()
        self._next()

    async def _do(self, line: Line) -> None:
        """Do what a line says."""
        screen, chat = self._screen, self._chat
        match line.command:
            case "say":
                await chat.say(line.words[0], self._wish.mode)
            case "sessions":
                screen.sessions(await sessions(chat))
            case "session":
                chat.close()
                self._chat = Chat(line.words[0], screen, self._means)
                screen.note(f"session {line.words[0]}")
            case "history":
                params = types.HistoryParams(session_key=chat.session_key, limit=commands.count(line, _PAGE))
                screen.history((await chat.call("chat.history", params, types.History)).messages)
            case "delete":
                params_of = types.SessionParams(session_key=line.words[0])
                gone = await chat.call("session.delete", params_of, types.Deleted)
                screen.note("deleted" if gone.deleted else f"there is no session {line.words[0]}")
            case "help":
                screen.line(commands.HELP)
            case "quit":
                self._end(DONE)
            case "unknown":
                screen.note(line.words[0])

    def _end(self, status: int) -> None:
        if not self.ended.called:
            self._chat.close()
            self.ended.callback(status)
