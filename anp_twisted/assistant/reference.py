"""
The reference page of the interface, made of what C{rpc.discover} returns.

C{python -m anp_twisted.assistant.reference > docs/reference/assistant-rpc.md}
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final, get_args

from anp_twisted.assistant import openrpc, types
from anp_twisted.assistant.errors import ERRORS
from anp_twisted.assistant.methods import METHODS, Method

_HEAD: Final = """# Methods and events of the assistant

This page is made by `python -m anp_twisted.assistant.reference`; the method `rpc.discover` returns the same as an
OpenRPC document. How clients connect, and what closes a connection, is described in [the assistant](assistant.md).

Parameters are an object, or an array in the order of the tables. A member that is not described is an error.
"""
_ACCESS: Final = {"anybody": "anybody, also without a token", "user": "any token", "admin": "tokens of administrators"}


def page() -> str:
    """
    @return: the page.
    """
    document = openrpc.document("")
    schemas = document["components"]["schemas"]
    parts = [_HEAD, "## Methods\n"]
    for row in METHODS.values():
        parts += _method(row, schemas)
    parts += [
        "## Events\n",
        "Notifications of the method `event`; the member `type` of their parameters is one of these.\n",
    ]
    for event in get_args(types.AnyEvent):
        parts += _event(event, schemas)
    parts += ["## Parts\n", *_parts(schemas)]
    parts += ["## Errors\n", *_errors()]
    return "\n".join(parts)


def _method(row: Method, schemas: dict[str, Any]) -> Iterator[str]:
    """Describe a method."""
    yield f"### `{row.name}`\n"
    yield f"{row.summary} For {_ACCESS[row.access]}.\n"
    yield from _table(schemas[row.params.__name__], row.params, "parameter")
    if isinstance(row.result, type) and issubclass(row.result, types.Result):
        yield f"Returns: {openrpc.sentence(row.result)}\n" if openrpc.sentence(row.result) else "Returns:\n"
        yield from _table(schemas[row.result.__name__], row.result, "member")


def _event(event: type, schemas: dict[str, Any]) -> Iterator[str]:
    """Describe an event."""
    described = schemas[event.__name__]
    yield f"### `{described['properties']['type']['enum'][0]}`\n"
    yield f"{openrpc.sentence(event)}\n"
    yield from _table(described, event, "member")


def _parts(schemas: dict[str, Any]) -> Iterator[str]:
    """Describe what results and parameters are made of."""
    named = {row.params.__name__ for row in METHODS.values()}
    named |= {row.result.__name__ for row in METHODS.values() if isinstance(row.result, type)}
    named |= {event.__name__ for event in get_args(types.AnyEvent)} | {"Event"}
    for name, described in schemas.items():
        if name not in named and "properties" in described:
            yield f"### {name}\n"
            yield f"{described['description']}\n"
            yield from _table(described, None, "member")


def _table(described: dict[str, Any], struct: type | None, word: str) -> Iterator[str]:
    """List the members of an object."""
    members = [(name, schema) for name, schema in described["properties"].items() if name != "type"]
    if not members:
        return
    required = described.get("required", ())
    yield f"| {word} | type | meaning |\n|---|---|---|"
    for name, schema in members:
        default = f" Default: `{schema['default']}`." if schema.get("default") not in _EMPTY else ""
        need = "" if name in required or struct is None or not issubclass(struct, types.Params) else ", optional"
        meaning = schema.get("description", "").replace("|", "\\|")
        yield f"| `{name}` | {_kind(schema)}{need} | {(meaning + default).strip()} |"
    yield ""


def _kind(schema: dict[str, Any]) -> str:
    """Say what a value is."""
    if "anyOf" in schema:
        kinds = [_kind(one) for one in schema["anyOf"]]
        return " or ".join(kinds) if len(kinds) < 4 else "one of the events"
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}" if "items" in schema else "array"
    kind = str(schema.get("type", "any"))
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS if key in schema]
    return f"{kind} ({', '.join(bounds)})".replace("|", "\\|") if bounds else kind


_EMPTY: Final[tuple[object, ...]] = (None, "", (), {})
_BOUNDS: Final = (
    ("minimum", "at least"),
    ("maximum", "at most"),
    ("minLength", "length at least"),
    ("maxLength", "length at most"),
    ("pattern", "matches"),
)


def _errors() -> Iterator[str]:
    """List the errors."""
    yield "An error has `data` with the members `code` (the word below), `retryable`, and where they are known"
    yield "`retry_after_ms` and `path`.\n"
    yield "| code | `data.code` | try again | when |\n|---|---|---|---|"
    for one in ERRORS:
        yield f"| {one.rpc_code} | `{one.word}` | {'yes' if one.retryable else 'no'} | {openrpc.sentence(one)} |"


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
