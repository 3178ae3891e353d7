"""Rules of L{anp_twisted.transports.liveness}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.limits import Limits
from anp_twisted.transports.liveness import Liveness, Verdict

LIMITS = Limits(ping_after=10.0, dead_after=25.0, write_timeout=60.0)


class LivenessTests(SynchronousTestCase):
    """How a peer is judged."""

    def test_silence(self) -> None:
        """A silent peer is asked after 10 s and after 20 s, and dead after 25 s."""
        pulse = Liveness(LIMITS, 100.0)
        now, seen = 100.0, []
        for _ in range(4):
            verdict, delay = pulse.judge(now)
            seen.append((now, verdict))
            now += delay
        self.assertEqual(
            seen,
            [(100.0, Verdict.ALIVE), (110.0, Verdict.SILENT), (120.0, Verdict.SILENT), (125.0, Verdict.DEAD)],
        )

    def test_heard(self) -> None:
        """Bytes set everything back, and the next look is when the silence could be long enough."""
        pulse = Liveness(LIMITS, 0.0)
        pulse.heard_at = 9.0
        self.assertEqual(pulse.judge(10.0), (Verdict.ALIVE, 9.0))
        pulse.heard_at = 24.0
        self.assertEqual(pulse.judge(25.0), (Verdict.ALIVE, 9.0))

    def test_stuck(self) -> None:
        """A peer that speaks but takes nothing for a minute is given up; one that takes at last is not."""
        pulse = Liveness(LIMITS, 0.0)
        pulse.blocked(5.0)
        pulse.heard_at = 64.0
        self.assertIs(pulse.judge(64.9)[0], Verdict.ALIVE)
        self.assertIs(pulse.judge(65.0)[0], Verdict.STUCK)
        pulse.unblocked()
        self.assertIs(pulse.judge(65.0)[0], Verdict.ALIVE)

    def test_roundTrip(self) -> None:
        """Only the answer to the latest PING counts; a PONG that answers nothing does not."""
        pulse = Liveness(LIMITS, 0.0)
        pulse.answered(bytes(8), 0.5)
        self.assertIsNone(pulse.rtt)
        first = pulse.ask(1.0)
        second = pulse.ask(2.0)
        self.assertNotEqual(first, second)
        pulse.answered(first, 2.5)
        self.assertIsNone(pulse.rtt)
        pulse.answered(second, 2.5)
        self.assertEqual(pulse.rtt, 0.5)
