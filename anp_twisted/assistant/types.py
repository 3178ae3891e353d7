"""
The parameters, results and events of every method.

Pure. The structs validate what comes, encode what goes, and are what the OpenRPC
document and the reference page are made of: there is no second description.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from anp_twisted.assistant.messages import Media

Key = Annotated[
    str, Meta(min_length=1, max_length=256, description="A session: a name, channel:peer:chat, or all six parts.")
]
Text = Annotated[str, Meta(min_length=1, max_length=1_048_576, description="What is said.")]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Idempotency = Annotated[
    str, Meta(min_length=1, max_length=128, description="The same key with the same parameters is one message.")
]
Seq = Annotated[int, Meta(ge=0, description="A place in the session's log.")]
PageSize = Annotated[int, Meta(ge=1, le=200)]
Mode = Annotated[str, Meta(pattern="^(auto|fast|single|multi)$")]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Secret = Annotated[str, Meta(max_length=4096)]
Label = Annotated[str, Meta(max_length=128)]
MediaList = Annotated[tuple[Media, ...], Meta(max_length=16)]
Role = Annotated[str, Meta(pattern="^(admin|user)$")]


class Params(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The parameters of a method; by name, or by position in the order of the fields."""


class Result(msgspec.Struct):
    """What a method returns."""


class Event(msgspec.Struct, tag_field="type"):
    """The parameters of a notification C{event}; C{type} says which."""


def instant(seconds: float) -> str:
    """
    @param seconds: since the epoch.
    @return: the same as RFC 3339 has it, in UTC with milliseconds.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- without a token -------------------------------------------------------------


class NoParams(Params):
    """Nothing is needed."""


class Health(Result):
    """
    @ivar status: C{ok}, or C{stopping}.
    """

    status: str
    version: str


class ConnectParams(Params):
    """
    @ivar token: the bearer token, where it did not come with the handshake.
    @ivar link: the secret of a one-time link instead of a token; it is used up.
    @ivar client: what the client calls itself, for the log.
    """

    token: Secret = ""
    link: Secret = ""
    client: Label = ""


class Connected(Result):
    """
    @ivar authenticated: whether more than C{health} and C{connect} may be called.
    @ivar principal: who the caller is, empty for nobody.
    @ivar message_limit: bytes of the largest message that is taken.
    @ivar heartbeat: seconds of silence after which the server asks whether the client is there.
    @ivar token: a token of the client's own, in exchange for a one-time link.
    """

    authenticated: bool
    principal: str
    role: str
    version: str
    message_limit: int
    heartbeat: float
    token: str | None = None


# --- chat ---------------------------------------------------------------------------


class SendParams(Params):
    """
    @ivar idempotency_key: kept for 24 hours for each principal and session.
    @ivar mode: how many agents work on it, and how long.
    """

    text: Text
    session_key: Key
    idempotency_key: Idempotency | None = None
    media: MediaList = ()
    mode: Mode = "auto"


class Answer(Result):
    """
    The whole answer.

    @ivar message_id: of the answer.
    @ivar timestamp: when it was complete.
    @ivar seq: its place in the session's log.
    """

    message_id: str
    text: str
    timestamp: str
    run_id: str
    seq: int


class Accepted(Result):
    """
    The message is on disk, and its answer will come as events.

    @ivar message_id: of the answer.
    @ivar user_message_id: of the message that was sent.
    @ivar seq: the place of that message in the session's log.
    """

    message_id: str
    user_message_id: str
    run_id: str
    seq: int
    timestamp: str


class AbortParams(Params):
    """
    @ivar run_id: which run; without it, all runs of the session.
    """

    session_key: Key
    run_id: Id | None = None


class Aborted(Result):
    """
    @ivar run_ids: the runs that were ended.
    """

    run_ids: tuple[str, ...]


class HistoryParams(Params):
    """
    @ivar before: the id of a message: what comes before it is wanted; without it, the end of the session.
    """

    session_key: Key
    limit: PageSize = 50
    before: Id | None = None


class Message(Result):
    """
    One entry of a history.

    @ivar state: C{complete}, C{interrupted}, C{cancelled} or C{failed}; C{damaged} where the record could not be read.
    """

    message_id: str
    role: str
    text: str
    timestamp: str
    seq: int
    run_id: str = ""
    state: str = "complete"
    media: tuple[Media, ...] = ()


class History(Result):
    """
    @ivar messages: oldest first.
    @ivar has_more: whether there is something before them.
    """

    messages: tuple[Message, ...]
    has_more: bool


# --- sessions ----------------------------------------------------------------------


class SessionParams(Params):
    """The session that is meant."""

    session_key: Key


class SessionListParams(Params):
    """
    @ivar after: the C{session_key} of the last one of the page before.
    """

    limit: PageSize = 50
    after: Key | None = None


class SessionInfo(Result):
    """
    What is known of a session without reading it.

    @ivar session_key: its full text form.
    @ivar last_seq: the place of the latest record.
    @ivar running: ids of the runs that have no end yet.
    """

    session_key: str
    agent_id: str
    channel: str
    peer_id: str
    created_at: str
    updated_at: str
    last_seq: int
    running: tuple[str, ...] = ()


class SessionList(Result):
    """
    @ivar next: what C{after} of the next page is, C{None} at the end.
    """

    sessions: tuple[SessionInfo, ...]
    next: str | None


class SessionCreateParams(Params):
    """
    @ivar agent_id: which agent answers in it; without it, the one of the key or the default.
    """

    session_key: Key
    agent_id: Name | None = None


class Deleted(Result):
    """
    @ivar deleted: false if there was none.
    """

    deleted: bool


class SubscribeParams(Params):
    """
    @ivar after_seq: what the client has; without it, only what happens from now on is told.
    """

    session_key: Key
    after_seq: Seq | None = None


class Subscribed(Result):
    """
    @ivar last_seq: the latest record when the subscription began; everything up to it is told again before
        anything that is new.
    @ivar session_id: changes when a session is deleted and made again.
    """

    session_key: str
    session_id: str
    last_seq: int


class Unsubscribed(Result):
    """
    @ivar unsubscribed: false if there was no subscription.
    """

    unsubscribed: bool


class ReplayParams(Params):
    """
    @ivar after_seq: the events behind it are wanted.
    """

    session_key: Key
    after_seq: Seq = 0
    limit: PageSize = 100


# --- tokens --------------------------------------------------------------------------


class TokenCreateParams(Params):
    """
    @ivar principal: whose token it is; sessions belong to principals.
    """

    principal: Name
    role: Role = "user"


class TokenParams(Params):
    """Which token is meant, by its id."""

    token_id: Id


class TokenSecret(Result):
    """
    A token as it is told once.

    @ivar token: the secret; only a hash of it is kept.
    @ivar old_valid_until: until when the one before still works, after a rotation.
    """

    token_id: str
    token: str
    principal: str
    role: str
    old_valid_until: str | None = None


class TokenLink(Result):
    """
    A one-time link.

    @ivar link: the secret; in the address of the chat page it stands behind C{#link=}.
    """

    link: str
    expires_at: str


class TokenInfo(Result):
    """A token without its secret."""

    token_id: str
    principal: str
    role: str
    created_at: str
    rotated_at: str | None = None
    old_valid_until: str | None = None


class TokenList(Result):
    """All tokens."""

    tokens: tuple[TokenInfo, ...]


class Revoked(Result):
    """
    @ivar connections: how many connections were closed for it.
    """

    revoked: bool
    connections: int


# --- channels and pairing -------------------------------------------------------------


class ChannelInfo(Result):
    """
    @ivar state: C{starting}, C{running}, C{stopped}, C{failed}, …
    @ivar reason: why, empty if there is nothing to say.
    @ivar queued: messages that wait to be delivered.
    """

    name: str
    state: str
    reason: str = ""
    account: str = ""
    since: str | None = None
    queued: int = 0


class ChannelList(Result):
    """All channels."""

    channels: tuple[ChannelInfo, ...]


class ChannelParams(Params):
    """Which channel is meant."""

    name: Id


class PairingParams(Params):
    """Which request is meant, by the code the sender was told."""

    code: Id


class PairingRequest(Result):
    """Somebody who wrote to a channel and is not on its list."""

    code: str
    channel: str
    sender_id: str
    created_at: str
    expires_at: str
    account: str = ""


class Paired(Result):
    """Somebody who was let in by a code."""

    channel: str
    sender_id: str
    approved_at: str


class PairingList(Result):
    """
    @ivar requests: those that wait for a decision.
    @ivar approved: who was let in.
    """

    requests: tuple[PairingRequest, ...]
    approved: tuple[Paired, ...] = ()


class PairingDecision(Result):
    """
    @ivar state: C{approved} or C{rejected}.
    """

    code: str
    channel: str
    sender_id: str
    state: str


class RevokeParams(Params):
    """Who is no longer let in by a code."""

    channel: Id
    sender_id: Id


class PairingRevoked(Result):
    """
    @ivar revoked: false if there was no such approval.
    """

    revoked: bool


# --- events ---------------------------------------------------------------------------


class SessionEvent(Event):
    """Something of one session."""

    session_key: str


class Recorded(SessionEvent):
    """Something that is on disk; C{seq} rises by one from each of these to the next, whatever their type."""

    seq: int
    timestamp: str


class ChatMessage(Recorded, tag="chat.message"):
    """
    Somebody said something.

    @ivar message_id: of what was said.
    @ivar answer_id: the id that the answer will have.
    """

    message_id: str
    run_id: str
    answer_id: str
    text: str
    media: tuple[Media, ...] = ()


class ChatDelta(SessionEvent, tag="chat.delta"):
    """
    The answer goes on.

    @ivar index: counts the deltas of the message from 0; where several were joined, that of the first.
    @ivar offset: Unicode code points of the answer before this delta. One of 0 begins anew.
    """

    message_id: str
    run_id: str
    index: int
    offset: int
    delta: str


class ChatReasoning(SessionEvent, tag="chat.reasoning"):
    """The agent thinks aloud."""

    message_id: str
    run_id: str
    delta: str


class ChatReplace(SessionEvent, tag="chat.replace"):
    """The answer so far is C{text} instead; deltas go on behind it."""

    message_id: str
    run_id: str
    index: int
    text: str


class ChatTool(Recorded, tag="chat.tool"):
    """
    A tool was called, or has answered.

    @ivar state: C{started}, C{done} or C{failed}.
    @ivar detail: the arguments, or the result.
    """

    message_id: str
    run_id: str
    call_id: str
    state: str
    name: str = ""
    detail: str = ""


class ChatFinal(Recorded, tag="chat.final"):
    """
    The answer is complete; no event of this run follows.

    @ivar text: all of it.
    """

    message_id: str
    run_id: str
    text: str
    finish_reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0


class ChatFailed(Recorded, tag="chat.failed"):
    """
    The run has ended without an answer; no event of it follows.

    @ivar text: what there was of an answer.
    @ivar code: C{cancelled}, C{timeout}, C{agent_error}, …
    """

    message_id: str
    run_id: str
    code: str
    message: str
    retryable: bool = False
    text: str = ""


class ChatInterrupted(Recorded, tag="chat.interrupted"):
    """The process ended in the middle of the run; it is not run again by itself."""

    message_id: str
    run_id: str


class SessionCreated(Recorded, tag="session.created"):
    """The session was made before anything was said in it."""


class SessionCompacted(Recorded, tag="session.compacted"):
    """
    From here on the agent is told a summary of what was said up to C{upto}.

    @ivar upto: the place of the last record that the summary covers.
    """

    upto: int
    summary: str


class RecordDamaged(Recorded, tag="session.damaged"):
    """A record that could not be read any more; its place is kept."""


class SessionDeleted(Recorded, tag="session.deleted"):
    """The session is gone, and this is the last of its events."""


class Resync(SessionEvent, tag="resync"):
    """
    The client took too little for too long, and the subscription has ended.

    @ivar after_seq: subscribe again with this to miss nothing.
    """

    after_seq: int


AnyEvent = (
    ChatMessage
    | ChatDelta
    | ChatReasoning
    | ChatReplace
    | ChatTool
    | ChatFinal
    | ChatFailed
    | ChatInterrupted
    | SessionCreated
    | SessionCompacted
    | RecordDamaged
    | SessionDeleted
    | Resync
)
"""What C{params} of a notification C{event} may be."""

AnyRecorded = (
    ChatMessage
    | ChatTool
    | ChatFinal
    | ChatFailed
    | ChatInterrupted
    | SessionCreated
    | SessionCompacted
    | RecordDamaged
    | SessionDeleted
)
"""Those among them that are on disk."""


class Replay(Result):
    """
    @ivar events: in order, without a gap.
    @ivar last_seq: the latest record of the session.
    """

    events: tuple[AnyRecorded, ...]
    last_seq: int
