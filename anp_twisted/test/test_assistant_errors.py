"""Tests of the errors."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.errors import ERRORS, AgentFailed, InvalidParams, RateLimited


class ErrorTests(SynchronousTestCase):
    """Error objects."""

    def test_codes(self) -> None:
        """The numbers are those of the reference, each once."""
        self.assertEqual(
            [one.rpc_code for one in ERRORS],
            [
                -32700,
                -32600,
                -32601,
                -32602,
                -32603,
                -32001,
                -32003,
                -32004,
                -32008,
                -32009,
                -32010,
                *[-32013, -32029, -32030, -32040, -32060],
            ],
        )
        self.assertEqual(len({one.word for one in ERRORS}), len(ERRORS))

    def test_object(self) -> None:
        """What is known besides the code is in C{data}."""
        self.assertEqual(
            RateLimited(retry_after=0.25).as_object(),
            {
                "code": -32029,
                "message": "there are too many messages",
                "data": {"code": "rate_limited", "retryable": True, "retry_after_ms": 250},
            },
        )
        self.assertEqual(InvalidParams(path="$.text").as_object()["data"]["path"], "$.text")
        self.assertEqual(AgentFailed("no model").as_object()["message"], "no model")
