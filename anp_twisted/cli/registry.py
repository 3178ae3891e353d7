"""What C{anp-proxy token} and C{anp-proxy route} have in common: which registry they mean, and how they answer."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from anp_twisted.auth.tokens import make_folder
from anp_twisted.config.document import read_document
from anp_twisted.config.resolve import resolve
from anp_twisted.config.tables import GatewaySettings
from anp_twisted.errors import SettingsError
from anp_twisted.registry.source import Source
from anp_twisted.registry.sql import Store

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Work = Callable[[Store, argparse.Namespace], str]
"""What a command does: it gets the registry and what was asked, and returns what is printed."""


def duration(text: str) -> float:
    """
    @param text: such as C{30d}, C{12h}, C{15m} or C{90s}.
    @return: seconds.
    @raise argparse.ArgumentTypeError: it is none.
    """
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError("must be a time such as 30d, 12h, 15m or 90s")
    return int(match[1]) * _UNITS[match[2]]


def where() -> argparse.ArgumentParser:
    """
    @return: the options by which every command is told where the registry is.
    """
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("where the registry is, as the gateway is told")
    group.add_argument("--state-dir", metavar="DIR", help="folder of registry.sqlite [ANP_STATE_DIR]")
    group.add_argument("--database", metavar="URL", help="database instead [ANP_DATABASE]")
    group.add_argument("--config", metavar="FILE", help="TOML file of the gateway [ANP_CONFIG]")
    return parser


def _settings(asked: argparse.Namespace, environment: Mapping[str, str]) -> GatewaySettings:
    """Read the settings of the gateway, from the same places as the gateway does."""
    given = {"state-dir": asked.state_dir, "database": asked.database}
    path = asked.config or environment.get("ANP_CONFIG")
    options = {name: [value] for name, value in given.items() if value is not None}
    document = read_document(path) if path else {}
    return resolve(
        GatewaySettings, options=options, environment=environment, document=document, file=path or ""
    ).settings


def _store(settings: GatewaySettings) -> tuple[Source, Store]:
    if settings.database is None:
        make_folder(settings.state_dir)
    source = Source(settings.database, settings.state_dir)
    return source, source.store()


def carry_out(
    parser: argparse.ArgumentParser, argv: Sequence[str], environment: Mapping[str, str] | None = None
) -> int:
    """
    Do what is asked for, and print what comes of it.

    @param parser: sets C{work}, a L{Work}, for each of its commands.
    @param environment: instead of that of the process.
    @return: the status of the process: 1 if it could not be done, with one line on standard error.
    """
    asked: Any = parser.parse_args(list(argv))
    work: Work = asked.work
    try:
        source, store = _store(_settings(asked, os.environ if environment is None else environment))
        try:
            text = work(store, asked)
        finally:
            source.close()
    except SettingsError as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0
