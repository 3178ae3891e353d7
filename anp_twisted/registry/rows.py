"""
The rows of the registry, as the rest of the gateway sees them. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from anp_twisted.config.nested import table, within
from anp_twisted.config.routes import RouteSettings
from anp_twisted.errors import SettingsError
from anp_twisted.paths import InvalidPrefix
from anp_twisted.places import Place, parse_place

LONGEST_NAME: Final = 255
"""Characters of an identity: as many as existing tables of routes have room for."""

RESERVED: Final = "receiver"
"""The identity of the one token that all receivers share."""

_NAME = re.compile(r"[!-~]+")
_SETTINGS = table(RouteSettings)


class TokenRow(NamedTuple):
    """
    A token that may be live.

    @ivar id: names the token; not secret.
    @ivar identity: who shows it.
    @ivar digest: SHA-256 of the token, in hexadecimal digits.
    @ivar created: in seconds since the epoch, as all times here.
    @ivar expires: when it ends.
    """

    id: str
    identity: str
    digest: str
    created: float
    expires: float = math.inf


class RouteRow(NamedTuple):
    """
    A place and whose it is.

    @ivar options: of the route, C{None} where there are none.
    """

    place: Place
    owner: str
    options: RouteSettings | None = None


class Snapshot(NamedTuple):
    """
    All of the registry at one moment.

    @ivar version: changes with each change.
    @ivar left_out: why some rows were not taken, one line each.
    """

    version: tuple[int, ...]
    tokens: list[TokenRow]
    routes: list[RouteRow]
    left_out: list[str]


def check_name(name: str) -> str:
    """
    @param name: of an identity, as somebody wrote it.
    @return: the same.
    @raise SettingsError: no token may have it.
    """
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise SettingsError(f"a name has 1 to {LONGEST_NAME} printable ASCII characters without spaces")
    if name == RESERVED or re.match(r"(?:shared|certificate|did):", name):
        raise SettingsError(f"the name {name!r} is taken by another way to connect")
    return name


def check_place(text: str) -> Place:
    """
    @param text: as somebody wrote it.
    @raise SettingsError: it is no place.
    """
    try:
        return parse_place(text)
    except ValueError as error:
        raise SettingsError(f"the place {text!r} {error}") from None


def read_options(text: str) -> RouteSettings | None:
    """
    @param text: the options of a route as JSON, of the shape they have in a settings file; may be empty.
    @return: the options; C{None} where nothing is said.
    @raise ValueError: they are malformed.
    """
    if not text:
        return None
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ValueError("the options are not JSON") from None
    return within("the options", _SETTINGS.from_toml, value) if value else None


def check_owner(owner: str) -> str:
    """
    @param owner: of a place, as somebody wrote it.
    @return: the same.
    @raise SettingsError: it cannot be that of a receiver.
    """
    if not owner.isascii() or not owner.isprintable() or " " in owner or not 0 < len(owner) <= LONGEST_NAME:
        raise SettingsError(f"an owner has 1 to {LONGEST_NAME} printable ASCII characters without spaces")
    return owner


def check_options(text: str | None) -> str | None:
    """
    @param text: the options of a route as JSON; C{None} says nothing of them.
    @return: what is stored of them.
    @raise SettingsError: no route can have such options.
    """
    try:
        return text if text is None or read_options(text) is not None else ""
    except ValueError as error:
        raise SettingsError(str(error)) from None


def proxy_key(path: str) -> str:
    """
    Read a C{proxy_path} of a C{did_proxy_path} table.

    C{docs/protocol/anpx.md}: a value that ends in C{/ad.json} loses that, gets a
    slash in front, and loses those at its end.
    """
    return "/" + path.removesuffix("/ad.json").strip("/")


def legacy_routes(rows: Iterable[tuple[str, str]]) -> tuple[list[RouteRow], list[str]]:
    """
    @param rows: the columns C{did} and C{proxy_path}, the oldest row first.
    @return: the routes, on any host; and why some were left out.
    """
    found: dict[Place, RouteRow] = {}
    left_out: list[str] = []
    for did, path in rows:
        try:
            place = parse_place(proxy_key(path))
        except (ValueError, InvalidPrefix):
            left_out.append(f"the proxy_path {path!r} of {did!r} is no prefix")
            continue
        first = found.setdefault(place, RouteRow(place, did))
        if first.owner != did:
            left_out.append(f"the proxy_path {path!r} of {did!r} belongs to {first.owner!r}")
    return list(found.values()), left_out
