"""
The chat channels of an assistant: C{[assistant.channels.NAME]} in the TOML file.

Pure. C{docs/reference/channels.md} is the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from anp_twisted.config import kinds, nested
from anp_twisted.config.schema import Places, setting

_FILE = Places.ONLY_IN_FILE
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_RESERVED = "ws"


def _use(text: str) -> str:
    sort, _, rest = text.partition(":")
    if sort != "python":
        raise ValueError("must be python:module:attribute")
    kinds.APP.from_text(rest)
    return text


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None or text == _RESERVED:
        raise ValueError("must be of letters, digits, dots, dashes and underscores, 64 at most, and not be ws")
    return text


def _sender(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("must be the id of a sender, or *")
    return text


@dataclass(frozen=True, kw_only=True)
class ChannelSettings:
    """One account of a chat service."""

    use: str = setting(kinds.text_kind("CHANNEL", _use), "What makes it: python:module:attribute.", places=_FILE)
    allow: tuple[str, ...] = setting(
        kinds.several(kinds.text_kind("SENDER", _sender)),
        "Ids of those who may write; empty is nobody, * is everybody.",
        (),
        _FILE,
    )


CHANNELS = nested.tables(kinds.text_kind("NAME", _name), nested.table(ChannelSettings))
