"""
How a settings class declares itself: a dataclass whose fields carry a kind and a sentence of help.

Pure. The declaration is the only table: option names, environment variables,
TOML keys, C{--help} and the reference page are read from it.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from anp_twisted.config.kinds import Kind

T = TypeVar("T")

ENVIRONMENT_PREFIX = "ANP_"


class Places(Enum):
    """Where a setting may be given."""

    EVERYWHERE = "option, environment, file"
    NOT_BY_ARGV = "environment, file"
    """A secret: every user of a machine can read the arguments of a process."""
    NOT_IN_FILE = "option, environment"
    """The name of the file itself."""
    ONLY_IN_FILE = "file"
    """What is no single word."""


@dataclass(frozen=True, slots=True)
class Setting:
    """
    One row of the table.

    @ivar name: as the attribute is called, C{tls_cert}.
    @ivar kind: what it may be.
    @ivar help: one sentence, without the default.
    @ivar default: the typed value, or C{MISSING} when there is none.
    @ivar secret: a secret may be in it, so it is not shown.
    """

    name: str
    kind: Kind[Any]
    help: str
    default: Any
    places: Places
    secret: bool = False

    @property
    def option(self) -> str:
        """The long option without its dashes, C{tls-cert}."""
        return self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable, C{ANP_TLS_CERT}."""
        return ENVIRONMENT_PREFIX + self.name.upper()


def setting(
    kind: Kind[T], help: str, default: Any = MISSING, places: Places = Places.EVERYWHERE, *, secret: bool = False
) -> Any:
    """
    Declare a field of a settings dataclass.

    @param help: one sentence, its subject left out.
    @param default: the typed default; without one the setting has to be given.
    @param secret: a secret may be in it, though it is not always one.
    @return: what the dataclass machinery wants; typed C{Any} for the same reason as C{dataclasses.field}.
    """
    secret = secret or places is Places.NOT_BY_ARGV
    metadata = {"kind": kind, "help": help, "places": places, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


def _row(declared: Field[Any]) -> Setting:
    data = declared.metadata
    return Setting(declared.name, data["kind"], data["help"], declared.default, data["places"], data["secret"])


def settings_of(cls: type) -> dict[str, Setting]:
    """
    @param cls: a settings dataclass.
    @return: its rows by name: what the class declares itself first, then what it inherits.
    """
    rows = {declared.name: _row(declared) for declared in fields(cls)}
    own = [name for name in inspect.get_annotations(cls) if name in rows]
    return {name: rows[name] for name in [*own, *(name for name in rows if name not in own)]}


def nearest(word: str, candidates: Iterable[str]) -> str:
    """
    @param word: what was written.
    @param candidates: what would have been valid.
    @return: C{"; did you mean '…'?"}, or nothing when there is no candidate.
    """
    found = difflib.get_close_matches(word, list(candidates), n=1, cutoff=0.0)
    return f"; did you mean {found[0]!r}?" if found else ""


def shown(value: Any) -> str:
    """
    @param value: a typed default.
    @return: how the operator would write it.
    """
    if value is None or value == "" or value == ():
        return "none"
    if type(value) is tuple:
        return " ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
