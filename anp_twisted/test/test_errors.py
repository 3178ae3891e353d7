"""
Tests for L{anp_twisted.errors}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted import errors
from anp_twisted.errors import ANPError, Code, ConnectionFault, LinkRefused, LocalError, RemoteError, StreamFault

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ANPError)]


class HierarchyTests(SynchronousTestCase):
    """Whose mistake it is, and what dies of it, is in the class."""

    def test_one_root(self) -> None:
        """Every exception of the module is an L{ANPError}, and there are no others."""
        exceptions = [
            value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)
        ]
        self.assertEqual(exceptions, ALL)

    def test_local_and_remote_are_apart(self) -> None:
        """No class says that a mistake is of both sides."""
        self.assertEqual([one for one in ALL if issubclass(one, LocalError) and issubclass(one, RemoteError)], [])

    def test_connection_and_stream_are_apart(self) -> None:
        """No class ends both one stream and the link."""
        self.assertEqual([one for one in ALL if issubclass(one, ConnectionFault) and issubclass(one, StreamFault)], [])

    def test_every_class_has_its_three_numbers(self) -> None:
        """Nobody has to read the text of an exception to know what to do."""
        for one in ALL:
            self.assertIsInstance(one.code, Code)
            if one not in (LinkRefused, errors.RequestRefused):
                self.assertIn(one.status, range(400, 600))
            self.assertTrue(1000 < one.close_code < 1015 or 4000 <= one.close_code < 5000, one)

    def test_connection_faults_close_with_a_protocol_code(self) -> None:
        """A peer that breaks the protocol is told so by the close code."""
        self.assertEqual(errors.FrameError.close_code, 1002)
        self.assertEqual(errors.UnexpectedFrame.close_code, 1002)
        self.assertEqual(errors.FlowControlError.close_code, 1002)
        self.assertEqual(errors.FrameTooLarge.close_code, 1009)

    def test_codes_that_travel(self) -> None:
        """The numbers on the wire are those of the normative text."""
        self.assertEqual(
            [(code.value, code.name) for code in Code],
            list(
                enumerate(
                    (
                        *("NO_ERROR", "PROTOCOL", "INTERNAL", "FLOW_CONTROL", "TOO_LARGE", "REFUSED", "CANCELLED"),
                        *("TIMEOUT", "APP_FAILED", "UNREACHABLE", "DRAINING", "UNAUTHORIZED"),
                    )
                )
            ),
        )

    def test_status_of_an_instance(self) -> None:
        """What a peer or a caller is told can differ from one failure to the next."""
        self.assertEqual(LinkRefused("no", 403).status, 403)
        self.assertEqual(LinkRefused("no").status, 0)
        self.assertEqual(errors.RequestRefused(431).status, 431)
        self.assertEqual(str(errors.RequestRefused(431)), "refused with 431")
