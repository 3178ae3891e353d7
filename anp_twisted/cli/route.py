"""The command C{anp-proxy route}: says whose places are, and what holds there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from anp_twisted.cli.registry import carry_out, where
from anp_twisted.errors import RegistryConflict
from anp_twisted.registry.rows import check_options, check_owner, check_place
from anp_twisted.registry.sql import Store


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anp-proxy route", description="Say which receiver a place belongs to: /path, host/path or *.host/path."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    registry = where()
    put = commands.add_parser("add", parents=[registry], help="give a place to a receiver, or change what holds there")
    put.add_argument("place", help="such as /shop, shop.example.org or *.example.org/api")
    put.add_argument("owner", help="the name of its token, its DID, or certificate:NAME")
    put.add_argument("--options", metavar="JSON", help="options of the route, as in the settings file; {} is none")
    put.set_defaults(work=_add)
    drop = commands.add_parser("remove", parents=[registry], help="take a place away from whoever has it")
    drop.add_argument("place")
    drop.set_defaults(work=_remove)
    show = commands.add_parser("list", parents=[registry], help="show whose places there are")
    show.set_defaults(work=_list)
    return parser


def _add(store: Store, asked: argparse.Namespace) -> str:
    store.put_route(check_place(asked.place), check_owner(asked.owner), check_options(asked.options))
    return ""


def _remove(store: Store, asked: argparse.Namespace) -> str:
    place = check_place(asked.place)
    if not store.drop_route(place):
        raise RegistryConflict(f"{place} belongs to nobody")
    return ""


def _list(store: Store, asked: argparse.Namespace) -> str:
    return "".join(f"{row.place}  {row.owner}  {text}".rstrip() + "\n" for row, text in store.list_routes())


def main(argv: Sequence[str]) -> int:
    """
    Run the command.

    @param argv: what is behind C{anp-proxy route}.
    @return: the status of the process.
    """
    return carry_out(_parser(), argv)
