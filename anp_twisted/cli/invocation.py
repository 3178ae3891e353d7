"""
What somebody asked C{anp-proxy} for, in the words of C{twistd}.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from anp_twisted.config.deployed import MODES
from anp_twisted.config.document import read_document
from anp_twisted.config.resolve import option_names
from anp_twisted.config.schema import nearest
from anp_twisted.config.tables import COMMANDS
from anp_twisted.errors import SettingsError

COMMANDS_HERE: Final = ("run", "start", "stop", "restart", "reload", "status", "logs")

_LEVELS: Final = {"debug": "debug", "info": "info", "warning": "warn", "warn": "warn", "error": "error"}

_NAMES: Final[dict[str, dict[str, str]]] = {
    "gateway-host": {"gateway": "host", "both": "host"},
    "gateway-port": {"gateway": "port", "both": "port"},
    "wss-port": {"gateway": "wss-port", "both": "wss-port"},
    "gateway-url": {"receiver": "gateway"},
    "local-app": {"receiver": "app", "both": "app"},
}
"""Options by the mode in which they mean something, and what C{twistd} calls them."""

_DEFAULT_LINES: Final = 50


@dataclass(frozen=True, slots=True)
class Invocation:
    """
    What was asked for.

    @ivar command: one of L{COMMANDS_HERE}.
    @ivar mode: C{gateway}, C{receiver} or C{both}.
    @ivar service: the name of the service and its options, for C{twistd}.
    @ivar pidfile: of the daemon.
    @ivar lines: how many of the last lines of the log to show.
    @ivar follow: whether to show those that come after them.
    """

    command: str
    mode: str
    service: tuple[str, ...]
    pidfile: str
    lines: int = _DEFAULT_LINES
    follow: bool = False


def read(arguments: Sequence[str], environment: Mapping[str, str]) -> Invocation:
    """
    Read a command line.

    @param environment: as C{os.environ}.
    @raise SettingsError: it cannot be understood.
    """
    left = list(arguments)
    command = left.pop(0) if left and not left[0].startswith("-") else "run"
    if command not in COMMANDS_HERE:
        raise SettingsError(f"unknown command {command!r}{nearest(command, [*COMMANDS_HERE, 'did', 'token', 'route'])}")
    given = _scan(left)
    path = given["config"][-1] if "config" in given else environment.get("ANP_CONFIG")
    mode = _mode(given.pop("mode", []), path)
    pidfile = given.pop("pidfile", [f"anp-{mode}.pid"])[-1]
    follow = bool(given.pop("follow", []))
    lines = given.pop("lines", [str(_DEFAULT_LINES)])[-1]
    if not lines.isdigit() or len(lines) > 6:
        raise SettingsError("--lines must be a whole number")
    service = (f"anp-{mode}", *_options(mode, given))
    return Invocation(command, mode, service, os.path.abspath(pidfile), int(lines), follow)


def _mode(given: list[str], path: str | None) -> str:
    """Find out what to run: the command line says, or the settings file."""
    mode: Any = given[-1] if given else None
    if mode is None and path:
        mode = read_document(path).get("mode")
    if mode is None:
        return "gateway"
    if mode not in MODES:
        raise SettingsError("--mode must be gateway, receiver or both")
    return str(mode)


_OWN: Final = ("mode", "pidfile", "lines")
_SWITCHES: Final = {"-f": "follow", "--follow": "follow", "--debug": "debug"}


def _flags() -> set[str]:
    """The options of all modes that take no value."""
    rows = (row for settings in COMMANDS.values() for row in option_names(settings).values())
    return {row.option for row in rows if row.kind.flag}


def _scan(left: list[str]) -> dict[str, list[str]]:
    """Split arguments into the values of each option; a flag has an empty one."""
    flags, given = _flags(), {}  # type: tuple[set[str], dict[str, list[str]]]
    while left:
        argument = left.pop(0)
        if argument in _SWITCHES:
            given.setdefault(_SWITCHES[argument], []).append("")
            continue
        argument = {"-c": "--config", "-m": "--mode"}.get(argument, argument)
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--"):
            raise SettingsError("an argument that belongs to no option; options start with --")
        if name in flags and not equals:
            value = ""
        elif not equals:
            if not left:
                raise SettingsError(f"--{name} needs a value")
            value = left.pop(0)
        given.setdefault(name, []).append(value)
    return given


def _options(mode: str, given: Mapping[str, list[str]]) -> list[str]:
    """
    Say it in the words of the service.

    @raise SettingsError: an option is unknown, or means nothing in this mode.
    """
    rows = option_names(COMMANDS[mode])
    found: list[str] = []
    for name, values in given.items():
        if name in _NAMES and mode not in _NAMES[name]:
            raise SettingsError(f"--{name} has no effect in mode {mode}")
        if name == "debug":
            found.append("--log-level=debug")
            continue
        option = _NAMES.get(name, {}).get(mode, name)
        if option not in rows:
            names = [f"--{known}" for known in (*rows, *_NAMES, *_OWN, "debug")]
            raise SettingsError(f"unknown option '--{name}' in mode {mode}{nearest(f'--{name}', names)}")
        if name == "log-level":
            values = [_LEVELS.get(value.lower(), value.lower()) for value in values]
        found += [f"--{option}" if rows[option].kind.flag else f"--{option}={value}" for value in values]
    if "debug" in given and "log-level" in given:
        raise SettingsError("--debug and --log-level contradict each other: give one of them")
    return found
