"""
Finds the value of each setting: command line, then environment, then TOML file, then default.

Everything that is read is a mapping handed in, so nothing here looks at the
process it runs in. A key that nothing knows is an error in each of the places,
and the error names the nearest key that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar

from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.deployed import translated
from anp_twisted.config.nested import located
from anp_twisted.config.schema import ENVIRONMENT_PREFIX, Places, Setting, nearest, settings_of
from anp_twisted.config.tables import COMMANDS, EXCLUSIVE
from anp_twisted.errors import SettingsError

S = TypeVar("S", bound=CommonSettings)


class Source(IntEnum):
    """Where a value came from; a higher one wins."""

    DEFAULT = 0
    FILE = 1
    ENVIRONMENT = 2
    OPTION = 3


@dataclass(frozen=True, slots=True)
class Found:
    """
    A value and where it came from.

    @ivar label: how an error names it, C{--port} or C{ANP_PORT}.
    """

    value: Any
    source: Source
    label: str


@dataclass(frozen=True, slots=True)
class Resolved(Generic[S]):
    """
    The settings of one command.

    @ivar settings: the typed values.
    @ivar sources: where each came from, by name.
    """

    settings: S
    sources: Mapping[str, Source]


def resolve(
    command: type[S],
    *,
    options: Mapping[str, list[str]],
    environment: Mapping[str, str],
    document: Mapping[str, Any],
    file: str = "",
) -> Resolved[S]:
    """
    @param command: the settings class.
    @param options: the command line: the values of each option, by option name; a flag has C{"true"}.
    @param environment: as C{os.environ}.
    @param document: what the TOML file holds, or nothing.
    @param file: the name of that file, for errors.
    @return: the settings and their sources.
    @raise SettingsError: a key is unknown, a value malformed, missing or contradicted.
    """
    found = _from_document(command, document, file)
    found.update(_from_environment(command, environment))
    found.update(_from_options(command, options))
    _apply_exclusions(found)
    _demand(command, found)
    settings = command(**{name: one.value for name, one in found.items()})
    return Resolved(
        settings, {name: found[name].source if name in found else Source.DEFAULT for name in settings_of(command)}
    )


def _parse(row: Setting, label: str, parser: Any, raw: Any) -> Any:
    try:
        return parser(raw)
    except ValueError as error:
        raise SettingsError(located(error, label)) from None


_NO_OPTION = (Places.NOT_BY_ARGV, Places.ONLY_IN_FILE)


# --- the command line --------------------------------------------------------


def option_names(command: type[CommonSettings]) -> dict[str, Setting]:
    """
    @return: the settings that have an option, by option name.
    """
    rows = settings_of(command).values()
    return {row.option: row for row in rows if row.places not in _NO_OPTION}


def _from_options(command: type[CommonSettings], options: Mapping[str, list[str]]) -> dict[str, Found]:
    rows = option_names(command)
    found: dict[str, Found] = {}
    for name, texts in options.items():
        row = rows[name]
        if len(texts) > 1 and not (row.kind.repeatable or row.kind.flag):
            raise SettingsError(f"--{name} is given {len(texts)} times")
        # The parser of a repeatable kind splits at blanks, as a variable needs it; an argument is one value as it is.
        parser = row.kind.from_toml if row.kind.repeatable else row.kind.from_argv or row.kind.from_text
        raw: Any = texts if row.kind.repeatable else texts[-1]
        found[row.name] = Found(_parse(row, f"--{name}", parser, raw), Source.OPTION, f"--{name}")
    return found


# --- the environment ---------------------------------------------------------


def _variables(command: type[CommonSettings]) -> dict[str, Setting]:
    return {row.variable: row for row in settings_of(command).values() if row.places is not Places.ONLY_IN_FILE}


def _from_environment(command: type[CommonSettings], environment: Mapping[str, str]) -> dict[str, Found]:
    """
    Variables of the other commands are let pass: processes that share an
    environment read what is theirs.
    """
    rows = _variables(command)
    known = {variable for cls in COMMANDS.values() for variable in _variables(cls)}
    found: dict[str, Found] = {}
    for variable in sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX)):
        if variable in rows:
            row = rows[variable]
            value = _parse(row, variable, row.kind.from_text, environment[variable])
            found[row.name] = Found(value, Source.ENVIRONMENT, variable)
        elif variable not in known:
            raise SettingsError(f"unknown environment variable {variable!r}{nearest(variable, sorted(known))}")
    return found


# --- the TOML file -----------------------------------------------------------


def _file_names(command: type[CommonSettings]) -> dict[str, Setting]:
    return {row.name: row for row in settings_of(command).values() if row.places is not Places.NOT_IN_FILE}


def _section_of(command: type[CommonSettings]) -> str:
    return next(name for name, cls in COMMANDS.items() if cls is command)


def _from_document(command: type[CommonSettings], document: Mapping[str, Any], file: str) -> dict[str, Found]:
    """Keys at the top are this command's; a section may follow for each command, and its own comes after the top."""
    document = translated(document, _section_of(command), file)
    sections = {name: document[name] for name in COMMANDS if isinstance(document.get(name), dict)}
    top = {key: value for key, value in document.items() if key not in sections}
    found = _from_section(command, top, f"in {file}", extra=COMMANDS)
    for name, section in sections.items():
        # The sections of the other commands are checked as well: a typing error there would be found too late.
        values = _from_section(COMMANDS[name], section, f"in [{name}] of {file}")
        if COMMANDS[name] is command:
            found.update(values)
    return found


def _from_section(
    command: type[CommonSettings], section: Mapping[str, Any], where: str, extra: Iterable[str] = ()
) -> dict[str, Found]:
    rows = _file_names(command)
    found: dict[str, Found] = {}
    for key, raw in section.items():
        name = key.replace("-", "_")
        if name not in rows:
            raise SettingsError(_unknown_key(command, key, where, [*rows, *extra]))
        label = f"{key} {where}"
        if name in found:
            raise SettingsError(f"{label} is given twice")
        found[name] = Found(_parse(rows[name], label, rows[name].kind.from_toml, raw), Source.FILE, label)
    return found


def _unknown_key(command: type[CommonSettings], key: str, where: str, valid: list[str]) -> str:
    owners = [name for name, cls in COMMANDS.items() if key.replace("-", "_") in _file_names(cls)]
    if owners:
        sections = " or ".join(f"[{name}]" for name in owners)
        return f"{key!r} {where} is no setting of anp-{_section_of(command)}; it belongs under {sections}"
    return f"unknown key {key!r} {where}{nearest(key.replace('-', '_'), valid)}"


# --- the whole ---------------------------------------------------------------


def _apply_exclusions(found: dict[str, Found]) -> None:
    """Of two ways to say one thing keep the one from the better place."""
    for one, others in EXCLUSIVE:
        for other in others:
            if one not in found or other not in found:
                continue
            a, b = found[one], found[other]
            if a.source is b.source:
                raise SettingsError(f"{a.label} and {b.label} contradict each other: give one of them")
            del found[other if a.source > b.source else one]


def _demand(command: type[CommonSettings], found: Mapping[str, Found]) -> None:
    for row in settings_of(command).values():
        if row.default is MISSING and row.name not in found:
            raise SettingsError(f"--{row.option} is missing: {row.help}")
