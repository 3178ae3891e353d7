"""Rules of L{anp_twisted.session.speech}."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import UnexpectedFrame
from anp_twisted.session.connection import Connection, Role
from anp_twisted.session.speech import Speech
from anp_twisted.test.sessions import hello
from anp_twisted.test.v1lab import SideV1


class SpeechTests(SynchronousTestCase):
    """What both versions have in common."""

    def test_both(self) -> None:
        """A link can take either; the type checker compares the rest."""
        both: list[Speech] = [Connection(Role.GATEWAY, hello()), SideV1(Role.GATEWAY).connection]
        self.assertEqual([speech.speaks_text for speech in both], [False, True])
        self.assertEqual([speech.streams for speech in both], [{}, {}])

    def test_version_2(self) -> None:
        """It has no text, waits for nothing, and takes no excuse."""
        connection = Connection(Role.GATEWAY, hello())
        self.assertRaises(UnexpectedFrame, connection.receive_text, "{}")
        self.assertEqual((connection.tick(5.0), connection.excused), (math.inf, False))
