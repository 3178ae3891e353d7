"""The command C{anp-proxy token}: makes, rotates and revokes the tokens of receivers."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Sequence
from typing import Final

from anp_twisted.auth.bearer import digest_of
from anp_twisted.auth.tokens import new_token, write_token
from anp_twisted.cli.registry import carry_out, duration, where
from anp_twisted.errors import CredentialError, RegistryConflict
from anp_twisted.registry.rows import TokenRow, check_name, check_place
from anp_twisted.registry.sql import Store

_OVERLAP: Final = "1d"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anp-proxy token", description="Give each receiver a token of its own.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    registry = where()
    add = commands.add_parser(
        "create",
        parents=[registry],
        help="make the token of a receiver",
        description="Make the token of a receiver and print it. It is shown this once; the registry keeps its SHA-256.",
    )
    add.add_argument("name", help="who shows it, such as laptop")
    add.add_argument(
        "--allow", action="append", default=[], metavar="PLACE", help="/path or host/path it may serve; repeatable"
    )
    _add_token_options(add)
    add.set_defaults(work=_create)
    rotate = commands.add_parser(
        "rotate",
        parents=[registry],
        help="make another token and let the old one end",
        description="Make another token for a receiver and print it. The one before goes on for a while.",
    )
    rotate.add_argument("name", help="who shows it")
    rotate.add_argument(
        "--overlap",
        type=duration,
        default=_OVERLAP,
        metavar="TIME",
        help=f"both work for so long (default: {_OVERLAP})",
    )
    _add_token_options(rotate)
    rotate.set_defaults(work=_rotate)
    revoke = commands.add_parser("revoke", parents=[registry], help="make tokens worthless at once")
    revoke.add_argument("name", help="a receiver, for all of its tokens, or the id of one")
    revoke.set_defaults(work=_revoke)
    show = commands.add_parser("list", parents=[registry], help="show whose tokens there are")
    show.set_defaults(work=_list)
    return parser


def _add_token_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expires", type=duration, metavar="TIME", help="it ends after 30d, 12h, 15m or 90s")
    parser.add_argument("--out", metavar="FILE", help="write it into a new file of mode 0600 instead")


def new_row(name: str, expires_in: float | None, now: float) -> tuple[TokenRow, str]:
    """
    @param expires_in: seconds, or C{None} for ever.
    @param now: seconds since the epoch.
    @return: what the registry keeps, and the token.
    @raise SettingsError: nobody can have that name.
    """
    token = new_token()
    ends = float("inf") if expires_in is None else now + expires_in
    return TokenRow(secrets.token_hex(6), check_name(name), digest_of(token), now, ends), token


def _now() -> float:
    return time.time()  # noqa: TID251 - where the time of day comes in


def _create(store: Store, asked: argparse.Namespace) -> str:
    places = [check_place(text) for text in asked.allow]
    _check_free(asked.out)
    row, token = new_row(asked.name, asked.expires, _now())
    store.add_token(row, places)
    return _handed_out(token, row, asked.out)


def _rotate(store: Store, asked: argparse.Namespace) -> str:
    _check_free(asked.out)
    row, token = new_row(asked.name, asked.expires, _now())
    store.rotate_token(row, asked.overlap)
    return _handed_out(token, row, asked.out)


def _check_free(path: str | None) -> None:
    """Find what would keep a token from being handed out before there is one."""
    if path is not None and os.path.lexists(path):
        raise CredentialError(f"{path} is there already")


def _handed_out(token: str, row: TokenRow, path: str | None) -> str:
    """Give the token away, once."""
    sys.stderr.write(f"token {row.id} of {row.identity}\n")
    if path is None:
        return f"{token}\n"
    write_token(path, token)
    return f"{path}\n"


def _revoke(store: Store, asked: argparse.Namespace) -> str:
    count = store.revoke(asked.name)
    if not count:
        raise RegistryConflict(f"{asked.name} has no token, and is none")
    return f"{count} revoked\n"


def _list(store: Store, asked: argparse.Namespace) -> str:
    lines = [f"{row.id}  {row.identity}  {_ends(row.expires)}" for row in store.list_tokens()]
    return "".join(f"{line}\n" for line in lines)


def _ends(seconds: float) -> str:
    if seconds == float("inf"):
        return "for ever"
    return time.strftime("until %Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def main(argv: Sequence[str]) -> int:
    """
    Run the command.

    @param argv: what is behind C{anp-proxy token}.
    @return: the status of the process.
    """
    return carry_out(_parser(), argv)
