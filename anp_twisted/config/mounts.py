"""
What serves which path: C{--app}, C{--target} and C{--wsgi}, each once or with a path in front.

Pure. C{--app shop:app} serves what C{--path} says; C{--app /shop=shop:app} serves
C{/shop}. A TOML file may have a table of paths instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from anp_twisted.config.kinds import PREFIX, Kind
from anp_twisted.errors import SettingsError
from anp_twisted.paths import InvalidPrefix, prefix_key


class Sort(Enum):
    """How something is served; the values are the names of the settings."""

    APP = "app"
    TARGET = "target"
    WSGI = "wsgi"


@dataclass(frozen=True, slots=True)
class Mount:
    """
    One thing that is served.

    @ivar paths: the prefixes it serves.
    @ivar spec: the module and attribute, or the URL.
    """

    paths: tuple[str, ...]
    sort: Sort
    spec: str


def mounted(item: Kind[str]) -> Kind[tuple[str, ...]]:
    """
    @param item: what is served.
    @return: a repeatable option, each value with or without C{/prefix=} in front; in TOML also a table.
    """

    def one(text: str) -> str:
        prefix, spec = split(text)
        checked = item.from_text(spec)
        return f"{_prefix(prefix)}={checked}" if prefix else checked

    def from_text(text: str) -> tuple[str, ...]:
        return tuple(one(word) for word in text.split())

    def from_toml(value: object) -> tuple[str, ...]:
        if isinstance(value, dict):
            value = [f"{prefix}={_text(spec)}" for prefix, spec in value.items()]
        values = value if isinstance(value, list) else [value]
        return tuple(one(_text(text)) for text in values)

    return Kind(f"[/PREFIX=]{item.metavar}", from_text, from_toml, repeatable=True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string, a list of them, or a table of paths")
    return value


def _prefix(text: str) -> str:
    prefix = PREFIX.from_text(text)
    try:
        prefix_key(prefix)
    except InvalidPrefix:
        raise ValueError("must have a path without empty, dot or escaped segments before the =") from None
    return prefix


def split(text: str) -> tuple[str, str]:
    """
    Take C{/prefix=} off.

    @return: the prefix, or nothing, and the rest.
    """
    prefix, equals, spec = text.partition("=")
    return (prefix, spec) if equals and prefix.startswith("/") else ("", text)


def mounts_of(given: Iterable[tuple[Sort, str]], paths: tuple[str, ...]) -> tuple[Mount, ...]:
    """
    Find out what serves what.

    @param given: every value, in the order of the settings.
    @param paths: what C{--path} says: none if it was not given.
    @return: at least one, unless nothing was given.
    @raise SettingsError: if that contradicts itself.
    """
    found: list[Mount] = []
    bare: list[tuple[Sort, str]] = []
    for sort, text in given:
        prefix, spec = split(text)
        if prefix:
            found.append(Mount((prefix,), sort, spec))
        else:
            bare.append((sort, spec))
    if len(bare) > 1:
        (one, first), (other, second) = bare[:2]
        raise SettingsError(
            f"--{one.value} {first} and --{other.value} {second} would serve the same path: "
            f"write the path in front, such as --{other.value} /api={second}"
        )
    if not bare and found and paths:
        raise SettingsError("--path has nothing to serve: every --app, --target and --wsgi has a path of its own")
    found += [Mount(paths or ("/",), sort, spec) for sort, spec in bare]
    _refuse_twice(found)
    return tuple(found)


def _refuse_twice(mounts: list[Mount]) -> None:
    """
    @raise SettingsError: a path is served by two.
    """
    seen: dict[bytes, Mount] = {}
    for mount in mounts:
        for path in mount.paths:
            try:
                key = prefix_key(path)
            except InvalidPrefix as error:
                raise SettingsError(f"--path {error}") from None
            if seen.setdefault(key, mount) is not mount:
                raise SettingsError(
                    f"the path {path} is given twice, to --{seen[key].sort.value} and --{mount.sort.value}"
                )
