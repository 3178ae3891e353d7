"""
What C{twistd} talks to: C{usage.Options} made from a settings class.

C{getopt}, which C{usage.Options} parses with, takes any unambiguous beginning of
an option for the option, so that C{--token SECRET} would quietly be
C{--token-file SECRET}. Names are exact here, and a mistake is one line on stderr
instead of the whole help with the mistake below it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from typing import Any, ClassVar, Generic, TypeVar, cast

from twisted.python import usage

from anp_twisted import __version__
from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.document import read_document
from anp_twisted.config.resolve import Resolved, Source, option_names, resolve
from anp_twisted.config.schema import Setting, nearest, shown
from anp_twisted.errors import SettingsError
from anp_twisted.eventloop import install_reactor

S = TypeVar("S", bound=CommonSettings)


class SettingsOptions(usage.Options, Generic[S]):
    """
    The options of one command; a tap's C{Options} names the two class variables.

    The reactor is installed when the options are built: C{twistd} has imported
    none yet, and what comes next may.

    @cvar command: C{anp-gateway}.
    @cvar settings_class: the settings dataclass of that command.
    @ivar resolved: the settings with their sources; there once C{parseOptions} returned.
    """

    command: ClassVar[str]
    settings_class: ClassVar[type[CommonSettings]]
    optParameters: ClassVar[list[list[Any]]]
    optFlags: ClassVar[list[list[Any]]]
    resolved: Resolved[S]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        rows = option_names(cls.settings_class).values()
        cls.optParameters = [[row.option, None, None, _described(row)] for row in rows if not row.kind.flag]
        cls.optFlags = [[row.option, None, _described(row)] for row in rows if row.kind.flag]

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """
        @param environment: instead of the process's own.
        """
        try:
            install_reactor()
        except SettingsError as error:
            self.refuse(error)
        super().__init__()  # type: ignore[no-untyped-call]
        self._environment = os.environ if environment is None else environment

    @property
    def settings(self) -> S:
        """The typed values."""
        return self.resolved.settings

    def source(self, name: str) -> Source:
        """
        @param name: the name of a setting.
        @return: where its value came from.
        """
        return self.resolved.sources[name]

    def refuse(self, error: SettingsError) -> None:
        """
        End the process with one line on stderr and status 1.

        @raise SystemExit: always.
        """
        raise SystemExit(f"{self.command}: {error}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        @param options: the arguments after the command's name.
        @raise SystemExit: they, or what the environment and the file add, are wrong.
        """
        try:
            self._given = self._scan(list(options or ()))
            self.resolved = self._resolve(self._given)
        except SettingsError as error:
            self.refuse(error)
        # What may be secret stays out of a mapping that others may print.
        rows = option_names(self.settings_class).values()
        self.update({row.option: getattr(self.settings, row.name) for row in rows if not row.secret})
        self._claim_pid_file()
        self.postOptions()  # type: ignore[no-untyped-call]

    def read_again(self) -> S:
        """
        Read the settings once more: the command line is the same, the file may be another by now.

        @raise SettingsError: they cannot be used; what was read before stays.
        """
        return self._resolve(self._given).settings

    def _claim_pid_file(self) -> None:
        """
        Let each command have a pid file of its own name.

        All of C{twistd} would share C{twistd.pid}, so that a gateway and a receiver
        could not be started in one folder. C{--pidfile} stays what it is.
        """
        if self.parent is not None and self.parent.get("pidfile") == "twistd.pid":
            self.parent["pidfile"] = f"{self.command}.pid"

    def opt_version(self) -> None:
        """Print the version and exit."""
        sys.stdout.write(f"{self.command} {__version__}\n")
        sys.exit(0)

    def opt_help(self) -> None:
        """Print this help and exit."""
        sys.stdout.write(str(self))
        sys.exit(0)

    def _resolve(self, given: Mapping[str, list[str]]) -> Resolved[S]:
        path = given["config"][-1] if "config" in given else self._environment.get("ANP_CONFIG")
        document = read_document(path) if path else {}
        cls = cast("type[S]", self.settings_class)
        return resolve(cls, options=given, environment=self._environment, document=document, file=path or "")

    def _scan(self, arguments: list[str]) -> dict[str, list[str]]:
        """Split the arguments into the values of each option."""
        rows = option_names(self.settings_class)
        given: dict[str, list[str]] = {}
        while arguments:
            name, equals, value = self._option_name(arguments.pop(0), rows)
            if rows[name].kind.flag:
                if equals:
                    raise SettingsError(f"--{name} takes no value")
                value = "true"
            elif not equals:
                if not arguments:
                    raise SettingsError(f"--{name} needs a value")
                value = arguments.pop(0)
            given.setdefault(name, []).append(value)
        return given

    def _option_name(self, argument: str, rows: Mapping[str, Setting]) -> tuple[str, str, str]:
        """
        @return: the name, C{"="} if the value is part of the argument, and that value.
        """
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument in ("--help", "-h"):
            self.opt_help()
        if argument == "--version":
            self.opt_version()
        if not argument.startswith("--"):
            # Not repeated: it may be what someone took for the place of a secret.
            raise SettingsError("an argument that belongs to no option; options start with --")
        if name not in rows:
            raise SettingsError(f"unknown option '--{name}'{_advice(name, rows)}")
        return name, equals, value


def _advice(name: str, rows: Mapping[str, Setting]) -> str:
    if name == "token":
        return ": others can read arguments; use --token-file, ANP_TOKEN or token in the --config file"
    return nearest(f"--{name}", [f"--{row}" for row in rows])


def _described(row: Setting) -> str:
    """The help of an option: sentence, what it takes, default, variable."""
    if row.kind.flag:
        return f"{row.help} [{row.variable}]"
    default = "required" if row.default is MISSING else f"default: {shown(row.default)}"
    return f"{row.help} {row.kind.metavar} [{default}; {row.variable}]"
