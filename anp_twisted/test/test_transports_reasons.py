"""Rules of L{anp_twisted.transports.reasons}."""

from __future__ import annotations

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.transports.reasons import explain


class ExplainTests(SynchronousTestCase):
    """What an operator reads."""

    def test_words(self) -> None:
        """Each usual reason has words of its own; the more particular one is chosen."""
        for reason, words in {
            error.ConnectionRefusedError(): "nothing listens",
            error.DNSLookupError(): "cannot be resolved",
            error.TimeoutError(): "does not answer",
            error.NoRouteError(): "no way",
            error.ConnectError(): "cannot be reached",
            error.ConnectionDone(): "closed the connection",
            error.ConnectionLost(): "was lost",
            error.ConnectionAborted(): "was cut",
            VerificationError(errors=[]): "another name",
            SSL.Error([("SSL routines", "", "certificate verify failed")]): "--ca-file",
            SSL.Error([("SSL routines", "", "wrong version number")]): "does not speak TLS",
            SSL.Error(): "does not speak TLS",
        }.items():
            self.assertIn(words, explain(reason))

    def test_other(self) -> None:
        """For any other reason its kind is named, never its text."""
        self.assertEqual(explain(ValueError("a secret")), "the connection failed: ValueError")
        self.assertEqual(explain(None), "the connection failed: NoneType")
