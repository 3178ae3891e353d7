"""
C{POST /v1/chat/completions} and C{GET /v1/models}: every program that knows this interface is a client.

The tokens, their rates and the agents are those of the WebSocket. A request that
names a session adds to it, as C{chat.send} does: its last message is kept, the history
is the session's, and the answer is completed even if the client leaves. Any other
request brings its history with it and leaves nothing behind; when its client leaves,
its turn ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum, auto

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from anp_twisted.assistant import keys
from anp_twisted.assistant.agents.events import Context, Turn, Usage
from anp_twisted.assistant.around import Around
from anp_twisted.assistant.completionrun import Following, Listening
from anp_twisted.assistant.completionwire import (
    COMMENT,
    MODELS,
    Answer,
    Wanted,
    error_body,
    error_event,
    model_body,
    models_body,
    parse,
)
from anp_twisted.assistant.conversations import Answering, Asking, Conversations, Ongoing
from anp_twisted.assistant.errors import (
    Forbidden,
    InvalidParams,
    RateLimited,
    RpcError,
    TooLarge,
    Unauthenticated,
)
from anp_twisted.assistant.front import Refused
from anp_twisted.assistant.keys import SessionKey, namespace
from anp_twisted.assistant.tokens import Principal
from anp_twisted.headers import Header, get_all
from anp_twisted.http.request import PublicRequest

COMPLETIONS_PATH = b"/v1/chat/completions"
MODELS_PATH = b"/v1/models"

_JSON: Header = (b"Content-Type", b"application/json")
_NO_STORE: Header = (b"Cache-Control", b"no-store")
_NO_SNIFF: Header = (b"X-Content-Type-Options", b"nosniff")

Page = Callable[[PublicRequest], None]
Require = Callable[[PublicRequest], Principal]
"""Finds out who asks; raises L{Refused} if nobody does who may."""


class Completions:
    """
    The pages.
    """

    def __init__(self, around: Around, require: Require, conversations: Conversations, agents: Answering) -> None:
        """
        @param agents: answers what belongs to no session.
        """
        self.around = around
        self.conversations = conversations
        self.agents = agents
        self._require = require
        self._running: Counter[str] = Counter()
        self._created = around.wall()

    def pages(self) -> dict[bytes, Page]:
        """
        @return: what answers each path.
        """
        single: dict[bytes, Page] = {MODELS_PATH + b"/" + name.encode(): self._model_page(name) for name in MODELS}
        return {COMPLETIONS_PATH: self.complete, MODELS_PATH: self.models, **single}

    def models(self, request: PublicRequest) -> None:
        """C{GET /v1/models}."""
        self._read(request, lambda: models_body(self._created))

    def _model_page(self, name: str) -> Page:
        return lambda request: self._read(request, lambda: model_body(name, self._created))

    def _read(self, request: PublicRequest, body: Callable[[], bytes]) -> None:
        """Answer a request that only reads."""
        if request.method not in (b"GET", b"HEAD"):
            request.respond(405, [(b"Allow", b"GET, HEAD"), (b"Content-Length", b"0")])
            return
        try:
            self._caller(request)
        except RpcError as error:
            refuse(request, error)
            return
        respond(request, 200, body())

    def _caller(self, request: PublicRequest) -> Principal:
        """
        Find out who asks.

        @raise RpcError: nobody who may.
        """
        try:
            return self._require(request)
        except Refused as refusal:
            kind = _REFUSALS.get(refusal.status, Forbidden)
            raise kind(refusal.title, retry_after=refusal.retry_after) from None

    def complete(self, request: PublicRequest) -> None:
        """C{POST /v1/chat/completions}."""
        if request.method != b"POST":
            request.respond(405, [(b"Allow", b"POST"), (b"Content-Length", b"0")])
            return
        try:
            who = self._caller(request)
            if self._running[who.name] >= self.around.limits.assistant_in_flight:
                raise RateLimited("too many requests are under way", retry_after=1.0)
            if (request.content_length or 0) > self.around.limits.assistant_message:
                raise TooLarge("the request is too large")
        except RpcError as error:
            refuse(request, error)
            return
        self._running[who.name] += 1
        request.attach(Completion(self, request, who))
        request.send_continue()

    def ended(self, who: Principal) -> None:
        """Count a completion that is over; it tells this itself."""
        self._running[who.name] -= 1
        if not self._running[who.name]:
            del self._running[who.name]


_REFUSALS: dict[int, type[RpcError]] = {401: Unauthenticated, 429: RateLimited}


def respond(request: PublicRequest, status: int, body: bytes, *more: Header) -> None:
    """Answer with JSON."""
    fields = [_JSON, (b"Content-Length", b"%d" % len(body)), _NO_STORE, _NO_SNIFF, *more]
    request.respond(status, fields, body=body)


def refuse(request: PublicRequest, error: RpcError) -> None:
    """Answer with an error."""
    more: list[Header] = []
    if error.retry_after is not None:
        more.append((b"Retry-After", b"%d" % max(1, round(error.retry_after))))
    if error.status == 401:
        more.append((b"WWW-Authenticate", b"Bearer"))
    respond(request, error.status, error_body(error), *more)


class Stage(Enum):
    """
    How far a completion is.

    C{READING}: its request is coming. C{ASKED}: the agent was asked. C{TELLING}: the head of
    a stream was sent. C{ENDED}: nothing more is sent.
    """

    READING = auto()
    ASKED = auto()
    TELLING = auto()
    ENDED = auto()


class Completion:
    """
    One request, and the way of its answer.

    It is the L{RequestConsumer<anp_twisted.http.request.RequestConsumer>}, and the L{Hearer}.
    """

    log = Logger()

    def __init__(self, parent: Completions, request: PublicRequest, who: Principal) -> None:
        self._parent = parent
        self._around = parent.around
        self._request = request
        self._who = who
        self._stage = Stage.READING
        self._body: list[bytes] = []
        self._size = 0
        self._wanted: Wanted
        self._answer: Answer
        self._leave: Callable[[], None] | None = None  # ends or leaves what answers
        self._free = True
        self._waiting: list[str] = []
        self._sent = 0  # characters of the answer
        self._end: tuple[str, Usage] | None = None  # the end, while text waits before it
        self._timer: IDelayedCall | None = None

    # --- the request -----------------------------------------------------------------

    def body_received(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self._stage is not Stage.READING:
            return
        self._size += len(data)
        if self._size > self._around.limits.assistant_message:
            self._refuse(TooLarge("the request is too large"))
            return
        self._body.append(data)

    def body_ended(self, trailers: list[Header]) -> None:
        """The request is complete."""
        if self._stage is not Stage.READING:
            return
        body, self._body = b"".join(self._body), []
        try:
            self._wanted = wanted = parse(body, self._field(b"x-session-key"))
            number = self._around.new_id()
            self._answer = Answer(number, self._around.wall(), wanted.model)
            self._stage = Stage.ASKED
            if wanted.stream:
                self._watch()
            self._leave = self._ask_session() if wanted.session else self._ask_agent(number)
        except RpcError as error:
            self.fail(error)

    def _field(self, name: bytes) -> str:
        """
        @raise InvalidParams: it is there more than once, or no UTF-8.
        """
        values = get_all(self._request.headers, name)
        try:
            if len(values) > 1:
                raise ValueError
            return values[0].decode() if values else ""
        except ValueError:
            raise InvalidParams(f"the field {name.decode()} is malformed") from None

    def caller_lost(self) -> None:
        """Nobody waits any more."""
        self._finish()
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def caller_paused(self) -> None:
        """Join what is said meanwhile."""
        self._free = False

    def caller_resumed(self) -> None:
        """Send what was said meanwhile."""
        self._free = True
        self._flush()

    # --- who answers -----------------------------------------------------------------

    def _ask_agent(self, number: str) -> Callable[[], None]:
        """Ask the agent; nothing of it is kept."""
        wanted, agent = self._wanted, self._parent.conversations.default_agent
        key = SessionKey(agent, "v1", namespace(self._who.name), "direct", "none", "")
        context = Context(
            session_key=str(key), agent_id=agent, history=wanted.history, instructions=wanted.instructions
        )
        turn = Turn(
            message_id=f"msg-{number}", run_id=f"run-{number}", text=wanted.text, media=wanted.media, mode=wanted.mode
        )
        run: Ongoing = self._parent.agents.run(turn, context, Listening(self).hear)
        return run.abort

    def _ask_session(self) -> Callable[[], None]:
        """Say it in a session, and follow the answer; it is completed whatever becomes of the client."""
        wanted, conversations = self._wanted, self._parent.conversations
        key = keys.resolve(
            wanted.session, principal=self._who.name, admin=self._who.is_admin, agent=conversations.default_agent
        )
        asking = Asking(
            principal=self._who.name,
            text=wanted.text,
            media=wanted.media,
            mode=wanted.mode,
            key=self._field(b"idempotency-key")[:128] or None,
        )
        following = Following(self, conversations)
        sending = conversations.send(key, asking)
        sending.addCallback(following.begin)
        sending.addCallbacks(following.answered, following.failed)
        # boundary: what one request cannot bear ends this one request.
        sending.addErrback(following.broken)
        return following.leave

    # --- the answer ------------------------------------------------------------------

    def go_on(self, text: str) -> None:
        """The answer goes on."""
        if self._stage is Stage.ENDED or not self._wanted.stream:
            return
        self._waiting.append(text)
        self._flush()

    def complete(self, text: str, reason: str, usage: Usage) -> None:
        """The answer is complete."""
        self._leave = None
        if self._stage is Stage.ENDED:
            return
        if not self._wanted.stream:
            self._finish()
            respond(self._request, 200, self._answer.whole(text, reason, usage))
            return
        self._end = reason, usage
        self._flush()

    def fail(self, error: RpcError) -> None:
        """There is no answer, or no whole one."""
        self._leave = None
        if self._stage is Stage.TELLING:
            self._waiting.clear()
            self._finish()
            # Without [DONE], so that nobody takes it for a whole answer.
            self._request.write(error_event(error))
            self._request.finish()
        elif self._stage is not Stage.ENDED:
            self._refuse(error)

    def _refuse(self, error: RpcError) -> None:
        self._finish()
        refuse(self._request, error)

    def _flush(self) -> None:
        """Send what waits, as one piece, while the client takes it."""
        if not self._free or self._stage is Stage.ENDED or not (self._waiting or self._end):
            return
        text, self._waiting = "".join(self._waiting), []
        data = self._head() + (self._answer.delta(text) if text else b"")
        if self._end is None:
            self._request.write(data)
            return
        reason, usage = self._end
        data += self._answer.last(reason, usage if self._wanted.tell_usage else None)
        self._finish()
        self._request.write(data)
        self._request.finish()

    def _head(self) -> bytes:
        """
        Begin a stream, unless it has begun.

        @return: the first piece.
        """
        if self._stage is not Stage.ASKED:
            return b""
        self._stage = Stage.TELLING
        fields = [(b"Content-Type", b"text/event-stream"), _NO_STORE, _NO_SNIFF, (b"X-Accel-Buffering", b"no")]
        self._request.send_head(200, fields)
        return self._answer.first()

    # --- time ------------------------------------------------------------------------

    def _watch(self) -> None:
        """Say something now and then while the agent thinks, to whatever closes silent connections."""
        self._timer = self._around.clock.callLater(self._around.limits.completion_comment, self._comment)

    def _comment(self) -> None:
        self._watch()
        if self._free:
            self._request.write(self._head() + COMMENT)

    def _finish(self) -> None:
        """Nothing more is sent. The second time does nothing."""
        if self._stage is Stage.ENDED:
            return
        self._stage = Stage.ENDED
        self._parent.ended(self._who)
        self._body.clear()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
