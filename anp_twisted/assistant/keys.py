"""
The key of a session: six parts, their text form, and the name of a file.

Pure. What clients of the WebSocket write lives in the namespace of their
principal: its account begins with C{@}, which no account of a channel does. So
two principals never meet in a session by writing the same words, and nobody
reaches a chat of a channel by guessing its key.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, NamedTuple

from anp_twisted.assistant.errors import Forbidden, InvalidParams
from anp_twisted.assistant.messages import InboundMessage

LONGEST: Final = 180
"""Bytes of the text form: in base64 it is a file name, and those have 255."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KIND = re.compile(r"[a-z]{1,16}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ESCAPED = re.compile(r"%(25|3A|3a)|%")
_PARTS: Final = 6


class SessionKey(NamedTuple):
    """
    Whom a session is with.

    @ivar agent: who answers.
    @ivar channel: how messages come, such as C{ws} or C{telegram}.
    @ivar account: of the channel; C{@} and the principal for clients of the WebSocket.
    @ivar kind: C{direct} or C{group}.
    @ivar peer: who is at the other end.
    @ivar thread: which of several conversations with it, may be empty.
    """

    agent: str
    channel: str
    account: str
    kind: str
    peer: str
    thread: str

    def __str__(self) -> str:
        return ":".join(escape(part) for part in self)

    @property
    def file_name(self) -> str:
        """The name of its file, without a folder."""
        return urlsafe_b64encode(str(self).encode()).rstrip(b"=").decode("ascii") + ".jsonl"


def escape(part: str) -> str:
    """
    @return: a part as the text form has it.
    """
    return part.replace("%", "%25").replace(":", "%3A")


def _unescape(part: str) -> str:
    def meaning(found: re.Match[str]) -> str:
        if found[1] is None:
            raise ValueError("a % that escapes nothing")
        return "%" if found[1] == "25" else ":"

    return _ESCAPED.sub(meaning, part)


def _checked(key: SessionKey) -> SessionKey:
    """
    @raise ValueError: it has a part that none can have.
    """
    if not _WORD.fullmatch(key.agent) or not _WORD.fullmatch(key.channel) or not _KIND.fullmatch(key.kind):
        raise ValueError("agent, channel or kind is not a word")
    if not _WORD.fullmatch(key.account.removeprefix("@")) or not key.peer:
        raise ValueError("the account is not a word, or there is no peer")
    if any(_CONTROL.search(part) for part in key) or len(str(key).encode()) > LONGEST:
        raise ValueError("a control character, or too long")
    return key


def parse(text: str) -> SessionKey:
    """
    Read a full text form.

    @raise ValueError: it is none, or not the one spelling.
    """
    parts = [_unescape(part) for part in text.split(":")]
    if len(parts) != _PARTS:
        raise ValueError("not six parts")
    key = _checked(SessionKey(*parts))
    if str(key) != text:
        raise ValueError("not the one spelling")
    return key


def from_file_name(name: str) -> SessionKey:
    """
    @raise ValueError: it is not the name of a session's file.
    """
    stem, dot, ending = name.partition(".")
    if not dot or ending != "jsonl":
        raise ValueError("not a session")
    return parse(urlsafe_b64decode(stem + "=" * (-len(stem) % 4)).decode())


def namespace(principal: str) -> str:
    """
    @return: the account of a principal.
    """
    return f"@{principal}"


def resolve(text: str, *, principal: str, admin: bool, agent: str) -> SessionKey:
    """
    Read what a client wrote.

    @param text: a name, C{channel:chat}, C{channel:peer:chat} or the full form.
    @param principal: who wrote it; the short forms are its own sessions.
    @param admin: whether the full form may name sessions of others.
    @param agent: who answers where the key does not say.
    @raise InvalidParams: it is no key.
    @raise Forbidden: it is a session of somebody else.
    """
    try:
        if text.count(":") == _PARTS - 1:
            key = parse(text)
        else:
            key = _checked(_short([_unescape(part) for part in text.split(":")], namespace(principal), agent))
    except ValueError:
        raise InvalidParams("that is not a session key", path="$.session_key") from None
    if not admin and key.account != namespace(principal):
        raise Forbidden("the session belongs to somebody else")
    return key


def _short(parts: list[str], account: str, agent: str) -> SessionKey:
    """Complete a short form; the key of one word is a session of the WebSocket."""
    match parts:
        case [name]:
            return SessionKey(agent, "ws", account, "direct", name, "")
        case [channel, chat]:
            return SessionKey(agent, channel, account, "direct", chat, "")
        case [channel, peer, chat]:
            return SessionKey(agent, channel, account, "direct", peer, chat)
        case _:
            raise ValueError("neither short nor full")


def of_message(message: InboundMessage, agent: str) -> SessionKey:
    """
    Find the session of a message that came by a channel.

    Somebody who writes directly has one session for each chat; a group is one, whoever writes in it.

    @raise ValueError: what the channel says cannot be a key.
    """
    account = str(message.metadata.get("account") or "default")
    kind = str(message.metadata.get("kind") or "direct")
    thread = str(message.metadata.get("thread") or "")
    if account.startswith("@"):
        raise ValueError("an account of a channel does not begin with @")
    if kind == "direct":
        peer, thread = message.sender_id, thread or ("" if message.chat_id == message.sender_id else message.chat_id)
    else:
        peer = message.chat_id
    return _checked(SessionKey(agent, message.channel, account, kind, peer, thread))
