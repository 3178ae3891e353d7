"""
What the value of a setting may be, and how text becomes it.

Pure. A L{Kind} turns text (from the command line or the environment) or a TOML
value into the typed value, or raises C{ValueError} with a sentence that
completes "the setting …": "must be a whole number". No sentence repeats the
value: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from anp_twisted.targets import parse_target

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
_SIZE = re.compile(r"(\d{1,15}) ?(B|KiB|MiB|GiB)?")
_UNITS = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_PREFIX = re.compile(r"/[!-~]*")
_LEAST_SECONDS = 0.1
_WORDS_OFF = {"off", "none", ""}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """
    One sort of value.

    @ivar metavar: how C{--help} and the reference call it, such as C{SECONDS}.
    @ivar from_text: text to value.
    @ivar from_toml: what C{tomllib} gives to value.
    @ivar repeatable: the value is a tuple, and the option may be given several times.
    @ivar flag: the option takes no argument.
    @ivar from_argv: in place of C{from_text} for what comes from the command line, where others can read it.
    """

    metavar: str
    from_text: Callable[[str], T]
    from_toml: Callable[[object], T]
    repeatable: bool = False
    flag: bool = False
    from_argv: Callable[[str], T] | None = None


def _expect(value: object, wanted: type | tuple[type, ...], sentence: str) -> Any:
    """Refuse a TOML value of another type; a C{bool} is never a number."""
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(sentence)
    return value


def _string(value: object) -> str:
    text: str = _expect(value, str, "must be a string")
    return text


def text_kind(metavar: str, check: Callable[[str], str] = str) -> Kind[str]:
    """
    @param check: gives the text in its final form or raises C{ValueError}.
    @return: a kind whose value is text.
    """
    return Kind(metavar, check, lambda value: check(_string(value)))


def whole_number(metavar: str, least: int, most: int) -> Kind[int]:
    """
    @return: whole numbers from C{least} to C{most}, both included.
    """
    sentence = f"must be a whole number from {least} to {most}"

    def bounded(value: int) -> int:
        if not least <= value <= most:
            raise ValueError(sentence)
        return value

    def from_text(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise ValueError(sentence)
        return bounded(int(text))

    return Kind(metavar, from_text, lambda value: bounded(_expect(value, int, sentence)))


def _seconds(value: float) -> float:
    if not 0 <= value <= 10_000_000:  # false for what is no number, too
        raise ValueError("must be a number of seconds, 0 or more")
    return float(value)


def _seconds_from_text(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError("must be a number of seconds, 0 or more")
    return _seconds(float(text))


def _some_seconds(value: float) -> float:
    if value < _LEAST_SECONDS:
        raise ValueError(f"must be a number of seconds, {_LEAST_SECONDS} or more")
    return value


def _flag_from_text(text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE | _FALSE:
        return lowered in _TRUE
    raise ValueError("must be true or false")


def _size_from_text(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("must be a number of bytes, such as 65536, 64KiB, 100MiB or 1GiB")
    return int(match[1]) * _UNITS[match[2]]


def _size_from_toml(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return _size_from_text(_string(value))


def _nonempty(text: str) -> str:
    if not text or "\x00" in text:
        raise ValueError("must not be empty")
    return text


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text) or "?" in text or "#" in text:
        raise ValueError("must be a path that starts with / and has no space, ? or #")
    return text


def _optional_prefix(text: str) -> str:
    return "" if text.lower() in _WORDS_OFF else _prefix(text)


def _websocket_url(text: str) -> str:
    sentence = "must be ws://host:port/ws or wss://host:port/ws"
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:
            raise ValueError(sentence)
    except ValueError:  # urlsplit and .port raise their own for a bad address or port
        raise ValueError(sentence) from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user or password; a secret goes into --token-file")
    if parts.fragment or re.search(r"[^!-~]", text):
        raise ValueError(sentence)
    return text


def _proxy(text: str) -> str:
    if text.lower() in _WORDS_OFF:
        return "off"
    sentence = "must be http://host:port or off"
    try:
        parts = urlsplit(text)
        if parts.scheme != "http" or not parts.hostname or parts.port == 0 or parts.path not in ("", "/"):
            raise ValueError(sentence)
    except ValueError:  # urlsplit and .port raise their own for a bad address or port
        raise ValueError(sentence) from None
    if parts.query or parts.fragment or re.search(r"[^!-~]", text):
        raise ValueError(sentence)
    return text


def _public_proxy(text: str) -> str:
    if "@" in text:
        raise ValueError(
            "must not contain a user or password, since others can read arguments: use ANP_PROXY or the --config file"
        )
    return _proxy(text)


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[^!-~]", text):
        raise ValueError("must be http://host or https://host")
    return text


def _database(text: str) -> str:
    if not re.match(r"(?:sqlite|mysql|mariadb|postgres|postgresql)://\S", text):
        raise ValueError("must be sqlite:///FILE, mysql://…, mariadb://… or postgresql://USER:PASSWORD@HOST/NAME")
    return text


def _public_database(text: str) -> str:
    if re.match(r"[^/]*//[^/@]*:[^/]*@", text):
        raise ValueError(
            "must not contain a password, since others can read arguments: use ANP_DATABASE or the --config file"
        )
    return _database(text)


def _app(text: str) -> str:
    module, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in module.split(".")) or not attribute:
        raise ValueError("must be module:attribute or module:factory()")
    if not all(part.isidentifier() for part in attribute.removesuffix("()").split(".")):
        raise ValueError("must be module:attribute or module:factory()")
    return text


def _agent(text: str) -> str:
    sort, _, rest = text.partition(":")
    if text == "echo" or (sort in ("exec", "openai") and rest):
        return _http_url(text.removeprefix("openai:")) and text if sort == "openai" else text
    if sort in ("python", "asgi") and rest:
        _app(rest)
        return text
    raise ValueError("must be echo, python:module:attribute, openai:URL, asgi:module:attribute or exec:COMMAND")


def _target(text: str) -> str:
    parse_target(text)
    return text


def choice(*words: str) -> Kind[str]:
    """
    @return: one of C{words}.
    """

    def check(text: str) -> str:
        if text not in words:
            raise ValueError("must be one of " + ", ".join(words))
        return text

    return text_kind("|".join(words), check)


def several(item: Kind[str]) -> Kind[tuple[str, ...]]:
    """
    @param item: what each of the values is.
    @return: a repeatable option; blanks separate the values in a variable, TOML has a list or one string.
    """

    def from_text(text: str) -> tuple[str, ...]:
        return tuple(item.from_text(word) for word in text.split())

    def from_toml(value: object) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        return tuple(item.from_toml(one) for one in values)

    return Kind(item.metavar, from_text, from_toml, repeatable=True)


def _optional_port() -> Kind[int | None]:
    """A port, or C{off}: in TOML C{false} means the same."""

    def from_text(text: str) -> int | None:
        return None if text.lower() in _WORDS_OFF else PORT.from_text(text)

    def from_toml(value: object) -> int | None:
        if value is False:
            return None
        return from_text(value) if isinstance(value, str) else PORT.from_toml(value)

    return Kind("PORT", from_text, from_toml)


TEXT = text_kind("TEXT", _nonempty)
HOST = text_kind("ADDRESS", _nonempty)
FILE = text_kind("FILE", _nonempty)
DIRECTORY = text_kind("DIR", _nonempty)
SECRET = text_kind("SECRET", _nonempty)
APP = text_kind("MODULE:ATTR", _app)
AGENT = text_kind("AGENT", _agent)
TARGET = text_kind("URL", _target)
ENDPOINT = text_kind("ENDPOINT", _nonempty)
PREFIX = text_kind("/PREFIX", _prefix)
OPTIONAL_PREFIX = text_kind("/PATH|off", _optional_prefix)
WEBSOCKET_URL = text_kind("URL", _websocket_url)
PROXY = Kind("http://HOST:PORT|off", _proxy, lambda value: _proxy(_string(value)), from_argv=_public_proxy)
DATABASE = Kind("URL", _database, lambda value: _database(_string(value)), from_argv=_public_database)
HTTP_URL = text_kind("URL", _http_url)
PORT = whole_number("PORT", 0, 65535)
OPTIONAL_PORT = _optional_port()
COUNT = whole_number("NUMBER", 1, 1_000_000)
COUNT_OR_ZERO = whole_number("NUMBER", 0, 1_000_000)
SECONDS = Kind(
    "SECONDS",
    _seconds_from_text,
    lambda value: _seconds(_expect(value, (int, float), "must be a number of seconds, 0 or more")),
)
SOME_SECONDS = Kind(
    "SECONDS",
    lambda text: _some_seconds(SECONDS.from_text(text)),
    lambda value: _some_seconds(SECONDS.from_toml(value)),
)
"""A time that cannot be off: what it bounds would otherwise last for ever."""
SIZE = Kind("BYTES", _size_from_text, _size_from_toml)
FLAG = Kind("", _flag_from_text, lambda value: bool(_expect(value, bool, "must be true or false")), flag=True)
LEVEL = choice("debug", "info", "warn", "error", "critical")
