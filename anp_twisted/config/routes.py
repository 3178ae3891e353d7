"""
The options of a route: C{[gateway.routes."/prefix"]} in the TOML file.

Pure. C{docs/reference/route-options.md} is the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from anp_twisted.config import kinds, nested
from anp_twisted.config.identity import DID_NAME
from anp_twisted.config.schema import Places, setting
from anp_twisted.headers import HOP_BY_HOP, valid_name, valid_value
from anp_twisted.networks import UNIX, parse_network
from anp_twisted.places import parse_place
from anp_twisted.rates import Rate, parse_rate

_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:\*\.)?(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)
_OWN = HOP_BY_HOP | {b"content-length", b"date", b"host"}
_FILE = Places.ONLY_IN_FILE

Fields = tuple[tuple[str, str], ...]
"""Header fields, in order."""


def _network_or_unix(text: str) -> str:
    return text if text == UNIX else parse_network(text)


def _origin(text: str) -> str:
    lowered = text.lower()
    if lowered in ("*", "null") or _ORIGIN.fullmatch(lowered):
        return lowered
    raise ValueError("must be an origin such as https://app.example or https://*.app.example, or *")


def _field_name(text: str) -> str:
    if not text.isascii() or not valid_name(text.encode("ascii")):
        raise ValueError("must be the name of a header field")
    return text


def _own_field_name(text: str) -> str:
    if _field_name(text).lower().encode("ascii") in _OWN:
        raise ValueError("must not name a field that belongs to the connection")
    return text


def _field_value(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not valid_value(value.encode("ascii")):
        raise ValueError("must be a string of printable ASCII")
    return value


def _method(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{1,32}|\*", text):
        raise ValueError("must be a method in capitals, or *")
    return text


def _fields(value: object) -> Fields:
    if not isinstance(value, dict):
        raise ValueError("must be a table of header fields")
    found: list[tuple[str, str]] = []
    for name, raw in value.items():
        nested.within(f'"{name}"', lambda text: _own_field_name(str(text)), name)
        for one in raw if isinstance(raw, list) else [raw]:
            found.append((name, nested.within(f'"{name}"', _field_value, one)))
    return tuple(found)


def _no_fields(text: str) -> Fields:
    raise ValueError("must be a table in the file of --config")


def _rate_from_toml(value: object) -> Rate:
    if not isinstance(value, str):
        raise ValueError("must be a string such as 100/m")
    return parse_rate(value)


NETWORK = kinds.text_kind("CIDR", parse_network)
PROXY = kinds.text_kind("CIDR|unix", _network_or_unix)
RATE: kinds.Kind[Rate] = kinds.Kind("RATE", parse_rate, _rate_from_toml)
ORIGIN = kinds.text_kind("ORIGIN", _origin)
METHOD = kinds.text_kind("METHOD", _method)
FIELD_NAME = kinds.text_kind("FIELD", _field_name)
OWN_FIELD_NAME = kinds.text_kind("FIELD", _own_field_name)
FIELDS: kinds.Kind[Fields] = kinds.Kind("TABLE", _no_fields, _fields)


@dataclass(frozen=True, kw_only=True)
class CorsSettings:
    """Which pages of other origins may read answers."""

    origins: tuple[str, ...] = setting(
        kinds.several(ORIGIN), "Whose pages may read answers; * is everybody's.", places=_FILE
    )
    methods: tuple[str, ...] = setting(
        kinds.several(METHOD), "Methods that pages may use.", ("GET", "HEAD", "POST"), _FILE
    )
    headers: tuple[str, ...] = setting(
        kinds.several(FIELD_NAME), "Request fields that pages may set; * is any.", (), _FILE
    )
    expose: tuple[str, ...] = setting(kinds.several(FIELD_NAME), "Response fields that pages may read.", (), _FILE)
    credentials: bool = setting(kinds.FLAG, "Lets pages send cookies and the like.", False, _FILE)
    max_age: float = setting(kinds.SECONDS, "How long browsers may remember the permission.", 600.0, _FILE)

    def __post_init__(self) -> None:
        """
        @raise ValueError: the Fetch standard has no such permission.
        """
        if not self.origins:
            raise ValueError("must name at least one origin")
        if self.credentials and "*" in (*self.origins, *self.methods, *self.expose):
            raise ValueError("must name origins, methods and fields instead of * where credentials are allowed")


@dataclass(frozen=True, kw_only=True)
class RouteSettings:
    """What holds for requests below one prefix."""

    allow: tuple[str, ...] = setting(kinds.several(NETWORK), "Networks that may call; without any, all may.", (), _FILE)
    deny: tuple[str, ...] = setting(
        kinds.several(NETWORK), "Networks that may not call, whatever allow says.", (), _FILE
    )
    rate_limit: Rate | None = setting(RATE, "Requests that one caller may make here.", None, _FILE)
    total_rate_limit: Rate | None = setting(RATE, "Requests that all callers together may make here.", None, _FILE)
    concurrency: int | None = setting(kinds.COUNT, "Requests that may run here at once.", None, _FILE)
    strip_prefix: bool = setting(
        kinds.FLAG,
        "Applications get targets without the prefix, and that in X-Forwarded-Prefix.",
        False,
        _FILE,
    )
    body_limit: int | None = setting(
        kinds.SIZE, "Largest body of a request, instead of --body-limit; it may be larger.", None, _FILE
    )
    set_headers: Fields = setting(FIELDS, "Response fields that replace those of the application.", (), _FILE)
    add_headers: Fields = setting(FIELDS, "Response fields put beside those of the application.", (), _FILE)
    remove_headers: tuple[str, ...] = setting(
        kinds.several(OWN_FIELD_NAME), "Response fields of the application that are left out.", (), _FILE
    )
    auth: str = setting(
        kinds.choice("none", "did"),
        "What callers have to prove: nothing, or a DID, which applications learn.",
        "none",
        _FILE,
    )
    allow_did: tuple[str, ...] = setting(
        kinds.several(DID_NAME), "DIDs that may call, did:wba:host:* is all of a host; without any, all may.", (), _FILE
    )
    cors: CorsSettings | None = setting(
        nested.table(CorsSettings), "The gateway answers for CORS instead of the application.", None, _FILE
    )

    def __post_init__(self) -> None:
        """
        @raise ValueError: DIDs are named where nobody proves one.
        """
        if self.allow_did and self.auth != "did":
            raise ValueError('must have auth = "did" where allow_did says who may call')


ROUTES = nested.tables(
    kinds.text_kind("[HOST]/PREFIX", lambda text: str(parse_place(text))), nested.table(RouteSettings)
)
