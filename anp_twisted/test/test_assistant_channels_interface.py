"""Tests for L{anp_twisted.assistant.channels.interface}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.assistant.channels.interface import TRANSITIONS, ChannelFailed, Input, State, Trouble


class TransitionTests(SynchronousTestCase):
    """The table of what happens to a channel."""

    def test_everyStateCanBeLeft(self) -> None:
        """From each state there is a way to a stopped channel, and from there to a running one."""
        for goal, start in ((State.STOPPED, list(State)), (State.RUNNING, [State.STOPPED])):
            for state in start:
                seen = {state}
                while goal not in seen:
                    more = {to for (source, _), to in TRANSITIONS.items() if source in seen} - seen
                    self.assertTrue(more, f"{goal} cannot be reached from {state}")
                    seen |= more

    def test_stopHolds(self) -> None:
        """While a channel stops, nothing that it still reports makes it go on."""
        ways = {
            to for (source, given), to in TRANSITIONS.items() if source is State.STOPPING and given is not Input.ENDED
        }
        self.assertEqual(ways, {State.STOPPING})

    def test_refusedWaits(self) -> None:
        """What the service refused is not started again by itself."""
        self.assertNotIn((State.REFUSED, Input.START), TRANSITIONS)

    def test_failure(self) -> None:
        """A failure is one to try again after, unless the channel says something else."""
        failure = ChannelFailed("away")
        self.assertEqual((failure.trouble, failure.retry_after, failure.whole_account), (Trouble.AGAIN, None, False))
