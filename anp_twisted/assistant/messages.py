"""
What people and the assistant say to each other, whatever channel carries it.

Pure. These are also what goes over the bus, and their names are those of the wire.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

MediaKind = Annotated[str, Meta(pattern="^(image|audio|video|file)$")]
MimeType = Annotated[str, Meta(max_length=128)]
FileName = Annotated[str, Meta(max_length=255)]
Size = Annotated[int, Meta(ge=0)]
MediaUrl = Annotated[str, Meta(min_length=1, max_length=4096)]


class Media(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    Something besides text that belongs to a message; the bytes themselves are elsewhere.

    @ivar kind: C{image}, C{audio}, C{video} or C{file}.
    @ivar url: where it is; nothing here fetches it.
    @ivar mime_type: what it is, empty if that is unknown.
    @ivar name: how its sender called it, empty if there is no name.
    @ivar size: bytes, 0 if that is unknown.
    """

    kind: MediaKind
    url: MediaUrl
    mime_type: MimeType = ""
    name: FileName = ""
    size: Size = 0


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message that somebody sent to the assistant.

    @ivar channel: the name of the channel it came by, such as C{telegram}.
    @ivar sender_id: who sent it, in the words of the channel.
    @ivar chat_id: where it was said; the answer goes there.
    @ivar content: the text.
    @ivar timestamp: when it was sent, in seconds since the epoch.
    @ivar metadata: what else the channel knows; C{message_id} in it is the key under which a repeated delivery is
        recognised, C{account} the account of the channel, C{kind} is C{direct} or C{group}, C{thread} a thread.
    """

    channel: str
    sender_id: str
    chat_id: str
    content: str
    timestamp: float
    media: tuple[Media, ...] = ()
    metadata: dict[str, Any] = {}


class OutboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message of the assistant to a chat.

    @ivar channel: the name of the channel that carries it.
    @ivar chat_id: where it goes.
    @ivar content: the text.
    @ivar reply_to: the message it answers, in the words of the channel.
    @ivar id: the same for every attempt to deliver it, so that a channel can recognise a repetition; empty if
        there is none.
    @ivar account: which account of the channel sends it, empty where there is one.
    """

    channel: str
    chat_id: str
    content: str
    reply_to: str | None = None
    media: tuple[Media, ...] = ()
    id: str = ""
    account: str = ""
