"""Tests of L{anp_twisted.lifespan}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.errors import InvalidMessage
from anp_twisted.lifespan import Lifespan, Mode, Phase

STARTED = {"type": "lifespan.startup.complete"}
STOPPED = {"type": "lifespan.shutdown.complete"}
MESSAGES = [
    STARTED,
    {"type": "lifespan.startup.failed", "message": "no"},
    STOPPED,
    {"type": "lifespan.shutdown.failed"},
    {"type": "http.response.start"},
    {},
]


class LifespanTests(SynchronousTestCase):
    """The machine."""

    def test_whole_life(self) -> None:
        """Each question is asked once, and only while its answer is due."""
        life = Lifespan()
        self.assertFalse(life.settled)
        self.assertEqual([life.next_message(), life.next_message()], [{"type": "lifespan.startup"}, None])
        life.send(STARTED)
        self.assertEqual((life.phase, life.settled, life.next_message()), (Phase.RUNNING, True, None))
        life.stop()
        self.assertFalse(life.settled)
        self.assertEqual([life.next_message(), life.next_message()], [{"type": "lifespan.shutdown"}, None])
        life.send(STOPPED)
        self.assertEqual((life.phase, life.settled), (Phase.STOPPED, True))

    def test_complaints(self) -> None:
        """What an application says when it fails is kept."""
        life = Lifespan()
        life.send({"type": "lifespan.startup.failed"})
        self.assertEqual((life.phase, life.complaint), (Phase.REFUSED, "no reason given"))
        life = Lifespan()
        life.send(STARTED)
        life.stop()
        life.send({"type": "lifespan.shutdown.failed", "message": "stuck"})
        self.assertEqual((life.phase, life.complaint), (Phase.STOPPED, "stuck"))

    def test_takes_no_part(self) -> None:
        """An application that returns at once is not asked anything any more."""
        life = Lifespan()
        life.returned()
        life.stop()
        self.assertEqual((life.phase, life.settled, life.next_message()), (Phase.UNHEARD, True, None))

    def test_on(self) -> None:
        """Where it has to take part, to return before it has started is to fail; later it is not."""
        life = Lifespan(Mode.ON)
        life.returned()
        self.assertIs(life.phase, Phase.REFUSED)
        self.assertIn("--lifespan on", life.complaint)
        life = Lifespan(Mode.ON)
        life.send(STARTED)
        life.returned()
        self.assertEqual((life.phase, life.complaint), (Phase.UNHEARD, ""))

    def test_off(self) -> None:
        """Where it is not asked, there is nothing to wait for from the first to the last."""
        life = Lifespan(Mode.OFF)
        self.assertEqual((life.settled, life.next_message()), (True, None))
        life.stop()
        self.assertEqual((life.settled, life.next_message()), (True, None))

    def test_state_is_shared(self) -> None:
        """What the application puts into the state of its scope is the state."""
        life = Lifespan()
        life.scope["state"]["a"] = 1
        self.assertEqual(life.state, {"a": 1})

    @given(st.lists(st.sampled_from([*MESSAGES, "stop", "returned", "receive"]), max_size=12))
    def test_any_order(self, steps: list[object]) -> None:
        """No order of messages breaks it, what is refused changes nothing, and each question is asked at most once."""
        life = Lifespan()
        asked = []
        for step in steps:
            before = life.phase
            if step == "stop":
                life.stop()
            elif step == "returned":
                life.returned()
            elif step == "receive":
                asked.append(life.next_message())
            else:
                assert isinstance(step, dict)
                try:
                    life.send(step)
                except InvalidMessage:
                    self.assertIs(life.phase, before)
        questions = [message["type"] for message in asked if message is not None]
        self.assertIn(
            questions, [[], ["lifespan.startup"], ["lifespan.shutdown"], ["lifespan.startup", "lifespan.shutdown"]]
        )
