"""Tests of L{anp_twisted.workers}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anp_twisted.limits import Limits
from anp_twisted.workers import (
    Crew,
    Fault,
    GiveUp,
    Kill,
    Life,
    Order,
    Phase,
    Say,
    Spawn,
    Tell,
    Word,
    Worker,
)

LIMITS = Limits(
    drain=10.0,
    cancel_grace=2.0,
    shutdown=5.0,
    worker_margin=3.0,
    worker_restart_first=1.0,
    worker_restart_most=8.0,
    worker_healthy_after=100.0,
)
BROKEN = Fault("shop cannot be imported", final=False)
UNREACHABLE = Fault("gave up after 3 attempts", final=True)


class Scene:
    """
    A crew, and what became of its orders.

    @ivar spawned: the workers, in the order in which they were to start.
    @ivar said: what was logged.
    """

    def __init__(self, size: int = 2, *, reloading: bool = False, draw: float = 1.0) -> None:
        self.crew = Crew(size, LIMITS, draw=lambda: draw, reloading=reloading)
        self.spawned: list[Worker] = []
        self.said: list[str] = []
        self.crew.start()
        self.orders()

    def orders(self) -> list[Order]:
        """Take the orders; those to start and to log are kept apart."""
        orders = self.crew.take()
        self.spawned += [order.worker for order in orders if isinstance(order, Spawn)]
        self.said += [order.text for order in orders if isinstance(order, Say)]
        return [order for order in orders if not isinstance(order, (Spawn, Say))]

    def all_ready(self, now: float = 0.0) -> None:
        """Let each worker that starts serve."""
        for worker in self.spawned:
            if worker.life is Life.STARTING:
                self.crew.ready(worker, now)

    def fail(self, worker: Worker, fault: Fault, now: float = 0.0) -> list[Order]:
        """Let a worker report something and end."""
        self.crew.failed(worker, fault, now)
        self.crew.exited(worker, "ended with status 1", now)
        return self.orders()


class RestartTests(SynchronousTestCase):
    """A worker that dies is replaced."""

    def test_fills_every_slot(self) -> None:
        """There are as many as asked for, numbered from 1."""
        self.assertEqual([worker.number for worker in Scene(3).spawned], [1, 2, 3])

    def test_back_off(self) -> None:
        """The bound of the delay doubles up to its most, and a healthy life sets it back."""
        scene = Scene(1)
        scene.all_ready()
        now, delays = 0.0, []
        for lifetime in (1.0, 1.0, 1.0, 1.0, 1.0, 100.0, 1.0):
            now += lifetime
            scene.crew.exited(scene.spawned[-1], "was ended by signal 9", now)
            due = scene.crew.due()
            assert due is not None
            delays.append(due - now)
            scene.crew.tick(due - 0.01)
            self.assertEqual(scene.orders(), [])
            now = due
            scene.crew.tick(now)
            scene.orders()
            scene.crew.ready(scene.spawned[-1], now)
        self.assertEqual(delays, [1.0, 2.0, 4.0, 8.0, 8.0, 1.0, 2.0])
        self.assertIn("worker 1 was ended by signal 9; a new one starts in 1.0 s", scene.said)

    def test_full_jitter(self) -> None:
        """The delay is drawn between nothing and the bound."""
        scene = Scene(1, draw=0.25)
        scene.all_ready()
        scene.crew.exited(scene.spawned[0], "ended with status 0", 5.0)
        self.assertEqual(scene.crew.due(), 5.25)

    def test_never_ready_is_not_healthy(self) -> None:
        """A worker that took long to crash at its start is no healthy one."""
        scene = Scene(1)
        for now, due in ((1000.0, 1001.0), (2000.0, 2002.0)):
            scene.crew.exited(scene.spawned[-1], "was ended by signal 11", now)
            self.assertEqual(scene.crew.due(), due)
            scene.crew.tick(due)
            scene.orders()

    def test_others_go_on(self) -> None:
        """One that dies is no matter of the others."""
        scene = Scene(3)
        scene.all_ready()
        scene.crew.exited(scene.spawned[1], "was ended by signal 9", 1.0)
        self.assertEqual(scene.orders(), [])
        scene.crew.tick(2.0)
        scene.orders()
        self.assertEqual([worker.number for worker in scene.spawned], [1, 2, 3, 2])

    def test_told_twice(self) -> None:
        """The end of a process is told once; a second time changes nothing."""
        scene = Scene(1)
        for _ in range(2):
            scene.crew.exited(scene.spawned[0], "ended with status 0", 0.0)
        self.assertEqual((scene.orders(), len(scene.said), scene.crew.workers), ([], 1, []))


class FaultTests(SynchronousTestCase):
    """A worker that says why it cannot serve."""

    def test_all_of_them(self) -> None:
        """If none can start, the program ends with one line, and nothing else was said."""
        scene = Scene(2)
        self.assertEqual(scene.fail(scene.spawned[0], BROKEN), [])
        self.assertEqual(scene.fail(scene.spawned[1], BROKEN), [GiveUp(BROKEN.text)])
        self.assertEqual((scene.said, scene.crew.due()), ([], None))

    def test_one_of_them(self) -> None:
        """If another can, it was bad luck: it is tried again."""
        scene = Scene(2)
        scene.fail(scene.spawned[0], BROKEN)
        scene.crew.ready(scene.spawned[1], 1.0)
        scene.orders()
        self.assertIn(f"worker 1: {BROKEN.text}", scene.said)
        self.assertEqual(scene.crew.due(), 2.0)

    def test_later(self) -> None:
        """Once one has served, a failed start is tried again with back-off, whatever it is."""
        scene = Scene(1)
        scene.all_ready()
        self.assertEqual(scene.fail(scene.spawned[0], BROKEN), [])
        self.assertEqual(scene.said, [f"worker 1 failed: {BROKEN.text}; a new one starts in 1.0 s"])

    def test_gave_up(self) -> None:
        """A gateway that cannot be reached ends the program when all have given up, also later."""
        scene = Scene(2)
        scene.all_ready()
        self.assertEqual(scene.fail(scene.spawned[0], UNREACHABLE), [])
        self.assertIsNone(scene.crew.due())
        self.assertEqual(scene.fail(scene.spawned[1], UNREACHABLE), [GiveUp(UNREACHABLE.text)])

    def test_hangs(self) -> None:
        """One that reported and does not end is killed."""
        scene = Scene(1)
        scene.crew.failed(scene.spawned[0], BROKEN, 1.0)
        scene.crew.tick(4.0)
        self.assertEqual(scene.orders(), [Kill(scene.spawned[0])])


class ChangeTests(SynchronousTestCase):
    """A new version."""

    def setUp(self) -> None:
        self.scene = Scene(2, reloading=True)
        self.scene.all_ready()
        self.old = list(self.scene.spawned)

    def change(self, now: float) -> list[Worker]:
        """Change the application; return what was started for it."""
        before = len(self.scene.spawned)
        self.scene.crew.changed(now)
        self.orders = self.scene.orders()
        return self.scene.spawned[before:]

    def test_one_after_the_other(self) -> None:
        """The one before is told to leave when the new one serves, not earlier."""
        new = self.change(1.0)
        self.assertEqual((self.orders, [worker.number for worker in new]), ([], [1, 2]))
        self.scene.crew.ready(new[1], 2.0)
        self.assertEqual(self.scene.orders(), [Tell(self.old[1], Word.DRAIN)])
        self.assertEqual([worker.life for worker in self.old], [Life.SERVING, Life.LEAVING])
        self.scene.crew.exited(self.old[1], "ended with status 0", 3.0)
        self.assertEqual((self.scene.orders(), self.scene.crew.due()), ([], None))

    def test_broken(self) -> None:
        """One that does not start costs nothing; the next change is tried again."""
        new = self.change(1.0)
        self.assertEqual(self.scene.fail(new[0], BROKEN), [])
        self.scene.crew.exited(new[1], "was ended by signal 11", 1.0)
        self.assertEqual(self.scene.orders(), [])
        self.assertEqual(
            self.scene.said,
            [
                f"the new version does not start: {BROKEN.text}; the one before goes on serving",
                "the new version does not start: it was ended by signal 11; the one before goes on serving",
            ],
        )
        self.assertEqual(([worker.life for worker in self.old], self.scene.crew.due()), ([Life.SERVING] * 2, None))
        self.assertEqual(len(self.change(2.0)), 2)

    def test_changed_again(self) -> None:
        """A version that has not served yet is not waited for when the next one is there."""
        first = self.change(1.0)
        second = self.change(1.5)
        self.assertEqual(self.orders, [Tell(worker, Word.DRAIN) for worker in first])
        self.scene.crew.ready(first[0], 1.6)
        self.assertEqual(self.scene.orders(), [])
        for worker in first:
            self.scene.crew.exited(worker, "ended with status 0", 2.0)
        for worker in second:
            self.scene.crew.ready(worker, 2.0)
        self.assertEqual(self.scene.orders(), [Tell(worker, Word.DRAIN) for worker in self.old])

    def test_the_one_before_dies(self) -> None:
        """When the one before ends meanwhile, there is the new one; if that fails, the next change is waited for."""
        new = self.change(1.0)
        self.scene.crew.exited(self.old[0], "was ended by signal 9", 1.5)
        self.assertIsNone(self.scene.crew.due())
        self.scene.fail(new[0], BROKEN, 2.0)
        self.assertIn("waiting for a change", self.scene.said[-1])
        self.assertEqual(len(self.change(3.0)), 2)

    def test_forgives(self) -> None:
        """What the version before did wrong does not count any more."""
        now = 0.0
        for _ in range(3):
            self.scene.crew.exited(self.scene.spawned[-1], "was ended by signal 11", now)
            due = self.scene.crew.due()
            assert due is not None
            now = due
            self.scene.crew.tick(now)
            self.scene.orders()
        new = self.change(now)
        for worker in [self.scene.spawned[-3], new[1]]:
            self.scene.crew.exited(worker, "was ended by signal 11", now)
        self.assertEqual(self.scene.crew.due(), now + 1.0)

    def test_broken_from_the_start(self) -> None:
        """While no version has ever started, it waits for a change, and does not give up."""
        scene = Scene(2, reloading=True)
        self.assertEqual([scene.fail(worker, BROKEN) for worker in list(scene.spawned)], [[], []])
        self.assertIsNone(scene.crew.due())
        scene.crew.changed(5.0)
        scene.orders()
        self.assertEqual(len(scene.spawned), 4)

    def test_not_while_stopping(self) -> None:
        """Nothing is started any more."""
        self.scene.crew.stop(1.0)
        self.assertEqual(self.change(2.0), [])


class StopTests(SynchronousTestCase):
    """The end."""

    def test_drains(self) -> None:
        """Each is told once; it is over when the last is gone."""
        scene = Scene(2)
        scene.all_ready()
        scene.crew.stop(10.0)
        self.assertEqual(scene.orders(), [Tell(worker, Word.DRAIN) for worker in scene.spawned])
        for worker, phase in zip(scene.spawned, (Phase.STOPPING, Phase.STOPPED), strict=True):
            scene.crew.exited(worker, "ended with status 0", 11.0)
            self.assertIs(scene.crew.phase, phase)
        self.assertEqual((scene.orders(), scene.said, scene.crew.due()), ([], [], None))

    def test_killed(self) -> None:
        """One that does not end within all the time it has is killed, once."""
        scene = Scene(1)
        scene.crew.stop(10.0)
        scene.orders()
        self.assertEqual(scene.crew.due(), 10.0 + 10.0 + 2.0 + 5.0 + 3.0)
        scene.crew.tick(30.0)
        self.assertEqual(scene.orders(), [Kill(scene.spawned[0])])
        self.assertIsNone(scene.crew.due())

    def test_hurries(self) -> None:
        """Asked again it waits for a moment only; before it was asked to stop, that means nothing."""
        scene = Scene(1)
        scene.crew.hurry(0.0)
        self.assertEqual(scene.orders(), [])
        scene.crew.stop(1.0)
        scene.orders()
        scene.crew.hurry(2.0)
        scene.crew.hurry(3.0)
        self.assertEqual((scene.orders(), scene.crew.due()), ([Tell(scene.spawned[0], Word.HURRY)], 5.0))

    def test_nothing_restarts(self) -> None:
        """What was due is not started any more, and without processes it is over at once."""
        scene = Scene(1)
        scene.all_ready()
        scene.crew.exited(scene.spawned[0], "was ended by signal 9", 0.0)
        scene.crew.stop(0.5)
        scene.crew.tick(100.0)
        scene.orders()
        self.assertEqual((len(scene.spawned), scene.crew.phase, scene.crew.due()), (1, Phase.STOPPED, None))


class AnyOrderTests(SynchronousTestCase):
    """No order of events breaks it."""

    @given(
        st.lists(st.tuples(st.sampled_from(["ready", "failed", "exited", "changed", "tick"]), st.integers(0, 9))).map(
            lambda steps: steps[:60]
        ),
        st.booleans(),
    )
    def test_any(self, steps: list[tuple[str, int]], reloading: bool) -> None:
        """
        At most one worker a slot serves and one starts, every other is leaving, and after the end of each process
        that leaves it is over.
        """
        scene = Scene(2, reloading=reloading)
        for now, (step, index) in enumerate(steps):
            living = scene.crew.workers
            worker = living[index % len(living)] if living else None
            if step == "changed":
                scene.crew.changed(float(now))
            elif step == "tick":
                scene.crew.tick(float(now))
            elif worker is not None and step == "failed":
                scene.crew.failed(worker, BROKEN, float(now))
            elif worker is not None:
                getattr(scene.crew, step)(worker, *(["ended"] if step == "exited" else []), float(now))
            scene.orders()
            for number in (1, 2):
                lives = [one.life for one in scene.crew.workers if one.number == number]
                self.assertLessEqual(lives.count(Life.SERVING), 1)
                self.assertLessEqual(lives.count(Life.SERVING) + lives.count(Life.STARTING), 2)
        scene.crew.stop(1000.0)
        for worker in list(scene.crew.workers):
            self.assertIs(worker.life, Life.LEAVING)
            scene.crew.exited(worker, "ended", 1001.0)
        self.assertIs(scene.crew.phase, Phase.STOPPED)
