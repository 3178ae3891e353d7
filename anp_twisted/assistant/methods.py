"""
The methods: their names, who may call them, and which structs they take and give.

Pure. What implements them is put together where the service is.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from anp_twisted.assistant import types


class Method(NamedTuple):
    """
    A row of the table.

    @ivar params: a L{types.Params}.
    @ivar result: what it returns.
    @ivar access: C{anybody}, C{user} or C{admin}.
    @ivar summary: one sentence.
    """

    name: str
    params: type[types.Params]
    result: Any
    access: str
    summary: str


ANYBODY: Final = "anybody"
USER: Final = "user"
ADMIN: Final = "admin"

METHODS: Final[dict[str, Method]] = {
    row.name: row
    for row in (
        Method("health", types.NoParams, types.Health, ANYBODY, "Say whether the server is well."),
        Method("connect", types.ConnectParams, types.Connected, ANYBODY, "Say who is calling."),
        Method(
            "rpc.discover", types.NoParams, dict[str, Any], USER, "Return this description, as an OpenRPC document."
        ),
        Method("chat.send", types.SendParams, types.Answer, USER, "Say something and wait for the whole answer."),
        Method(
            "chat.send_stream",
            types.SendParams,
            types.Accepted,
            USER,
            "Say something; the answer comes as events on this connection.",
        ),
        Method("chat.history", types.HistoryParams, types.History, USER, "Return a page of what was said."),
        Method("chat.abort", types.AbortParams, types.Aborted, USER, "End runs before they are complete."),
        Method("session.list", types.SessionListParams, types.SessionList, USER, "List the caller's sessions."),
        Method("session.get", types.SessionParams, types.SessionInfo, USER, "Describe a session."),
        Method("session.create", types.SessionCreateParams, types.SessionInfo, USER, "Make a session, if needed."),
        Method("session.delete", types.SessionParams, types.Deleted, USER, "Delete a session with all that was said."),
        Method(
            "session.subscribe",
            types.SubscribeParams,
            types.Subscribed,
            USER,
            "Tell what happens in a session: first what was missed, then what is new.",
        ),
        Method("session.unsubscribe", types.SessionParams, types.Unsubscribed, USER, "Tell no more of a session."),
        Method("events.replay", types.ReplayParams, types.Replay, USER, "Return a page of a session's events."),
        Method("token.list", types.NoParams, types.TokenList, ADMIN, "List all tokens, without their secrets."),
        Method("token.create", types.TokenCreateParams, types.TokenSecret, ADMIN, "Make a token."),
        Method("token.link", types.NoParams, types.TokenLink, USER, "Make a one-time link to the chat page."),
        Method("token.rotate", types.TokenParams, types.TokenSecret, ADMIN, "Give a token another secret."),
        Method("token.revoke", types.TokenParams, types.Revoked, ADMIN, "End a token, and what is connected by it."),
        Method("channel.list", types.NoParams, types.ChannelList, ADMIN, "List the channels."),
        Method("channel.status", types.ChannelParams, types.ChannelInfo, ADMIN, "Describe a channel."),
        Method("pairing.list", types.NoParams, types.PairingList, ADMIN, "List who waits to be let in."),
        Method("pairing.approve", types.PairingParams, types.PairingDecision, ADMIN, "Let somebody in."),
        Method("pairing.reject", types.PairingParams, types.PairingDecision, ADMIN, "Do not let somebody in."),
        Method("pairing.revoke", types.RevokeParams, types.PairingRevoked, ADMIN, "Let somebody in no longer."),
    )
}
"""Every method by its name."""
