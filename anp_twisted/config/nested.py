"""
Settings that are tables of their own: a dataclass of settings inside of another.

Pure. An error in a table says in which one, from the inside out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from typing import Any, TypeVar

from anp_twisted.config.kinds import Kind
from anp_twisted.config.schema import nearest, settings_of

T = TypeVar("T")

_ONLY_IN_FILE = "must be a table in the file of --config"


class TableError(ValueError):
    """
    A mistake inside of a table.

    @ivar what: the part of the sentence before the place, as far as it is known.
    @ivar rest: the part after it.
    """

    def __init__(self, what: str, rest: str) -> None:
        super().__init__(f"{what}{rest}")
        self.what = what
        self.rest = rest


def located(error: ValueError, label: str) -> str:
    """
    @param label: what the value belongs to, and where that is.
    @return: the whole sentence.
    """
    if isinstance(error, TableError):
        return f"{error.what} in {label}{error.rest}"
    return f"{label} {error}"


def within(label: str, parse: Callable[[object], T], value: object) -> T:
    """
    @param label: what an error inside of the value is in.
    @return: the value, parsed.
    @raise TableError: it is malformed.
    """
    try:
        return parse(value)
    except TableError as error:
        raise TableError(f"{error.what} in {label}", error.rest) from None
    except ValueError as error:
        raise TableError(label, f" {error}") from None


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("must be a table")
    return value


def _no_text(text: str) -> Any:
    raise ValueError(_ONLY_IN_FILE)


def _read(cls: type[T], value: object) -> T:
    rows = settings_of(cls)
    found: dict[str, Any] = {}
    for key, raw in _mapping(value).items():
        name = key.replace("-", "_")
        if name not in rows:
            raise TableError(f"unknown key {key!r}", nearest(name, rows))
        if name in found:
            raise TableError(key, " is given twice")
        found[name] = within(key, rows[name].kind.from_toml, raw)
    missing = [name for name, row in rows.items() if row.default is MISSING and name not in found]
    if missing:
        raise ValueError(f"must have the key {missing[0]!r}")
    return cls(**found)


def table(cls: type[T]) -> Kind[T]:
    """
    @param cls: a settings dataclass; its C{__post_init__} may raise C{ValueError}.
    @return: a kind whose value is an instance, made from a table.
    """
    return Kind("TABLE", _no_text, lambda value: _read(cls, value))


def tables(key: Kind[str], item: Kind[T]) -> Kind[tuple[tuple[str, T], ...]]:
    """
    @param key: what the name of each table must be.
    @return: a kind whose value is pairs of name and table, in the order of the file.
    """

    def from_toml(value: object) -> tuple[tuple[str, T], ...]:
        found: dict[str, T] = {}
        for name, raw in _mapping(value).items():
            label = f'"{name}"'
            checked = within(label, key.from_toml, name)
            if checked in found:
                raise TableError(label, " is given twice")
            found[checked] = within(label, item.from_toml, raw)
        return tuple(found.items())

    return Kind("TABLES", _no_text, from_toml)
