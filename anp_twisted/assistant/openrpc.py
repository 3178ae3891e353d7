"""
The OpenRPC document of the interface, made of the structs that check it.

Pure. U{https://spec.open-rpc.org/}
"""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any, Final

import msgspec

from anp_twisted.assistant.errors import ERRORS
from anp_twisted.assistant.methods import METHODS, Method
from anp_twisted.assistant.types import AnyEvent

_TEMPLATE: Final = "#/components/schemas/{name}"
_VERSION: Final = "1.3.2"
_FIELD = re.compile(r"^@[ic]var (\w+): ", re.MULTILINE)
_MARKUP = re.compile(r"[CL]\{([^}]*)\}")


@cache
def document(version: str) -> dict[str, Any]:
    """
    @param version: of the server.
    @return: the document; not to be changed.
    """
    rows = list(METHODS.values())
    wanted = [row.params for row in rows] + [row.result for row in rows] + [AnyEvent]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=_TEMPLATE)
    results = schemas[len(rows) :]
    for described in components.values():
        _describe(described)
    components["Event"] = schemas[-1]
    return {
        "openrpc": _VERSION,
        "info": {
            "title": "Assistant gateway",
            "version": version,
            "description": "Notifications of the method event have the schema Event as their params.",
        },
        "methods": [_method(row, components, result) for row, result in zip(rows, results, strict=False)],
        "components": {"schemas": components, "errors": {one.word: _error(one) for one in ERRORS}},
    }


def _describe(described: dict[str, Any]) -> None:
    """Give each member its own sentence, out of the docstring of the struct."""
    docstring = described.get("description", "")
    told = meanings(docstring)
    described["description"] = _markdown(_FIELD.split(inspect.cleandoc(docstring))[0])
    for name, schema in described.get("properties", {}).items():
        if name in told:
            described["properties"][name] = {**schema, "description": told[name]}


def _method(row: Method, components: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Describe one method."""
    described = components[row.params.__name__]
    required = described.get("required", ())
    return {
        "name": row.name,
        "summary": row.summary,
        "paramStructure": "either",
        "params": [
            {"name": name, "required": name in required, "schema": schema}
            for name, schema in described["properties"].items()
        ],
        "result": {"name": "result", "schema": result},
        "errors": [{"$ref": f"#/components/errors/{one.word}"} for one in ERRORS],
        "x-access": row.access,
    }


def _error(one: Any) -> dict[str, Any]:
    """Describe an error."""
    return {"code": one.rpc_code, "message": one.sentence, "data": {"code": one.word, "retryable": one.retryable}}


def sentence(described: type) -> str:
    """
    @return: the docstring of a class without its fields, as Markdown.
    """
    return _markdown(_FIELD.split(inspect.cleandoc(described.__doc__ or ""))[0])


def meanings(docstring: str | None) -> dict[str, str]:
    """
    @return: what the docstring of a struct says of each of its fields, as Markdown.
    """
    _, *parts = _FIELD.split(inspect.cleandoc(docstring or ""))
    return {name: _markdown(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _markdown(text: str) -> str:
    """Write markup of docstrings as Markdown."""
    plain = " ".join(_MARKUP.sub(r"`\1`", text).split())
    return plain[:1].upper() + plain[1:]
