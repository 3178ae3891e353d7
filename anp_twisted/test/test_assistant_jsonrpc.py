"""
Tests of JSON-RPC: the examples of the specification, and what it leaves open.

U{https://www.jsonrpc.org/specification}
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant import jsonrpc
from anp_twisted.assistant.errors import InvalidParams, InvalidRequest, ParseError, RpcError
from anp_twisted.assistant.jsonrpc import Call, Malformed
from anp_twisted.assistant.types import HistoryParams, NoParams, SendParams


def answer(data: bytes) -> Any:
    """Answer a message as a server would whose methods all return 19, but for C{foobar}."""
    try:
        incoming = jsonrpc.parse(data, 50)
    except RpcError as error:
        return json.loads(jsonrpc.failure(jsonrpc.NULL, error))
    parts = []
    for item in incoming.items:
        if isinstance(item, Malformed):
            parts.append(jsonrpc.failure(item.id, item.error))
        elif item.id is not None:
            parts.append(jsonrpc.result(item.id, 19))
    if not parts:
        return None
    return json.loads(jsonrpc.batch(parts) if incoming.batch else parts[0])


def codes(data: bytes) -> Any:
    """The error codes and ids of the answers."""
    given = answer(data)
    return [(one["error"]["code"], one["id"]) for one in (given if isinstance(given, list) else [given])]


class SpecificationTests(SynchronousTestCase):
    """Section 7, the examples."""

    def test_positional(self) -> None:
        """Parameters by position."""
        self.assertEqual(
            answer(b'{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}'),
            {"jsonrpc": "2.0", "result": 19, "id": 1},
        )

    def test_named(self) -> None:
        """Parameters by name."""
        data = b'{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}'
        self.assertEqual(answer(data), {"jsonrpc": "2.0", "result": 19, "id": 3})

    def test_notification(self) -> None:
        """No answer, with parameters or without."""
        self.assertIsNone(answer(b'{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}'))
        self.assertIsNone(answer(b'{"jsonrpc": "2.0", "method": "foobar"}'))

    def test_invalidJson(self) -> None:
        """A call and a batch that are no JSON."""
        self.assertEqual(codes(b'{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]'), [(-32700, None)])
        self.assertEqual(
            codes(b'[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]'),
            [(-32700, None)],
        )

    def test_invalidRequest(self) -> None:
        """A method that is no string."""
        self.assertEqual(codes(b'{"jsonrpc": "2.0", "method": 1, "params": "bar"}'), [(-32600, None)])

    def test_emptyBatch(self) -> None:
        """One error, not an array."""
        self.assertIsInstance(answer(b"[]"), dict)
        self.assertEqual(codes(b"[]"), [(-32600, None)])

    def test_invalidBatch(self) -> None:
        """An array of errors, even for one."""
        self.assertIsInstance(answer(b"[1]"), list)
        self.assertEqual(codes(b"[1]"), [(-32600, None)])
        self.assertEqual(codes(b"[1,2,3]"), [(-32600, None)] * 3)

    def test_mixedBatch(self) -> None:
        """Each of a batch for itself; notifications have no part in the answer."""
        data = b"""[
            {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]"""
        given = answer(data)
        self.assertEqual([one["id"] for one in given], ["1", None, "9"])
        self.assertEqual(given[1]["error"]["code"], -32600)

    def test_notificationsOnly(self) -> None:
        """Nothing at all, not an empty array."""
        self.assertIsNone(answer(b'[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"b"}]'))


class CornerTests(SynchronousTestCase):
    """What the specification leaves to the reader."""

    def test_ids(self) -> None:
        """An id goes back as it came, byte for byte; a null one is an id."""
        for raw in (b"1.0", b"1e400", b"-0", b'"\\u00e4"', b'""', b"null", b"123456789012345678901234567890"):
            item = jsonrpc.parse(b'{"jsonrpc":"2.0","method":"m","id":' + raw + b"}", 1).items[0]
            assert isinstance(item, Call)
            self.assertEqual(item.id, raw)
            self.assertTrue(jsonrpc.result(raw, None).endswith(b'"id":' + raw + b"}"))

    def test_oddIds(self) -> None:
        """What cannot be an id is none, and the answer has a null one."""
        for raw in (b"{}", b"[]", b"true", b'"' + b"x" * 300 + b'"'):
            self.assertEqual(codes(b'{"jsonrpc":"2.0","method":"m","id":' + raw + b"}"), [(-32600, None)])

    def test_idOfTheMalformed(self) -> None:
        """A usable id goes back with an error, too."""
        self.assertEqual(codes(b'{"jsonrpc":"1.0","method":"m","id":7}'), [(-32600, 7)])
        self.assertEqual(codes(b'{"jsonrpc":"2.0","method":"m","id":7,"params":null}'), [(-32600, 7)])
        self.assertEqual(codes(b'{"jsonrpc":"2.0","result":1,"id":7}'), [(-32600, 7)])

    def test_depth(self) -> None:
        """What is nested without end is no JSON for us, and costs no more than any other."""
        for data in (b"[" * 200_000, b'{"a":' * 200_000, b'{"jsonrpc":"2.0","params":' + b"[" * 200_000):
            self.assertRaises(ParseError, jsonrpc.parse, data, 50)

    def test_text(self) -> None:
        """Bad UTF-8, half a surrogate, and a byte order mark are no JSON."""
        for data in (
            b'{"jsonrpc":"2.0","method":"\xff"}',
            b'{"method":"\\ud800"}',
            b"\xef\xbb\xbf{}",
            b"",
            b" ",
            b"NaN",
        ):
            self.assertRaises(ParseError, jsonrpc.parse, data, 50)

    def test_batchCap(self) -> None:
        """A batch has at most so many calls."""
        call = b'{"jsonrpc":"2.0","method":"m"}'
        self.assertEqual(len(jsonrpc.parse(b"[" + b",".join([call] * 50) + b"]", 50).items), 50)
        self.assertRaises(InvalidRequest, jsonrpc.parse, b"[" + b",".join([call] * 51) + b"]", 50)

    @given(st.binary(max_size=200))
    def test_anyBytes(self, data: bytes) -> None:
        """Whatever comes, nothing but our own errors comes out."""
        with contextlib.suppress(RpcError):
            jsonrpc.parse(data, 50)

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=10))
    def test_anyJson(self, value: object) -> None:
        """JSON is never a parse error, and each part of a batch has an answer."""
        data = json.dumps(value).encode()
        if value == []:
            self.assertRaises(InvalidRequest, jsonrpc.parse, data, 50)
            return
        found = jsonrpc.parse(data, 50)
        self.assertEqual(len(found.items), len(value) if isinstance(value, list) else 1)
        self.assertTrue(all(isinstance(item, Malformed) for item in found.items))


class ArgumentTests(SynchronousTestCase):
    """Parameters of methods."""

    def test_byPosition(self) -> None:
        """An array has the order of the fields."""
        self.assertEqual(jsonrpc.arguments(SendParams, b'["hi","s"]'), SendParams(text="hi", session_key="s"))
        self.assertRaises(InvalidParams, jsonrpc.arguments, NoParams, b"[1]")
        self.assertRaises(InvalidParams, jsonrpc.arguments, SendParams, b'["hi"]')

    def test_missing(self) -> None:
        """None at all are an empty object."""
        self.assertEqual(jsonrpc.arguments(NoParams, b""), NoParams())

    def test_path(self) -> None:
        """The error tells where, and nothing of what was sent."""
        wrong = {
            b'{"text":5,"session_key":"s"}': "$.text",
            b'{"text":"a","session_key":"s","media":[{"kind":"canary","url":"u"}]}': "$.media[0].kind",
            b'{"text":"a","session_key":"s","canary":1}': "$",
        }
        for data, path in wrong.items():
            error = self.assertRaises(InvalidParams, jsonrpc.arguments, SendParams, data)
            self.assertEqual(error.path, path)
            self.assertNotIn("canary", json.dumps(error.as_object()))

    def test_exact(self) -> None:
        """Nothing is converted."""
        for data in (b'{"session_key":"s","limit":"5"}', b'{"session_key":"s","limit":5.5}', b'{"session_key":1}'):
            self.assertRaises(InvalidParams, jsonrpc.arguments, HistoryParams, data)

    def test_event(self) -> None:
        """A notification has the shape that clients know."""
        self.assertEqual(jsonrpc.event({"type": "x"}), b'{"jsonrpc":"2.0","method":"event","params":{"type":"x"}}')
