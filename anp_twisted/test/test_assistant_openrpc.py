"""Tests of the OpenRPC document: that it says of parameters what is checked of them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import jsonrpc, openrpc
from anp_twisted.assistant.errors import ERRORS, InvalidParams
from anp_twisted.assistant.methods import METHODS
from anp_twisted.assistant.types import NoParams

DOCUMENT = json.loads(json.dumps(openrpc.document("1.2.3")))

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([0.5, -1.5, 2**70, "", "s", "auto", "admin", "image", "a" * 129, "a" * 257, "ümläut", "x y", "-"])
)
_MEDIA = st.fixed_dictionaries(
    {"kind": st.sampled_from(["image", "file", "virus"]), "url": st.sampled_from(["", "u"])},
    optional={"size": st.sampled_from([-1, 0, 1.5, 7]), "mime_type": _LEAVES, "other": _LEAVES},
)
_VALUES = _LEAVES | st.lists(_MEDIA | _LEAVES, max_size=17)


def objects(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Make objects with some of these members, and sometimes another."""
    return st.dictionaries(st.sampled_from([*names, "other"]), _VALUES, max_size=len(names) + 1)


class DocumentTests(SynchronousTestCase):
    """The document."""

    def test_methods(self) -> None:
        """Every method is in it, with all errors it may end with."""
        self.assertEqual([one["name"] for one in DOCUMENT["methods"]], list(METHODS))
        self.assertEqual(
            {one["code"] for one in DOCUMENT["components"]["errors"].values()}, {e.rpc_code for e in ERRORS}
        )
        self.assertEqual(DOCUMENT["info"]["version"], "1.2.3")

    def test_references(self) -> None:
        """No reference leads nowhere."""
        text = json.dumps(DOCUMENT)
        for place in {part.partition('"')[0] for part in text.split('"$ref": "#/')[1:]}:
            found = DOCUMENT
            for step in place.split("/"):
                found = found[step]

    def test_events(self) -> None:
        """The events are described as well."""
        self.assertIn("Event", DOCUMENT["components"]["schemas"])


class OracleTests(SynchronousTestCase):
    """What the schema says and what is checked are the same."""

    @settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
    @given(st.data())
    def test_sameVerdict(self, data: st.DataObject) -> None:
        """For each method, an independent validator of its schema agrees about anything."""
        for row in METHODS.values():
            if row.params is NoParams:
                continue
            schema = {"$ref": f"#/components/schemas/{row.params.__name__}", "components": DOCUMENT["components"]}
            value = data.draw(objects(list(row.params.__struct_fields__)))
            valid = jsonschema.Draft202012Validator(schema).is_valid(value)
            try:
                jsonrpc.arguments(row.params, json.dumps(value).encode())
            except InvalidParams:
                self.assertFalse(valid, (row.name, value))
            else:
                self.assertTrue(valid, (row.name, value))
