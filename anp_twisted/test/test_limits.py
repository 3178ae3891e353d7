"""
Tests for L{anp_twisted.limits}.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import FrozenInstanceError, fields

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import limits
from anp_twisted.limits import DEFAULT_LIMITS, KIB, MIB, Limits


class LimitsTests(SynchronousTestCase):
    """The caps, and how they must fit one another."""

    def test_nothing_is_without_a_reason(self) -> None:
        """Each default is followed by a text that says why it is what it is."""
        body = ast.parse(inspect.getsource(limits.Limits)).body[0]
        assert isinstance(body, ast.ClassDef)
        explained = [
            statement.target.id
            for statement, following in zip(body.body, body.body[1:], strict=False)
            if isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ]
        self.assertEqual(explained, [field.name for field in fields(Limits)])

    def test_frozen(self) -> None:
        """A cap cannot be lifted while the process runs."""
        with self.assertRaises(FrozenInstanceError):
            DEFAULT_LIMITS.frame = 1  # type: ignore[misc]

    def test_a_frame_has_room_for_a_head_and_a_body(self) -> None:
        """The largest head and the most body bytes fit into the smallest frame a peer may ask for."""
        self.assertLessEqual(DEFAULT_LIMITS.head + DEFAULT_LIMITS.data + 34, 256 * KIB)

    def test_the_front_fits_the_tunnel(self) -> None:
        """What the public front lets in passes the tunnel, even if each byte of it must be escaped."""
        self.assertLess(DEFAULT_LIMITS.request_head * 2 + DEFAULT_LIMITS.fields * 16, DEFAULT_LIMITS.head)
        self.assertLess(DEFAULT_LIMITS.fields, DEFAULT_LIMITS.headers)

    def test_memory_of_a_slow_caller(self) -> None:
        """What one stalled answer holds stays below a quarter of a mebibyte, socket buffers included."""
        self.assertLessEqual(DEFAULT_LIMITS.stream_window + 64 * KIB, 256 * KIB)

    def test_times_fit(self) -> None:
        """A dead link is found after two lost pings, and in less than half a minute."""
        self.assertGreaterEqual(DEFAULT_LIMITS.dead_after, 2 * DEFAULT_LIMITS.ping_after)
        self.assertLess(DEFAULT_LIMITS.dead_after, 30.0)

    def test_cut_streams_are_remembered_all_at_once(self) -> None:
        """If every stream of a connection is cut in one moment, no late frame of any is an offence."""
        self.assertGreaterEqual(DEFAULT_LIMITS.remembered_streams, DEFAULT_LIMITS.streams)


class ConnectionCreditTests(SynchronousTestCase):
    """L{Limits.connection_credit} keeps stalled streams from starving a lively one."""

    def test_few_streams(self) -> None:
        """A link with few streams has the least credit there is."""
        self.assertEqual(DEFAULT_LIMITS.connection_credit(1), 4 * MIB)

    def test_one_window_is_left(self) -> None:
        """When all streams but one hold their whole window, there is a window for it."""
        for streams in (1, 100, 1024):
            left = DEFAULT_LIMITS.connection_credit(streams) - streams * DEFAULT_LIMITS.stream_window
            self.assertGreaterEqual(left, DEFAULT_LIMITS.stream_window)
